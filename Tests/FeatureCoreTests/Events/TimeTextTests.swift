import FeatureCore
import Testing

@Suite struct TimeTextTests {
  private func parse(_ text: String, _ unit: TimeUnit) -> Int64? {
    var text = text
    return text.withUTF8 { EventTime.parse(UnsafeRawBufferPointer($0), unit: unit)?.microseconds }
  }

  @Test(arguments: TimeUnit.allCases) func textsWithAnOffsetAreTimesInEveryUnit(_ unit: TimeUnit) {
    #expect(parse("2023-11-14T23:13:20.1234567+01:00", unit) == 1_700_000_000_123_456)
    #expect(parse("0000-12-31T23:59:59Z", unit) == nil, "before year 1")
    for text in ["", " ", "1 ", "+1", "0x1", "yesterday", "2023-11-14T23:13:20", "2023-11-14"] {
      #expect(parse(text, unit) == nil, "\(text)")
    }
  }

  @Test(
    arguments: [
      (TimeUnit.seconds, "1700000000", 1_700_000_000_000_000), (.milliseconds, "-1", -1000),
      (.microseconds, "5", 5),
      (.nanoseconds, "1999", 1), (.nanoseconds, "-1", -1), (.nanoseconds, "-1000", -1),
      (.rfc3339, "1700000000", nil), (.text, "1700000000", nil), (.seconds, "1.5", 1_500_000),
      (.milliseconds, "1e3", 1_000_000),
      (.seconds, "9223372036854775807", nil), (.milliseconds, "253402300800000", nil),
      (.milliseconds, "99999999999999999999", nil),
    ] as [(TimeUnit, String, Int64?)])
  func integersAreInTheUnit(_ unit: TimeUnit, _ text: String, _ expected: Int64?) {
    #expect(parse(text, unit) == expected)
  }
}

/// Times in events, in the spellings of `unit: text`.
@Suite struct TextTimeTests {
  private static func reader(zone: String?) -> EventReader {
    EventReader(
      Source(
        "s", topic: "s", timestamp: .init(field: "at", unit: .text, zone: zone),
        fields: [.init("ny", .timestamp), .init("n", .timestamp, unit: .seconds, isText: true)]),
      zones: TestZones.all)
  }

  private func read(_ text: String, zone: String? = nil) throws(DecodeFailure) -> Int64 {
    guard case .timestamp(let time) = try Self.reader(zone: zone).read(#"{"at":"\#(text)"}"#)[2] else {
      return .min
    }
    return time.microseconds
  }

  /// 2019-10-01 00:00:00 UTC and fractions of a second after it.
  private static let midnight: Int64 = 1_569_888_000_000_000

  @Test(arguments: [
    "2019-10-01 00:00:00 UTC", "2019-10-01T00:00:00Z", "2019-10-01t00:00z", "2019-10-01 00:00:00+00",
    "2019-10-01 00:00:00+0000", "2019-10-01 00:00:00+00:00", "2019-10-01 00:00:00 +0000",
    "2019-10-01 00:00 GMT",
    "2019-10-01 05:30:00+05:30", "2019-10-01 05:30:00+0530", "2019-09-30 20:00:00-04",
    "2019-10-01 00:53:28+00:53:28",
    "2019-09-30T19:00:00.000-05:00", "2019-10-01 00:00:00Z", "2019-10-01 00:00:00,000Z",
    "2019-10-01T00:00:00.000000000Z",
  ])
  func textsWithAZone(_ text: String) throws {
    #expect(try read(text) == Self.midnight)
    #expect(try read(text, zone: "Pacific/Apia") == Self.midnight, "a zone in the text counts")
  }

  @Test(
    arguments: [
      (".1", 100_000), (".123", 123_000), (".123456", 123_456), (".1234569", 123_456), (",5", 500_000),
      (".000000999999999", 0),
    ] as [(String, Int64)])
  func fractions(_ fraction: String, _ microseconds: Int64) throws {
    for zone in ["Z", " UTC", "+00"] {
      #expect(try read("2019-10-01T00:00:00\(fraction)\(zone)") == Self.midnight + microseconds)
    }
    #expect(try read("2019-10-01 00:00:00\(fraction)", zone: "UTC") == Self.midnight + microseconds)
  }

