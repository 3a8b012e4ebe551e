/// Lengths of time as definitions write them: a whole number and `s`, `m`, `h` or `d`. In microseconds.
public enum Duration {
  private static let units: [(suffix: Character, microseconds: Int64)] = [
    ("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000),
  ]

  /// The microseconds of a text such as `90s`, `5m`, `24h` or `7d`; nil if it is none or beyond Int64.
  public static func parse(_ text: String) -> Int64? {
    guard let unit = units.first(where: { $0.suffix == text.last }) else { return nil }
    let digits = text.dropLast()
    guard !digits.isEmpty, digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
      let count = Int64(digits)
    else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: unit.microseconds)
    return overflow ? nil : product
  }

  /// The shortest text for a length: the largest unit that divides it.
  public static func text(_ microseconds: Int64) -> String {
    if microseconds == 0 { return "0s" }
    for unit in units where microseconds % unit.microseconds == 0 {
      return "\(microseconds / unit.microseconds)\(unit.suffix)"
    }
    return "\(microseconds)us"
  }

  static func required(_ text: String) -> Int64 {
    guard let microseconds = parse(text) else { preconditionFailure("Cannot read '\(text)' as a duration") }
    return microseconds
  }
}
