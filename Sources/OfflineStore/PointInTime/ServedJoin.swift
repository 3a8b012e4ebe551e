public import FeatureCore

/// Makes training rows as served: for each row of a spine, the features of the last snapshots that had been committed
/// before its time, evaluated at that time like a server would have.
///
/// A snapshot is stamped with the millisecond of its commit; a row sees it from the next millisecond on, so that nothing
/// of what followed the row is in it (I5). Versions of the definitions that run side by side are told apart: only
/// snapshots of the own one are used, since what another has served stands at other positions. Memory holds the spine and the last state of each of its entities.
public final class ServedJoin {
  /// What is kept of the spine.
  public let spine: SpineRows
  /// Snapshots of the spine's entities that were used.
  public private(set) var snapshots = 0
  /// Snapshots of the spine's entities that other versions of the definitions made, by version.
  public private(set) var otherVersions: [Int64: Int] = [:]
  /// Snapshots of the spine's entities that other definitions of this version made.
  public private(set) var foreign = 0

  private let version: Int64
  private let views: [ServedView]

  /// A join of a complete spine with views of a version of the definitions.
  public init(_ spine: consuming Spine, version: Int) throws(TableError) {
    let (rows, keys) = spine.split()
    self.spine = rows
    self.version = Int64(version)
    views = keys.map { ServedView($0, times: rows.times) }
    try rows.check(TrainingTable.featureNames(keys.map(\.view)))
  }

  /// Takes the next snapshot. Those of an entity come in the order of the log.
  public func add(_ snapshot: SnapshotRecord, committedMilliseconds: Int64) throws(StateError) {
    guard let view = views.first(where: { $0.view.name.utf8.elementsEqual(snapshot.view) }),
      let slot = view.slots[Text(snapshot.entityKey)]
    else { return }
    guard snapshot.version == version else { return otherVersions[snapshot.version, default: 0] += 1 }
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
  private var positions: [Position?]
  private let times: [Int64]
  private var result: ViewRows

  private struct Position {
    /// Of the topic and the partition that the view folds from.
    let log: UInt64
    let offset: Int64

    init(_ snapshot: SnapshotRecord) {
      log = Hash64.hash(snapshot.topic, seed: UInt64(bitPattern: snapshot.partition))
      offset = snapshot.offset
    }
  }

  init(_ keys: SpineKeys, times: [Int64]) {
    view = keys.view
    slots = keys.slots
    rows = keys.rows.map { $0.sorted { (times[$0], $0) < (times[$1], $1) } }
    done = Array(repeating: 0, count: rows.count)
    states = Array(repeating: nil, count: rows.count)
    positions = Array(repeating: nil, count: rows.count)
    self.times = times
    result = ViewRows(keys.view, count: times.count)
  }

  func replace(_ slot: Int, _ snapshot: SnapshotRecord, visibleFrom millisecond: Int64) throws(StateError) {
    // Written again by an at-least-once writer: the store's position had decided.
    let position = Position(snapshot)
    if let known = positions[slot], known.log == position.log, known.offset >= position.offset { return }
    let (visible, isLater) = millisecond.multipliedReportingOverflow(by: 1_000)
    try evaluate(slot, before: isLater ? .max : visible)
    // What every row has seen needs no successor.
    guard done[slot] < rows[slot].count else { return }
    states[slot] = Array(snapshot.state)
    positions[slot] = position
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
