public import FeatureCore

/// Why an event can't be used by a view of the join.
public typealias JoinFailure = (view: ViewFailure, payload: UnsafeRawBufferPointer, sequence: Int64)

/// Makes training rows: for each row of a spine, the features of its entities just before its time.
///
/// As happened: a row at t sees the events with ts < t in order of (ts, log order), whatever the order in which
/// they were written. So nothing of the labelled event is in its own features, and nothing later (I5). The
/// states are folded and evaluated by the functions that serve.
///
/// Events of the spine's entities that are earlier than the entity's last row are kept in memory until
/// `write`; all others are dropped as they come.
public final class PointInTimeJoin {
  /// The columns that the join adds to the spine's.
  public let featureNames: [String]

  /// What is kept of the spine.
  public let spine: SpineRows

  private let source: SourcePlan
  private let views: [ViewJoin]
  private let label: LabelJoin?
  private var events = EventStore()
  private let batch: EventBatch

  /// A join of a complete spine with features of views of one source. The features of one view keep their
  /// names; those of several are named `<view>__<feature>`.
  ///
  /// With a label the last of the spine's views is not joined, but says which events make a row's label true.
  public init(_ spine: consuming Spine, source: SourcePlan, label within: Int64? = nil) throws(TableError) {
    self.source = source
    batch = EventBatch(source.schema, capacity: 1)
    var (rows, keys) = spine.split()
    label = within.flatMap { within in keys.popLast().map { LabelJoin($0, times: rows.times, within: within) }
    }
    self.spine = rows
    views = keys.map { ViewJoin($0, times: rows.times) }
    featureNames = TrainingTable.featureNames(keys.map(\.view))
    try rows.check(featureNames)
  }

  /// Adds the next event of the log. Throws if it can't be decoded; passes views that can't use it to `fail`.
  public func add(
    _ payload: UnsafeRawBufferPointer, sequence: Int64, fail: (JoinFailure) -> Void
  ) throws(DecodeFailure) {
    batch.removeAll()
    try batch.append(payload, sequence: sequence)
    var kept: Int?
    do {
      try label?.add(batch.row(0), time: batch.time(0))
    } catch {
      fail((error, payload, sequence))
    }
    for view in views {
      do {
        guard let slot = try view.slot(of: batch.row(0), time: batch.time(0)) else { continue }
        let event = kept ?? events.append(payload, time: batch.time(0))
        kept = event
        view.events.append((slot, event))
      } catch {
        fail((error, payload, sequence))
      }
    }
  }

  /// The features of every row of the spine, view by view.
  public func results() -> [ViewRows] { views.map { $0.evaluate(events, times: spine.times, batch: batch) } }

  /// The label of every row of the spine; nil if none is wanted.
  public var labels: [Bool]? { label?.labels }
}

/// Kept events: their bytes one behind the other.
private struct EventStore {
  private var bytes: ContiguousArray<UInt8> = []
  private var ends: ContiguousArray<Int> = [0]
  private(set) var times: ContiguousArray<Int64> = []

  mutating func append(_ payload: UnsafeRawBufferPointer, time: Int64) -> Int {
    bytes.append(contentsOf: payload)
    ends.append(bytes.count)
    times.append(time)
    return times.count - 1
  }

  func withPayload(_ event: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[ends[event]..<ends[event + 1]])) }
  }
}

/// The join of one view.
private final class ViewJoin {
  let view: ViewPlan
  /// Slot and index of each kept event, in log order.
  var events: ContiguousArray<(slot: Int, event: Int)> = []

  private let fold: ViewFold
  private let slots: [Text: Int]
  private let rows: [[Int]]
  /// Time of the last row of each slot: later events are seen by none.
  private let lastTimes: [Int64]

  init(_ keys: SpineKeys, times: [Int64]) {
    view = keys.view
    fold = ViewFold(keys.view)
    slots = keys.slots
    rows = keys.rows.map { $0.sorted { (times[$0], $0) < (times[$1], $1) } }
    lastTimes = rows.map { times[$0[$0.count - 1]] }
  }

  /// The slot of an event that some row sees.
  func slot(of row: UnsafePointer<Scalar>, time: Int64) throws(ViewFailure) -> Int? {
    guard try fold.takes(row) else { return nil }
    guard let slot = slots[Text(try fold.key(of: row))], time < lastTimes[slot] else { return nil }
    return slot
  }

  /// The features of every row of the spine, row by row.
  func evaluate(_ store: EventStore, times: [Int64], batch: EventBatch) -> ViewRows {
    var result = ViewRows(view, count: times.count)
    // In order of (slot, time, log order): the state of one entity at a time.
    events.sort { ($0.slot, store.times[$0.event], $0.event) < ($1.slot, store.times[$1.event], $1.event) }
    var next = 0
    for slot in rows.indices {
      var state: State?
      for row in rows[slot] {
        while next < events.count, events[next].slot == slot, store.times[events[next].event] < times[row] {
          foldEvent(events[next].event, store, batch, into: &state)
          next += 1
        }
        result.set(row, state, at: EventTime(microseconds: times[row]))
      }
    }
    return result
  }

  private func foldEvent(_ event: Int, _ store: EventStore, _ batch: EventBatch, into state: inout State?) {
    store.withPayload(event) { payload in
      batch.removeAll()
      do {
        try batch.append(payload, sequence: Int64(event))
        try fold.fold(batch.row(0), time: store.times[event], into: &state)
      } catch {
        preconditionFailure("Cannot fold an event that could be used before: \(error)")
      }
    }
  }
}
