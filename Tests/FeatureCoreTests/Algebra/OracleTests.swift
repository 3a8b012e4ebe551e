import Testing

@testable import FeatureCore

/// Every aggregate over every kind of window, against docs/semantics.md taken literally.
@Suite struct OracleTests {
  @Test(arguments: seeds(20)) func valuesAreTheOracles(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let windows = streams.someWindows(3)
    let features = TestStreams.features(windows)
    let view = try TestSource.plan(features)
    var fold = TestFold(view)
    var oracle = Oracle(features)
    let events = streams.events(streams.pick([2, 10, 60, 150]))
    for event in events {
      try fold.add(event)
      oracle.add(event)
      guard streams.chance(events.count / 3 + 1) else { continue }
      for moment in streams.moments(from: oracle.asOf, windows) {
        guard expectEqual(fold, oracle, at: moment, seed) else { return }
      }
    }
    #expect(fold.state?.asOf.microseconds == oracle.asOf)
    for moment in streams.moments(from: oracle.asOf, windows) {
      guard expectEqual(fold, oracle, at: moment, seed) else { return }
    }
  }

  private func expectEqual(_ fold: TestFold, _ oracle: Oracle, at moment: Int64, _ seed: UInt64) -> Bool {
    let values = fold.view.evaluate(fold.state, at: EventTime(microseconds: moment))
    let answers = oracle.values(at: moment)
    #expect(values.count == answers.count)
    for (index, answer) in answers.enumerated() where !answer.allows(values[index]) {
      Issue.record(
        """
        seed \(seed): \(fold.view.features[index].name) at \(moment) after \(oracle.events.count) events up to \
        \(oracle.asOf) is \(values[index]), expected \(answer)
        """)
      return false
    }
    return true
  }

  /// Each kind of window by itself, so that none is only met by chance.
  @Test(arguments: TestStreams.windows) func everyWindow(window: Window) throws {
    for seed in seeds(2) {
      var streams = TestStreams(seed: seed)
      let features = [
        Feature("n", .aggregate(Aggregate(.count, windows: [window]))),
        Feature("sum", .aggregate(Aggregate(.sum, value: "d", windows: [window]))),
        Feature("last", .aggregate(Aggregate(.last, value: "i", where: "f", windows: [window]))),
      ]
      var fold = TestFold(try TestSource.plan(features))
      var oracle = Oracle(features)
      for event in streams.events(60) {
        try fold.add(event)
        oracle.add(event)
        for moment in streams.moments(from: oracle.asOf, [window]) {
          guard expectEqual(fold, oracle, at: moment, seed) else { return }
        }
      }
    }
  }

  /// An entity of which nothing was folded has the values of nothing.
  @Test func nothing() throws {
    let features = TestStreams.features([.last("1h"), .lifetime, .session("10s"), .calendar(.today)])
    let values = try TestSource.plan(features).evaluate(nil, at: EventTime(microseconds: 0))
    for (value, answer) in zip(values, Oracle(features).values(at: 0)) { #expect(answer.allows(value)) }
  }
}
