import Foundation
import Testing

@testable import FeatureCore

/// No state gets larger than one may be; what has no room is left out, and only that.
@Suite struct StateRoomTests {
  private static let bytesMax = 6_000

  @Test(arguments: seeds(12)) func noStateIsTooLarge(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let features = [
      Feature(
        "distinct", .aggregate(Aggregate(.countDistinct, value: "i", windows: [.last("1h"), .last("24h")]))),
      Feature("top", .aggregate(Aggregate(.topK, value: "s", windows: [.last("1h")], k: 2))),
      Feature("last", .aggregate(Aggregate(.lastK, value: "s", windows: [.session("30m")], k: 20))),
      Feature(
        "heavy", .aggregate(Aggregate(.topK, value: "s", windows: [.last("1h")], k: 2, counters: 8))),
      Feature(
        "sum", .aggregate(Aggregate(.sum, value: "d", windows: [.last("10m"), .calendar(.thisMonth)]))),
    ]
    let view = try TestSource.plan(features, stateBytesMax: Self.bytesMax)
    var fold = TestFold(view)
    var time: Int64 = 1_700_000_000_000_000
    var refused = 0
    for number in 0..<3_000 {
      // Most of the time within a few hours; sometimes all windows are left behind.
      time += streams.chance(500) ? 40 * 86_400_000_000 : Int64(streams.pick([0, 1_000_000, 20_000_000]))
      let event = TestEvent(
        time: time - (streams.chance(5) ? 600_000_000 : 0),
        values: [
          "user": .string("u"), "i": .int64(Int64(number)), "d": .double(1.5),
          "s": .string(Text("text \(streams.pick([1, 1, number]))")),
        ])
      let before = fold.state.map(view.encode)
      // A fold that begins from the encoded state decides the same.
      var restarted = TestFold(view)
      restarted.state = try before.map(view.decode)
      do {
        try fold.add(event)
        try restarted.add(event)
        #expect(restarted.bytes == fold.bytes, "seed \(seed), event \(number)")
      } catch let failure as ViewFailure {
        refused += 1
        #expect(failure.reason == .stateTooLarge)
        #expect(fold.bytes == before, "seed \(seed), event \(number): refused, but folded")
        #expect(throws: ViewFailure.self) { try restarted.add(event) }
      }
      #expect(fold.bytes.count <= Self.bytesMax, "seed \(seed), event \(number)")
    }
    #expect(refused > 0, "seed \(seed)")
    // Once the windows have left everything behind there is room again.
    let later = TestEvent(time: time + 100 * 86_400_000_000, values: ["user": .string("u"), "i": .int64(1)])
    try fold.add(later)
    #expect(fold.state?.asOf.microseconds == later.time)
  }

  /// Each event is in a bin of its own until all bins are there.
  @Test func scoresStayWithinTheirBound() throws {
    let measure = Aggregate(.auc, value: "d", label: "b", windows: [.last("1h")])
    let view = try TestSource.plan([Feature("auc", .aggregate(measure))], stateBytesMax: 20_000)
    var fold = TestFold(view)
    var refused = 0
    for number in 0..<2_000 {
      let event = TestEvent(
        time: 1_700_000_000_000_000 + Int64(number) * 1_000_000,
        values: [
          "user": .string("u"), "b": .bool(number % 2 == 0),
          "d": .double(1 / (1 + exp(Double(number % 512) / 16 - 16))),
        ])
      do { try fold.add(event) } catch _ as ViewFailure { refused += 1 }
      #expect(fold.bytes.count <= 20_000)
    }
    #expect(refused > 0)
  }

  /// Counters of long texts.
  @Test func countersStayWithinTheirBound() throws {
    let top = Aggregate(.topK, value: "s", windows: [.last("1h")], k: 1, counters: 1_000)
    let view = try TestSource.plan([Feature("top", .aggregate(top))], stateBytesMax: 20_000)
    var fold = TestFold(view)
    var refused = 0
    for number in 0..<500 {
      let text = Text(String(repeating: "x", count: 100) + "\(number)")
      let event = TestEvent(
        time: 1_700_000_000_000_000 + Int64(number), values: ["user": .string("u"), "s": .string(text)])
      do { try fold.add(event) } catch _ as ViewFailure { refused += 1 }
      #expect(fold.bytes.count <= 20_000)
    }
    #expect(refused > 0)
  }

  /// What is usual needs no look at the state's size.
  @Test func smallViewsAlwaysHaveRoom() throws {
    let count = Feature("n", .aggregate(Aggregate(.count, windows: [.last("24h"), .lifetime])))
    #expect(try TestSource.plan([count]).room.isAlways)
    let distinct = Feature(
      "u", .aggregate(Aggregate(.countDistinct, value: "s", windows: [.last("400d", hop: "1h")])))
    #expect(try !TestSource.plan([distinct]).room.isAlways)
    let heavy = Feature(
      "h", .aggregate(Aggregate(.topK, value: "s", windows: [.last("24h")], k: 10, counters: 1_000)))
    #expect(try !TestSource.plan([heavy]).room.isAlways)
  }

  @Test func valuesThatFitNoRecordAreRefused() throws {
    let lists = (0..<12).map { number in
      Feature("l\(number)", .aggregate(Aggregate(.lastK, value: "s", windows: [.last("1h")], k: 100)))
    }
    let mistakes = #expect(throws: DefinitionMistakes.self) { try TestSource.plan(lists) }
    #expect(mistakes?.description.contains("the values of a snapshot can take") == true)
    _ = try TestSource.plan(Array(lists.prefix(9)))
    let tops = (0..<12).map { number in
      let top = Aggregate(.topK, value: "s", windows: [.last("1h", hop: "1h")], k: 100, counters: 100)
      return Feature("t\(number)", .aggregate(top))
    }
    #expect(throws: DefinitionMistakes.self) { try TestSource.plan(tops) }
  }

  @Test func derivedTextsAreBounded() throws {
    let last = Feature("s", .aggregate(Aggregate(.last, value: "s", windows: [.lifetime])))
    let twice = { (name: String, other: String) in Feature(name, .derive("\(other) || \(other)")) }
    let features = [last, twice("s2", "s_lifetime"), twice("s4", "s2"), twice("s16", "s4 || s4")]
    let view = try TestSource.plan(features + [twice("s32", "s16")])
    var fold = TestFold(view)
    let text = String(repeating: "x", count: 250)
    try fold.add(TestEvent(time: 1_000_000, values: ["user": .string("u"), "s": .string(Text(text))]))
    let values = view.evaluate(fold.state, at: EventTime(microseconds: 2_000_000))
    let counts = values.map { value -> Int? in
      if case .string(let text) = value { text.utf8.count } else { nil }
    }
    #expect(counts == [250, 500, 1_000, 4_000, nil])
  }
}
