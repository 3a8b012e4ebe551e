/// How far a task of a join is, besides its position: what the clock of its log says, and where its cursors stand.
///
/// The head of the task folds what follows; a cursor comes behind, and takes each left event when its outcome is known. The
/// first makes the outcomes, the second, if there is one, corrects them. Behind them all the last place passes right events, and
/// what of them nobody needs any more is forgotten.
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

  /// The place behind the cursors.
  public struct Last: Hashable, Sendable {
    /// The next offset that it passes, if it has any to pass.
    public var offset: Int64 = 0
    /// The offset behind the last right event of the log; `.max` if that isn't known: then it has to pass all there is.
    public var end: Int64 = 0

    /// At the head.
    public init() {}

    /// Takes in that a right event stands at an offset, behind all that were before.
    public mutating func note(_ offset: Int64) {
      if !isPending(before: offset) { self.offset = offset }
      end = offset + 1
    }

    /// Whether it has something to pass before an offset.
    public func isPending(before head: Int64) -> Bool { offset < min(end, head) }
  }

  /// What the clock says at the head.
  public var clock = JoinClock()
  /// The cursors.
  public var cursors: [Cursor]
  /// The last place.
  public var last = Last()
  /// Whether a cursor or the last place had more to take than it may for one record: a turn in the log lets it go on.
  public var isBehind = false

  /// Of a task that begins.
  public init(_ plan: JoinPlan) { cursors = (0..<plan.cursorCount).map { _ in Cursor() } }

  private static let format: UInt8 = 2
  /// Without a last place.
  private static let oldFormat: UInt8 = 1

  /// The progress that these bytes are of.
  public init(_ bytes: UnsafeRawBufferPointer, _ plan: JoinPlan) throws(StateError) {
    var reader = ByteReader(bytes)
    let isOld = bytes.first == Self.oldFormat
    try reader.header(isOld ? Self.oldFormat : Self.format, plan)
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
    // What lies before all cursors is forgotten when its key is used again.
    var last = Last()
    if !isOld {
      last = try Last(&reader)
    } else if let place = cursors.lazy.filter({ $0.pending > 0 }).map(\.offset).min() {
      (last.offset, last.end) = (place, .max)
    }
    let behind = try reader.byte()
    guard behind <= 1 else { throw reader.corrupt("cursors are behind: \(behind)") }
    isBehind = behind == 1
    guard reader.isAtEnd else { throw reader.corrupt("there is more than the progress") }
    self.clock = clock
    self.cursors = cursors
    self.last = last
  }

  /// The first offset that a cursor takes yet; nil: all are at the head.
  public var firstPending: Int64? {
    var first: Int64?
    for index in cursors.indices where cursors[index].pending > 0 {
      first = min(first ?? .max, cursors[index].offset)
    }
    return first
  }

  /// The first offset that has to be read once more; nil: there is none.
  public var firstNeeded: Int64? {
    guard last.end > 0 else { return firstPending }
    return min(last.offset, firstPending ?? .max)
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
      last.write(to: &writer)
      writer.byte(isBehind ? 1 : 0)
    }
  }
}

extension JoinProgress.Last {
  /// What follows the byte that says it.
  private enum Kind {
    static let nothing: UInt8 = 0
    static let offsetAndEnd: UInt8 = 1
    static let offset: UInt8 = 2
  }

  fileprivate init(_ reader: inout ByteReader) throws(StateError) {
    switch try reader.byte() {
    case Kind.nothing: return
    case Kind.offsetAndEnd:
      offset = try reader.signed()
      end = try reader.signed()
      guard end < .max else { throw reader.corrupt("the end of what the last place passes is \(end)") }
    case Kind.offset:
      offset = try reader.signed()
      end = .max
    case let kind: throw reader.corrupt("a last place of kind \(kind)")
    }
    guard offset >= 0, offset < end else {
      throw reader.corrupt("the last place is \(offset), of \(end)")
    }
  }

  fileprivate func write(to writer: inout ByteWriter) {
    guard end > 0 else { return writer.byte(Kind.nothing) }
    writer.byte(end == .max ? Kind.offset : Kind.offsetAndEnd)
    writer.signed(offset)
    if end < .max { writer.signed(end) }
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

  /// How many places its tasks have from which the log is read once more.
  public var readerCount: Int { cursorCount > 0 ? cursorCount + 1 : 0 }

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
