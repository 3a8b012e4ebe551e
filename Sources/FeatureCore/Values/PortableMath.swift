/// Exponentials and logarithms that give the same bits on every machine.
///
/// The C library's differ in the last bit between versions and processors, and a state is a function of its
/// events to the last bit. These use nothing but IEEE 754 addition, multiplication, division and square root,
/// which are exact to the rounding everywhere, and no fused multiply-add. Errors stay below one unit in the last
/// place.
///
/// The structure is that of Sun's fdlibm: exp reduces by multiples of ln 2 and uses r coth(r/2); ln works on
/// s = f / (2 + f). The coefficients are the plain Taylor ones, and logarithms carry a second double (Dekker's
/// arithmetic), which gives `pow`, `log2` and `log10` their last bits.
public enum PortableMath {
  /// e to the power of `x`.
  public static func exp(_ x: Double) -> Double {
    if x.isNaN { return x }
    if x > 709.782712893384 { return .infinity }
    if x < -745.1332191019412 { return 0 }
    let count = nearestInteger(x * inverseLn2.high)
    return scale(expOfSum(x - count * ln2Split.high, -count * ln2Split.low), by: Int(count))
  }

  /// 2 to the power of `x`; exact for integers.
  public static func exp2(_ x: Double) -> Double {
    if x.isNaN { return x }
    return exp2(x, 0)
  }

  /// The natural logarithm; -infinity for 0, not a number below.
  public static func ln(_ x: Double) -> Double {
    guard let (exponent, log) = decompose(x) else { return specialLogarithm(x) }
    let sum = DoubleDouble(exponent * ln2Split.high, log.high)
    return sum.high + (sum.low + (log.low + exponent * ln2Split.low))
  }

  /// The logarithm to base 2; exact for powers of two.
  public static func log2(_ x: Double) -> Double {
    guard let log = preciseLog2(x) else { return specialLogarithm(x) }
    return log.high + log.low
  }

  /// The logarithm to base 10; exact for powers of ten.
  public static func log10(_ x: Double) -> Double {
    guard let (exponent, log) = decompose(x) else { return specialLogarithm(x) }
    let scaled = log * inverseLn10
    let sum = DoubleDouble(exponent * log10Of2Split.high, scaled.high)
    return sum.high + (sum.low + (scaled.low + exponent * log10Of2Split.low))
  }

  /// `x` to the power of `y`, with C99's special cases.
  public static func pow(_ x: Double, _ y: Double) -> Double {
    if y == 0 || x == 1 { return 1 }
    if x.isNaN || y.isNaN { return .nan }
    if y.isInfinite { return infinitePower(x, y) }
    let isInteger = y == truncate(y)
    let isOdd = isInteger && y.magnitude < 0x1p53 && y * 0.5 != truncate(y * 0.5)
    let sign: Double = x.sign == .minus && isOdd ? -1 : 1
    guard let log = preciseLog2(x.magnitude) else {
      // Zero and infinity.
      return (x == 0) == (y > 0) ? sign * 0 : sign * .infinity
    }
    if x < 0 && !isInteger { return .nan }
    if x.magnitude == 1 { return sign }
    if y == 1 { return x }
    let rough = y * log.high
    if rough > 1100 { return sign * .infinity }
    if rough < -1100 { return sign * 0 }
    let product = DoubleDouble(product: y, log.high)
    return sign * exp2(product.high, product.low + y * log.low)
  }

  // MARK: Whole numbers, without the C library that `.rounded` calls on older processors

  /// Towards zero.
  @inline(__always)
  public static func truncate(_ x: Double) -> Double {
    // From 2^52 on every double is whole. The sign keeps -0.0.
    guard x.magnitude < 0x1p52 else { return x }
    return Double(signOf: x, magnitudeOf: Double(Int64(x)))
  }

  /// Towards negative infinity.
  @inline(__always)
  public static func floor(_ x: Double) -> Double {
    let whole = truncate(x)
    return whole > x ? whole - 1 : whole
  }

  /// Towards positive infinity.
  @inline(__always)
  public static func ceil(_ x: Double) -> Double {
    let whole = truncate(x)
    return whole < x ? Double(signOf: x, magnitudeOf: whole + 1) : whole
  }

  /// To the nearest, halves away from zero.
  @inline(__always)
  public static func roundHalfAway(_ x: Double) -> Double {
    let whole = truncate(x)
    return (x - whole).magnitude < 0.5 ? whole : whole + Double(signOf: x, magnitudeOf: 1)
  }

