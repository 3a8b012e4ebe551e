import Dispatch
public import FeatureCore
public import Processor
import Synchronization

/// Reads features for serving: states from Redis, evaluated as the definitions say. For services: any number of tasks may
/// use one reader at a time.
///
/// A read waits for Redis on a thread of the reader's, never on one of the tasks'. A cancelled task gets its answer, or
/// the error of a Redis that gives none within the options' time, like any other.
public final class FeatureReader: Sendable {
  /// The features of one entity.
  public struct Row: Sendable {
    /// The features, in the order of the view's.
    public let values: [FeatureValue]
    /// The largest event time that they know of; nil if nothing of the entity has been seen.
    public let asOf: EventTime?
    /// The time that was asked for: training rows of this time have these features, those of `at` may see a later state.
    public let requestedAt: EventTime
    /// What they were evaluated at: the later of the time asked for and `asOf`.
    public let at: EventTime
    /// The version of the definitions that they are of.
    public let version: Int
    let view: ViewPlan

    /// The value of a feature. Throws if the view has none of that name.
    public subscript(name: String) -> FeatureValue {
      get throws(StoreError) {
        guard let index = view.features.firstIndex(where: { $0.name == name }) else {
          throw StoreError(
            .fatal,
            "view '\(view.name)' has no feature '\(name)', only \(view.features.map(\.name).joined(separator: ", "))"
          )
        }
        return values[index]
      }
    }
  }

  /// A connection with the thread that waits for it.
  private final class Lane: Sendable {
    let queue = DispatchQueue(label: "plumb.features")
    /// Used on the queue alone, which the lock states.
    let reader: Mutex<LiveReader>

    init(_ options: RedisOptions, name: String, versions: [Int]) {
      reader = Mutex(LiveReader(options, name: name, versions: versions))
    }
  }

  private let versions: [Int: (plan: Plan, routing: Routing)]
  private let lanes: [Lane]
  /// How many reads are under way on each lane.
  private let loads: Mutex<[Int]>

  /// A reader of the features that some definitions declare. It connects when it is first used, and fails once another
  /// version is promoted. Each of its connections serves one read at a time.
  public convenience init(_ plan: Plan, _ options: RedisOptions, connections: Int = 4) throws(StoreError) {
    try self.init([plan], options, connections: connections)
  }

  /// A reader of whichever of some versions of one name is live: a promotion is seen by the next read.
  public init(_ plans: [Plan], _ options: RedisOptions, connections: Int = 4) throws(StoreError) {
    guard let name = plans.first?.name, plans.allSatisfy({ $0.name == name }) else {
      throw StoreError(
        .fatal, "a reader takes versions of one name, not of \(Set(plans.map(\.name)).sorted())")
    }
    guard (1...1_000).contains(connections) else {
      throw StoreError(.fatal, "a reader has 1 to 1000 connections, not \(connections)")
    }
    versions = Dictionary(plans.map { ($0.version, ($0, Routing($0))) }) { first, _ in first }
    let numbers = plans.map(\.version)
    lanes = (0..<connections).map { _ in Lane(options, name: name, versions: numbers) }
    loads = Mutex([Int](repeating: 0, count: connections))
  }

  /// The features of some entities of a view, in their order, in one round trip. An entity is given by a value for each of
  /// the view's entity columns. Throws if there is no such view, or if a value doesn't fit its column.
  public func read(
    view name: String, entities: [[FeatureValue]], at time: EventTime
  ) async throws(StoreError) -> [Row] {
    let index = loads.withLock { loads in
      // The first of the least busy: connections that nobody needs aren't made.
      let index = loads.indices.min { loads[$0] < loads[$1] } ?? 0
      loads[index] += 1
      return index
    }
    let result: Result<[Row], StoreError> = await withCheckedContinuation { continuation in
      lanes[index].queue.async { [self] in
        let result = lanes[index].reader.withLock { reader in
          Result { () throws(StoreError) in try read(reader, name, entities, time) }
        }
        loads.withLock { $0[index] -= 1 }
        continuation.resume(returning: result)
      }
    }
    return try result.get()
  }

  private func read(
    _ reader: LiveReader, _ name: String, _ entities: [[FeatureValue]], _ time: EventTime
  ) throws(StoreError) -> [Row] {
    // What was found, in terms of the version that was read last: a promotion in between begins anew.
    var view: ViewPlan?
    var keys: [[UInt8]] = []
    var states: [Result<State?, StateError>] = []
    let version = try reader.read({ version throws(StoreError) in
      let found = try self.view(name, version)
      keys = try Self.keys(entities, of: found)
      states = [Result<State?, StateError>](repeating: .success(nil), count: keys.count)
      view = found
      return LiveReader.Request(source: source(of: found, version), view: name, entityKeys: keys)
    }) { index, bytes in
      guard let bytes, let view else { return }
      states[index] = Result { () throws(StateError) in try view.decode(bytes) }
    }
    guard let view else { preconditionFailure("Cannot have read without a request") }
    var rows: [Row] = []
    for (index, state) in states.enumerated() {
      do throws(StateError) {
        let state = try state.get()
        let moment = max(time, state?.asOf ?? time)
        rows.append(
          Row(
            values: view.evaluate(state, at: moment), asOf: state?.asOf, requestedAt: time, at: moment,
            version: version, view: view))
      } catch {
        let key = String(decoding: keys[index], as: UTF8.self)
        throw StoreError(.fatal, "the state of '\(key)' in view '\(name)': \(error)")
      }
    }
    return rows
  }

  private func view(_ name: String, _ version: Int) throws(StoreError) -> ViewPlan {
    guard let plan = versions[version]?.plan else { preconditionFailure("Cannot read an unknown version") }
    guard let view = plan.view(name) else {
      throw StoreError(
        .fatal, "there is no view '\(name)' in version \(version), only \(plan.views.map(\.name))")
    }
    return view
  }

  private func source(of view: ViewPlan, _ version: Int) -> String {
    guard let (plan, routing) = versions[version] else {
      preconditionFailure("Cannot read an unknown version")
    }
    return routing.input(of: view, plan)
  }

  private static func keys(_ entities: [[FeatureValue]], of view: ViewPlan) throws(StoreError) -> [[UInt8]] {
    var keys: [[UInt8]] = []
    for entity in entities {
      guard let key = EntityKey.make(entity, view.entity) else {
        let columns = view.entity.map { "\($0.name) (\($0.type.rawValue))" }.joined(separator: ", ")
        throw StoreError(
          .fatal, "\(entity) is no entity of view '\(view.name)', which is keyed by \(columns)")
      }
      keys.append(key)
    }
    return keys
  }
}
