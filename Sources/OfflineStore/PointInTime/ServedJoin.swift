public import FeatureCore

/// Makes training rows as served: for each row of a spine, the features of the last snapshots that had been committed
/// before its time, evaluated at that time like a server would have.
///
/// A snapshot is stamped with the millisecond of its commit; a row sees it from the next millisecond on, so that nothing
/// of what followed the row is in it (I5). Memory holds the spine and the last state of each of its entities.
public final class ServedJoin {
  /// What is kept of the spine.
  public let spine: SpineRows
  /// Snapshots of the spine's entities that were used.
  public private(set) var snapshots = 0
  /// Snapshots of the spine's entities that other definitions made.
  public private(set) var foreign = 0

  private let views: [ServedView]

  /// A join of a complete spine with views.
  public init(_ spine: consuming Spine) throws(TableError) {
    let (rows, keys) = spine.split()
    self.spine = rows
    views = keys.map { ServedView($0, times: rows.times) }
    try rows.check(TrainingTable.featureNames(keys.map(\.view)))
  }

  /// Takes the next snapshot. Those of an entity come in the order of the log.
  public func add(_ snapshot: SnapshotRecord, committedMilliseconds: Int64) throws(StateError) {
    guard let view = views.first(where: { $0.view.name.utf8.elementsEqual(snapshot.view) }),
      let slot = view.slots[Text(snapshot.entityKey)]
    else { return }
    guard snapshot.fingerprint == view.view.fingerprint else {
      foreign += 1
      return
    }
    snapshots += 1
    try view.replace(slot, snapshot, visibleFrom: committedMilliseconds + 1)
  }

  /// The features of every row, once every snapshot has been added.
  public func results() throws(StateError) -> [ViewRows] {
    var results: [ViewRows] = []
    for view in views { results.append(try view.finish()) }
    return results
  }
}

/// The join of one view.
private final class ServedView {
  let view: ViewPlan
  let slots: [Text: Int]

  /// The rows of each slot, in order of time, and how many of them are done.
  private let rows: [[Int]]
  private var done: [Int]
  /// The latest state of each slot, and its position.
  private var states: [[UInt8]?]
  private var positions: [Int64]
  private let times: [Int64]
  private var result: ViewRows

  init(_ keys: SpineKeys, times: [Int64]) {
    view = keys.view
    slots = keys.slots
    rows = keys.rows.map { $0.sorted { (times[$0], $0) < (times[$1], $1) } }
    done = Array(repeating: 0, count: rows.count)
    states = Array(repeating: nil, count: rows.count)
    positions = Array(repeating: -1, count: rows.count)
    self.times = times
    result = ViewRows(keys.view, count: times.count)
  }

  func replace(_ slot: Int, _ snapshot: SnapshotRecord, visibleFrom millisecond: Int64) throws(StateError) {
    // Written again by an at-least-once writer: the store's position had decided.
    guard snapshot.offset > positions[slot] else { return }
    let (visible, isLater) = millisecond.multipliedReportingOverflow(by: 1_000)
    try evaluate(slot, before: isLater ? .max : visible)
    // What every row has seen needs no successor.
    guard done[slot] < rows[slot].count else { return }
    states[slot] = Array(snapshot.state)
    positions[slot] = snapshot.offset
  }

  func finish() throws(StateError) -> ViewRows {
    for slot in rows.indices { try evaluate(slot, before: nil) }
    return result
  }

  /// Evaluates the rows that are earlier than a time, or all that are left.
  private func evaluate(_ slot: Int, before end: Int64?) throws(StateError) {
    guard done[slot] < rows[slot].count, end.map({ times[rows[slot][done[slot]]] < $0 }) ?? true else {
      return
    }
    let state = try states[slot].map { bytes throws(StateError) in
      try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
        try view.decode(bytes)
      }
    }
    while done[slot] < rows[slot].count {
      let row = rows[slot][done[slot]]
      if let end, times[row] >= end { return }
      let time = EventTime(microseconds: times[row])
      // As the server says it: the later of the request's time and as_of.
      result.set(row, state, at: state.map { max(time, $0.asOf) } ?? time)
      done[slot] += 1
    }
  }
}
