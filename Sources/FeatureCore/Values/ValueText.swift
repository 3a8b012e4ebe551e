/// Feature values as text, appended to buffers.
public enum ValueText {
  /// JSON: times are RFC 3339 texts, null is null.
  public static func appendJSON(_ value: FeatureValue, to buffer: inout [UInt8]) {
    switch value {
    case .null: buffer.append(contentsOf: "null".utf8)
    case .string(let text): appendJSONString(text.utf8, to: &buffer)
    case .timestamp:
      buffer.append(UInt8(ascii: "\""))
      appendPlain(value, to: &buffer)
      buffer.append(UInt8(ascii: "\""))
    case .list(let values):
      buffer.append(UInt8(ascii: "["))
      for (index, element) in values.enumerated() {
        if index > 0 { buffer.append(UInt8(ascii: ",")) }
        appendJSON(element, to: &buffer)
      }
      buffer.append(UInt8(ascii: "]"))
    case .int64, .double, .bool: appendPlain(value, to: &buffer)
    }
  }

  /// As it stands in a CSV field before quoting: texts bare, lists as JSON, null empty.
  public static func appendPlain(_ value: FeatureValue, to buffer: inout [UInt8]) {
    switch value {
    case .null: break
    case .int64(let number): appendInteger(number, to: &buffer)
    case .double(let number):
      precondition(number.isFinite, "Cannot write \(number): values are finite")
      // The shortest digits that read back as the same bits; its forms (1.0, 5e-324, 1e+20) are JSON's too.
      buffer.append(contentsOf: number.description.utf8)
    case .bool(let flag): buffer.append(contentsOf: flag ? "true".utf8 : "false".utf8)
    case .string(let text): buffer.append(contentsOf: text.utf8)
    case .timestamp(let time): appendTime(time, to: &buffer)
    case .list: appendJSON(value, to: &buffer)
    }
  }

  /// The same of values that others have made, for messages.
  public static func append(anyPlain value: FeatureValue, to buffer: inout [UInt8]) {
    if case .double(let number) = value, !number.isFinite {
      buffer.append(contentsOf: number.description.utf8)
    } else {
      appendPlain(value, to: &buffer)
    }
  }

  /// A JSON string of valid UTF-8. Escapes what JSON demands and nothing else.
  public static func appendJSONString(_ utf8: [UInt8], to buffer: inout [UInt8]) {
    utf8.withUnsafeBytes { appendJSONString($0, to: &buffer) }
  }

  /// The same of borrowed bytes.
  public static func appendJSONString(_ utf8: UnsafeRawBufferPointer, to buffer: inout [UInt8]) {
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

  /// An integer in decimal digits.
  public static func appendInteger(_ number: Int64, to buffer: inout [UInt8]) {
    if number < 0 { buffer.append(UInt8(ascii: "-")) }
    var rest = number.magnitude
    if rest < 10 { return buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest)) }
    let start = buffer.count
    repeat {
      buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    buffer[start...].reverse()
  }

  private static func appendTime(_ time: EventTime, to buffer: inout [UInt8]) {
    buffer.append(contentsOf: RFC3339.format(time).utf8)
  }
}

extension FeatureValue {
  /// As people read it.
  public var plainText: String {
    var bytes: [UInt8] = []
    ValueText.append(anyPlain: self, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
