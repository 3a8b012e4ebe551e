import FeatureCore

/// Compares what was served of one entity with what happened, row by row in order of time.
///
/// Events, forwarded records, snapshots and rows come in order of (time, place in the log); at one time rows come first.
/// The time of an event and of its forwarded record is that of the event, that of a snapshot the end of its commit's
/// millisecond. In memory are the states and the events from the first on that has not been served.
final class EntityComparison {
  /// What a row's features are.
  struct Row {
    var happened: [FeatureValue]
    var served: [FeatureValue]
    /// By feature; nil where both are the same.
    var causes: [DifferenceCause?]

    var differences: [RowDifference] {
      causes.indices.compactMap { index in
        causes[index].map {
          RowDifference(feature: index, cause: $0, happened: happened[index], served: served[index])
        }
      }
    }
  }

  private struct Event {
    let bytes: [UInt8]
    let hash: UInt64
    let time: Int64
    /// When it was in the log, in microseconds: the end of its millisecond.
    let arrived: Int64
    /// Its offset in the log that the view folds from; nil or less than 0 until its forwarded record is found there.
    var offset: Int64?
  }

  private let view: ViewPlan
  /// Folds an event into a state, or leaves it as it is if the view can't use the event.
  private let fold: Fold

  /// Of every event.
  private var happened: State?
  /// Of the events before `tail`, all of which have been served.
  private var base: State?
  private var tail: ArraySlice<Event> = []
  /// Forwarded records of `forwardedTime` whose events come later.
  private var forwarded: [(hash: UInt64, offset: Int64)] = []
  private var forwardedTime = Int64.min
  private var snapshot: [UInt8]?
  private var position: Int64 = -1

  typealias Fold = (_ event: [UInt8], _ time: Int64, _ state: inout State?) -> Void

  init(_ view: ViewPlan, fold: @escaping Fold) {
    self.view = view
    self.fold = fold
  }

  /// Begins another entity.
  func reset() {
    happened = nil
    base = nil
    tail = []
    forwarded = []
    snapshot = nil
    position = -1
  }

  /// Adds an event of the source. `offset` is its place in the log that the view folds from; nil if `addForwarded` tells,
  /// less than 0 if that has perhaps been deleted.
  func add(_ bytes: UnsafeRawBufferPointer, time: Int64, offset: Int64?, arrived: Int64) {
    let event = [UInt8](bytes)
    fold(event, time, &happened)
    var offset = offset
    let hash = Hash64.hash(bytes)
    if offset.map({ $0 < 0 }) ?? true {
      forgetForwarded(before: time)
      if let found = forwarded.firstIndex(where: { $0.hash == hash }) {
        offset = forwarded.remove(at: found).offset
      }
    }
    tail.append(Event(bytes: event, hash: hash, time: time, arrived: arrived, offset: offset))
  }

  /// Adds the record in which an event was forwarded to the log that the view folds from, before the event or after it.
  func addForwarded(_ bytes: UnsafeRawBufferPointer, time: Int64, offset: Int64) {
    let hash = Hash64.hash(bytes)
    var index = tail.endIndex
    var found: Int?
    while index > tail.startIndex, tail[index - 1].time == time {
      index -= 1
      if tail[index].hash == hash, tail[index].offset.map({ $0 < 0 }) ?? true { found = index }
    }
    if let found { return tail[found].offset = offset }
    forgetForwarded(before: time)
    forwarded.append((hash, offset))
  }

  private func forgetForwarded(before time: Int64) {
    guard forwardedTime != time else { return }
    forwarded.removeAll()
    forwardedTime = time
  }

  /// Adds a snapshot. One that was written again is passed over.
  func add(snapshot bytes: UnsafeRawBufferPointer, offset: Int64) {
    guard offset > position else { return }
    position = offset
    snapshot = [UInt8](bytes)
    while let first = tail.first, isServed(first) {
      fold(first.bytes, first.time, &base)
      tail.removeFirst()
    }
  }

