/// How one level of a state cuts event time into tiles, and which of them it keeps.
enum Tiling: Hashable, Sendable {
  /// Tiles of `hop` microseconds, kept while a window of `retention` microseconds can see them.
  case hops(hop: Int64, retention: Int64)
  /// One tile for everything.
  case lifetime
  /// A tile a local day, kept while one of the units can see it. `zone` indexes the layout's calendars.
  case days(zone: Int, units: CalendarUnits)
  /// One tile for the current session.
  case session(gap: Int64)

  /// The default hop of a window: about a hundredth of its length, a length that people use, dividing the next.
  static func defaultHop(_ length: Int64) -> Int64 {
    let second: Int64 = 1_000_000
    let hour = 3600 * second
    switch length {
    case (288 * hour)...: return 24 * hour
    case (12 * hour)...: return hour
    case hour...: return 300 * second
    case (600 * second)...: return 60 * second
    default: return 10 * second
    }
  }
}

/// A set of calendar units. Neither week nor month holds the other, so there is no longest one.
struct CalendarUnits: OptionSet, Hashable, Sendable {
  let rawValue: UInt8

  static let today = CalendarUnits(rawValue: 1)
  static let thisWeek = CalendarUnits(rawValue: 2)
  static let thisMonth = CalendarUnits(rawValue: 4)
  static let yesterday = CalendarUnits(rawValue: 8)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(_ unit: CalendarUnit) {
    switch unit {
    case .today: self = .today
    case .yesterday: self = .yesterday
    case .thisWeek: self = .thisWeek
    case .thisMonth: self = .thisMonth
    }
  }

  /// The first day that one of the units sees on a day.
  func firstDay(containing day: Int64) -> Int64 {
    var first = contains(.yesterday) ? day - 1 : day
    if contains(.thisWeek) { first = min(first, ZoneCalendar.firstDay(of: .thisWeek, containing: day)) }
    if contains(.thisMonth) { first = min(first, ZoneCalendar.firstDay(of: .thisMonth, containing: day)) }
    return first
  }
}
