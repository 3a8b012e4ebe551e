/// Times as text (RFC 3339, section 5.6).
public enum RFC3339 {
  private static let microsecondsPerSecond: Int64 = 1_000_000
  private static let secondsPerDay: Int64 = 86_400

  /// The time that a whole text denotes, rounded down to a microsecond; nil if it isn't `date-time` with a
  /// valid date. `T` may be a space, and second 60 is refused: event time has no leap seconds.
  public static func parse(_ bytes: UnsafeRawBufferPointer) -> EventTime? {
    guard let text = JSONBytes(bytes), let date = date(text), let time = time(text),
      let (fraction, end) = fraction(text), let offset = offset(text, end)
    else { return nil }
    let seconds = date * secondsPerDay + time - offset
    return EventTime(microseconds: seconds * microsecondsPerSecond + fraction)
  }

  /// The time in UTC with `Z`, with 3 or 6 digits of a fraction if it has one. Years outside 0 to 9999, which
  /// RFC 3339 can't write, have a sign.
  public static func format(_ time: EventTime) -> String {
    let seconds = floorDivide(time.microseconds, microsecondsPerSecond)
    // The product may lie beyond Int64.min; the difference doesn't.
    let fraction = time.microseconds &- seconds &* microsecondsPerSecond
    let days = floorDivide(seconds, secondsPerDay)
    let second = seconds - days * secondsPerDay
    let date = CivilDate(days: days)
    let text =
      "\(year(date.year))-\(padded(date.month, 2))-\(padded(date.day, 2))"
      + "T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
    if fraction == 0 { return text + "Z" }
    return fraction % 1000 == 0 ? "\(text).\(padded(fraction / 1000, 3))Z" : "\(text).\(padded(fraction, 6))Z"
  }

  private static func year(_ year: Int64) -> String {
    if year < 0 { return "-" + padded(-year, 4) }
    return (year > 9999 ? "+" : "") + padded(year, 4)
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  /// Days since the epoch of `yyyy-mm-dd`.
  static func date(_ text: JSONBytes) -> Int64? {
    guard let century = twoDigits(text, 0), let year = twoDigits(text, 2), text[4] == Byte.minus,
      let month = twoDigits(text, 5), text[7] == Byte.minus, let day = twoDigits(text, 8)
    else { return nil }
    return CivilDate(year: century * 100 + year, month: month, day: day).days
  }

  /// Seconds of the day of `Thh:mm:ss`.
  private static func time(_ text: JSONBytes) -> Int64? {
    guard text[10] | 0x20 == UInt8(ascii: "t") || text[10] == Byte.space,
      let hour = twoDigits(text, 11), hour < 24, text[13] == Byte.colon,
      let minute = twoDigits(text, 14), minute < 60, text[16] == Byte.colon,
      let second = twoDigits(text, 17), second < 60
    else { return nil }
    return hour * 3600 + minute * 60 + second
  }

  /// Microseconds of the fraction, if there is one, and the position after it.
  private static func fraction(_ text: JSONBytes) -> (microseconds: Int64, end: Int)? {
    text[19] == Byte.point ? fractionDigits(text, 20) : (0, 19)
  }

  /// Microseconds of the digits behind a point, at least one, and the position after them.
  static func fractionDigits(_ text: JSONBytes, _ start: Int) -> (microseconds: Int64, end: Int)? {
    var at = start
    var microseconds: Int64 = 0
    var weight = microsecondsPerSecond / 10
    while Byte.isDigit(text[at]) {
      microseconds += Int64(text[at] - Byte.zero) * weight
      weight /= 10
      at += 1
    }
    return at > start ? (microseconds, at) : nil
  }

  /// Seconds of `Z` or `±hh:mm`, the end of the text.
  private static func offset(_ text: JSONBytes, _ at: Int) -> Int64? {
    if text[at] | 0x20 == UInt8(ascii: "z") { return text.count == at + 1 ? 0 : nil }
    guard text.count == at + 6, text[at] == Byte.minus || text[at] == Byte.plus,
      let hours = twoDigits(text, at + 1), hours < 24, text[at + 3] == Byte.colon,
      let minutes = twoDigits(text, at + 4), minutes < 60
    else { return nil }
    let seconds = hours * 3600 + minutes * 60
    return text[at] == Byte.minus ? -seconds : seconds
  }

  @inline(__always)
  static func twoDigits(_ text: JSONBytes, _ at: Int) -> Int64? {
    let tens = text[at] &- Byte.zero
    let ones = text[at + 1] &- Byte.zero
    return tens < 10 && ones < 10 ? Int64(tens * 10 + ones) : nil
  }
}

/// A date of the proleptic Gregorian calendar.
struct CivilDate: Hashable {
  var year: Int64
  var month: Int64
  var day: Int64

  init(year: Int64, month: Int64, day: Int64) {
    self.year = year
    self.month = month
    self.day = day
  }

  /// The date that many days after 1970-01-01, counted in eras of 400 years that start in March: so the leap
  /// day is the last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms").
  init(days: Int64) {
    let shifted = days + 719_468
    let era = floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days since 1970-01-01; nil if there is no such date.
  var days: Int64? {
    guard month >= 1, month <= 12, day >= 1, day <= daysInMonth else { return nil }
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = floorDivide(shiftedYear, 400)
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private var daysInMonth: Int64 {
    switch month {
    case 2: isLeap ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  private var isLeap: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
}