  @Test(arguments: ["2019-10-01", "2019-10-01 00:00", "2019-10-01T00:00:00", "2019-10-01 00:00:00.000"])
  func textsWithoutAZoneNeedOne(_ text: String) throws {
    #expect(try read(text, zone: "UTC") == Self.midnight)
    #expect(try read(text, zone: "Europe/Berlin") == Self.midnight - 7_200_000_000)
    #expect(throws: DecodeFailure.self) { try read(text) }
    #expect(
      Self.reader(zone: nil).message(#"{"at":"\#(text)"}"#)
        == "field 'at' at byte 6: a time without a zone (if its zone is known, declare it with time_zone:)")
  }

  @Test(arguments: [
    "", "2019", "2019-10", "2019-10-01T", "2019-10-01 ", "2019-10-01 0", "2019-10-01 00", "2019-10-01 00:0",
    "2019-10-01 00:00:", "2019-10-01 00:00:0", "2019-10-01 00:00:00.", "2019-10-01 00:00:00.Z", "2019-10-01Z",
    "2019-10-01 UTC", "2019-10-01+00", "2019-10-01 24:00:00", "2019-10-01 00:60:00", "2019-10-01 00:00:60",
    "2019-02-29", "2019-13-01", "2019-00-01", "2019-10-00", "19-10-01", "2019/10/01", "01.10.2019",
    "20191001",
    "2019-10-01 00:00:00  UTC", "2019-10-01 00:00:00UTCC", "2019-10-01 00:00:00 CET", "2019-10-01 00:00:00+",
    "2019-10-01 00:00:00+1", "2019-10-01 00:00:00+1:00", "2019-10-01 00:00:00+24", "2019-10-01 00:00:00+0060",
    "2019-10-01 00:00:00+000000", "2019-10-01 00:00:00+00:0", "2019-10-01 00:00:00+00:00:",
    "2019-10-01 00:00:00+00:00:00:00", "2019-10-01 00:00:00 ", " 2019-10-01 00:00:00", "2019-10-01_00:00:00",
    "2019-10-01 00:00:00Z ", "infinity", "2019-10-01T00:00:00Z[UTC]", "1569888000",
  ])
  func textsThatAreNoTimes(_ text: String) {
    for zone in [nil, "UTC"] {
      #expect(Self.reader(zone: zone).failure(#"{"at":"\#(text)"}"#)?.reason == .badTime, "\(text)")
    }
  }

  @Test func theRangeOfEventTimes() throws {
    #expect(try read("0001-01-01", zone: "UTC") == Limits.eventTimeMin)
    #expect(try read("9999-12-31 23:59:59.999999", zone: "UTC") == Limits.eventTimeMax)
    for text in ["0000-12-31 23:59:59Z", "0001-01-01 00:00+01", "9999-12-31 23:59:59-01"] {
      #expect(Self.reader(zone: nil).failure(#"{"at":"\#(text)"}"#)?.reason == .timeOutOfRange)
    }
  }

  @Test(
    arguments: [
      // Clocks go from 02:00 to 03:00: what they skip is as long after the change.
      ("2024-03-31 01:59:59", "2024-03-31T00:59:59Z"), ("2024-03-31 02:00:00", "2024-03-31T01:00:00Z"),
      ("2024-03-31 02:30:00", "2024-03-31T01:30:00Z"), ("2024-03-31 02:59:59", "2024-03-31T01:59:59Z"),
      ("2024-03-31 03:00:00", "2024-03-31T01:00:00Z"),
      // And from 03:00 back to 02:00: the first is meant.
      ("2024-10-27 01:59:59", "2024-10-26T23:59:59Z"), ("2024-10-27 02:00:00", "2024-10-27T00:00:00Z"),
      ("2024-10-27 02:59:59", "2024-10-27T00:59:59Z"), ("2024-10-27 03:00:00", "2024-10-27T02:00:00Z"),
    ])
  func wallTimesThatDoNotExistOrExistTwice(_ wall: String, _ moment: String) throws {
    #expect(try read(wall, zone: "Europe/Berlin") == (try read(moment)))
  }

