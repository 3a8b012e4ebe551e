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

  private let source: SourcePlan
  private let views: [ViewJoin]
  private let columns: [String]
  private let fields: [Spine.Field]
  private let times: [Int64]
  private var events = EventStore()
  private let batch: EventBatch

  /// A join of a complete spine with features of views of one source. The features of one view keep their
  /// names; those of several are named `<view>__<feature>`.
  public init(_ spine: consuming Spine, source: SourcePlan, views: [ViewPlan], path: String)
    throws(TableError)
  {
    self.source = source
    batch = EventBatch(source.schema, capacity: 1)
    columns = spine.columns
    fields = spine.fields
    times = spine.times
    let times = times
    self.views = spine.keys().map { ViewJoin($0, times: times) }
    featureNames = views.flatMap { view in
      view.features.map { views.count == 1 ? $0.name : "\(view.name)__\($0.name)" }
    }
    if let taken = featureNames.first(where: columns.contains) {
      throw TableError(
        path: path, line: 1, problem: "the column '\(taken)' has the name of a feature",
        remedy: "rename the column")
    }
  }

  /// Adds the next event of the log. Throws if it can't be decoded; passes views that can't use it to `fail`.
  public func add(
    _ payload: UnsafeRawBufferPointer, sequence: Int64, fail: (JoinFailure) -> Void
  ) throws(DecodeFailure) {
    batch.removeAll()
    try batch.append(payload, sequence: sequence)
    var kept: Int?
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

  /// Writes the rows in the spine's order: its columns, then the features.
  public func write(to writer: inout TableWriter) throws(TableError) {
    let results = views.map { $0.evaluate(events, times: times, batch: batch) }
    for row in times.indices {
      for field in fields[(row * columns.count)..<((row + 1) * columns.count)] {
        switch field {
        case .null: writer.append(.null)
        case .text(let text): writer.append(.string(text))
        case .literal(let text): writer.append(json: text)
        }
      }
      for (view, values) in zip(views, results) {
        let width = view.width
        for value in values[(row * width)..<((row + 1) * width)] { writer.append(value) }
      }
      try writer.endRow()
    }
  }
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

  var width: Int { view.features.count }

  /// The slot of an event that some row sees.
  func slot(of row: UnsafePointer<Scalar>, time: Int64) throws(ViewFailure) -> Int? {
    guard try fold.takes(row) else { return nil }
    guard let slot = slots[Text(try fold.key(of: row))], time < lastTimes[slot] else { return nil }
    return slot
  }

  /// The features of every row of the spine, row by row.
  func evaluate(_ store: EventStore, times: [Int64], batch: EventBatch) -> [FeatureValue] {
    var values = [FeatureValue](repeating: .null, count: times.count * width)
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
        let features = view.evaluate(state, at: EventTime(microseconds: times[row]))
        values.replaceSubrange((row * width)..<((row + 1) * width), with: features)
      }
    }
    return values
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
