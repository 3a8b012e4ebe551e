import Testing

@testable import FeatureCore

/// What must not change a byte of a state: batches, restarts, evaluation, the order of what commutes.
@Suite struct BatchingTests {
  static let users = ["u", "v", "", "w|x\\"]

  /// Events of several users with what JSON has to escape, and a view that leaves some out.
  private func scenario(_ seed: UInt64, _ count: Int) throws -> (ViewPlan, [TestEvent]) {
    var streams = TestStreams(seed: seed)
    let features = TestStreams.features(streams.someWindows(2))
    let view = try TestSource.plan(features, where: "b is null or b or i > 0")
    let events = streams.events(count).map { event in
      var event = event
      event.values["user"] = .string(Text(streams.pick(Self.users)))
      return event
    }
    return (view, events)
  }

  private func fold(_ events: [TestEvent], _ view: ViewPlan, batchesOf size: Int) throws -> [Text: [UInt8]] {
    let batch = EventBatch(EventSchema(TestSource.source), capacity: size)
    let fold = ViewFold(view)
    var table = StateTable()
    var payloads: [[UInt8]] = []
    for start in stride(from: 0, to: events.count, by: size) {
      payloads = events[start..<min(start + size, events.count)].map { Array($0.json.utf8) }
      // The payloads stay where they are until the batch has been folded.
      let buffers = payloads.map { payload in
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 1)
        buffer.copyBytes(from: payload)
        return buffer
      }
      defer { for buffer in buffers { buffer.deallocate() } }
      for (index, buffer) in buffers.enumerated() {
        try batch.append(UnsafeRawBufferPointer(buffer), sequence: Int64(start + index))
      }
      fold.fold(batch, into: &table) { row, failure in
        Issue.record("event \(start + row): \(failure.message)")
      }
      batch.removeAll()
    }
    var states: [Text: [UInt8]] = [:]
    table.forEachSorted { key, state in states[Text(key)] = view.encode(state) }
    return states
  }

  @Test(arguments: seeds(6)) func batchesChangeNothing(seed: UInt64) throws {
    let (view, events) = try scenario(seed, 300)
    var folds: [Text: TestFold] = [:]
    for event in events {
      guard case .string(let user) = event["user"] else { continue }
      try folds[user, default: TestFold(view)].add(event)
    }
    let rowWise = folds.filter { $0.value.state != nil }.mapValues(\.bytes)
    for size in [1, 7, 256] {
      let states = try fold(events, view, batchesOf: size)
      #expect(states == rowWise, "seed \(seed), batches of \(size)")
    }
  }

  /// State to bytes to state between any two events; and evaluation in between.
  @Test(arguments: seeds(10)) func restartsChangeNothing(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let windows = streams.someWindows(3)
    let view = try TestSource.plan(TestStreams.features(windows))
    var steady = TestFold(view)
    var restarted = TestFold(view)
    let events = streams.events(150)
    for (index, event) in events.enumerated() {
      try steady.add(event)
      try restarted.add(event)
      guard streams.chance(4), let state = restarted.state else { continue }
      let bytes = view.encode(state)
      _ = view.evaluate(state, at: EventTime(microseconds: state.asOf.microseconds + streams.stretch()))
      #expect(view.encode(state) == bytes, "evaluate changed the state; seed \(seed), event \(index)")
      let decoded = try view.decode(bytes)
      #expect(decoded.words == state.words && decoded.cells == state.cells, "seed \(seed), event \(index)")
      #expect(view.encode(decoded) == bytes, "seed \(seed), event \(index)")
      restarted.state = decoded
    }
    #expect(steady.bytes == restarted.bytes, "seed \(seed)")
    #expect(steady.bytes.count <= view.sizeBound.bytes, "seed \(seed)")
    for moment in streams.moments(from: steady.state!.asOf.microseconds, windows) {
      let time = EventTime(microseconds: moment)
      let pairs = zip(view.evaluate(steady.state, at: time), view.evaluate(restarted.state, at: time))
      #expect(pairs.allSatisfy { $0.isIdentical(to: $1) }, "seed \(seed)")
    }
  }

  /// Aggregates that don't look at the order: any order of events gives the same bytes, whatever was late, unseen
  /// or expired on the way.
  @Test(arguments: seeds(20)) func orderOfWhatCommutes(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let windows = TestStreams.windows.filter { if case .session = $0.span { false } else { true } }
    let some = Array(windows.shuffled(using: &streams.random).prefix(3))
    let features = TestStreams.features(some).filter { feature in
      guard case .aggregate(let aggregate) = feature.computation else { return false }
      switch aggregate.function {
      case .decayedSum, .decayedCount, .product, .variance, .stddev, .topK, .topKCounts, .topKErrors,
        .topKCertain, .countBy:
        return false
      // Sums of doubles.
      case .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier,
        .mae, .rmse, .bias:
        return false
      case .sum, .mean, .min, .max: return aggregate.value != "d"
      default: return true
      }
    }
    let view = try TestSource.plan(features)
    var seen: Set<Int64> = []
    // Ties are broken by order, so it matters among them.
    let events = streams.events(80).filter { seen.insert($0.time).inserted }
    let bytes = try TestFold.bytes(view, events)
    let sorted = events.sorted { $0.time < $1.time }
    for order in [sorted, sorted.reversed(), events.shuffled(using: &streams.random)] {
      #expect(try TestFold.bytes(view, order) == bytes, "seed \(seed)")
    }
  }

  /// Tiles that no window can see are not in the bytes: the same as if their events had never been.
  @Test func unseenTilesAreGone() throws {
    let features = TestStreams.features([.last("1h"), .last("10m"), .calendar(.today), .session("10s")])
    let view = try TestSource.plan(features)
    var streams = TestStreams(seed: 11)
    let old = streams.events(20).map { TestEvent(time: $0.time % 1_000_000_000, values: $0.values) }
    let recent = TestEvent(time: 30 * 86_400_000_000, values: streams.values())
    #expect(try TestFold.bytes(view, old + [recent]) == TestFold.bytes(view, [recent]))
    var late = TestFold(view)
    try late.add(recent)
    try late.add(old[0])
    #expect(try late.bytes == TestFold.bytes(view, [recent]))
    #expect(late.fold.counts.folded == 2 && late.fold.counts.late == 1)
  }

  /// The longest session there is, begun and counted ten thousand years ago.
  @Test func sessionsStayWithinTheSizeBound() throws {
    let session = Window(name: "session", span: .session(gap: Limits.windowMax))
    let view = try TestSource.plan([
      Feature("age", .aggregate(Aggregate(.secondsSinceLast, where: "f", windows: [session])))
    ])
    var fold = TestFold(view)
    for time in stride(from: Limits.eventTimeMin, through: Limits.eventTimeMax, by: Int(Limits.windowMax)) {
      try fold.add(TestEvent(time: time, values: ["f": .bool(time == Limits.eventTimeMin)]))
    }
    #expect(fold.bytes.count <= view.sizeBound.bytes)
    #expect(try view.encode(view.decode(fold.bytes)) == fold.bytes)
  }

  @Test func onlyLifetimeTakesWhatNoWindowSees() throws {
    let view = try TestSource.plan([
      Feature("n", .aggregate(Aggregate(.count, windows: [.last("1h"), .lifetime])))
    ])
    var fold = TestFold(view)
    let day: Int64 = 86_400_000_000
    for time in [day, day - 3_600_000_001, day - 3_600_000_000] {
      try fold.add(TestEvent(time: time, values: [:]))
    }
    #expect(fold.fold.counts.late == 1)
    #expect(view.evaluate(fold.state, at: EventTime(microseconds: day)) == [.int64(2), .int64(3)])
  }
}
