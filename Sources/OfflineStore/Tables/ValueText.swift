public import FeatureCore

/// Feature values as text, appended to buffers.
public enum ValueText {
  /// JSON: times are RFC 3339 texts, null is null.
  public static func appendJSON(_ value: FeatureValue, to buffer: inout [UInt8]) {
    switch value {
    case .null: buffer.append(contentsOf: "null".utf8)
    case .string(let text): JSONOutput.append(string: text.utf8, to: &buffer)
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
  static func appendPlain(_ value: FeatureValue, to buffer: inout [UInt8]) {
    switch value {
    case .null: break
    case .int64(let number): JSONOutput.append(integer: number, to: &buffer)
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
  static func append(anyPlain value: FeatureValue, to buffer: inout [UInt8]) {
    if case .double(let number) = value, !number.isFinite {
      buffer.append(contentsOf: number.description.utf8)
    } else {
      appendPlain(value, to: &buffer)
    }
  }

  private static func appendTime(_ time: EventTime, to buffer: inout [UInt8]) {
    buffer.append(contentsOf: RFC3339.format(time).utf8)
  }
}
