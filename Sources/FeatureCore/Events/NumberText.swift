/// Numbers that are a whole text, such as a cell of a CSV file. The grammar is JSON's: no plus, no leading
/// zeros, no space, digits on both sides of a point.
public enum NumberText {
  /// The integer, without fraction or exponent; nil if the text is none or beyond Int64.
  public static func int64(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    guard let number = number(bytes), number.isInteger else { return nil }
    return number.int64
  }

  /// The integer, however it is written (`12`, `12.0`, `1.2e1`); nil if the text is none or beyond Int64.
  public static func wholeNumber(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    guard let number = number(bytes) else { return nil }
    if number.isInteger { return number.int64 }
    return number.scaled(by: 0, bytes).flatMap { $0.isExact ? $0.value : nil }
  }

  /// The nearest double; nil if the text is no number or beyond a double's range.
  public static func double(_ bytes: UnsafeRawBufferPointer) -> Double? {
    guard let number = number(bytes) else { return nil }
    let value = DecimalConversion.double(number, bytes)
    return value.isFinite ? value : nil
  }

  /// Whether the text is a number, of whatever size.
  public static func isNumber(_ bytes: UnsafeRawBufferPointer) -> Bool { number(bytes) != nil }

  /// The time of a number in a unit, rounded down to a microsecond; nil if the text is no number, or no valid time.
  static func time(_ bytes: UnsafeRawBufferPointer, _ unit: TimeUnit) -> EventTime? {
    guard !unit.isText, let number = number(bytes) else { return nil }
    return EventTime(number, bytes, unit)
  }

  private static func number(_ bytes: UnsafeRawBufferPointer) -> JSONNumber? {
    guard let text = JSONBytes(bytes), let number = try? text.number(0), number.end == text.count else {
      return nil
    }
    return number
  }
}
