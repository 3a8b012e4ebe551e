/// How far a task of a join is, besides its position: what the clock of its log says, and where its cursors stand.
///
/// The head of the task folds what follows; a cursor comes behind, and takes each left event when its outcome is known. The
/// first makes the outcomes, the second, if there is one, corrects them.
public struct JoinProgress: Hashable, Sendable {
  /// A place in the log behind the head.
  public struct Cursor: Hashable, Sendable {
    /// The next offset that it takes, if there are any.
    public var offset: Int64 = 0
    /// Records of left events between it and the head. Without any it is at the head.
    public var pending: Int64 = 0
    /// What the clock says at its place.
    public var clock = JoinClock()

    /// At the head.
    public init() {}
  }

  /// What the clock says at the head.
  public var clock = JoinClock()
  /// The cursors.
  public var cursors: [Cursor]
  /// Whether a cursor had more to take than it may for one record: a turn in the log lets it go on.
  public var isBehind = false

  /// Of a task that begins.
  public init(_ plan: JoinPlan) { cursors = (0..<plan.cursorCount).map { _ in Cursor() } }

  private static let format: UInt8 = 1

  /// The progress that these bytes are of.
  public init(_ bytes: UnsafeRawBufferPointer, _ plan: JoinPlan) throws(StateError) {
    var reader = ByteReader(bytes)
    try reader.header(Self.format, plan)
    var clock = JoinClock()
    try clock.read(&reader)
    var cursors: [Cursor] = []
    for _ in 0..<plan.cursorCount {
      var cursor = Cursor()
      cursor.pending = try reader.signed()
      guard cursor.pending >= 0 else { throw reader.corrupt("\(cursor.pending) events are pending") }
      if cursor.pending > 0 {
        cursor.offset = try reader.signed()
        try cursor.clock.read(&reader)
      } else {
        cursor.clock = clock
      }
      cursors.append(cursor)
    }
    let behind = try reader.byte()
    guard behind <= 1 else { throw reader.corrupt("cursors are behind: \(behind)") }
    isBehind = behind == 1
    guard reader.isAtEnd else { throw reader.corrupt("there is more than the progress") }
    self.clock = clock
    self.cursors = cursors
  }

  /// Appends the canonical bytes.
  public func encode(_ plan: JoinPlan, into bytes: inout [UInt8]) {
    ByteWriter.append(to: &bytes) { writer in
      writer.byte(Self.format)
      writer.fixed(plan.fingerprint)
      clock.write(to: &writer)
      for cursor in cursors {
        writer.signed(cursor.pending)
        // At the head it is where the task is, which offsets without records move.
        if cursor.pending == 0 { continue }
        writer.signed(cursor.offset)
        cursor.clock.write(to: &writer)
      }
      writer.byte(isBehind ? 1 : 0)
    }
  }
}

extension ByteReader {
  /// The beginning of what a join stores.
  mutating func header(_ known: UInt8, _ plan: JoinPlan) throws(StateError) {
    let format = try byte()
    guard format == known else { throw StateError(kind: .unknownFormat(format), offset: 0) }
    let fingerprint = try fixed()
    guard fingerprint == plan.fingerprint else {
      throw StateError(kind: .otherDefinitions(found: fingerprint, expected: plan.fingerprint), offset: 1)
    }
  }
}

extension JoinPlan {
  /// How many cursors its tasks have: one makes the outcomes; another corrects them, if that is allowed.
  public var cursorCount: Int {
    guard case .outcome(_, _, let lateness) = join.kind else { return 0 }
    return lateness > 0 ? 2 : 1
  }

  /// When a cursor may take a left event: both streams have to have come to this time. Saturates far from any real time.
  public func due(_ time: Int64, cursor: Int) -> Int64 {
    guard case .outcome(let within, let wait, let lateness) = join.kind else { return .max }
    return time.addingSaturated(within).addingSaturated(wait).addingSaturated(cursor > 0 ? lateness : 0)
  }

  /// The time from which on a left event comes too late to be given an outcome: what followed it may be forgotten.
  public func lateness(of time: Int64) -> Int64 { due(time, cursor: 1) }
}

extension Int64 {
  fileprivate func addingSaturated(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other > 0 ? .max : .min) : sum
  }
}
