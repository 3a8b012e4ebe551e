public import FeatureCore

/// A record of a join's log: an event of a side as its source's task has forwarded it, a mark of how far that has come, or
/// another turn for cursors that had more to take than they may for one record.
enum JoinRecord {
  case event(JoinPlan.Side, fields: RecordFields, payload: UnsafeRawBufferPointer)
  case mark(JoinMark)
  case turn

  /// nil of bytes that no task wrote.
  init?(_ bytes: UnsafeRawBufferPointer) {
    var fields = RecordFields.none
    var payload = UnsafeRawBufferPointer(start: nil, count: 0)
    var side: JoinPlan.Side?
    var numbers = JoinNumbers()
    var at = 0
    while at < bytes.count {
      let tag = bytes[at]
      at += 1
      switch tag & 7 {
      case 0:
        guard let value = Self.varint(bytes, &at) else { return nil }
        if tag >> 3 == Self.sideField {
          side = JoinPlan.Side(rawValue: Int(clamping: value) - 1)
        } else {
          numbers.note(tag >> 3, value)
        }
      case 1:
        guard at + 8 <= bytes.count, tag >> 3 == 1 else { return nil }
        fields.timestampMilliseconds = Int64(
          bitPattern: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
        at += 8
      case 2:
        guard let length = Self.varint(bytes, &at).flatMap(Int.init(exactly:)), length <= bytes.count - at
        else { return nil }
        let part = UnsafeRawBufferPointer(rebasing: bytes[at..<(at + length)])
        switch UInt64(tag >> 3) {
        case 2: fields.key = part
        case ForwardedRecord.headersField: fields.headers = RecordHeaders(part)
        default: payload = part
        }
        at += length
      default: return nil
      }
    }
    guard let side else {
      guard numbers.isTurn, payload.isEmpty else { return nil }
      self = .turn
      return
    }
    guard !numbers.isEmpty else {
      self = .event(side, fields: fields, payload: payload)
      return
    }
    guard let mark = JoinMark(side, numbers) else { return nil }
    self = .mark(mark)
  }

  /// Whether a record is an event of the right side.
  static func isOfRight(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if case .event(.right, _, _)? = JoinRecord(bytes) { true } else { false }
  }

  fileprivate static let sideField: UInt8 = 4

  private static func varint(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard at < bytes.count else { return nil }
      let byte = bytes[at]
      at += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
}

/// The numbers of a record besides its side: those of a mark or of a turn.
private struct JoinNumbers {
  var partition: UInt64?
  var count: UInt64?
  var time: UInt64?
  var isIdle: UInt64?
  var offset: UInt64?
  var turn: UInt64?
  /// How many fields there were.
  var fields = 0

  enum Field {
    static let partition: UInt8 = 5
    static let count: UInt8 = 6
    static let time: UInt8 = 7
    static let isIdle: UInt8 = 8
    static let offset: UInt8 = 9
    static let turn: UInt8 = 11
  }

  var isEmpty: Bool { fields == 0 }
  var isTurn: Bool { turn == 1 && fields == 1 }

  mutating func note(_ field: UInt8, _ value: UInt64) {
    fields += 1
    switch field {
    case Field.partition: partition = value
    case Field.count: count = value
    case Field.time: time = value
    case Field.isIdle: isIdle = value
    case Field.offset: offset = value
    case Field.turn: turn = value
    default: break
    }
  }
}

extension JoinMark {
  fileprivate init?(_ side: JoinPlan.Side, _ numbers: JoinNumbers) {
    guard let count = numbers.count, 1...UInt64(Limits.joinPartitionsMax) ~= count,
      let partition = numbers.partition, partition < count, let offset = numbers.offset
    else { return nil }
    self.init(
      side: side, partition: Int(partition), count: Int(count),
      time: numbers.time.map(Int64.init(bitPattern:)), isIdle: numbers.isIdle == 1,
      offset: Int64(bitPattern: offset))
  }
}

/// Another turn for the cursors of a join's task, which it writes into its own log.
public enum JoinTurn {
  /// Whether a record of a join's log is one.
  public static func isOne(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if case .turn? = JoinRecord(bytes) { true } else { false }
  }
}

extension JoinMark {
  /// The mark that a record of a join's log is; nil: it is none.
  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard case .mark(let mark)? = JoinRecord(bytes) else { return nil }
    self = mark
  }
}

extension ProtobufWriter {
  /// An event of a side of a join.
  mutating func event(_ record: LogRecord, _ schema: EventSchema, of side: JoinPlan.Side) {
    forwarded(record, schema)
    field(UInt64(JoinRecord.sideField), varint: UInt64(side.rawValue + 1))
  }

  /// Another turn for cursors.
  mutating func turn() {
    removeAll()
    field(UInt64(JoinNumbers.Field.turn), varint: 1)
  }

  /// How far a side has come.
  mutating func mark(_ mark: JoinMark) {
    removeAll()
    field(UInt64(JoinRecord.sideField), varint: UInt64(mark.side.rawValue + 1))
    field(5, varint: UInt64(mark.partition))
    field(6, varint: UInt64(mark.count))
    if let time = mark.time { field(7, varint: UInt64(bitPattern: time)) }
    if mark.isIdle { field(8, varint: 1) }
    field(9, varint: UInt64(bitPattern: mark.offset))
  }
}
