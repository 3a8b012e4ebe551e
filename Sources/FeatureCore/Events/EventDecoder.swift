/// Reads the declared fields of JSON events into rows. A record is one event, or each element of an array in it is one.
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
  /// Whether the time and the key are read from elements.
  private let isTimeOfElement: Bool
  /// Whether a record has more than its object's members: elements, kept values, or what stands outside of the JSON.
  private let hasMore: Bool
  /// Owns what the pointers below point to, which the loop reads without touching reference counts.
  private let shape: RecordShape
  private let format: Source.Format
  private let keys: KeyTable
  private let slots: UnsafeMutablePointer<KeyTable.Slot>
  private let startSlot: Int
  private let tokens: UnsafeMutablePointer<UInt64>
  private let clocks: UnsafePointer<WallClock>
  private let nodes: UnsafeMutablePointer<RecordShape.Node>
  /// Columns that are no part of the JSON.
  private let recordColumns: [(column: Int, origin: EventSchema.Origin, reader: ValueReader)]

  /// A decoder of events with a schema.
  public init(_ schema: EventSchema) {
    columnCount = schema.columns.count
    timeColumn = schema.timeColumn
    keyColumn = schema.keyColumn ?? -1
    isTimeOfElement = schema.isOfElement(schema.timeColumn)
    shape = RecordShape(schema)
    format = schema.format
    nodes = shape.nodes
    clocks = UnsafePointer(shape.clocks)
    keys = shape.members(0)
    slots = keys.slotMemory
    tokens = keys.tokenMemory
    startSlot = keys.start
    recordColumns = shape.recordColumns
    hasMore = !schema.isPlain || !shape.recordColumns.isEmpty
  }

  /// Reads one event, or of a record with elements what they have in common. `row` holds as many scalars as the schema has
  /// columns; each is written, an absent field as null. Texts point into the payload, or into the arena when they had
  /// escapes. After a failure the row means nothing.
  public mutating func decode(
    _ payload: UnsafeRawBufferPointer, _ record: RecordFields = .none, into row: UnsafeMutablePointer<Scalar>,
    arena: TextArena
  ) throws(DecodeFailure) {
    guard let json = JSONBytes(payload) else { throw DecodeFailure(.empty, offset: 0) }
    guard payload.count <= Limits.recordBytesMax else { throw .oversized }
    for column in 0..<columnCount { row[column] = .null }
    if hasMore { (shape.eachStart.pointee, shape.keptStart.pointee) = (-1, -1) }
    let start = json.skipSpace(0)
    guard json[start] == Byte.openBrace else { throw json.malformed(start, .expectedObject) }
    let end = json.skipSpace(
      try members(json, start, node: 0, slots, tokens, startSlot, depth: 1, row, arena))
    guard end == json.count else { throw json.malformed(end, .trailingBytes) }
    if hasMore { try readMore(json, record, row, arena) }
    guard isTimeOfElement || row[timeColumn].isValue else {
      throw DecodeFailure(.missingTime, column: timeColumn, offset: 0)
    }
    if keyColumn >= 0, !row[keyColumn].isValue {
      throw DecodeFailure(.missingKey, column: keyColumn, offset: 0)
    }
  }

  /// The row of a table after a record without a value: its key and time are the record's, and everything else is null.
  func decodeDeletion(_ record: RecordFields, into row: UnsafeMutablePointer<Scalar>) throws(DecodeFailure) {
    guard keyColumn >= 0, let key = record.key, let milliseconds = record.timestampMilliseconds else {
      throw DecodeFailure(.empty, offset: 0)
    }
    for column in 0..<columnCount { row[column] = .null }
    do throws(DecodeFailure) {
      try shape.keyReader.read(whole: key, clocks, &row[keyColumn])
    } catch {
      throw error.inColumn(keyColumn)
    }
    guard let time = EventTime(milliseconds, .milliseconds) else {
      throw DecodeFailure(.timeOutOfRange, offset: 0)
    }
    row[timeColumn] = .int64(time.microseconds)
  }

  // MARK: Changes

  /// The row after a change as Debezium tells it. False: the record changes nothing.
  mutating func decodeChange(
    _ payload: UnsafeRawBufferPointer, _ record: RecordFields, into row: UnsafeMutablePointer<Scalar>,
    arena: TextArena
  ) throws(DecodeFailure) -> Bool {
    guard payload.count <= Limits.recordBytesMax else { throw .oversized }
    guard let json = JSONBytes(payload),
      let change = try ChangeEnvelope(json, format, commitName: UnsafeRawBufferPointer(shape.commitName))
    else {
      // Behind an envelope's deletion stands a record for compaction; flattened, it is the deletion.
      if format == .debezium { return false }
      guard let milliseconds = record.timestampMilliseconds,
        let time = EventTime(milliseconds, .milliseconds)
      else { throw DecodeFailure(.missingTime, column: timeColumn, offset: 0) }
      try decodeKey(record, into: row, arena)
      row[timeColumn] = .int64(time.microseconds)
      return true
    }
    var record = record
    record.commit = change.commit.map { json.slice($0.lowerBound, $0.upperBound) }
    guard let bytes = change.row else {
      try decodeKey(record, into: row, arena)
      try read(record, row, arena)
      guard row[timeColumn].isValue else { throw DecodeFailure(.missingTime, column: timeColumn, offset: 0) }
      forgetValues(row)
      return true
    }
    do throws(DecodeFailure) {
      try decode(json.slice(bytes.lowerBound, bytes.upperBound), record, into: row, arena: arena)
    } catch {
      throw error.moved(by: bytes.lowerBound)
    }
    if change.operation == .delete {
      forgetValues(row)
    } else {
      for column in shape.textColumns
      where column != keyColumn && row[column].isValue && UnavailableValue.isOne(row[column].text) {
        row[column] = .kept
      }
    }
    return true
  }

  /// Of a deleted row its key and the time stay.
  private func forgetValues(_ row: UnsafeMutablePointer<Scalar>) {
    for column in 0..<columnCount where column != keyColumn && column != timeColumn { row[column] = .null }
  }

  /// Reads the key of a row from its record's: an object that has it, with or without a schema, or the key alone.
  private func decodeKey(
    _ record: RecordFields, into row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) {
    for column in 0..<columnCount { row[column] = .null }
    guard keyColumn >= 0, let key = record.key, let json = JSONBytes(key) else {
      throw DecodeFailure(.missingKey, column: keyColumn < 0 ? nil : keyColumn, offset: 0)
    }
    do throws(DecodeFailure) {
      var at = json.skipSpace(0)
      if json[at] == Byte.openBrace {
        let payload = try json.member(UnsafeRawBufferPointer(shape.payloadName), of: at)
        if let payload, json[payload.lowerBound] == Byte.openBrace { at = payload.lowerBound }
        guard let value = try json.member(UnsafeRawBufferPointer(shape.keyName), of: at) else {
          throw DecodeFailure(.missingKey, offset: 0)
        }
        _ = try shape.keyReader.read(json, value.lowerBound, clocks, &row[keyColumn], arena)
      } else if json[at] == Byte.quote {
        _ = try shape.keyReader.read(json, at, clocks, &row[keyColumn], arena)
      } else {
        try shape.keyReader.read(whole: key, clocks, &row[keyColumn])
      }
    } catch {
      throw error.inColumn(keyColumn)
    }
  }

  /// Marks the columns that a list names as those whose values the row before has.
  @inline(never)
  private func keep(
    _ json: JSONBytes, _ start: Int, _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) {
    var at = json.skipSpace(start + 1)
    while json[at] != Byte.closeBracket {
      guard json[at] == Byte.quote else {
        throw DecodeFailure(.wrongType, offset: at, found: try json.kind(at))
      }
      let string = try json.string(at + 1)
      let name =
        string.hasEscapes
        ? ValueReader.unescaped(json, at + 1, string.end, arena).text : json.slice(at + 1, string.end)
      for (column, known) in shape.keptNames.enumerated() where known.elementsEqual(name) {
        row[column] = .kept
      }
      at = json.skipSpace(string.end + 1)
      if json[at] == Byte.comma { at = json.skipSpace(at + 1) }
    }
  }

  @inline(never)
  private func readMore(
    _ json: JSONBytes, _ record: RecordFields, _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) {
    if !recordColumns.isEmpty { try read(record, row, arena) }
    if shape.keptStart.pointee >= 0 { try keep(json, shape.keptStart.pointee, row, arena) }
  }

  /// Reads what is no part of the JSON.
  private func read(
    _ record: RecordFields, _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) {
    for (column, origin, reader) in recordColumns {
      do throws(DecodeFailure) {
        switch origin {
        case .json, .computed: preconditionFailure("Cannot read \(origin) from outside of the record")
        case .recordTimestamp:
          guard let milliseconds = record.timestampMilliseconds else { continue }
          guard let time = EventTime(milliseconds, .milliseconds) else {
            throw DecodeFailure(.timeOutOfRange, offset: 0)
          }
          row[column] = .int64(time.microseconds)
        case .commit:
          guard let commit = record.commit else { continue }
          try reader.read(whole: commit, clocks, &row[column])
        case .recordKey:
          guard let key = record.key else { continue }
          try reader.read(whole: key, clocks, &row[column])
        case .header(var name):
          guard let value = name.withUTF8({ record.headers?.last(UnsafeRawBufferPointer($0)) }) else {
            continue
          }
          try reader.read(whole: value, clocks, &row[column])
        }
      } catch {
        throw error.inColumn(column)
      }
    }
  }

  // MARK: Elements

  /// Where the elements of a record's array are read.
  struct Elements {
    /// The element's place in the array.
    var index = -1
    fileprivate var at: Int
  }

  /// The elements of the record that was decoded last; nil if it has no array.
  var elements: Elements? {
    shape.eachStart.pointee < 0 ? nil : Elements(at: shape.eachStart.pointee)
  }

  /// Goes to the next element and reads it into a row that has what the elements have in common; false behind the last.
  /// After a failure the row means nothing, and the next element may be read.
  func next(
    _ elements: inout Elements, _ payload: UnsafeRawBufferPointer, into row: UnsafeMutablePointer<Scalar>,
    arena: TextArena
  ) throws(DecodeFailure) -> Bool {
    guard let json = JSONBytes(payload) else { return false }
    let at = json.skipSpace(elements.at)
    if elements.index >= 0, json[at] == Byte.closeBracket { return false }
    let start = json.skipSpace(at + 1)
    if elements.index < 0, json[start] == Byte.closeBracket { return false }
    elements.index += 1
    do throws(DecodeFailure) {
      elements.at = try element(json, start, row, arena)
      guard row[timeColumn].isValue else {
        throw DecodeFailure(.missingTime, column: timeColumn, offset: start)
      }
    } catch {
      // The whole record has been found valid.
      elements.at = try json.skipValue(start)
      throw error.inElement(elements.index)
    }
    return true
  }

  private func element(
    _ json: JSONBytes, _ at: Int, _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    let target = shape.element
    let depth = shape.elementDepth
    if target.node >= 0 { return try nested(json, at, node: Int(target.node), depth: depth, row, arena) }
    guard target.column >= 0 else { return try json.skipValue(at, depth: depth) }
    do throws(DecodeFailure) {
      return try target.reader.read(json, at, clocks, &row[Int(target.column)], arena)
    } catch {
      throw error.inColumn(Int(target.column))
    }
  }

  // MARK: Objects

  /// Reads an object whose brace stands here, inside of `depth` levels with its own.
  @inline(__always)
  private func members(
    _ json: JSONBytes, _ start: Int, node: Int, _ slots: UnsafeMutablePointer<KeyTable.Slot>,
    _ tokens: UnsafeMutablePointer<UInt64>, _ startSlot: Int, depth: Int,
    _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    var at = json.skipSpace(start + 1)
    if json[at] == Byte.closeBrace { return at + 1 }
    slots[startSlot].lastEvent &+= 1
    let event = slots[startSlot].lastEvent
    var slot = startSlot
    while true {
      let keyStart = at
      let guess = Int(slots[slot].next)
      // The guessed key in a few comparisons, any other with care.
      if KeyTable.stands(slots + guess, guess, tokens, in: json, at) {
        (slot, at) = (guess, json.skipSpace(at + Int(slots[guess].length)))
      } else {
        (slot, at) = try (node == 0 ? keys : shape.members(node)).read(json, at, after: slot, arena)
      }
      let column = Int(slots[slot].column)
      if column == -1 {
        at = try json.skipValue(at, depth: depth)
      } else {
        guard slots[slot].lastEvent != event else {
          let named = column >= 0 ? column : Int(nodes[-2 - column].column)
          throw DecodeFailure(.duplicateField, column: named < 0 ? nil : named, offset: keyStart)
        }
        slots[slot].lastEvent = event
        if column >= 0 {
          do throws(DecodeFailure) {
            at = try value(json, at, slots[slot].reader, &row[column], arena)
          } catch {
            throw error.inColumn(column)
          }
        } else {
          at = try nested(json, at, node: -2 - column, depth: depth, row, arena)
        }
      }
      at = json.skipSpace(at)
      if json[at] == Byte.closeBrace { return at + 1 }
      guard json[at] == Byte.comma else { throw json.malformed(at, .expectedCommaOrBrace) }
      at = json.skipSpace(at + 1)
    }
  }

  /// Reads a value with declared values inside, inside of `depth` levels. Null has none.
  @inline(never)
  private func nested(
    _ json: JSONBytes, _ at: Int, node index: Int, depth: Int, _ row: UnsafeMutablePointer<Scalar>,
    _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    if json.isNull(at) { return at + 4 }
    let node = nodes + index
    let isArray = node.pointee.isArray || node.pointee.isEach || node.pointee.isKept
    guard json[at] == (isArray ? Byte.openBracket : Byte.openBrace) else {
      _ = try json.skipValue(at, depth: depth)
      throw DecodeFailure(
        .wrongType, column: node.pointee.column < 0 ? nil : Int(node.pointee.column), offset: at,
        found: try json.kind(at), expected: isArray ? .array : .object)
    }
    if node.pointee.isEach {
      shape.eachStart.pointee = at
      return try json.skipValue(at, depth: depth)
    }
    if node.pointee.isKept {
      shape.keptStart.pointee = at
      return try json.skipValue(at, depth: depth)
    }
    guard depth < Limits.jsonDepthMax else { throw DecodeFailure(.tooDeep, offset: at) }
    if isArray { return try array(json, at, node, depth: depth + 1, row, arena) }
    return try members(
      json, at, node: index, node.pointee.slots, node.pointee.tokens, node.pointee.start, depth: depth + 1,
      row, arena)
  }

  /// Reads the declared elements of an array whose bracket stands here.
  private func array(
    _ json: JSONBytes, _ start: Int, _ node: UnsafeMutablePointer<RecordShape.Node>, depth: Int,
    _ row: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    var at = json.skipSpace(start + 1)
    if json[at] == Byte.closeBracket { return at + 1 }
    var next = 0
    var position: Int32 = 0
    while true {
      if next < node.pointee.positions.count, node.pointee.positions[next] == position {
        let target = node.pointee.elements[next]
        next += 1
        if target.node >= 0 {
          at = try nested(json, at, node: Int(target.node), depth: depth, row, arena)
        } else {
          do throws(DecodeFailure) {
            at = try value(json, at, target.reader, &row[Int(target.column)], arena)
          } catch {
            throw error.inColumn(Int(target.column))
          }
        }
      } else {
        at = try json.skipValue(at, depth: depth)
      }
      position += 1
      at = json.skipSpace(at)
      if json[at] == Byte.closeBracket { return at + 1 }
      guard json[at] == Byte.comma else { throw json.malformed(at, .expectedCommaOrBracket) }
      at = json.skipSpace(at + 1)
    }
  }

  /// Reads the most frequent kinds of values right here, and leaves the rest and every mistake to the reader.
  @inline(__always)
  private func value(
    _ json: JSONBytes, _ at: Int, _ reader: ValueReader, _ scalar: inout Scalar, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    switch reader.kind {
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
    return try reader.read(json, at, clocks, &scalar, arena)
  }
}

/// What a record of a log has besides its value; borrowed for as long as its row is used.
public struct RecordFields {
  /// The record's timestamp, in milliseconds since the epoch.
  public var timestampMilliseconds: Int64?
  /// The record's key.
  public var key: UnsafeRawBufferPointer?
  /// The record's headers; nil if it has none, or if nobody reads them.
  public var headers: RecordHeaders?
  /// The time of a change in its database, a number as it is written.
  @usableFromInline var commit: UnsafeRawBufferPointer?

  /// The fields of a record.
  @inlinable
  public init(timestampMilliseconds: Int64?, key: UnsafeRawBufferPointer?, headers: RecordHeaders? = nil) {
    self.timestampMilliseconds = timestampMilliseconds
    self.key = key
    self.headers = headers
    commit = nil
  }

  /// Those of a line of a file.
  @inlinable public static var none: RecordFields { RecordFields(timestampMilliseconds: nil, key: nil) }
}
