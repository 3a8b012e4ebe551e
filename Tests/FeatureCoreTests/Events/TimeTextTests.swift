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
    for text in ["", " ", "1 ", "+1", "1.0", "1e3", "0x1", "yesterday", "2023-11-14T23:13:20", "2023-11-14"] {
      #expect(parse(text, unit) == nil, "\(text)")
    }
  }

  @Test(
    arguments: [
      (TimeUnit.seconds, "1700000000", 1_700_000_000_000_000), (.milliseconds, "-1", -1000),
      (.microseconds, "5", 5),
      (.nanoseconds, "1999", 1), (.nanoseconds, "-1", -1), (.nanoseconds, "-1000", -1),
      (.rfc3339, "1700000000", nil),
      (.seconds, "9223372036854775807", nil), (.milliseconds, "253402300800000", nil),
      (.milliseconds, "99999999999999999999", nil),
    ] as [(TimeUnit, String, Int64?)])
  func integersAreInTheUnit(_ unit: TimeUnit, _ text: String, _ expected: Int64?) {
    #expect(parse(text, unit) == expected)
  }
}
