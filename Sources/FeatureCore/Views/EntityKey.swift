/// The bytes of an entity key: what names a state in Redis and in the log.
///
/// One column: its text, so that a view keyed like its source has the source's record keys (strings as they
/// are, integers and timestamps in decimal, bools as `true` and `false`). Several columns: their texts joined
/// by `|`, with `|` and `\` inside a text escaped by `\`.
public enum EntityKey {
  /// Why a row has no entity key.
  public enum Fault: Error, Hashable, Sendable {
    /// A column is null.
    case null(column: Int)
    /// The key is longer than `Limits.entityKeyBytesMax`.
    case tooLong(bytes: Int)
  }

  /// The key of a row. It lives in the row's text where possible, else in the arena, and as long as that does.
  public static func make(
    _ row: UnsafePointer<Scalar>, _ entity: [EntityColumn], arena: TextArena
  ) throws(Fault) -> UnsafeRawBufferPointer {
    if entity.count == 1, entity[0].type == .string {
      let scalar = row[entity[0].column]
      guard scalar.isValue else { throw .null(column: entity[0].column) }
      guard scalar.length <= Limits.entityKeyBytesMax else { throw .tooLong(bytes: Int(scalar.length)) }
      return scalar.text
    }
    return try encode(row, entity, arena: arena)
  }

  /// The key of an entity that is given by a value for each column; nil if a value is null or of another type, or if
  /// the key is too long.
  public static func make(_ values: [FeatureValue], _ entity: [EntityColumn]) -> [UInt8]? {
    guard values.count == entity.count else { return nil }
    if values.count == 1, entity[0].type == .string, case .string(let text) = values[0] {
      return text.utf8.count <= Limits.entityKeyBytesMax ? text.utf8 : nil
    }
    let arena = TextArena()
    var row = [Scalar](repeating: .null, count: (entity.map(\.column).max() ?? -1) + 1)
    for (value, column) in zip(values, entity) {
      switch (value, column.type) {
      case (.string, .string), (.bool, .bool), (.int64, .int64), (.timestamp, .timestamp):
        row[column.column] = Scalar(value, in: arena)
      default: return nil
      }
    }
    return (try? make(&row, entity, arena: arena)).map(Array.init)
  }

  private static func encode(
    _ row: UnsafePointer<Scalar>, _ entity: [EntityColumn], arena: TextArena
  ) throws(Fault) -> UnsafeRawBufferPointer {
    var room = 0
    for column in entity {
      guard row[column.column].isValue else { throw .null(column: column.column) }
      room += 1 + (column.type == .string ? 2 * Int(row[column.column].length) : 20)
    }
    let bytes = arena.allocate(room)
    var count = 0
    for (index, column) in entity.enumerated() {
      if index > 0 { append(UInt8(ascii: "|"), to: bytes, &count) }
      append(row[column.column], column.type, escaped: entity.count > 1, to: bytes, &count)
    }
    guard count <= Limits.entityKeyBytesMax else { throw .tooLong(bytes: count) }
    return UnsafeRawBufferPointer(rebasing: bytes[0..<count])
  }

  private static func append(
    _ scalar: Scalar, _ type: ValueType, escaped: Bool, to bytes: UnsafeMutableRawBufferPointer,
    _ count: inout Int
  ) {
    switch type {
    case .string:
      for byte in scalar.text {
        if escaped, byte == UInt8(ascii: "|") || byte == UInt8(ascii: "\\") {
          append(UInt8(ascii: "\\"), to: bytes, &count)
        }
        append(byte, to: bytes, &count)
      }
    case .bool: for byte in (scalar.bits == 1 ? "true" : "false").utf8 { append(byte, to: bytes, &count) }
    case .int64, .timestamp: appendDecimal(scalar.int64, to: bytes, &count)
    case .double: preconditionFailure("Cannot make an entity key of a double")
    }
  }

  private static func appendDecimal(
    _ value: Int64, to bytes: UnsafeMutableRawBufferPointer, _ count: inout Int
  ) {
    if value < 0 { append(UInt8(ascii: "-"), to: bytes, &count) }
    let first = count
    var rest = value.magnitude
    repeat {
      append(UInt8(ascii: "0") + UInt8(rest % 10), to: bytes, &count)
      rest /= 10
    } while rest > 0
    bytes[first..<count].reverse()
  }

  @inline(__always)
  private static func append(_ byte: UInt8, to bytes: UnsafeMutableRawBufferPointer, _ count: inout Int) {
    bytes[count] = byte
    count += 1
  }

  /// The columns of a key; nil if the bytes are no key of these columns.
  public static func values(of key: UnsafeRawBufferPointer, _ entity: [EntityColumn]) -> [FeatureValue]? {
    guard let texts = split(key, columns: entity.count) else { return nil }
    var values: [FeatureValue] = []
    for (text, column) in zip(texts, entity) {
      guard let value = value(of: text, column.type) else { return nil }
      values.append(value)
    }
    return values
  }

  private static func split(_ key: UnsafeRawBufferPointer, columns: Int) -> [Text]? {
    if columns == 1 { return [Text(key)] }
    var texts: [Text] = []
    var current: [UInt8] = []
    var isEscaped = false
    for byte in key {
      let isSpecial = byte == UInt8(ascii: "|") || byte == UInt8(ascii: "\\")
      if isEscaped {
        guard isSpecial else { return nil }
        current.append(byte)
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if isSpecial {
        texts.append(Text(utf8: current))
        current = []
      } else {
        current.append(byte)
      }
    }
    texts.append(Text(utf8: current))
    return texts.count == columns && !isEscaped ? texts : nil
  }

  private static func value(of text: Text, _ type: ValueType) -> FeatureValue? {
    switch type {
    case .string: .string(text)
    case .int64: integer(text).map(FeatureValue.int64)
    case .timestamp: integer(text).map { .timestamp(EventTime(microseconds: $0)) }
    case .bool: text == "true" ? .bool(true) : text == "false" ? .bool(false) : nil
    case .double: nil
    }
  }

  /// Only the spelling that `make` writes: `+5` and `05` would name entities that have no state.
  private static func integer(_ text: Text) -> Int64? {
    Int64(text.description).flatMap { Text(String($0)) == text ? $0 : nil }
  }
}
