/// What instructions do to scalars that are not text. Strict functions take values, the others look at tags.
enum NumericOperations {
  /// A strict function of one operand: null of null, failed of failed.
  @inline(__always)
  static func strict(_ a: Scalar, _ body: (Scalar) -> Scalar) -> Scalar {
    a.tag == .value ? body(a) : a
  }

  /// A strict function of two operands: a failure wins over null, the first one over the second.
  @inline(__always)
  static func strict(_ a: Scalar, _ b: Scalar, _ body: (Scalar, Scalar) -> Scalar) -> Scalar {
    a.tag.rawValue | b.tag.rawValue == Scalar.Tag.value.rawValue ? body(a, b) : withoutValue(a, b)
  }

  @inline(never)
  static func withoutValue(_ a: Scalar, _ b: Scalar) -> Scalar {
    if a.tag == .failed { return a }
    return b.tag == .failed ? b : .null
  }

  // MARK: Logic and choices

  @inline(__always)
  static func isFalse(_ a: Scalar) -> Bool { a.tag == .value && a.bits == 0 }

  /// FALSE decides whatever the other is, even if it failed.
  @inline(__always)
  static func and(_ a: Scalar, _ b: Scalar) -> Scalar {
    if isFalse(a) || isFalse(b) { return .bool(false) }
    return strict(a, b) { _, _ in .bool(true) }
  }

  /// TRUE decides whatever the other is, even if it failed.
  @inline(__always)
  static func or(_ a: Scalar, _ b: Scalar) -> Scalar {
    if a.isTrue || b.isTrue { return .bool(true) }
    return strict(a, b) { _, _ in .bool(false) }
  }

  /// A test that never gives null.
  @inline(__always)
  static func test(_ a: Scalar, _ holds: (Scalar) -> Bool) -> Scalar {
    a.tag == .failed ? a : .bool(holds(a))
  }

  /// The branch that isn't taken may fail.
  @inline(__always)
  static func select(_ condition: Scalar, _ a: Scalar, _ b: Scalar) -> Scalar {
    if condition.tag == .failed { return condition }
    return condition.isTrue ? a : b
  }

  @inline(__always)
  static func coalesce(_ a: Scalar, _ b: Scalar) -> Scalar { a.tag == .null ? b : a }

  /// Whether the two differ, where null is a value like any other.
  @inline(__always)
  static func isDistinct(_ a: Scalar, _ b: Scalar, _ equal: (Scalar, Scalar) -> Bool) -> Scalar {
    if a.tag.rawValue | b.tag.rawValue == Scalar.Tag.value.rawValue { return .bool(!equal(a, b)) }
    if a.tag == .failed { return a }
    if b.tag == .failed { return b }
    return .bool(a.tag != b.tag)
  }

  /// `a` where it goes before `b`; null only if both are.
  @inline(__always)
  static func extreme(_ a: Scalar, _ b: Scalar, _ goesBefore: (Scalar, Scalar) -> Bool) -> Scalar {
    if a.tag.rawValue | b.tag.rawValue == Scalar.Tag.value.rawValue { return goesBefore(a, b) ? a : b }
    if a.tag == .failed || b.tag == .null { return a }
    return b
  }

  // MARK: Int64

  @inline(__always)
  static func checked(_ result: (partialValue: Int64, overflow: Bool)) -> Scalar {
    result.overflow ? .failed(.integerOverflow) : .int64(result.partialValue)
  }

  @inline(__always)
  static func divideInt64(_ a: Scalar, _ b: Scalar) -> Scalar {
    if b.int64 == 0 { return .null }
    return checked(a.int64.dividedReportingOverflow(by: b.int64))
  }

  @inline(__always)
  static func remainderInt64(_ a: Scalar, _ b: Scalar) -> Scalar {
    if b.int64 == 0 { return .null }
    // Int64.min % -1 is 0, though the quotient overflows.
    return b.int64 == -1 ? .int64(0) : .int64(a.int64 % b.int64)
  }

  // MARK: Double

  @inline(__always)
  static func finite(_ value: Double) -> Scalar {
    value.isFinite ? .double(value) : .failed(.notFinite)
  }

  @inline(__always)
  static func divideDouble(_ a: Scalar, _ b: Scalar) -> Scalar {
    b.double == 0 ? .null : finite(a.double / b.double)
  }

  @inline(__always)
  static func remainderDouble(_ a: Scalar, _ b: Scalar) -> Scalar {
    b.double == 0 ? .null : .double(a.double.truncatingRemainder(dividingBy: b.double))
  }

  @inline(__always)
  static func signDouble(_ value: Double) -> Scalar {
    .double(value > 0 ? 1 : value < 0 ? -1 : 0)
  }

  /// A function of positive numbers.
  @inline(__always)
  static func logarithm(_ value: Double, _ function: (Double) -> Double) -> Scalar {
    value > 0 ? .double(function(value)) : .failed(.domain)
  }

  static func power(_ base: Double, _ exponent: Double) -> Scalar {
    let result = PortableMath.pow(base, exponent)
    return result.isNaN ? .failed(.domain) : finite(result)
  }

  @inline(__always)
  static func doubleToInt64(_ value: Double) -> Scalar {
    let rounded = PortableMath.roundHalfEven(value)
    // -2^63 is a double and an int64, 2^63 only a double.
    guard rounded >= -0x1p63, rounded < 0x1p63 else { return .failed(.castFailed) }
    return .int64(Int64(rounded))
  }

  /// round(value * 10^digits) / 10^digits, in the two steps that this says.
  static func round(_ value: Double, digits: Int64) -> Double {
    if digits > 308 { return value }
    if digits < -308 { return 0 * value }
    let power = powersOfTen[Int(digits.magnitude)]
    if digits < 0 {
      return PortableMath.roundHalfAway(value / power) * power
    }
    let scaled = value * power
    // From 2^52 on a double has no more digits to round.
    guard scaled.magnitude < 0x1p52 else { return value }
    return PortableMath.roundHalfAway(scaled) / power
  }

  private static let powersOfTen: [Double] = (0...308).map { Double("1e\($0)") ?? .infinity }

  // MARK: Time

  private static let microsecondsPerSecond: Int64 = 1_000_000
  private static let secondsPerDay: Int64 = 86_400

  /// A field of a timestamp in UTC.
  static func extract(_ part: TimePart, _ microseconds: Int64) -> Int64 {
    let seconds = floorDivide(microseconds, microsecondsPerSecond)
    let days = floorDivide(seconds, secondsPerDay)
    let second = seconds - days * secondsPerDay
    switch part {
    case .epoch: return seconds
    case .second: return second % 60
    case .minute: return second / 60 % 60
    case .hour: return second / 3600
    // 1970-01-01 was a Thursday.
    case .dow: return modulo(days + 4, 7)
    case .isodow: return modulo(days + 3, 7) + 1
    case .day: return CivilDate(days: days).day
    case .month: return CivilDate(days: days).month
    case .quarter: return (CivilDate(days: days).month + 2) / 3
    case .year: return CivilDate(days: days).year
    case .doy: return dayOfYear(days)
    }
  }

  private static func modulo(_ value: Int64, _ divisor: Int64) -> Int64 {
    value - floorDivide(value, divisor) * divisor
  }

  private static func dayOfYear(_ days: Int64) -> Int64 {
    guard let first = CivilDate(year: CivilDate(days: days).year, month: 1, day: 1).days else {
      preconditionFailure("Cannot find the first of January of a year")
    }
    return days - first + 1
  }
}
