import FeatureCore
import Foundation
import Testing

@Suite struct RFC3339Tests {
  private func parse(_ text: String) -> Int64? {
    Array(text.utf8).withUnsafeBytes { RFC3339.parse($0)?.microseconds }
  }

  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0), ("1970-01-01 00:00:00Z", 0),
      ("1970-01-01T00:00:00-00:00", 0), ("1970-01-01T01:30:00+01:30", 0), ("1969-12-31T12:00:00-12:00", 0),
      ("1970-01-01T00:00:00.1Z", 100_000), ("1970-01-01T00:00:00.123456Z", 123_456),
      ("1970-01-01T00:00:00.1234569Z", 123_456), ("1969-12-31T23:59:59.9999999Z", -1),
      ("1970-01-01T00:00:00.000000000000000000000000000001Z", 0),
      ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130_000),
      ("1985-04-12T23:20:50.52Z", 482_196_050_520_000), ("1996-12-19T16:39:57-08:00", 851_042_397_000_000),
      ("2000-02-29T00:00:00Z", 951_782_400_000_000), ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
      ("9999-12-31T23:59:59.999999Z", Limits.eventTimeMax), ("0001-01-01T00:00:00Z", Limits.eventTimeMin),
      ("2016-01-31T23:59:54+23:59", 1_454_198_454_000_000),
    ] as [(String, Int64)])
  func valid(text: String, microseconds: Int64) { #expect(parse(text) == microseconds) }

  @Test(arguments: [
    "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00Z", "1970-01-01T00:00:00.Z",
    "1970-1-01T00:00:00Z",
    "1970-01-01T0:00:00Z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z",
    "1970-01-32T00:00:00Z", "1970-04-31T00:00:00Z", "1900-02-29T00:00:00Z", "2015-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:60Z",
    "2016-12-31T23:59:60Z", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+01:60",
    "1970-01-01T00:00:00+0100",
    "1970-01-01T00:00:00+01", "1970-01-01T00:00:00+1:00", "1970-01-01T00:00:00ZZ", "1970-01-01T00:00:00Z ",
    " 1970-01-01T00:00:00Z", "1970-01-01T00:00:00 Z", "1970-01-01_00:00:00Z", "1970/01/01T00:00:00Z",
    "+1970-01-01T00:00:00Z", "-1970-01-01T00:00:00Z", "19700101T000000Z", "1970-01-01T00:00:00,5Z",
    "1970-01-01T00:00:00.5", "1970-01-01T00:00:00.5x", "1970-01-01T00:00:00\u{2212}01:00",
    "1970-01-01T00:00:0/Z",
    "1970-01-01T00:00:0:Z", "10000-01-01T00:00:00Z", "1970-01-01T-1:00:00Z", "1970-01-01T00:00:00.-1Z",
    "1970-01-01T00:00:00\u{0}", "1970-W01-1T00:00:00Z",
  ])
  func invalid(text: String) { #expect(parse(text) == nil) }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000001Z"), (-1, "1969-12-31T23:59:59.999999Z"),
      (120_000, "1970-01-01T00:00:00.120Z"), (1_454_255_994_000_000, "2016-01-31T15:59:54Z"),
      (1_454_255_994_000_100, "2016-01-31T15:59:54.000100Z"), (Limits.eventTimeMin, "0001-01-01T00:00:00Z"),
      (Limits.eventTimeMax, "9999-12-31T23:59:59.999999Z"),
      (253_402_300_800_000_000, "+10000-01-01T00:00:00Z"),
      (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999999Z"),
      (Int64.max, "+294247-01-10T04:00:54.775807Z"), (Int64.min, "-290308-12-21T19:59:05.224192Z"),
    ] as [(Int64, String)])
  func formatted(microseconds: Int64, text: String) {
    #expect(RFC3339.format(EventTime(microseconds: microseconds)) == text)
  }

  /// The naive way: one day after the other, the calendar's rules written out.
  @Test func everyDayOfTheRange() {
    var (year, month, day) = (0, 1, 1)
    var time: Int64 = -62_167_219_200_000_000
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    func two(_ value: Int) -> String { (value < 10 ? "0" : "") + String(value) }
    while year <= 9999 {
      if day == 1 || day >= 28 {
        let years = String(repeating: "0", count: 4 - String(year).count) + String(year)
        let text = "\(years)-\(two(month))-\(two(day))T00:00:00Z"
        guard parse(text) == time, RFC3339.format(EventTime(microseconds: time)) == text else {
          Issue.record("\(text) is not \(time)")
          return
        }
      }
      time += 86_400_000_000
      day += 1
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      if day > lengths[month - 1] + (month == 2 && isLeap ? 1 : 0) { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
  }

  /// From 1600 on, where Foundation's calendar is Gregorian.
  @Test func randomTimesAgreeWithFoundation() throws {
    var random = EventRandom(seed: 20_160_131)
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime]
    var calendar = Calendar(identifier: .gregorian)
    for _ in 0..<5_000 {
      let seconds = Int64.random(in: -11_676_096_000...253_402_214_400, using: &random)
      let fraction = Int64.random(in: 0..<1_000_000, using: &random)
      let offset = Int.random(in: -1080...1080, using: &random) * 60
      let date = Date(timeIntervalSince1970: Double(seconds))
      let zone = try #require(TimeZone(secondsFromGMT: offset))
      formatter.timeZone = .gmt
      #expect(RFC3339.format(EventTime(microseconds: seconds * 1_000_000)) == formatter.string(from: date))
      calendar.timeZone = zone
      let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
      let clock = try [parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second].map {
        try #require($0)
      }
      let sign = offset < 0 ? "-" : "+"
      let text = String(
        format: "%04d-%02d-%02dT%02d:%02d:%02d.%06d\(sign)%02d:%02d", clock[0], clock[1], clock[2], clock[3],
        clock[4], clock[5], fraction, abs(offset) / 3600, abs(offset) / 60 % 60)
      #expect(parse(text) == seconds * 1_000_000 + fraction, "\(text)")
    }
  }

  @Test func formattedTimesAreParsedBack() {
    var random = EventRandom(seed: 3339)
    for _ in 0..<20_000 {
      let time = Int64.random(in: Limits.eventTimeMin...Limits.eventTimeMax, using: &random)
      #expect(parse(RFC3339.format(EventTime(microseconds: time))) == time)
    }
  }
}