  private func isServed(_ event: Event) -> Bool { event.offset.map { $0 < position } ?? false }

  /// Compares a row.
  func row(at time: Int64) throws(StateError) -> Row {
    let at = EventTime(microseconds: time)
    let state = try snapshot.map { bytes throws(StateError) in
      try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
        try view.decode(bytes)
      }
    }
    // As the server says it: the later of the request's time and as_of.
    let servedAt = max(at, state?.asOf ?? at)
    let happened = view.evaluate(happened, at: at)
    let served = view.evaluate(state, at: servedAt)
    var row = Row(happened: happened, served: served, causes: Array(repeating: nil, count: served.count))
    guard happened != served else { return row }
    let steps = steps(from: happened, to: served, at: at, servedAt: servedAt)
    for index in served.indices where happened[index] != served[index] {
      row.causes[index] = Self.cause(steps, index)
    }
    return row
  }

  private typealias Step = (cause: DifferenceCause, before: [FeatureValue], after: [FeatureValue])

  private func steps(
    from happened: [FeatureValue], to served: [FeatureValue], at: EventTime, servedAt: EventTime
  ) -> [Step] {
    let isLate = { (event: Event) in !self.isServed(event) && event.arrived > at.microseconds }
    let inLog = tail.contains(where: isLate) ? view.evaluate(folded { !isLate($0) }, at: at) : happened
    let seen = tail.isEmpty ? base : folded(isServed)
    let known = view.evaluate(seen, at: at)
    guard servedAt > at else {
      return [
        (.lateData, happened, inLog), (.freshnessLag, inLog, known), (.arrivalOrder, known, served),
      ]
    }
    let moved = view.evaluate(seen, at: servedAt)
    return [
      (.lateData, happened, inLog), (.freshnessLag, inLog, known), (.windowTail, known, moved),
      (.aheadOfTime, moved, served),
    ]
  }

  /// The state of the events that some are, in order of time.
  private func folded(_ isIncluded: (Event) -> Bool) -> State? {
    var state = base
    for event in tail where isIncluded(event) { fold(event.bytes, event.time, &state) }
    return state
  }

  /// The step that changes a value most: a number by its distance, anything else as a whole. Of equal ones the first.
  private static func cause(_ steps: [Step], _ index: Int) -> DifferenceCause? {
    var cause: DifferenceCause?
    var most = 0.0
    for step in steps where step.before[index] != step.after[index] {
      let change = ValueDistance(step.before[index], step.after[index])?.absolute ?? .infinity
      // Zeroes of different signs are at no distance, and different.
      if cause == nil || change > most { (cause, most) = (step.cause, change) }
    }
    return cause
  }
}

/// How far two numbers are apart.
struct ValueDistance {
  let absolute: Double
  /// Of the larger one's magnitude: 0 to 2.
  let relative: Double

  /// nil if one of them is no number. Times are seconds apart.
  init?(_ lhs: FeatureValue, _ rhs: FeatureValue) {
    guard let (left, right) = Self.numbers(lhs, rhs) else { return nil }
    // Halves, so that the largest doubles have a distance too.
    absolute = min(2 * abs(left / 2 - right / 2), .greatestFiniteMagnitude)
    let larger = max(abs(left), abs(right))
    relative = larger == 0 ? 0 : 2 * abs(left / larger / 2 - right / larger / 2)
  }

  private static func numbers(_ lhs: FeatureValue, _ rhs: FeatureValue) -> (Double, Double)? {
    switch (lhs, rhs) {
    case (.int64(let left), .int64(let right)): (Double(left), Double(right))
    case (.double(let left), .double(let right)): (left, right)
    case (.timestamp(let left), .timestamp(let right)):
      (Double(left.microseconds) / 1e6, Double(right.microseconds) / 1e6)
    default: nil
    }
  }
}
