/// Numbers that are a whole text, such as a cell of a CSV file. The grammar is JSON's: no plus, no leading
/// zeros, no space, digits on both sides of a point.
public enum NumberText {
  /// The integer, without fraction or exponent; nil if the text is none or beyond Int64.
  public static func int64(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    guard let number = number(bytes), number.isInteger else { return nil }
    return number.int64
  }

  /// The nearest double; nil if the text is no number or beyond a double's range.
  public static func double(_ bytes: UnsafeRawBufferPointer) -> Double? {
    guard let number = number(bytes) else { return nil }
    let value = DecimalConversion.double(number, bytes)
    return value.isFinite ? value : nil
  }

  private static func number(_ bytes: UnsafeRawBufferPointer) -> JSONNumber? {
    guard let text = JSONBytes(bytes), let number = try? text.number(0), number.end == text.count else {
      return nil
    }
    return number
  }
}
