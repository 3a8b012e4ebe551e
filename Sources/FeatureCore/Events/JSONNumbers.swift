/// A number of valid grammar: ±`mantissa` × 10^`exponent`.
struct JSONNumber {
  /// The position after it.
  var end: Int
  /// All digits as one integer; meaningless unless `isExact`.
  var mantissa: UInt64 = 0
  /// The power of ten; far beyond any double's when its text is.
  var exponent = 0
  /// Whether a minus stands before it.
  var isNegative = false
  /// Whether it is written with neither fraction nor exponent.
  var isInteger = true
  /// Whether the digits fit the mantissa.
  var isExact = true

  /// The value as Int64; nil beyond its range. Only for what is written as an integer.
  var int64: Int64? {
    guard isExact else { return nil }
    return isNegative
      ? (mantissa <= Int64.min.magnitude ? 0 &- Int64(truncatingIfNeeded: mantissa) : nil)
      : Int64(exactly: mantissa)
  }

  /// The value times 10^`power`, rounded down, and whether nothing was lost; nil beyond Int64. `text` is that of the number.
  func scaled(by power: Int, _ text: UnsafeRawBufferPointer) -> (value: Int64, isExact: Bool)? {
    var (digits, exponent, isExact) = (UInt128(mantissa), exponent + power, true)
    if !self.isExact { (digits, exponent, isExact) = Self.digits(text, exponent: exponent) }
    // No power of ten above this fits, and none below the negative of it leaves a digit.
    let powerMax = 38
    if digits == 0 || exponent < -powerMax { (digits, isExact) = (0, isExact && digits == 0) }
    if exponent < 0, digits > 0 {
      let quotient = digits.quotientAndRemainder(dividingBy: Self.power(-exponent))
      (digits, isExact) = (quotient.quotient, isExact && quotient.remainder == 0)
    } else if digits > 0 {
      guard exponent <= powerMax else { return nil }
      let (product, overflow) = digits.multipliedReportingOverflow(by: Self.power(exponent))
      guard !overflow else { return nil }
      digits = product
    }
    guard digits <= UInt128(Int64.max.magnitude) + 1 else { return nil }
    let magnitude = Int128(digits) + (isNegative && !isExact ? 1 : 0)
    return Int64(exactly: isNegative ? -magnitude : magnitude).map { ($0, isExact) }
  }

  /// As many digits of a number's text as fit 128 bits, the power of ten that stands behind them, and whether only zeros
  /// were left out. `exponent` is that of all digits.
  private static func digits(
    _ text: UnsafeRawBufferPointer, exponent: Int
  ) -> (digits: UInt128, exponent: Int, isExact: Bool) {
    var digits: UInt128 = 0
    var dropped = 0
    var isExact = true
    for byte in text {
      if byte | 0x20 == UInt8(ascii: "e") { break }
      guard Byte.isDigit(byte) else { continue }
      let digit = UInt128(byte - Byte.zero)
      let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(digit)
      if overflow || carry || dropped > 0 {
        dropped += 1
        isExact = isExact && digit == 0
      } else {
        digits = sum
      }
    }
    return (digits, exponent + dropped, isExact)
  }

  private static func power(_ exponent: Int) -> UInt128 {
    var power: UInt128 = 1
    for _ in 0..<exponent { power *= 10 }
    return power
  }

  @inline(__always)
  fileprivate mutating func append(_ digits: UInt64, count: Int) {
    let (shifted, overflow) = mantissa.multipliedReportingOverflow(by: Digits.power(count))
    let (sum, carry) = shifted.addingReportingOverflow(digits)
    mantissa = sum
    isExact = isExact && !overflow && !carry
  }
}

/// ASCII digits, eight at a time.
enum Digits {
  private static let powers: InlineArray<9, UInt64> = [
    1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000,
  ]

  /// 10 to the power of 0 to 8.
  @inline(__always)
  static func power(_ exponent: Int) -> UInt64 { powers[exponent] }

