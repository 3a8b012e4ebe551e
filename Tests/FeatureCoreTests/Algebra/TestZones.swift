import FeatureCore
import Foundation

/// Time zones whose rules are written out, so that no database decides what the tests test.
enum TestZones {
  static let all: [String: TimeZoneRules] = Dictionary(
    uniqueKeysWithValues: [.utc, berlin, stJohns, apia].map { ($0.name, $0) })

  /// The European Union's rule since 1996, for 1970 to 2060: 01:00 UTC on the last Sundays of March and October.
  static let berlin = TimeZoneRules(
    name: "Europe/Berlin", initialOffsetSeconds: 3600,
    transitions: (1970...2060).flatMap { year in
      [
        .init(atSeconds: sunday(year, month: 4, week: 0) + 3600, offsetSeconds: 7200),
        .init(atSeconds: sunday(year, month: 11, week: 0) + 3600, offsetSeconds: 3600),
      ]
    })

  /// Newfoundland from 1987 to 2011 went back at 00:01, so that one minute of a day had begun before it went on
  /// for another hour.
  static let stJohns = TimeZoneRules(
    name: "America/St_Johns", initialOffsetSeconds: -12_600,
    transitions: (1987...2040).flatMap { year in
      [
        .init(atSeconds: sunday(year, month: 4, week: 1) + 60 + 12_600, offsetSeconds: -9000),
        .init(atSeconds: sunday(year, month: 11, week: 0) + 60 + 9000, offsetSeconds: -12_600),
      ]
    })

  /// Samoa had no 30 December 2011.
  static let apia = TimeZoneRules(
    name: "Pacific/Apia", initialOffsetSeconds: -10 * 3600,
    transitions: [.init(atSeconds: 1_325_239_200, offsetSeconds: 14 * 3600)])

  /// Midnight UTC of a month's Sunday: the first after the month's begin for week 1, the last before it for 0.
  private static func sunday(_ year: Int, month: Int, week: Int) -> Int64 {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(secondsFromGMT: 0)!
    let first = calendar.date(from: DateComponents(year: year, month: month, day: 1))!
    let day = Int64(first.timeIntervalSince1970) / 86_400
    // Day 3 was a Sunday.
    let sinceSunday = ((day - 3) % 7 + 7) % 7
    let next = sinceSunday == 0 ? day : day + 7 - sinceSunday
    return (week == 0 ? next - 7 : next) * 86_400
  }
}