  @Test func aDayThatDoesNotExist() throws {
    #expect(try read("2011-12-30 12:00", zone: "Pacific/Apia") == (try read("2011-12-30 22:00Z")))
    #expect(try read("2011-12-31 12:00", zone: "Pacific/Apia") == (try read("2011-12-30 22:00Z")))
  }

  /// Every local time of a zone's year is some moment's, and comes back as what the clock shows then.
  @Test(arguments: ["Europe/Berlin", "America/St_Johns", "UTC"])
  func whatAClockShowsIsRead(_ zone: String) throws {
    let rules = try #require(TestZones.all[zone])
    let reader = Self.reader(zone: zone)
    func offset(_ moment: Int64) -> Int64 {
      rules.transitions.last { $0.atSeconds <= moment }?.offsetSeconds ?? rules.initialOffsetSeconds
    }
    let offsets = Set(rules.transitions.map(\.offsetSeconds) + [rules.initialOffsetSeconds])
    for moment in stride(from: Int64(1_388_534_400), to: 1_420_070_400, by: 613) {
      let local = moment + offset(moment)
      let first = offsets.map { local - $0 }.filter { $0 + offset($0) == local }.min()
      let text = RFC3339.format(EventTime(microseconds: local * 1_000_000)).dropLast()
      #expect(
        try reader.read(#"{"at":"\#(text)"}"#)[2]
          == first.map { .timestamp(EventTime(microseconds: $0 * 1_000_000)) })
    }
  }

  @Test func fieldsInheritTheSpellingAndNumbersMayStandInQuotes() throws {
    let reader = Self.reader(zone: "UTC")
    #expect(
      try reader.read(#"{"at":"2019-10-01","ny":"2019-10-01 00:00:00+00","n":"1569888000.25"}"#) == [
        .timestamp(EventTime(microseconds: Self.midnight)),
        .timestamp(EventTime(microseconds: Self.midnight + 250_000)),
        .timestamp(EventTime(microseconds: Self.midnight)),
      ])
    #expect(
      try reader.read(#"{"at":"2019-10-01","n":1}"#)[1] == .timestamp(EventTime(microseconds: 1_000_000)))
  }

  @Test func valuesThatAreWrittenAsText() throws {
    let source = Source(
      "s", topic: "s", timestamp: .init(field: "ts", unit: .milliseconds, isText: true),
      fields: [
        .init("i", .int64, isText: true), .init("d", .double, isText: true), .init("b", .bool, isText: true),
      ])
    let reader = EventReader(source)
    let time = FeatureValue.timestamp(EventTime(microseconds: 5000))
    #expect(
      try reader.read(#"{"ts":"5","i":"12","d":"-1.5e3","b":"true"}"#)
        == [.int64(12), .double(-1500), .bool(true), time])
    #expect(
      try reader.read(#"{"ts":5,"i":12.0,"d":1,"b":false}"#)
        == [.int64(12), .double(1), .bool(false), time])
    #expect(try reader.read(#"{"ts":"5","i":"\u0031","d":null}"#) == [.int64(1), .null, .null, time])
    for (field, text) in [
      ("i", ""), ("i", " 1"), ("i", "1 "), ("i", "1,5"), ("i", "null"), ("i", "+1"), ("i", "1.5"),
      ("d", "NaN"),
      ("d", "Infinity"), ("b", "True"), ("b", "1"), ("d", "[1]"), ("i", "\\\"1\\\""),
    ] {
      #expect(reader.failure(#"{"ts":5,"\#(field)":"\#(text)"}"#)?.reason == .wrongType, "\(field): \(text)")
    }
    #expect(reader.failure(#"{"ts":5,"i":"9223372036854775808"}"#)?.reason == .numberOutOfRange)
    #expect(reader.failure(#"{"ts":"99999999999999999"}"#)?.reason == .timeOutOfRange)
    #expect(
      reader.message(#"{"ts":5,"i":"x"}"#)
        == "field 'i' at byte 12: expected int64 (also as a string), found a string that is none")
  }
}
