import FeatureCore

/// The fields of a JSON object that has been validated, as they stand: names unescaped, values as text.
struct JSONObjectFields: Sequence, IteratorProtocol {
  /// A field's value.
  enum Value: Hashable {
    case null
    case text(Text)
    /// JSON that is no string: a number, a bool, an array, an object.
    case literal(Text)
  }

  private let bytes: UnsafeRawBufferPointer
  private var position: Int

  init(_ object: UnsafeRawBufferPointer) {
    bytes = object
    position = (object.firstIndex(of: UInt8(ascii: "{")) ?? object.endIndex) + 1
  }

  mutating func next() -> (name: String, value: Value)? {
    skip { Self.isSpace($0) || $0 == UInt8(ascii: ",") }
    guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return nil }
    let name = Self.unescape(value())
    skip { Self.isSpace($0) || $0 == UInt8(ascii: ":") }
    let text = value()
    if text.first == UInt8(ascii: "\"") { return (name.description, .text(Self.unescape(text))) }
    if text.first == UInt8(ascii: "n") { return (name.description, .null) }
    return (name.description, .literal(Text(UnsafeRawBufferPointer(rebasing: text))))
  }

  /// The value at the position; goes behind it.
  private mutating func value() -> Slice<UnsafeRawBufferPointer> {
    let start = position
    var depth = 0
    repeat {
      switch bytes[position] {
      case UInt8(ascii: "\""): skipString()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        position += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        position += 1
      default: position += 1
      }
    } while depth > 0 || !isValueEnd(bytes[start])
    return bytes[start..<position]
  }

  /// Strings, arrays and objects end with their closing character, everything else before the next delimiter.
  private func isValueEnd(_ first: UInt8) -> Bool {
    if first == UInt8(ascii: "\"") || first == UInt8(ascii: "{") || first == UInt8(ascii: "[") { return true }
    let next = bytes[position]
    return next == UInt8(ascii: ",") || next == UInt8(ascii: "}") || Self.isSpace(next)
  }

  private mutating func skipString() {
    position += 1
    while bytes[position] != UInt8(ascii: "\"") { position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1 }
    position += 1
  }

  private mutating func skip(while condition: (UInt8) -> Bool) {
    while position < bytes.count, condition(bytes[position]) { position += 1 }
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }

  /// The text of a JSON string, quotes included.
  private static func unescape(_ string: Slice<UnsafeRawBufferPointer>) -> Text {
    let body = string.dropFirst().dropLast()
    guard body.contains(UInt8(ascii: "\\")) else { return Text(UnsafeRawBufferPointer(rebasing: body)) }
    let schema = EventSchema(
      Source(
        "field", topic: "field", timestamp: Source.Timestamp(field: "", unit: .seconds),
        fields: [Source.Field("v", .string)]))
    var decoder = EventDecoder(schema)
    let arena = TextArena()
    let object = Array("{\"\":0,\"v\":".utf8) + Array(string) + Array("}".utf8)
    return withUnsafeTemporaryAllocation(of: Scalar.self, capacity: 2) { row in
      object.withUnsafeBytes { bytes in
        guard let base = row.baseAddress, (try? decoder.decode(bytes, into: base, arena: arena)) != nil else {
          preconditionFailure("Cannot unescape a string that has been validated")
        }
        return Text(base[0].text)
      }
    }
  }
}
