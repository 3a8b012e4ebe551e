/// JSON as the product writes it, appended to buffers.
public enum JSONOutput {
  /// A column's value as the decoder of events reads it back to the bit: times are microseconds.
  static func append(_ scalar: Scalar, _ type: ValueType, to buffer: inout [UInt8]) {
    guard scalar.isValue else { return buffer.append(contentsOf: "null".utf8) }
    switch type {
    case .string: append(string: scalar.text, to: &buffer)
    case .int64, .timestamp: append(integer: scalar.int64, to: &buffer)
    // The shortest digits that read back as the same bits; its forms (1.0, 5e-324, 1e+20) are JSON's too.
    case .double: buffer.append(contentsOf: scalar.double.description.utf8)
    case .bool: buffer.append(contentsOf: scalar.isTrue ? "true".utf8 : "false".utf8)
    }
  }

  /// A JSON string of valid UTF-8. Escapes what JSON demands and nothing else.
  public static func append(string utf8: [UInt8], to buffer: inout [UInt8]) {
    utf8.withUnsafeBytes { append(string: $0, to: &buffer) }
  }

  /// The same of borrowed bytes.
  public static func append(string utf8: UnsafeRawBufferPointer, to buffer: inout [UInt8]) {
    buffer.append(UInt8(ascii: "\""))
    if utf8.allSatisfy({ !needsEscape($0) }) {
      buffer.append(contentsOf: utf8)
    } else {
      for byte in utf8 { appendEscaped(byte, to: &buffer) }
    }
    buffer.append(UInt8(ascii: "\""))
  }

  @inline(__always)
  private static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  private static func appendEscaped(_ byte: UInt8, to buffer: inout [UInt8]) {
    guard needsEscape(byte) else {
      buffer.append(byte)
      return
    }
    buffer.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x08: buffer.append(UInt8(ascii: "b"))
    case 0x09: buffer.append(UInt8(ascii: "t"))
    case 0x0A: buffer.append(UInt8(ascii: "n"))
    case 0x0C: buffer.append(UInt8(ascii: "f"))
    case 0x0D: buffer.append(UInt8(ascii: "r"))
    case 0..<0x20:
      let low = byte & 0x0F
      buffer.append(contentsOf: "u00".utf8)
      buffer.append(UInt8(ascii: "0") + byte >> 4)
      buffer.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
    default: buffer.append(byte)
    }
  }

  /// An integer in decimal.
  public static func append(integer number: Int64, to buffer: inout [UInt8]) {
    if number < 0 { buffer.append(UInt8(ascii: "-")) }
    let start = buffer.count
    var rest = number.magnitude
    repeat {
      buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    buffer[start...].reverse()
  }
}
