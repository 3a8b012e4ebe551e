import FeatureCore
import Testing

@Suite struct UnitGuessTests {
  /// 2023-11-14T22:13:20Z.
  private static let seconds: Int64 = 1_700_000_000
  private static let record: Int64 = seconds * 1_000_000

  @Test func secondsReadAsMillisecondsAreNoticed() throws {
    var guess = UnitGuess(.milliseconds)
    for second in [Self.seconds, Self.seconds + 86_400] { guess.note(second * 1_000) }
    #expect(guess.fitting == .seconds)
    #expect(
      guess.problem
        == "every time lies between 1970-01-20T16:13:20Z and 1970-01-20T16:14:46.400Z: read in s instead of ms, the first is "
        + "2023-11-14T22:13:20Z")
  }

  @Test func oneTimeThatIsMeantIsEnough() {
    var guess = UnitGuess(.milliseconds)
    #expect(guess.fitting == nil)
    guess.note(Self.seconds * 1_000)
    guess.note(Self.record)
    #expect(guess.fitting == nil)
    var coarsest = UnitGuess(.seconds)
    coarsest.note(Self.seconds * 1_000)
    #expect(coarsest.fitting == nil, "nothing is coarser")
  }

  @Test(
    arguments: [
      (TimeUnit.milliseconds, 1_000, TimeUnit.seconds), (.microseconds, 1_000, .milliseconds),
      (.nanoseconds, 1_000, .microseconds), (.microseconds, 1, .seconds), (.nanoseconds, 1, .milliseconds),
    ] as [(TimeUnit, Int64, TimeUnit)])
  func nearItsRecord(_ unit: TimeUnit, _ scale: Int64, _ expected: TimeUnit) throws {
    let found = try #require(UnitGuess.fitting(Self.seconds * scale, unit, recordTime: Self.record))
    #expect(found.unit == expected)
    #expect(found.time == Self.record)
  }

  @Test func timesThatMayBeMeantAreLeftAlone() {
    #expect(UnitGuess.fitting(Self.record, .milliseconds, recordTime: Self.record) == nil)
    #expect(UnitGuess.fitting(Self.seconds * 1_000, .seconds, recordTime: Self.record) == nil)
    #expect(UnitGuess.fitting(Self.seconds * 1_000, .text, recordTime: Self.record) == nil)
    #expect(UnitGuess.fitting(0, .milliseconds, recordTime: Self.record) == nil)
    #expect(UnitGuess.fitting(5_000_000, .milliseconds, recordTime: 5_000_000) == nil, "a log of 1970")
    #expect(UnitGuess.fitting(1_000_000_000, .milliseconds, recordTime: Self.record) == nil, "nothing near")
  }

  @Test func aUnitThatIsTooLargeIsNamed() {
    let reader = EventReader(
      Source("s", topic: "s", timestamp: .init(field: "ts", unit: .seconds), fields: []))
    #expect(
      reader.message(#"{"ts":1700000000000}"#)
        == "field 'ts' at byte 6: the time is not in the years 1 to 9999; read in ms instead of s it would be one of this century"
    )
    #expect(
      reader.message(#"{"ts":1700000000000000}"#)
        == "field 'ts' at byte 6: the time is not in the years 1 to 9999; read in us instead of s it would be one of this century"
    )
  }
}
