import Testing

@testable import FeatureCore

/// Triggers fire where docs/semantics.md taken literally says, whatever happens in between.
@Suite struct TriggerTests {
  private static let second: Int64 = 1_000_000
  private static let minute: Int64 = 60_000_000
  private static let hour: Int64 = 3_600_000_000
  private static let day: Int64 = 86_400_000_000

  static func plan(_ features: [Feature], _ triggers: [Trigger]) throws -> ViewPlan {
    var definitions = TestSource.definitions(features)
    definitions.views[0].triggers = triggers
    return try Plan(definitions, zones: TestZones.all).views[0]
  }

  static func count(_ windows: [Window], where filter: String? = nil) -> Feature {
    Feature("n", .aggregate(Aggregate(.count, where: filter, windows: windows)))
  }

  // MARK: - Against the oracle

  private static let windows: [Window] = [
    .last("10s"), .last("1m"), .last("10m"), .last("1h", hop: "7m"), .last("10m", offset: "5m"),
    .last("1m", offset: "1h"), .lifetime, .session("10s"), .session("30m"), .calendar(.today),
    Window(name: "yesterday", span: .calendar(.yesterday, zone: "Europe/Berlin")),
    Window(name: "apia", span: .calendar(.thisWeek, zone: "Pacific/Apia")),
  ]

  private struct Scenario {
    var view: ViewPlan
    var oracle: TriggerOracle
    var events: [TestEvent]
  }

  /// Some triggers over counts and sums, and events around the ends of hops, days and sessions.
  private func scenario(_ seed: UInt64) throws -> Scenario {
    var streams = TestStreams(seed: seed)
    let windows = Array(Self.windows.shuffled(using: &streams.random).prefix(4))
    let features = [
      Feature("n", .aggregate(Aggregate(.count, where: "f", windows: windows))),
      Feature("total", .aggregate(Aggregate(.sum, value: "small", windows: windows))),
      Feature("last", .aggregate(Aggregate(.last, value: "small", windows: windows))),
    ]
    let names = features.flatMap { feature in windows.map { "\(feature.name)_\($0.name)" } }
    let scale = streams.pick([Self.second, 10 * Self.second, Self.minute, 10 * Self.minute])
    var watched: [TriggerOracle.Watched] = []
    for number in 0..<3 {
      let parts = (0..<streams.pick([1, 1, 2])).map { _ in
        (
          feature: streams.pick(names), isLess: streams.chance(2),
          than: streams.pick([-3, 0, 1, 2, 5] as [Int64])
        )
      }
      let condition = TriggerOracle.Condition(parts: parts, isAny: streams.chance(2))
      let every = streams.pick([10 * Self.second, Self.minute, 5 * Self.minute, 21_000_003] as [Int64])
      let trigger = Trigger(
        "t\(number)", when: condition.text, for: streams.pick([1, 1, 2, 3, 7]), every: max(every, scale),
        againAfter: streams.pick([nil, 1, Self.minute, Self.hour] as [Int64?]))
      watched.append(.init(trigger: trigger, condition: condition))
    }
    var time = streams.pick([
      1_711_846_800_000_000 - Self.hour, 1_325_239_200_000_000 - Self.hour, -Self.hour, 1_700_000_000_000_000,
    ])
    let events = (0..<80).map { _ in
      var at = time
      switch Int.random(in: 0..<10, using: &streams.random) {
      case 0: at -= Int64.random(in: 0...(20 * scale), using: &streams.random)
      case 1: break
      case 2: at = floorDivide(at, Self.minute) * Self.minute + Self.minute
      case 3: at += Int64.random(in: 0...(200 * scale), using: &streams.random)
      default: at += Int64.random(in: 0...scale, using: &streams.random)
      }
      time = max(time, at)
      return TestEvent(time: at, values: streams.values())
    }
    return Scenario(
      view: try Self.plan(features, watched.map(\.trigger)),
      oracle: TriggerOracle(features, names: names, watched), events: events)
  }