  /// To the nearest, halves to even.
  @inline(__always)
  public static func roundHalfEven(_ x: Double) -> Double {
    guard x.magnitude < 0x1p51 else { return x.magnitude < 0x1p52 ? roundLargeHalfEven(x) : x }
    return Double(signOf: x, magnitudeOf: nearestInteger(x))
  }

  /// Between 2^51 and 2^52 the only fraction is a half.
  private static func roundLargeHalfEven(_ x: Double) -> Double {
    let whole = truncate(x)
    return whole == x || Int64(whole) & 1 == 0 ? whole : whole + Double(signOf: x, magnitudeOf: 1)
  }

  // MARK: Exponentials

  /// 2 to the power of `high + low`, where `low` is much smaller.
  private static func exp2(_ high: Double, _ low: Double) -> Double {
    if high >= 1025 { return .infinity }
    if high < -1076 { return 0 }
    let count = nearestInteger(high)
    let fraction = DoubleDouble(product: high - count, ln2.high)
    let tail = fraction.low + ((high - count) * ln2.low + low * ln2.high)
    return scale(expOfSum(fraction.high, tail), by: Int(count))
  }

  /// e to the power of `high + low`, |high| <= 0.35 and `low` much smaller.
  ///
  /// With R(r) = r coth(r/2) = 2 + r²/6 - r⁴/360 + ..., e^r = 1 + 2r / (R - r) = 1 + r + rc / (2 - c) where
  /// c = r - (R - 2): what is rounded is only the small last term.
  @inline(__always)
  private static func expOfSum(_ high: Double, _ low: Double) -> Double {
    let r = high + low
    let square = r * r
    let even = 1 / 6.0 + square * square * (1 / 15_120.0 + square * square * (1 / 23_950_080.0))
    let odd = 1 / 360.0 + square * square * (1 / 604_800.0 + square * square * (691 / 653_837_184_000.0))
    let c = r - square * (even - square * odd)
    return 1 + (high + (low + r * c / (2 - c)))
  }

  /// `value` times 2 to the power of `exponent`, -1076...1025, rounded once.
  @inline(__always)
  private static func scale(_ value: Double, by exponent: Int) -> Double {
    if exponent > 1022 { return value * 0x1p1022 * powerOfTwo(exponent - 1022) }
    if exponent < -1021 { return value * powerOfTwo(exponent + 100) * 0x1p-100 }
    return value * powerOfTwo(exponent)
  }

  @inline(__always)
  private static func powerOfTwo(_ exponent: Int) -> Double {
    Double(bitPattern: UInt64(bitPattern: Int64(exponent + 1023)) &<< 52)
  }

  /// Rounding by the addition of a large number: |x| is below 2^51.
  @inline(__always)
  private static func nearestInteger(_ x: Double) -> Double { (x + 0x1.8p52) - 0x1.8p52 }

  // MARK: Logarithms

  /// `x` = 2^exponent · m with m in about [√½, √2], and ln m; nil unless `x` is positive and finite.
  @inline(__always)
  private static func decompose(_ x: Double) -> (exponent: Double, log: DoubleDouble)? {
    guard x > 0, x < .infinity else { return nil }
    var exponent = 0
    var bits = x.bitPattern
    if x < 0x1p-1022 {
      bits = (x * 0x1p54).bitPattern
      exponent = -54
    }
    // Adding 1 - √½ to the fraction carries into the exponent for fractions from √2 on.
    let shifted = bits &+ (0x3FF0_0000_0000_0000 &- 0x3FE6_A09E_0000_0000)
    exponent += Int(shifted &>> 52) - 1023
    let fraction = (shifted & 0xF_FFFF_FFFF_FFFF) &+ 0x3FE6_A09E_0000_0000
    return (Double(exponent), logarithm(Double(bitPattern: fraction)))
  }

