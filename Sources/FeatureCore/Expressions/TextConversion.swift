/// CAST between text and the other types.
enum TextConversion {
  typealias Bytes = UnsafeRawBufferPointer

  private static func trimmed(_ scalar: Scalar) -> Bytes {
    TextOperations.trim(scalar.text, start: true, end: true)
  }

  private static func value(_ scalar: Scalar?) -> Scalar { scalar ?? .failed(.castFailed) }

  /// An integer without a fraction.
  static func int64(_ scalar: Scalar) -> Scalar {
    value(NumberText.int64(trimmed(scalar)).map { .int64($0) })
  }

  /// A finite number.
  static func double(_ scalar: Scalar) -> Scalar {
    value(NumberText.double(trimmed(scalar)).map { .double($0) })
  }

  /// `true` or `false` in any case.
  static func bool(_ scalar: Scalar) -> Scalar {
    let text = trimmed(scalar)
    if text.elementsEqual("true".utf8, by: { $0 | 0x20 == $1 }) { return .bool(true) }
    if text.elementsEqual("false".utf8, by: { $0 | 0x20 == $1 }) { return .bool(false) }
    return .failed(.castFailed)
  }

  /// An RFC 3339 time.
  static func timestamp(_ scalar: Scalar) -> Scalar {
    value(timestamp(trimmed(scalar)).map { .int64($0.microseconds) })
  }

  /// The time of a literal.
  static func timestamp(_ text: String) -> EventTime? {
    var text = text
    return text.withUTF8 { timestamp(Bytes($0)) }
  }

  private static func timestamp(_ bytes: Bytes) -> EventTime? {
    guard let time = RFC3339.parse(bytes), isWritable(time) else { return nil }
    return time
  }

  /// Of a time as text: only the years 1 to 9999 can be read back.
  static func text(_ time: EventTime) -> String { RFC3339.format(time) }

  static func text(timestamp scalar: Scalar, _ arena: TextArena) -> Scalar {
    let time = EventTime(microseconds: scalar.int64)
    guard isWritable(time) else { return .failed(.castFailed) }
    return TextOperations.copy(text(time), arena)
  }

  private static func isWritable(_ time: EventTime) -> Bool {
    Limits.eventTimeMin...Limits.eventTimeMax ~= time.microseconds
  }

  static func text(bool scalar: Scalar, _ arena: TextArena) -> Scalar {
    TextOperations.copy(scalar.bits == 1 ? "true" : "false", arena)
  }

  static func text(int64 scalar: Scalar, _ arena: TextArena) -> Scalar {
    TextOperations.copy("\(scalar.int64)", arena)
  }

  /// The shortest decimal that gives the same double.
  static func text(double scalar: Scalar, _ arena: TextArena) -> Scalar {
    TextOperations.copy("\(scalar.double)", arena)
  }
}
