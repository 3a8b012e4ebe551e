import FeatureCore

/// The last line of a compiled time zone, such as `CET-1CEST,M3.5.0,M10.5.0/3`: POSIX's TZ with the
/// extensions of RFC 8536 (names in angle brackets, times from -167 to 167 hours).
struct PosixZoneRule {
  private let standardOffset: Int64
  private let daylight: Daylight?

  private struct Daylight {
    var offset: Int64
    var start: Moment
    var end: Moment
  }

  /// A day of the year and a local time.
  private struct Moment {
    enum Day {
      /// 1 to 365; February 29 is never counted.
      case julian(Int)
      /// 0 to 365; February 29 is counted.
      case ordinal(Int)
      /// The `week`th (5: the last) `weekday` (0: Sunday) of a month.
      case weekday(month: Int, week: Int, weekday: Int)
    }
    var day: Day
    var seconds: Int64

    /// Local seconds since the epoch.
    func localSeconds(inYear year: Int) -> Int64 { dayNumber(inYear: year) * 86_400 + seconds }

    private func dayNumber(inYear year: Int) -> Int64 {
      let newYear = CivilDate.days(year: year, month: 1, day: 1)
      switch day {
      case .ordinal(let day): return newYear + Int64(day)
      case .julian(let day):
        return newYear + Int64(day - 1) + (day > 59 && CivilDate.isLeap(year) ? 1 : 0)
      case .weekday(let month, let week, let weekday):
        let first = CivilDate.days(year: year, month: month, day: 1)
        let next =
          month == 12
          ? CivilDate.days(year: year + 1, month: 1, day: 1)
          : CivilDate.days(year: year, month: month + 1, day: 1)
        var day = first + (Int64(weekday) - CivilDate.weekday(ofDay: first) + 7) % 7 + Int64(week - 1) * 7
        if day >= next { day -= 7 }
        return day
      }
    }
  }

  /// Parses a rule; nil if it is none.
  init?(_ text: ArraySlice<UInt8>) {
    var parser = Parser(rest: text)
    guard parser.skipName(), let west = parser.time() else { return nil }
    standardOffset = -west
    guard !parser.rest.isEmpty else {
      daylight = nil
      return
    }
    guard parser.skipName() else { return nil }
    var offset = standardOffset + 3600
    if parser.rest.first != UInt8(ascii: ",") {
      guard let west = parser.time() else { return nil }
      offset = -west
    }
    guard let start = parser.moment(), let end = parser.moment(), parser.rest.isEmpty else { return nil }
    daylight = Daylight(offset: offset, start: start, end: end)
  }

  /// The changes of a year, ascending. Without daylight saving, its first moment with the one offset.
  func transitions(inYear year: Int) -> [TimeZoneRules.Transition] {
    guard let daylight else {
      let newYear = CivilDate.days(year: year, month: 1, day: 1) * 86_400 - standardOffset
      return [TimeZoneRules.Transition(atSeconds: newYear, offsetSeconds: standardOffset)]
    }
    // Each moment is in the local time that it ends.
    let start = daylight.start.localSeconds(inYear: year) - standardOffset
    let end = daylight.end.localSeconds(inYear: year) - daylight.offset
    return [
      TimeZoneRules.Transition(atSeconds: start, offsetSeconds: daylight.offset),
      TimeZoneRules.Transition(atSeconds: end, offsetSeconds: standardOffset),
    ].sorted { $0.atSeconds < $1.atSeconds }
  }

  private struct Parser {
    var rest: ArraySlice<UInt8>

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func skipName() -> Bool {
      if skip("<") {
        guard let end = rest.firstIndex(of: UInt8(ascii: ">")) else { return false }
        rest = rest[(end + 1)...]
        return true
      }
      let name = rest.prefix { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) }
      rest = rest.dropFirst(name.count)
      return name.count >= 3
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int? {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      rest = rest.dropFirst(digits.count)
      guard (1...3).contains(digits.count) else { return nil }
      let value = digits.reduce(0) { $0 * 10 + Int($1) - 0x30 }
      return range.contains(value) ? value : nil
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    mutating func time() -> Int64? {
      let isNegative = skip("-")
      if !isNegative { _ = skip("+") }
      guard let hours = number(0...167) else { return nil }
      var seconds = hours * 3600
      for unit in [60, 1] where skip(":") {
        guard let count = number(0...59) else { return nil }
        seconds += count * unit
      }
      return Int64(isNegative ? -seconds : seconds)
    }

    /// `,M3.5.0/2`, `,J60` or `,59`.
    mutating func moment() -> Moment? {
      guard skip(","), let day = day() else { return nil }
      guard skip("/") else { return Moment(day: day, seconds: 7200) }
      return time().map { Moment(day: day, seconds: $0) }
    }

    private mutating func day() -> Moment.Day? {
      if skip("J") { return number(1...365).map { .julian($0) } }
      guard skip("M") else { return number(0...365).map { .ordinal($0) } }
      guard let month = number(1...12), skip("."), let week = number(1...5), skip("."),
        let weekday = number(0...6)
      else { return nil }
      return .weekday(month: month, week: week, weekday: weekday)
    }
  }
}

/// The proleptic Gregorian calendar in days since 1970-01-01.
enum CivilDate {
  static func isLeap(_ year: Int) -> Bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
  }

  /// Days since 1970-01-01, for years from 1 on.
  static func days(year: Int, month: Int, day: Int) -> Int64 {
    let before = year - 1
    let newYear = before * 365 + before / 4 - before / 100 + before / 400 - 719_162
    let months = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
    let leapDay = month > 2 && isLeap(year) ? 1 : 0
    return Int64(newYear + months[month - 1] + leapDay + day - 1)
  }

  /// 0 is Sunday.
  static func weekday(ofDay day: Int64) -> Int64 { ((day + 4) % 7 + 7) % 7 }

  /// The UTC year of a moment between the years 1 and 9999; the years 1 or 9999 if it is beyond.
  static func year(ofSeconds seconds: Int64) -> Int {
    var low = 1
    var high = 9999
    while low < high {
      let middle = (low + high + 1) / 2
      if days(year: middle, month: 1, day: 1) * 86_400 <= seconds { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