  /// ln m = 2s (1 + s²/3 + s⁴/5 + ...), s = (m - 1) / (m + 1), to about 65 bits.
  @inline(__always)
  private static func logarithm(_ m: Double) -> DoubleDouble {
    let f = m - 1
    let denominator = DoubleDouble(larger: 2, f)
    let quotient = f / denominator.high
    let exact = DoubleDouble(product: quotient, denominator.high)
    let remainder = ((f - exact.high) - exact.low) - quotient * denominator.low
    let s = DoubleDouble(high: quotient, low: remainder / denominator.high)

    let square = DoubleDouble(product: s.high, s.high)
    let z = DoubleDouble(high: square.high, low: square.low + 2 * s.high * s.low)
    let w = z.high * z.high
    // Two chains, so that the processor works on both at once.
    let even = 1 / 5.0 + w * (1 / 9.0 + w * (1 / 13.0 + w * (1 / 17.0 + w * (1 / 21.0 + w * (1 / 25.0)))))
    let odd = 1 / 7.0 + w * (1 / 11.0 + w * (1 / 15.0 + w * (1 / 19.0 + w * (1 / 23.0))))
    let third = z * oneThird
    let series = DoubleDouble(larger: third.high, w * (even + z.high * odd))
    let correction =
      DoubleDouble(high: 2 * s.high, low: 2 * s.low)
      * DoubleDouble(high: series.high, low: series.low + third.low)
    let sum = DoubleDouble(larger: 2 * s.high, correction.high)
    return DoubleDouble(high: sum.high, low: sum.low + (correction.low + 2 * s.low))
  }

  private static func preciseLog2(_ x: Double) -> DoubleDouble? {
    guard let (exponent, log) = decompose(x) else { return nil }
    let scaled = log * inverseLn2
    let sum = DoubleDouble(exponent, scaled.high)
    return DoubleDouble(larger: sum.high, sum.low + scaled.low)
  }

  private static func specialLogarithm(_ x: Double) -> Double {
    if x == 0 { return -.infinity }
    return x > 0 ? x : .nan
  }

  private static func infinitePower(_ x: Double, _ y: Double) -> Double {
    if x.magnitude == 1 { return 1 }
    return (x.magnitude > 1) == (y > 0) ? .infinity : 0
  }

  // MARK: Constants, each as a double and what is missing from it

  private static let ln2 = DoubleDouble(high: 0x1.62e42fefa39efp-1, low: 0x1.abc9e3b39803fp-56)
  private static let inverseLn2 = DoubleDouble(high: 0x1.71547652b82fep+0, low: 0x1.777d0ffda0d24p-56)
  private static let inverseLn10 = DoubleDouble(high: 0x1.bcb7b1526e50ep-2, low: 0x1.95355baaafad3p-57)
  private static let oneThird = DoubleDouble(high: 0x1.5555555555555p-2, low: 0x1.5555555555555p-56)
  /// ln 2 and log10 2 whose first part times any exponent is exact.
  private static let ln2Split = DoubleDouble(high: 0x1.62e42fee00000p-1, low: 0x1.a39ef35793c76p-33)
  private static let log10Of2Split = DoubleDouble(high: 0x1.34413509f6000p-2, low: 0x1.9fef311f12b36p-42)
}

/// An unevaluated sum of two doubles, the second at most about half a unit in the last place of the first.
private struct DoubleDouble {
  var high: Double
  var low: Double

  @inline(__always)
  init(high: Double, low: Double) {
    self.high = high
    self.low = low
  }

  /// The exact sum of any two doubles (Knuth).
  @inline(__always)
  init(_ a: Double, _ b: Double) {
    high = a + b
    let rounded = high - a
    low = (a - (high - rounded)) + (b - rounded)
  }

  /// The exact sum, |a| >= |b| (Dekker).
  @inline(__always)
  init(larger a: Double, _ b: Double) {
    high = a + b
    low = b - (high - a)
  }

  /// The product; its error term is exact to the last bit or two (Dekker, splitting by mask).
  @inline(__always)
  init(product a: Double, _ b: Double) {
    let aHead = Double(bitPattern: a.bitPattern & ~0x7FF_FFFF)
    let bHead = Double(bitPattern: b.bitPattern & ~0x7FF_FFFF)
    let aTail = a - aHead
    let bTail = b - bHead
    high = a * b
    low = ((aHead * bHead - high) + (aHead * bTail + aTail * bHead)) + aTail * bTail
  }

  @inline(__always)
  static func * (lhs: DoubleDouble, rhs: DoubleDouble) -> DoubleDouble {
    let product = DoubleDouble(product: lhs.high, rhs.high)
    return DoubleDouble(
      high: product.high, low: product.low + (lhs.high * rhs.low + lhs.low * rhs.high))
  }
}
