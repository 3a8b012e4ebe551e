import FeatureCore
import OnlineStore
import Processor

/// How a view's values of a row came about; the names are Feast's.
enum FeatureStatus: String, Sendable {
  case present = "PRESENT"
  /// Nothing was folded of the entity: these are the values of nothing.
  case notFound = "NOT_FOUND"
  /// The entity has been silent for too long, and its values are null; or the service lags, and they are there.
  case outsideMaxAge = "OUTSIDE_MAX_AGE"
  /// The state can't be read, or the entity has a null in it: the values are null.
  case invalid = "INVALID"
}

/// The values of one state at the time of a request.
struct EvaluatedState: Sendable {
  var values: [FeatureValue]
  var status: FeatureStatus
  var asOf: EventTime?
  var evaluatedAt: EventTime
  var partition: Int32
  /// The next offset that the state has not folded; nil if its task has never committed.
  var offset: Int64?
  /// Microseconds by which the task lags behind the log; nil if nobody knows.
  var lag: Int64?
  /// Whether that is more than the service's max_lag.
  var isStale = false
  /// Whether the values are null because the entity has been silent for too long.
  var isMasked = false
  /// Why the state can't be read.
  var damage: String?
}

/// An answer before it is written.
struct Evaluation: Sendable {
  let query: CompiledQuery
  let requestID: String
  let requestedAt: EventTime
  let version: Int
  /// As the query's lookups.
  let states: [EvaluatedState]

  init(
    _ query: CompiledQuery, _ found: ArraySlice<BatchReader.Found>, requestID: String, at: EventTime?,
    now: EventTime, _ health: StoreHealth
  ) throws(Problem) {
    self.query = query
    self.requestID = requestID
    version = query.catalog.plan.version
    let time = at ?? now
    requestedAt = time
    var states: [EvaluatedState] = []
    states.reserveCapacity(found.count)
    for (lookup, found) in zip(query.lookups, found) {
      states.append(try Self.evaluate(lookup, found, query, time, now, mayBeNewer: at == nil, health))
    }
    self.states = states
    if query.service.service.whenStale == .fail, let stale = states.first(where: \.isStale) {
      let lag = stale.lag.map { "by \($0 / 1_000) ms" } ?? "by an unknown time"
      throw Problem(.stale, "the features lag behind the log \(lag), more than the service's max_lag")
    }
  }

  private static func evaluate(
    _ lookup: CompiledQuery.Lookup, _ found: BatchReader.Found, _ query: CompiledQuery, _ time: EventTime,
    _ now: EventTime, mayBeNewer: Bool, _ health: StoreHealth
  ) throws(Problem) -> EvaluatedState {
    let read = query.service.reads[lookup.read]
    let view = query.catalog.plan.views[read.view]
    let partition = (try? query.partition(of: lookup, health.partitions)) ?? 0
    var evaluated = EvaluatedState(
      values: [], status: .present, asOf: nil, evaluatedAt: time, partition: partition,
      offset: found.position,
      lag: health.lag(query.catalog.places[read.view], partition, now: now.microseconds))
    if let max = query.service.service.maxLag { evaluated.isStale = evaluated.lag.map { $0 > max } ?? true }
    var state: State?
    if let bytes = found.state {
      do throws(StateError) {
        state = try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
          try view.decode(bytes)
        }
      } catch {
        evaluated.status = .invalid
        evaluated.damage =
          "the state of entity '\(Text(utf8: lookup.key))' in view '\(view.name)' can't be read: \(error)"
        evaluated.values = [FeatureValue](repeating: .null, count: view.features.count)
        return evaluated
      }
    }
    if let asOf = state?.asOf, asOf > time {
      guard mayBeNewer else {
        throw Problem(
          .stateIsNewer,
          "view '\(view.name)' has folded events up to \(RFC3339.format(asOf)), later than 'at': a state can't "
            + "tell its past; ask for now, or make a training set")
      }
      evaluated.evaluatedAt = asOf
    }
    evaluated.asOf = state?.asOf
    if read.isSilent(since: state?.asOf, at: evaluated.evaluatedAt) {
      evaluated.status = .outsideMaxAge
      evaluated.isMasked = true
      evaluated.values = [FeatureValue](repeating: .null, count: view.features.count)
      return evaluated
    }
    evaluated.values = view.evaluate(state, at: evaluated.evaluatedAt)
    if state == nil {
      evaluated.status = .notFound
    } else if evaluated.isStale {
      evaluated.status = .outsideMaxAge
    }
    return evaluated
  }

  /// The values of the service's columns for a row.
  func values(row: Int) -> [FeatureValue] {
    let features = query.rows[row].enumerated().map { read, lookup in
      lookup < 0
        ? [FeatureValue](repeating: .null, count: view(read).features.count) : states[lookup].values
    }
    return query.service.values(features: features, inputs: query.inputs[row], at: requestedAt)
  }

  /// The state of a read of a row; nil if the entity has a null in it.
  func state(row: Int, read: Int) -> EvaluatedState? {
    let lookup = query.rows[row][read]
    return lookup < 0 ? nil : states[lookup]
  }

  func view(_ read: Int) -> ViewPlan { query.catalog.plan.views[query.service.reads[read].view] }

  /// The largest lag of the states that were read; nil if that of one isn't known.
  var lag: Int64? {
    var largest: Int64 = 0
    for state in states {
      guard let lag = state.lag else { return nil }
      largest = max(largest, lag)
    }
    return largest
  }
}

/// What was last seen of the store of a version.
struct StoreHealth: Sendable {
  var partitions: [String: Int32]
  /// Up to when each task has caught up, in microseconds since the epoch.
  var heartbeats: [String: Int64]

  /// By how many microseconds what a task holds may lag behind the events' topic; nil if a task hasn't said.
  func lag(_ place: Catalog.Place, _ partition: Int32, now: Int64) -> Int64? {
    guard let own = heartbeats[StoreKeys.task(source: place.input, partition: partition)] else { return nil }
    var oldest = own
    for input in place.upstream {
      for partition in 0..<(partitions[input] ?? 0) {
        guard let time = heartbeats[StoreKeys.task(source: input, partition: partition)] else { return nil }
        // What the upstream task has forwarded by then, this one has folded by its own time.
        oldest = min(oldest, time)
      }
    }
    return max(0, now - oldest)
  }
}