  /// How many digits a word starts with. Bytes above the first other one may be misjudged (sums carry
  /// upwards) and don't matter.
  @inline(__always)
  static func leading(_ word: UInt64) -> Int {
    let values = word ^ 0x3030_3030_3030_3030
    let others = (values | (values &+ 0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080
    return others.trailingZeroBitCount / 8
  }

  /// The value of the first 1 to 8 digits of a word: pairs, then fours, then eight in three multiplications.
  @inline(__always)
  static func value(_ word: UInt64, count: Int) -> UInt64 {
    var digits = (word ^ 0x3030_3030_3030_3030) &<< UInt64(64 - 8 * count)
    digits = (digits &* 10) &+ (digits &>> 8)
    let low = (digits & 0x0000_00FF_0000_00FF) &* 0x000F_4240_0000_0064
    let high = ((digits &>> 16) & 0x0000_00FF_0000_00FF) &* 0x0000_2710_0000_0001
    return (low &+ high) &>> 32
  }
}

extension JSONBytes {
  /// Reads the integer of at most 16 digits that starts here; nil for any other number and for mistakes.
  @inline(__always)
  func shortInteger(_ start: Int) -> (value: Int64, end: Int)? {
    let isNegative = self[start] == Byte.minus
    var at = isNegative ? start + 1 : start
    var word = word(at)
    var count = Digits.leading(word)
    guard count > 0, word & 0xFF != UInt64(Byte.zero) || count == 1 else { return nil }
    var magnitude = Digits.value(word, count: count)
    at += count
    if count == 8 {
      word = self.word(at)
      count = Digits.leading(word)
      guard count < 8 else { return nil }
      if count > 0 {
        magnitude = magnitude &* Digits.power(count) &+ Digits.value(word, count: count)
        at += count
      }
    }
    let next = self[at]
    guard next != Byte.point, next | 0x20 != UInt8(ascii: "e") else { return nil }
    let value = Int64(truncatingIfNeeded: magnitude)
    return (isNegative ? 0 &- value : value, at)
  }

  /// Reads the number that starts here, of any length.
  func number(_ start: Int) throws(DecodeFailure) -> JSONNumber {
    var number = JSONNumber(end: start)
    if self[start] == Byte.minus {
      number.isNegative = true
      number.end += 1
    }
    if self[number.end] == Byte.zero {
      number.end += 1
      guard !Byte.isDigit(self[number.end]) else { throw malformed(number.end, .badNumber) }
    } else {
      try digits(&number)
    }
    if self[number.end] == Byte.point {
      number.end += 1
      let first = number.end
      try digits(&number)
      number.exponent = first - number.end
      number.isInteger = false
    }
    if self[number.end] | 0x20 == UInt8(ascii: "e") {
      try exponent(&number)
      number.isInteger = false
    }
    return number
  }

  /// Appends one digit or more to the mantissa.
  @inline(__always)
  private func digits(_ number: inout JSONNumber) throws(DecodeFailure) {
    guard Byte.isDigit(self[number.end]) else { throw malformed(number.end, .badNumber) }
    while true {
      let word = word(number.end)
      let count = Digits.leading(word)
      guard count > 0 else { return }
      number.append(Digits.value(word, count: count), count: count)
      number.end += count
    }
  }

  private func exponent(_ number: inout JSONNumber) throws(DecodeFailure) {
    // Beyond what a record of digits can bring back into a double's range, so that the sum can't overflow.
    let exponentMax = 1 << 40
    number.end += 1
    let isNegative = self[number.end] == Byte.minus
    if isNegative || self[number.end] == Byte.plus { number.end += 1 }
    guard Byte.isDigit(self[number.end]) else { throw malformed(number.end, .badNumber) }
    var exponent = 0
    while Byte.isDigit(self[number.end]) {
      exponent = min(exponent * 10 + Int(self[number.end] - Byte.zero), exponentMax)
      number.end += 1
    }
    number.exponent += isNegative ? -exponent : exponent
  }
}