  private func found(_ firings: [Firing], _ view: ViewPlan, event: Int) -> [TriggerOracle.Firing] {
    firings.map {
      TriggerOracle.Firing(
        trigger: view.triggers[$0.trigger].name, at: $0.at.microseconds, values: $0.values, event: event)
    }
  }

  /// Firings and values, and where the triggers are after every event; also when every state is written and read again.
  @Test(arguments: 0..<5) func firesWhereTheOracleDoes(part: UInt64) throws {
    var fired = 0
    for seed in seeds(5) { fired += try compare(seed &+ part * 1_000) }
    #expect(fired > 10, "hardly anything fires")
  }

  private func compare(_ seed: UInt64) throws -> Int {
    var (scenario, fired) = (try scenario(seed), 0)
    var fold = TestFold(scenario.view)
    var restarted = TestFold(scenario.view)
    for (index, event) in scenario.events.enumerated() {
      let before = scenario.oracle.firings.count
      scenario.oracle.add(event)
      try fold.add(event)
      try restarted.add(event)
      let expected = Array(scenario.oracle.firings[before...])
      fired += expected.count
      for firings in [fold.fold.takeFirings(), restarted.fold.takeFirings()] {
        guard found(firings, scenario.view, event: index) == expected else {
          Issue.record("seed \(seed), event \(index) at \(event.time): \(firings), expected \(expected)")
          return fired
        }
        #expect(firings.allSatisfy { $0.key == Array("u".utf8) })
      }
      for (number, trigger) in scenario.view.triggers.enumerated() {
        let progress = fold.state!.progress(number, scenario.view.layout)
        #expect(progress.run == scenario.oracle.watched[number].run, "seed \(seed), event \(index)")
        #expect(progress.fired.map { $0 * trigger.clock.every } == scenario.oracle.watched[number].fired)
      }
      let bytes = fold.bytes
      let decoded = try scenario.view.decode(bytes)
      #expect(scenario.view.encode(decoded) == bytes, "seed \(seed), event \(index)")
      restarted.state = decoded
    }
    #expect(fold.bytes == restarted.bytes && fold.bytes.count <= scenario.view.sizeBound.bytes)
    return fired
  }

  /// Entities beside each other in batches of any size fire what each fires by itself.
  @Test(arguments: seeds(6)) func batchesChangeNothing(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let scenario = try scenario(seed)
    let events = scenario.events.map { event in
      var event = event
      event.values["user"] = .string(Text(streams.pick(BatchingTests.users)))
      return event
    }
    var folds: [Text: TestFold] = [:]
    var expected: [Named] = []
    for (index, event) in events.enumerated() {
      guard case .string(let user) = event["user"] else { continue }
      try folds[user, default: TestFold(scenario.view)].add(event)
      for firing in folds[user]!.fold.takeFirings() { expected.append(Named(firing, event: index)) }
    }
    for size in [1, 7, 256] {
      #expect(try batched(events, scenario.view, of: size) == expected, "seed \(seed), batches of \(size)")
    }
  }

  private struct Named: Equatable {
    var trigger: Int
    var key: [UInt8]
    var at: EventTime
    var values: [FeatureValue]
    var event: Int

    init(_ firing: Firing, event: Int) {
      trigger = firing.trigger
      key = firing.key
      at = firing.at
      values = firing.values
      self.event = event
    }
  }

