import Testing

@testable import FeatureCore

/// `now()` in derived features: the time of evaluation, whenever the last event was.
@Suite struct NowTests {
  private static let second: Int64 = 1_000_000

  private static let features = [
    Feature("latest", .aggregate(Aggregate(.max, value: "t", windows: [.lifetime]))),
    Feature("age", .derive("date_diff('hour', latest_lifetime, now())")),
    Feature("today", .derive("date_trunc('day', NOW())")),
    Feature("later", .derive("today < now()")),
  ]

  @Test func isTheTimeOfEvaluation() throws {
    let view = try TestSource.plan(Self.features)
    var fold = TestFold(view)
    let time = 1_700_000_000 * Self.second
    try fold.add(TestEvent(time: time, values: ["t": .timestamp(EventTime(microseconds: time))]))
    for hours in [0, 1, 26] as [Int64] {
      let moment = time + hours * 3_600 * Self.second
      let values = view.evaluate(fold.state, at: EventTime(microseconds: moment))
      let day = 86_400 * Self.second
      #expect(
        values[1...] == [
          .int64(hours), .timestamp(EventTime(microseconds: moment / day * day)), .bool(true),
        ])
    }
  }

  /// Without a state there is a time of evaluation all the same.
  @Test func needsNoState() throws {
    let view = try TestSource.plan(Self.features)
    let values = view.evaluate(nil, at: EventTime(microseconds: 5))
    #expect(values == [.null, .null, .timestamp(EventTime(microseconds: 0)), .bool(true)])
  }

  /// It is no column of events, and no suggestion for one.
  @Test func isNothingOfEvents() {
    for feature in [
      Feature("x", .aggregate(Aggregate(.max, value: "now()", windows: [.lifetime]))),
      Feature("x", .aggregate(Aggregate(.count, where: "now() > t", windows: [.lifetime]))),
    ] {
      do {
        _ = try TestSource.plan([feature])
        Issue.record("\(feature) was compiled")
      } catch {
        #expect("\(error)".contains("there is no function 'now'"), "\(error)")
      }
    }
  }

  @Test func keepsItsSpelling() throws {
    let text = try Expression.parse("date_diff('day', a, Now( ))").canonicalText
    #expect(text == "date_diff('day', a, now())")
    #expect(try Expression.parse(text).canonicalText == text)
  }
}
