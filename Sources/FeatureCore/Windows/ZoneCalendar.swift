/// Days, weeks and months of one time zone, made from its rules for fast look-up.
///
/// Days are numbered from 1970-01-01 in local time. A day begins the first time that the local clock reaches its
/// midnight: where a clock is set back across midnight, the day that has begun goes on, so that days never
/// run backwards.
public struct ZoneCalendar: Sendable {
  private static let dayMicroseconds: Int64 = 86_400_000_000

  /// The rules that it was made from: those since 1970, so that what is found out about older times changes no state.
  public let rules: TimeZoneRules
  /// Starts of the segments with a constant offset, ascending; the first is the beginning of time.
  private let starts: [Int64]
  private let offsets: [Int64]
  /// The largest day that had begun before each segment.
  private let daysBefore: [Int64]

  /// A calendar from rules.
  public init(_ rules: TimeZoneRules) {
    let rules = rules.since1970
    self.rules = rules
    var starts = [Int64.min]
    var offsets = [rules.initialOffsetSeconds * 1_000_000]
    var daysBefore = [Int64.min]
    for transition in rules.transitions {
      let start = transition.atSeconds * 1_000_000
      let lastDay = floorDivide(start - 1 + offsets[offsets.count - 1], Self.dayMicroseconds)
      daysBefore.append(max(lastDay, daysBefore[daysBefore.count - 1]))
      starts.append(start)
      offsets.append(transition.offsetSeconds * 1_000_000)
    }
    self.starts = starts
    self.offsets = offsets
    self.daysBefore = daysBefore
  }

  /// The day that a moment belongs to.
  func day(_ time: Int64) -> Int64 {
    var low = 0
    var high = starts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= time { low = middle } else { high = middle }
    }
    return max(floorDivide(time + offsets[low], Self.dayMicroseconds), daysBefore[low])
  }

  /// The first moment of the day that comes after the one of a moment. No day lasts three.
  func nextDay(after time: Int64) -> Int64 {
    let today = day(time)
    var (low, high) = (time, time + 3 * Self.dayMicroseconds)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if day(middle) > today { high = middle } else { low = middle }
    }
    return high
  }

  /// The first day of the unit that a day belongs to.
  static func firstDay(of unit: CalendarUnit, containing day: Int64) -> Int64 {
    switch unit {
    case .today: day
    case .yesterday: day - 1
    // Day 0 was a Thursday; weeks begin on Monday (ISO 8601).
    case .thisWeek: floorDivide(day + 3, 7) * 7 - 3
    case .thisMonth: day - (dayOfMonth(day) - 1)
    }
  }

  /// Day of the month, from 1, in the proleptic Gregorian calendar.
  /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
  private static func dayOfMonth(_ day: Int64) -> Int64 {
    let shifted = day + 719_468
    let era = floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    return dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
  }
}
