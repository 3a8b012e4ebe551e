/// Decimal numbers to the nearest double, ties to even.
enum DecimalConversion {
  /// 10^0 to 10^22: the powers of ten that are doubles.
  private static let tens: InlineArray<23, Double> = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
  ]
  /// 5^0 to 5^27: the powers of five below 2^64.
  private static let fives: InlineArray<28, UInt64> = [
    1, 5, 25, 125, 625, 3_125, 15_625, 78_125, 390_625, 1_953_125, 9_765_625, 48_828_125, 244_140_625,
    1_220_703_125, 6_103_515_625, 30_517_578_125, 152_587_890_625, 762_939_453_125, 3_814_697_265_625,
    19_073_486_328_125, 95_367_431_640_625, 476_837_158_203_125, 2_384_185_791_015_625,
    11_920_928_955_078_125, 59_604_644_775_390_625, 298_023_223_876_953_125, 1_490_116_119_384_765_625,
    7_450_580_596_923_828_125,
  ]

  /// The double of a number, whose text is there for the few that need more than 128 bits; infinite when it
  /// is beyond a double's range.
  @inline(__always)
  static func double(_ number: JSONNumber, _ text: UnsafeRawBufferPointer) -> Double {
    guard number.isExact else { return fromText(text) }
    let magnitude: Double
    if number.mantissa == 0 {
      magnitude = 0
    } else if number.mantissa <= 1 << 53, number.exponent.magnitude <= 22 {
      // Clinger's fast path: both operands are exact, and IEEE 754 rounds their product or quotient once.
      let mantissa = Double(number.mantissa)
      magnitude =
        number.exponent < 0 ? mantissa / tens[-number.exponent] : mantissa * tens[number.exponent]
    } else if number.exponent.magnitude <= 27 {
      magnitude =
        number.exponent < 0
        ? quotient(number.mantissa, fives[-number.exponent], exponent: number.exponent)
        : product(number.mantissa, fives[number.exponent], exponent: number.exponent)
    } else {
      return fromText(text)
    }
    return number.isNegative ? -magnitude : magnitude
  }

  /// `mantissa` × `power` × 2^`exponent`: the product has at most 127 bits and is exact.
  private static func product(_ mantissa: UInt64, _ power: UInt64, exponent: Int) -> Double {
    let exact = UInt128(mantissa) * UInt128(power)
    let shift = exact.leadingZeroBitCount
    let normal = exact << shift
    return rounded(
      UInt64(truncatingIfNeeded: normal >> 64), hasRest: UInt64(truncatingIfNeeded: normal) != 0,
      exponent: exponent + 64 - shift)
  }

  /// `mantissa` / `power` × 2^`exponent`: 63 bits of the quotient and whether a remainder is left decide how
  /// its 53 bits are rounded.
  private static func quotient(_ mantissa: UInt64, _ power: UInt64, exponent: Int) -> Double {
    let dividend = mantissa << mantissa.leadingZeroBitCount
    let divisor = power << power.leadingZeroBitCount
    let (quotient, remainder) = divisor.dividingFullWidth((dividend >> 1, dividend << 63))
    let shift = quotient.leadingZeroBitCount
    return rounded(
      quotient << shift, hasRest: remainder != 0,
      exponent: exponent - 63 - shift + power.leadingZeroBitCount - mantissa.leadingZeroBitCount)
  }

  /// `significand`, whose highest bit is set, and a rest below its last bit, times 2^`exponent`. All results
  /// of the callers are normal numbers.
  private static func rounded(_ significand: UInt64, hasRest: Bool, exponent: Int) -> Double {
    let kept = significand >> 11
    let dropped = significand & 0x7FF
    let half: UInt64 = 0x400
    let isAboveHalf = dropped > half || (dropped == half && (hasRest || kept & 1 == 1))
    let integer = Double(isAboveHalf ? kept + 1 : kept)
    return integer * Double(sign: .plus, exponent: exponent + 11, significand: 1)
  }

  /// More than 19 digits or an extreme exponent: rare enough to allocate.
  @inline(never)
  private static func fromText(_ text: UnsafeRawBufferPointer) -> Double {
    Double(String(decoding: text, as: UTF8.self)) ?? .nan
  }
}
