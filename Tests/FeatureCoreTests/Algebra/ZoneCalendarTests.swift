import Foundation
import Testing
import TestSupport

@testable import FeatureCore

/// Local days against Foundation's calendar, which has a time zone database of its own.
@Suite struct ZoneCalendarTests {
  static let zones = [
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe",
    "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "Asia/Gaza",
  ]

  /// The changes of a zone's offset from 1970 to 2037, found by asking for it every 12 hours, then bisecting.
  static func rules(_ zone: TimeZone) -> TimeZoneRules {
    func offset(_ second: Int64) -> Int64 {
      Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second))))
    }
    var rules = TimeZoneRules(name: zone.identifier, initialOffsetSeconds: offset(0), transitions: [])
    var last = offset(0)
    for step in 1...(68 * 731) {
      var after = Int64(step) * 43_200
      let next = offset(after)
      guard next != last else { continue }
      var before = after - 43_200
      while after - before > 1 {
        let middle = (before + after) / 2
        if offset(middle) == last { before = middle } else { after = middle }
      }
      rules.transitions.append(.init(atSeconds: after, offsetSeconds: next))
      last = next
    }
    return rules
  }

  @Test(arguments: zones) func daysAreFoundations(name: String) throws {
    let zone = try #require(TimeZone(identifier: name))
    let rules = Self.rules(zone)
    #expect(name == "UTC" || name == "Asia/Kolkata" || rules.transitions.count > 5)
    let calendar = ZoneCalendar(rules)
    var gregorian = Calendar(identifier: .gregorian)
    gregorian.timeZone = zone
    var utc = gregorian
    utc.timeZone = TimeZone(secondsFromGMT: 0)!
    for seed in seeds(1) {
      var random = SplitMix64(seed: seed)
      for _ in 0..<1500 {
        let near = rules.transitions.randomElement(using: &random)?.atSeconds ?? 0
        let second =
          Bool.random(using: &random)
          ? Int64.random(in: 0...2_100_000_000, using: &random)
          : max(0, near + Int64.random(in: -90_000...90_000, using: &random))
        // The latest local day that any moment until now has had.
        let changes = rules.transitions.map(\.atSeconds).filter { second - 200_000..<second + 1 ~= $0 }
        let day = ([second] + changes.map { $0 - 1 }).map { (moment: Int64) in
          let date = Date(timeIntervalSince1970: Double(moment))
          let local = gregorian.dateComponents([.year, .month, .day], from: date)
          return Int64(utc.date(from: local)!.timeIntervalSince1970) / 86_400
        }.max()!
        #expect(calendar.day(second * 1_000_000) == day, "\(name) at \(second), seed \(seed)")
        #expect(calendar.day(second * 1_000_000 + 999_999) == day, "\(name) at \(second), seed \(seed)")
      }
    }
  }

  /// Where clocks go back across midnight, the day that has begun goes on.
  @Test func daysNeverRunBackwards() {
    for rules in [TestZones.stJohns, TestZones.apia, TestZones.berlin] {
      let calendar = ZoneCalendar(rules)
      for transition in rules.transitions {
        let around = stride(
          from: transition.atSeconds - 90_000, through: transition.atSeconds + 90_000, by: 600)
        let days = around.map { calendar.day($0 * 1_000_000) }
        #expect(days == days.sorted(), "\(rules.name) at \(transition.atSeconds)")
      }
    }
    // 1999-10-31 in St. John's began at 00:00 (02:30 UTC); 00:01 became 23:01 of the 30th.
    let calendar = ZoneCalendar(TestZones.stJohns)
    let midnight: Int64 = 941_337_000_000_000
    let day = calendar.day(midnight)
    #expect(calendar.day(midnight - 1) == day - 1)
    #expect(calendar.day(midnight + 60_000_000) == day && calendar.day(midnight + 3_600_000_000) == day)
  }

  /// A day that a zone skipped belongs to nobody.
  @Test func skippedDays() {
    let calendar = ZoneCalendar(TestZones.apia)
    let change = TestZones.apia.transitions[0].atSeconds * 1_000_000
    #expect(calendar.day(change) - calendar.day(change - 1) == 2)
  }

  @Test(arguments: seeds(2)) func firstDaysAreFoundations(seed: UInt64) {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(secondsFromGMT: 0)!
    calendar.firstWeekday = 2
    var random = SplitMix64(seed: seed)
    for _ in 0..<2000 {
      // Foundation's calendar is Julian before 1582.
      let day = Int64.random(in: -140_000...2_900_000, using: &random)
      let date = Date(timeIntervalSince1970: Double(day) * 86_400)
      for (unit, component) in [
        (CalendarUnit.today, Calendar.Component.day), (.thisWeek, .weekOfYear), (.thisMonth, .month),
      ] {
        let start = calendar.dateInterval(of: component, for: date)!.start
        let expected = Int64(start.timeIntervalSince1970 / 86_400)
        #expect(
          ZoneCalendar.firstDay(of: unit, containing: day) == expected, "\(unit) of \(day), seed \(seed)")
      }
    }
    // 0001-01-01 was a Monday.
    #expect(ZoneCalendar.firstDay(of: .thisWeek, containing: -719_162) == -719_162)
    #expect(ZoneCalendar.firstDay(of: .thisMonth, containing: -719_132) == -719_162)
  }
}
