/// A message of PostgreSQL's output plugin `pgoutput`, protocol version 1
/// (https://www.postgresql.org/docs/15/protocol-logicalrep-message-formats.html).
enum PgOutputMessage {
  /// A transaction begins. The place of its commit, and its time in microseconds since 1970.
  case begin(commit: LogSequenceNumber, time: Int64)
  /// The transaction ends; `end` is the place behind its commit.
  case commit(end: LogSequenceNumber)
  /// What the following rows of a table look like.
  case relation(PgRelation)
  case insert(relation: UInt32, new: PgTuple)
  /// `old` is the old key (`K`) if it has changed, or the whole old row (`O`) with REPLICA IDENTITY FULL.
  case update(relation: UInt32, old: PgTuple?, new: PgTuple)
  case delete(relation: UInt32, old: PgTuple)
  case truncate(relations: [UInt32])
  /// An origin, a type, or a message of `pg_logical_emit_message`: nothing that a row needs.
  case other

  /// Microseconds from 1970 to 2000, PostgreSQL's epoch.
  static let epoch: Int64 = 946_684_800_000_000

  init(_ bytes: UnsafeRawBufferPointer) throws(CaptureError) {
    var reader = MessageReader(bytes)
    let kind = try reader.integer(UInt8.self)
    switch kind {
    case UInt8(ascii: "B"):
      let commit = LogSequenceNumber(try reader.integer(UInt64.self))
      let (time, isFar) = try reader.integer(Int64.self).addingReportingOverflow(Self.epoch)
      guard !isFar else { throw Self.unknown("a commit time that is too large") }
      self = .begin(commit: commit, time: time)
    case UInt8(ascii: "C"):
      _ = try reader.integer(UInt8.self)
      _ = try reader.integer(UInt64.self)
      self = .commit(end: LogSequenceNumber(try reader.integer(UInt64.self)))
    case UInt8(ascii: "R"): self = .relation(try PgRelation(&reader))
    case UInt8(ascii: "I"):
      let relation = try reader.integer(UInt32.self)
      guard try reader.integer(UInt8.self) == UInt8(ascii: "N") else { throw Self.unknown("an insert") }
      self = .insert(relation: relation, new: try PgTuple(&reader))
    case UInt8(ascii: "U"):
      let relation = try reader.integer(UInt32.self)
      var tag = try reader.integer(UInt8.self)
      var old: PgTuple?
      if tag == UInt8(ascii: "K") || tag == UInt8(ascii: "O") {
        old = try PgTuple(&reader)
        tag = try reader.integer(UInt8.self)
      }
      guard tag == UInt8(ascii: "N") else { throw Self.unknown("an update") }
      self = .update(relation: relation, old: old, new: try PgTuple(&reader))
    case UInt8(ascii: "D"):
      let relation = try reader.integer(UInt32.self)
      let tag = try reader.integer(UInt8.self)
      guard tag == UInt8(ascii: "K") || tag == UInt8(ascii: "O") else { throw Self.unknown("a deletion") }
      self = .delete(relation: relation, old: try PgTuple(&reader))
    case UInt8(ascii: "T"):
      let count = try reader.integer(UInt32.self)
      _ = try reader.integer(UInt8.self)
      var relations: [UInt32] = []
      for _ in 0..<count { relations.append(try reader.integer(UInt32.self)) }
      self = .truncate(relations: relations)
    case UInt8(ascii: "O"), UInt8(ascii: "Y"), UInt8(ascii: "M"): self = .other
    default: throw Self.unknown("a message of kind \(kind)")
    }
  }

  private static func unknown(_ what: String) -> CaptureError {
    CaptureError(
      .stop, "PostgreSQL sent \(what) that version 1 of pgoutput doesn't have; is the slot's plugin pgoutput?"
    )
  }
}

/// What a table's rows look like in the messages that follow.
struct PgRelation {
  struct Column {
    var name: String
    var type: UInt32
  }

  var id: UInt32
  /// `schema.table`.
  var name: String
  var columns: [Column]

  init(_ reader: inout MessageReader) throws(CaptureError) {
    id = try reader.integer(UInt32.self)
    let schema = try reader.text()
    name = "\(schema).\(try reader.text())"
    _ = try reader.integer(UInt8.self)
    columns = []
    for _ in 0..<(try reader.integer(UInt16.self)) {
      _ = try reader.integer(UInt8.self)
      let name = try reader.text()
      columns.append(Column(name: name, type: try reader.integer(UInt32.self)))
      _ = try reader.integer(UInt32.self)
    }
  }
}

/// A row as sent: each column as a range of the message's bytes.
struct PgTuple {
  enum Value {
    case null
    /// A value outside the row that an update has left as it was (TOAST).
    case unchanged
    /// As PostgreSQL prints it.
    case text(Range<Int>)
  }

  var values: [Value]

  init(_ reader: inout MessageReader) throws(CaptureError) {
    let count = Int(try reader.integer(UInt16.self))
    values = []
    // A forged count doesn't decide about memory: each value takes a byte at least.
    values.reserveCapacity(min(count, reader.rest.count))
    for _ in 0..<count {
      switch try reader.integer(UInt8.self) {
      case UInt8(ascii: "n"): values.append(.null)
      case UInt8(ascii: "u"): values.append(.unchanged)
      case UInt8(ascii: "t"):
        values.append(.text(try reader.take(Int(try reader.integer(UInt32.self)))))
      case let kind:
        throw CaptureError(
          .stop, "PostgreSQL sent a value of kind \(kind), which version 1 of pgoutput doesn't have")
      }
    }
  }
}
