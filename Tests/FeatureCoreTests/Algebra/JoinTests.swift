import Testing

@testable import FeatureCore

/// Joins as definitions, and what their tasks keep.
@Suite struct JoinTests {
  private static let sources = [
    Source(
      "shown", topic: "shown", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .int64), .init("score", .double)]),
    Source(
      "clicks", topic: "clicks", timestamp: .init(field: "at", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .int64), .init("price", .double), .init("n", .string)]),
  ]

  private static func join(_ change: (inout Join) -> Void = { _ in }) -> Join {
    var join = Join(
      "outcomes", left: .init("shown"), right: .init("clicks", where: "price > 0"), on: ["user", "item"],
      kind: .outcome(within: 1_800_000_000, wait: 60_000_000, lateness: 60_000_000), fields: ["price"])
    change(&join)
    return join
  }

  private static func plan(_ joins: [Join], view source: String = "outcomes") throws(DefinitionMistakes)
    -> Plan
  {
    var definitions = Definitions(
      name: "shop", sources: sources,
      views: [
        View(
          "v", source: source, entity: ["user"],
          features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
      ])
    definitions.joins = joins
    return try Plan(definitions)
  }

  private func mistakes(_ joins: [Join]) -> String {
    do throws(DefinitionMistakes) {
      _ = try Self.plan(joins, view: "shown")
      return "nothing"
    } catch { return error.description }
  }

  @Test func aJoinIsASource() throws {
    let plan = try Self.plan([Self.join()])
    let source = plan.sources[plan.joins[0].source]
    #expect(source.source.topic == "shop.1.outcomes")
    #expect(source.source.key == nil)
    #expect(
      source.schema.columns.map(\.name)
        == ["user", "item", "score", "price", "label", "label_time", "revision", "ts"])
    #expect(plan.declaredSources.count == 2)
  }

  /// The order of `on` and of `fields` changes nothing, and what changes a record changes the view's fingerprint.
  @Test func fingerprints() throws {
    let plan = try Self.plan([Self.join()])
    let same = try Self.plan([Self.join { $0.on = ["item", "user"] }])
    #expect(same.fingerprint == plan.fingerprint)
    for change in [
      { $0.kind = .outcome(within: 1_800_000_001, wait: 60_000_000, lateness: 60_000_000) },
      { $0.kind = .outcome(within: 1_800_000_000, wait: 60_000_001, lateness: 60_000_000) },
      { $0.right.filter = "price > 1" }, { $0.left.filter = "score > 1" }, { $0.on = ["user"] },
    ] as [(inout Join) -> Void] {
      let other = try Self.plan([Self.join(change)])
      #expect(other.fingerprint != plan.fingerprint)
      #expect(other.views[0].fingerprint != plan.views[0].fingerprint)
    }
  }

  @Test func joinsOfJoinsInAnyOrder() throws {
    let second = Join(
      "again", left: .init("outcomes"), right: .init("clicks"), on: ["user"],
      kind: .outcome(within: 1, wait: 0, lateness: 0))
    // Both add a label.
    #expect(mistakes([second, Self.join()]).contains("a column is named 'label', as one that the join adds"))
    let circle = Self.join { $0.left = .init("outcomes") }
    #expect(mistakes([circle]).contains("'outcomes' is made of what this join makes"))
  }

  @Test func mistakes() {
    let cases: [((inout Join) -> Void, String)] = [
      ({ $0.left = .init("show") }, "there is no source 'show' (did you mean 'shown'?)"),
      ({ $0.on = [] }, "nothing has to be equal"),
      ({ $0.on = ["usr"] }, "'shown' has no column 'usr' (did you mean 'user'?)"),
      ({ $0.on = ["user", "user"] }, "a column is named twice"),
      ({ $0.fields = ["user"] }, "'shown' has a column 'user', too"),
      ({ $0.fields = ["prices"] }, "'clicks' has no column 'prices' (did you mean 'price'?)"),
      ({ $0.kind = .table }, "'clicks' is no table"),
      ({ $0.kind = .outcome(within: 0, wait: 0, lateness: 0) }, "use more than 0s"),
      ({ $0.right.filter = "pric > 0" }, "column \"pric\" is unknown"),
      ({ $0.name = "clicks" }, "there is a source named 'clicks' too"),
      ({ $0.name = "v" }, "there is a view named 'v' too"),
      ({ $0.name = "1st" }, "'1st' is not a name"),
    ]
    for (change, expected) in cases {
      let found = mistakes([Self.join(change)])
      #expect(found.contains(expected), "\(found)")
    }
    #expect(mistakes([Self.join()]) == "nothing")
  }

  // MARK: The clock

  private func mark(
    _ side: JoinPlan.Side, _ partition: Int, of count: Int, _ time: Int64?, isIdle: Bool = false
  ) -> JoinMark {
    JoinMark(side: side, partition: partition, count: count, time: time, isIdle: isIdle, offset: 0)
  }

  @Test func theSlowestPartitionOfTheSlowerSideDecides() {
    var clock = JoinClock()
    clock.note(mark(.left, 0, of: 1, 100))
    clock.note(mark(.right, 0, of: 2, 90))
    #expect(clock.passed == .min, "a partition was not heard of")
    clock.note(mark(.right, 1, of: 2, 50))
    #expect(clock.passed == 50)
    clock.note(mark(.right, 1, of: 2, 95))
    #expect(clock.passed == 90)
    clock.note(mark(.left, 0, of: 1, 70))
    #expect(clock.passed == 90, "it never goes back")
  }

  @Test func anIdlePartitionHoldsNobodyUpAndAnIdleStreamStays() {
    var clock = JoinClock()
    clock.note(mark(.left, 0, of: 1, 100))
    clock.note(mark(.right, 0, of: 2, 60))
    clock.note(mark(.right, 1, of: 2, nil, isIdle: true))
    #expect(clock.passed == .min, "it may have yet to read what came with the other's events")
    clock.note(mark(.right, 1, of: 2, nil, isIdle: true))
    #expect(clock.passed == 60)
    for _ in 0..<2 { clock.note(mark(.right, 0, of: 2, 60, isIdle: true)) }
    clock.note(mark(.left, 0, of: 1, 1_000))
    #expect(clock.passed == 60, "nothing is said of a stream that stands still")
  }

  @Test func aStreamThatBeginsAgainWaitsForPartitionsThatHaveYetToBeRead() {
    var clock = JoinClock()
    clock.note(mark(.left, 0, of: 1, 1_000))
    for partition in [0, 1, 0, 1] { clock.note(mark(.right, partition, of: 2, 60, isIdle: true)) }
    clock.note(mark(.right, 0, of: 2, 200))
    #expect(clock.passed == 60)
    clock.note(mark(.right, 1, of: 2, 80))
    #expect(clock.passed == 80)
    clock.note(mark(.right, 1, of: 2, 80, isIdle: true))
    #expect(clock.passed == 80)
    clock.note(mark(.right, 1, of: 2, 80, isIdle: true))
    #expect(clock.passed == 200)
  }

  @Test func theLagIsThatBehindTheLatestLeftEvent() {
    var clock = JoinClock()
    #expect(clock.lag == nil)
    clock.note(mark(.right, 0, of: 1, 90))
    #expect(clock.lag == nil)
    clock.note(mark(.left, 0, of: 2, 100))
    #expect(clock.lag == .max, "a partition of the left was not heard of")
    clock.note(mark(.left, 1, of: 2, 300))
    #expect(clock.lag == 210)
    clock.note(mark(.left, 0, of: 2, 250))
    clock.note(mark(.right, 0, of: 1, 290))
    #expect(clock.lag == 50)
    // The labels stand still, and predictions go on.
    clock.note(mark(.left, 0, of: 2, 1_000))
    clock.note(mark(.right, 0, of: 1, 290, isIdle: true))
    #expect(clock.lag == 710)
    clock.note(mark(.right, 0, of: 1, 5_000))
    for _ in 0..<2 { clock.note(mark(.left, 1, of: 2, 300, isIdle: true)) }
    #expect(clock.lag == 0)
  }

  // MARK: What is kept

  @Test func bytesAreReadBackAndDamageIsTold() throws {
    let plan = try Self.plan([Self.join()]).joins[0]
    var progress = JoinProgress(plan)
    progress.clock.note(mark(.left, 0, of: 2, 7))
    progress.clock.note(mark(.left, 1, of: 2, nil, isIdle: true))
    progress.clock.note(mark(.right, 0, of: 1, -5, isIdle: true))
    progress.cursors[0].pending = 3
    progress.cursors[0].offset = 12
    progress.cursors[1].clock = progress.clock
    progress.cursors[0].clock.note(mark(.left, 0, of: 2, 7))
    progress.last.note(4)
    progress.last.note(11)
    var bytes: [UInt8] = []
    progress.encode(plan, into: &bytes)
    #expect(try bytes.withUnsafeBytes { try JoinProgress($0, plan) } == progress)
    var events = RightEvents()
    for time in [30, 10, 20, 10] as [Int64] {
      let event = RightEvents.Event(time: time, offset: time, passed: .min, fields: [1, 2])
      #expect(events.insert(event) { _ in false })
    }
    #expect(events.events.map(\.time) == [10, 10, 20, 30])
    var other: [UInt8] = []
    events.encode(plan, into: &other)
    #expect(try other.withUnsafeBytes { try RightEvents($0, plan) } == events)
    for whole in [bytes, other] {
      for count in 0..<whole.count {
        let cut = Array(whole.prefix(count))
        #expect(throws: StateError.self) { try cut.withUnsafeBytes { _ = try JoinProgress($0, plan) } }
        #expect(throws: StateError.self) { try cut.withUnsafeBytes { _ = try RightEvents($0, plan) } }
        var forged = whole
        forged[count] ^= 0xFF
        _ = try? forged.withUnsafeBytes { try JoinProgress($0, plan) }
        _ = try? forged.withUnsafeBytes { try RightEvents($0, plan) }
      }
    }
  }

  @Test func theLastPlaceIsBetweenTheFirstRightEventAndTheLast() throws {
    let plan = try Self.plan([Self.join()]).joins[0]
    var progress = JoinProgress(plan)
    #expect(progress.firstNeeded == nil && !progress.last.isPending(before: 100))
    progress.last.note(4)
    progress.last.note(11)
    #expect((progress.last.offset, progress.last.end) == (4, 12))
    #expect(progress.last.isPending(before: 5) && !progress.last.isPending(before: 4))
    progress.cursors[0].pending = 1
    progress.cursors[0].offset = 3
    #expect((progress.firstPending, progress.firstNeeded) == (3, 3))
    progress.cursors[0].offset = 9
    #expect((progress.firstPending, progress.firstNeeded) == (9, 4))
    progress.last.offset = 12
    progress.last.note(20)
    #expect((progress.last.offset, progress.last.end) == (20, 21))
  }

  /// The first format had no last place: it begins where the slowest cursor is.
  @Test func progressOfTheFirstFormatIsRead() throws {
    let plan = try Self.plan([Self.join()]).joins[0]
    var progress = JoinProgress(plan)
    progress.clock.note(mark(.left, 0, of: 2, 7))
    func old() throws -> JoinProgress {
      var bytes: [UInt8] = []
      progress.encode(plan, into: &bytes)
      #expect(bytes[0] == 2 && bytes[bytes.count - 2] == 0)
      bytes[0] = 1
      bytes.remove(at: bytes.count - 2)
      return try bytes.withUnsafeBytes { try JoinProgress($0, plan) }
    }
    progress.cursors[0].clock = progress.clock
    progress.cursors[1].clock = progress.clock
    #expect(try old() == progress, "at the head there is nothing to pass")
    for (index, offset) in [12, 5].enumerated() {
      progress.cursors[index].pending = 3
      progress.cursors[index].offset = Int64(offset)
    }
    var read = try old()
    #expect(read.last.offset == 5 && read.last.isPending(before: 6) && read.firstNeeded == 5)
    var bytes: [UInt8] = []
    read.encode(plan, into: &bytes)
    #expect(try bytes.withUnsafeBytes { try JoinProgress($0, plan) } == read)
    read.last.note(30)
    #expect((read.last.offset, read.last.end) == (5, 31))
  }

  @Test func whatFollowsFirstAndIsKnown() {
    var events = RightEvents()
    for (time, offset, passed) in [(100, 5, 0), (50, 9, 400), (10, 1, 0)] as [(Int64, Int64, Int64)] {
      _ = events.insert(RightEvents.Event(time: time, offset: offset, passed: passed, fields: [])) { _ in
        false
      }
    }
    func first(_ time: Int64, within: Int64 = 1_000, offset: Int64 = 2, due: Int64 = 300) -> Int64? {
      events.first(after: time, within: within, offset: offset, due: due)?.time
    }
    #expect(first(9) == 10)
    #expect(first(10) == 100, "not at its own time, and what came too late is not known")
    #expect(first(10, due: 401) == 50)
    #expect(first(10, offset: 10) == 50, "it came before the left event did")
    #expect(first(10, within: 89) == nil)
    #expect(first(10, within: 90) == 100)
    #expect(first(100) == nil)
    #expect(first(.min, within: 5) == nil)
  }

  @Test func whatIsOverMakesRoom() {
    var events = RightEvents()
    for time in 0..<Int64(RightEvents.eventsMax) {
      #expect(events.insert(.init(time: time, offset: time, passed: 0, fields: [])) { _ in false })
    }
    let next = RightEvents.Event(time: 10_000, offset: 10_000, passed: 0, fields: [])
    #expect(!events.insert(next) { _ in false })
    #expect(events.insert(next) { $0 < 4_000 })
    #expect(events.events.count == RightEvents.eventsMax - 4_000 + 1)
    #expect(events.bytes == 16 + 40 * events.events.count)
    events.forget { $0 < 10_000 }
    #expect(events.events == [next])
    events.forget { _ in true }
    #expect(events == RightEvents())
  }
}
