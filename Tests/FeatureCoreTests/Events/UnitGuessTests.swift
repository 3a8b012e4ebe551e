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

  /// The declared unit may be off by more than one step.
  @Test(
    arguments: [
      (TimeUnit.microseconds, 1, TimeUnit.seconds), (.nanoseconds, 1, .milliseconds),
      (.microseconds, 1_000, .milliseconds),
    ] as [(TimeUnit, Int64, TimeUnit)])
  func anyCoarserUnitIsNoticed(_ unit: TimeUnit, _ scale: Int64, _ expected: TimeUnit) throws {
    var guess = UnitGuess(unit)
    for second in [Self.seconds, Self.seconds + 86_400] { guess.note(second * scale) }
    #expect(guess.fitting == expected)
    #expect(
      guess.problem?.hasSuffix("the first is 2023-11-14T22:13:20Z") == true, "\(guess.problem ?? "none")")
  }

  /// Times beyond the year 9999 are none; if there are no others, the unit that fits is named.
  @Test func unitsThatAreTooLargeAreNoticed() throws {
    let reader = EventReader(
      Source(
        "s", topic: "s", timestamp: .init(field: "ts", unit: .seconds), fields: [.init("at", .timestamp)]))
    func failure(_ record: String) throws -> DecodeFailure {
      try #require(throws: DecodeFailure.self) { _ = try reader.read(record) }
    }
    let (schema, far) = (reader.schema, try failure(#"{"ts":1700000000000}"#))
    var guess = UnitGuess(.seconds)
    guess.note(try failure(#"{"ts":1700000000,"at":1700000000000}"#), schema)
    #expect(guess.problem == nil, "another field")
    guess.note(far, schema)
    #expect(
      guess.problem
        == "no time lies in the years 1 to 9999: read in ms instead of s, they are of this century")
    var other = UnitGuess(.seconds)
    other.note(Self.record)
    other.note(guess)
    #expect(other.problem == nil, "one time is meant")
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
