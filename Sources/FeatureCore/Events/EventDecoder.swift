/// Reads the declared fields of JSON events into rows.
///
/// Strict: everything that is read is validated, undeclared fields too, and the first thing that is wrong
/// decides the failure. An undeclared field may stand twice, a declared one may not.
///
/// Nothing is allocated for an event, except arena room for strings with escapes, and text for numbers that
/// 128 bits can't convert exactly.
///
/// Copies share their memory, so a decoder and its copies belong to one thread.
public struct EventDecoder {
  private let columnCount: Int
  private let timeColumn: Int
  /// -1 if the source has no key.
  private let keyColumn: Int
  /// Owns what the pointers below point to, which the loop reads without touching reference counts.
  private let keys: KeyTable
  private let slots: UnsafeMutablePointer<KeyTable.Slot>
  private let startSlot: Int
  private let tokens: UnsafeMutablePointer<UInt64>

  /// A decoder of events with a schema.
  public init(_ schema: EventSchema) {
    columnCount = schema.columns.count
    timeColumn = schema.timeColumn
    keyColumn = schema.keyColumn ?? -1
    keys = KeyTable(schema)
    slots = keys.slotMemory
    tokens = keys.tokenMemory
    startSlot = keys.start
  }

  /// Reads one event. `row` holds as many scalars as the schema has columns; each is written, an absent field
  /// as null. Texts point into the payload, or into the arena when they had escapes. After a failure the row
  /// means nothing.
  public mutating func decode(
    _ payload: UnsafeRawBufferPointer, into row: UnsafeMutablePointer<Scalar>, arena: TextArena
  ) throws(DecodeFailure) {
    guard let json = JSONBytes(payload) else { throw DecodeFailure(.empty, offset: 0) }
    guard payload.count <= Limits.recordBytesMax else {
      throw DecodeFailure(.oversized, offset: Limits.recordBytesMax)
    }
    for column in 0..<columnCount { row[column] = .null }
    let end = try object(json, row, arena)
    guard end == json.count else { throw json.malformed(end, .trailingBytes) }
    guard row[timeColumn].isValue else { throw DecodeFailure(.missingTime, column: timeColumn, offset: 0) }
    if keyColumn >= 0, !row[keyColumn].isValue {
      throw DecodeFailure(.missingKey, column: keyColumn, offset: 0)
    }
  }

  /// Reads the record and the space around it.
  @inline(__always)
  private func object(
    _ json: JSONBytes, _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    var at = json.skipSpace(0)
    guard json[at] == Byte.openBrace else { throw json.malformed(at, .expectedObject) }
    at = json.skipSpace(at + 1)
    if json[at] == Byte.closeBrace { return json.skipSpace(at + 1) }
    slots[startSlot].lastEvent &+= 1
    let event = slots[startSlot].lastEvent
    var slot = startSlot
    while true {
      let keyStart = at
      (slot, at) = try key(json, at, after: slot, arena)
      let column = Int(slots[slot].column)
      if column < 0 {
        at = try json.skipValue(at)
      } else {
        guard slots[slot].lastEvent != event else {
          throw DecodeFailure(.duplicateField, column: column, offset: keyStart)
        }
        slots[slot].lastEvent = event
        do throws(DecodeFailure) {
          at = try value(json, at, slots[slot].reader, &row[column], arena)
        } catch {
          throw error.inColumn(column)
        }
      }
      at = json.skipSpace(at)
      if json[at] == Byte.closeBrace { return json.skipSpace(at + 1) }
      guard json[at] == Byte.comma else { throw json.malformed(at, .expectedCommaOrBrace) }
      at = json.skipSpace(at + 1)
    }
  }

  /// Reads a key and its colon: the guessed one in a few comparisons, any other with care.
  @inline(__always)
  private func key(
    _ json: JSONBytes, _ at: Int, after previous: Int, _ arena: TextArena
  ) throws(DecodeFailure) -> (slot: Int, at: Int) {
    let guess = Int(slots[previous].next)
    if KeyTable.stands(slots + guess, guess, tokens, in: json, at) {
      return (guess, json.skipSpace(at + Int(slots[guess].length)))
    }
    return try keys.read(json, at, after: previous, arena)
  }

  /// Reads the most frequent kinds of values right here, and leaves the rest and every mistake to the reader.
  @inline(__always)
  private func value(
    _ json: JSONBytes, _ at: Int, _ reader: ValueReader, _ scalar: inout Scalar, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    switch reader {
    case .string where json[at] == Byte.quote:
      let string = try json.string(at + 1)
      scalar =
        string.hasEscapes
        ? ValueReader.unescaped(json, at + 1, string.end, arena) : .text(json.slice(at + 1, string.end))
      return string.end + 1
    case .int64:
      guard let integer = json.shortInteger(at) else { break }
      scalar = .int64(integer.value)
      return integer.end
    case .milliseconds:
      guard let integer = json.shortInteger(at), let time = EventTime(integer.value, .milliseconds) else {
        break
      }
      scalar = .int64(time.microseconds)
      return integer.end
    default: break
    }
    return try reader.read(json, at, &scalar, arena)
  }
}
