extension ValueText {
  /// A column's value as the decoder of events reads it back to the bit: JSON, with times in microseconds.
  static func appendJSON(_ scalar: Scalar, _ type: ValueType, to buffer: inout [UInt8]) {
    guard scalar.isValue else { return buffer.append(contentsOf: "null".utf8) }
    switch type {
    case .string: appendJSONString(scalar.text, to: &buffer)
    case .int64, .timestamp: appendInteger(scalar.int64, to: &buffer)
    // The shortest digits that read back as the same bits; its forms (1.0, 5e-324, 1e+20) are JSON's too.
    case .double: buffer.append(contentsOf: scalar.double.description.utf8)
    case .bool: buffer.append(contentsOf: scalar.isTrue ? "true".utf8 : "false".utf8)
    }
  }
}
