/// The fields of a Protobuf message, one after the other, without copying.
struct WireFields {
  /// A field's value.
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(UnsafeRawBufferPointer)
    /// A kind that no message of ours has.
    case other
  }

  /// The bytes are no message.
  struct Malformed: Error {}

  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ message: UnsafeRawBufferPointer) { bytes = message }

  mutating func next() throws(Malformed) -> (number: UInt64, value: Value)? {
    if position == bytes.count { return nil }
    let tag = try varint()
    switch tag & 7 {
    case 0: return (tag >> 3, .varint(try varint()))
    case 1:
      let start = try skip(8)
      return (tag >> 3, .fixed64(bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self).littleEndian))
    case 2:
      let count = try varint()
      guard count <= UInt64(bytes.count) else { throw Malformed() }
      let start = try skip(Int(count))
      return (tag >> 3, .bytes(UnsafeRawBufferPointer(rebasing: bytes[start..<position])))
    case 5:
      _ = try skip(4)
      return (tag >> 3, .other)
    default: throw Malformed()
    }
  }

  /// Where the skipped bytes begin.
  private mutating func skip(_ count: Int) throws(Malformed) -> Int {
    guard count <= bytes.count - position else { throw Malformed() }
    defer { position += count }
    return position
  }

  private mutating func varint() throws(Malformed) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count, shift < 64 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw Malformed()
  }
}