  private func batched(_ events: [TestEvent], _ view: ViewPlan, of size: Int) throws -> [Named] {
    let batch = EventBatch(EventSchema(TestSource.source), capacity: size)
    let fold = ViewFold(view)
    var table = StateTable()
    var firings: [Named] = []
    for start in stride(from: 0, to: events.count, by: size) {
      let payloads = events[start..<min(start + size, events.count)].map { event in
        let bytes = Array(event.json.utf8)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        buffer.copyBytes(from: bytes)
        return buffer
      }
      defer { for payload in payloads { payload.deallocate() } }
      for (index, payload) in payloads.enumerated() {
        try batch.append(UnsafeRawBufferPointer(payload), sequence: Int64(start + index))
      }
      fold.fold(batch, into: &table) { row, failure in
        Issue.record("event \(start + row): \(failure.message)")
      }
      firings += fold.takeFirings().map { Named($0, event: Int(batch.sequence($0.row))) }
      batch.removeAll()
    }
    return firings
  }

  // MARK: - By hand

  private func fold(_ view: ViewPlan, _ times: [Int64], _ value: FeatureValue = .bool(true)) throws -> [Int64]
  {
    var fold = TestFold(view)
    for time in times { try fold.add(TestEvent(time: time, values: ["user": .string("u"), "f": value])) }
    return fold.fold.takeFirings().map(\.at.microseconds)
  }

