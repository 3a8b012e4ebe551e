import Testing

@testable import FeatureCore

/// What a view says that its windows can see is what evaluating it shows.
@Suite struct ViewSightTests {
  @Test(arguments: seeds(4)) func saysWhatIsSeen(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let windows = TestStreams.windows.filter { window in
      if case .session = window.span { false } else { window != .lifetime }
    }
    var seen = 0
    for window in windows {
      let view = try TestSource.plan([Feature("n", .aggregate(Aggregate(.count, windows: [window])))])
      for _ in 0..<10 {
        let event = streams.start() + 2 * 86_400_000_000
        var fold = TestFold(view)
        try fold.add(TestEvent(time: event, values: ["user": .string("u")]))
        for time in streams.moments(from: event, [window]) where time <= Limits.eventTimeMax {
          let isSeen = view.evaluate(fold.state, at: EventTime(microseconds: time)) == [.int64(1)]
          seen += isSeen ? 1 : 0
          #expect(
            view.sees(eventAt: event, from: time) == isSeen,
            "seed \(seed), window \(window.name), event \(event), time \(time)")
        }
      }
    }
    #expect(seen > 100, "seed \(seed)")
  }
}