  /// The event that closes the hop is not in the state that is asked, and an event on the boundary is behind it.
  @Test func beforeTheEventThatClosesTheHop() throws {
    let view = try Self.plan([Self.count([.last("1h")])], [Trigger("two", when: "n_1h >= 2")])
    #expect(view.triggers[0].clock.every == 5 * Self.minute)
    #expect(try fold(view, [1, 5 * Self.minute]) == [])
    #expect(try fold(view, [1, 5 * Self.minute - 1]) == [])
    #expect(try fold(view, [1, 5 * Self.minute - 1, 5 * Self.minute]) == [5 * Self.minute])
    #expect(
      try fold(view, [1, 5 * Self.minute, 10 * Self.minute - 1, 10 * Self.minute]) == [10 * Self.minute])
  }

  /// Late events count from the next hop on; what was closed stays closed.
  @Test func lateEventsReopenNothing() throws {
    let view = try Self.plan([Self.count([.last("1h")])], [Trigger("two", when: "n_1h >= 2")])
    #expect(try fold(view, [1, 6 * Self.minute, 2, 3]) == [])
    #expect(try fold(view, [1, 6 * Self.minute, 2, 10 * Self.minute]) == [10 * Self.minute])
  }

  @Test func onceAnEntityUnlessAgain() throws {
    let features = [Self.count([.lifetime])]
    let times = (0...40).map { $0 * Self.minute }
    func trigger(_ again: Int64?) throws -> ViewPlan {
      try Self.plan(
        features, [Trigger("some", when: "n_lifetime > 3", for: 2, every: Self.minute, againAfter: again)])
    }
    #expect(try fold(trigger(nil), times) == [5 * Self.minute])
    // Armed again after ten minutes, it needs two hops in a row once more.
    #expect(try fold(trigger(10 * Self.minute), times) == [5, 16, 27, 38].map { $0 * Self.minute })
    #expect(try fold(trigger(1), times).count == 18)
  }

  /// A silence of years: what decays is watched to the end, at a cost that doesn't grow with it.
  @Test func silence() throws {
    let view = try Self.plan(
      [Self.count([.last("1h"), .last("10m", offset: "30m"), .calendar(.today)])],
      [
        Trigger("gone", when: "n_1h = 0", for: 3, every: 10 * Self.second),
        Trigger("shifted", when: "n_10m_offset_30m = 1", every: Self.minute),
        Trigger("tomorrow", when: "n_today = 0", every: Self.minute),
      ])
    let start = 1_700_000_000 * Self.second
    let firings = try fold(view, [start, start + 3_000 * Self.day])
    // 22:13:20, in the tiles of 22:10 (five minutes) and 22:13 (one minute).
    let tile = start - start % (5 * Self.minute)
    let minute = start - start % Self.minute
    #expect(
      firings == [
        tile + Self.hour + 5 * Self.minute + 20 * Self.second, minute + 31 * Self.minute,
        start - start % Self.day + Self.day,
      ])
  }

  /// What the clock changes is looked at up to a bound, and a run doesn't go on beyond.
  @Test func silenceOfClocks() throws {
    let since = Feature("idle", .aggregate(Aggregate(.secondsSinceLast, windows: [.lifetime])))
    func firings(_ seconds: Int) throws -> [Int64] {
      let view = try Self.plan(
        [since], [Trigger("idle", when: "idle_lifetime >= \(seconds)", for: 2, every: 10 * Self.second)])
      return try fold(view, [0, 400 * Self.day])
    }
    #expect(try firings(3_600) == [3_610 * Self.second])
    #expect(try firings(9_990) == [10_000 * Self.second])
    #expect(try firings(10_000) == [])
    let now = try Self.plan(
      [Self.count([.lifetime])],
      [Trigger("noon", when: "n_lifetime > 0 and extract(hour from now()) = 12", every: Self.hour)])
    #expect(try fold(now, [1, 2 * Self.day]) == [12 * Self.hour])
  }

  /// Derived features, defaults, and what a record tells.
  @Test func values() throws {
    let features = [
      Self.count([.last("1h"), .last("24h")]),
      Feature("sum", .aggregate(Aggregate(.sum, value: "i", windows: [.last("1h")])), default: .int64(-1)),
      Feature("share", .derive("n_1h / n_24h")),
    ]
    let view = try Self.plan(features, [Trigger("t", when: "share > 0.5 and sum_1h < 0")])
    var fold = TestFold(view)
    for time in [Self.minute, 2 * Self.minute, 7 * Self.minute] {
      try fold.add(TestEvent(time: Self.day + time, values: ["user": .string("u")]))
    }
    let firing = try #require(fold.fold.takeFirings().first)
    #expect(view.triggers[0].features.map { view.features[$0].name } == ["share", "sum_1h"])
    #expect(firing.values == [.double(1), .int64(-1)])
    #expect(firing.at.microseconds == Self.day + 5 * Self.minute)
    #expect(firing.asOf.microseconds == Self.day + 2 * Self.minute)
    #expect(firing.from?.microseconds == 0)
    #expect(view.triggers[0].clock.every == 5 * Self.minute)
  }

  // MARK: - Bytes

  /// Nothing but what folds make, and every bit of it matters.
  @Test(arguments: seeds(4)) func forgedProgress(seed: UInt64) throws {
    let view = try Self.plan(
      [Self.count([.last("1h")])],
      [
        Trigger("again", when: "n_1h > 0", for: 3, againAfter: Self.hour),
        Trigger("once", when: "n_1h > 1", for: 300),
      ])
    let asOf = 1_700_000_000 * Self.second
    let bytes = try TestFold.bytes(view, [TestEvent(time: asOf, values: ["user": .string("u")])])
    #expect(bytes.suffix(2) == [0, 0])
    let body = Array(bytes.dropLast(2))
    func accepts(_ tail: [UInt8]) -> Bool {
      guard let state = try? view.decode(body + tail) else { return false }
      #expect(view.encode(state) == body + tail, "seed \(seed)")
      return true
    }
    #expect(accepts([4, 0]) && !accepts([6, 0]), "a run is shorter than what fires")
    // Twelve hops after it fired it is armed again, and may have counted one.
    #expect(accepts([1, 0, 0]) && accepts([3, 12, 0]) && !accepts([3, 11, 0]) && !accepts([5, 12, 0]))
    #expect(accepts([0, 1, 9]) && !accepts([0, 3, 9]), "fired once and for all")
    #expect(!accepts([0]) && !accepts([0, 0, 0]) && !accepts([0x80, 0, 0]))
    #expect(!accepts([1, 255, 255, 255, 255, 255, 255, 255, 255, 15, 0]))
    var streams = TestStreams(seed: seed)
    for _ in 0..<2_000 {
      let tail = (0..<streams.pick([2, 3, 4, 6])).map { _ in
        UInt8.random(in: 0...streams.pick([5, 20, 255]), using: &streams.random)
      }
      guard accepts(tail) else { continue }
      var fold = TestFold(view)
      fold.state = try view.decode(body + tail)
      try fold.add(TestEvent(time: asOf + streams.stretch(), values: ["user": .string("u")]))
      _ = try view.decode(fold.bytes)
    }
  }

  // MARK: - Mistakes

  private func mistakes(_ triggers: Trigger...) -> String {
    do {
      _ = try Self.plan(
        [
          Self.count([.last("1h"), .lifetime]),
          Feature("tops", .aggregate(Aggregate(.topK, value: "s", windows: [.last("1h")], k: 2))),
        ], triggers)
      return "nothing"
    } catch {
      return "\(error)".replacing("views.view.triggers.", with: "")
    }
  }

  @Test func whatIsWrongIsSaid() {
    #expect(mistakes(Trigger("t", when: "n_1h > 0", for: 3)) == "nothing")
    let cases: [(Trigger, String)] = [
      (Trigger("t", when: "n_1h + 1"), "t.when"),
      (Trigger("t", when: "n_1hh > 1"), "did you mean 'n_1h'?"),
      (Trigger("t", when: "n_1h >"), "t.when"),
      (Trigger("t", when: "true"), "the condition names no feature"),
      (Trigger("t", when: "tops_1h is null"), "'tops_1h' is a list"),
      (Trigger("t", when: "n_lifetime > 5"), "add 'every', such as every: 5m"),
      (Trigger("t", when: "n_1h > 5", for: 0), "'for' is 0"),
      (Trigger("t", when: "n_1h > 5", for: 8_001), "from 1 to 8000"),
      (Trigger("t", when: "n_1h > 5", every: Self.second), "use from 10s to 400d"),
      (Trigger("t", when: "n_1h > 5", againAfter: 0), "use more than 0s and at most 400d"),
      (Trigger("1t", when: "n_1h > 5"), "'1t' is not a name"),
    ]
    for (trigger, expected) in cases {
      let found = mistakes(trigger)
      #expect(found.contains(expected), "\(found)")
    }
    #expect(
      mistakes(Trigger("t", when: "n_1h > 5"), Trigger("t", when: "n_1h > 6")).contains(
        "two triggers named 't'"))
    let many = (0..<33).map { Trigger("t\($0)", when: "n_1h > 5") }
    let message = #expect(throws: DefinitionMistakes.self) {
      try Self.plan([Self.count([.last("1h")])], many)
    }
    #expect("\(message!)".contains("more than 32 triggers"))
  }

  /// The order of the file changes nothing, each word of a trigger does.
  @Test func fingerprints() throws {
    let (a, b) = (Trigger("a", when: "n_1h > 0"), Trigger("b", when: "n_1h > 1", for: 3, againAfter: 1))
    func fingerprint(_ triggers: Trigger...) throws -> UInt64 {
      try Self.plan([Self.count([.last("1h")])], triggers).fingerprint
    }
    #expect(try fingerprint() == TestSource.plan([Self.count([.last("1h")])]).fingerprint)
    #expect(try fingerprint(a, b) == fingerprint(b, a))
    #expect(try fingerprint(a) == fingerprint(Trigger("a", when: "n_1h>0", every: 5 * Self.minute)))
    var seen: Set<UInt64> = [try fingerprint(), try fingerprint(a)]
    for other in [
      b, Trigger("c", when: "n_1h > 0"), Trigger("a", when: "n_1h >= 0"),
      Trigger("a", when: "n_1h > 0", for: 2),
      Trigger("a", when: "n_1h > 0", every: Self.minute), Trigger("a", when: "n_1h > 0", againAfter: 1),
      Trigger("a", when: "n_1h > 0", againAfter: 2),
    ] {
      #expect(seen.insert(try fingerprint(other)).inserted, "\(other)")
    }
  }
}
