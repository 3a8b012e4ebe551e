import Testing

@testable import FeatureCore

/// Whatever bytes come: decoding never traps, and what it takes is canonical and can be used.
@Suite struct CodecRobustnessTests {
  /// Small views, so that few bytes hold much structure: each aggregate by itself over all kinds of levels.
  static let views: [ViewPlan] = {
    let windows: [[Window]] = [
      [.last("10m"), .lifetime], [.calendar(.thisWeek, zone: "Europe/Berlin"), .session("30m")],
    ]
    return windows.flatMap { windows in
      // The second half is the same with a filter.
      let features = TestStreams.features(windows)
      return features.prefix(features.count / 2).compactMap { try? TestSource.plan([$0]) }
    }
  }()

  static func state(_ view: ViewPlan, _ streams: inout TestStreams, events: Int) throws -> [UInt8] {
    try TestFold.bytes(view, streams.events(events))
  }

  /// Nothing but errors or states that encode to the same bytes, evaluate and fold on.
  private func expectSound(_ bytes: [UInt8], _ view: ViewPlan, _ seed: UInt64) -> Bool {
    guard let state = try? view.decode(bytes) else { return false }
    #expect(
      view.encode(state) == bytes, "not canonical: \(view.features[0].name) \(hex(bytes)), seed \(seed)")
    for later in [0, 60_000_000, 500 * 86_400_000_000] as [Int64] {
      _ = view.evaluate(state, at: EventTime(microseconds: state.asOf.microseconds + later))
    }
    var streams = TestStreams(seed: seed)
    for later in [-1, 0, 1_000_000] as [Int64] {
      var fold = TestFold(view)
      fold.state = state
      let time = min(max(state.asOf.microseconds + later, Limits.eventTimeMin), Limits.eventTimeMax)
      #expect(throws: Never.self) { try fold.add(TestEvent(time: time, values: streams.values())) }
      _ = fold.bytes
    }
    return true
  }

  @Test func thereAreViews() { #expect(Self.views.count == 246) }

  @Test(arguments: seeds(2)) func mutatedStates(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    var accepted = 0
    for view in Self.views {
      let count = streams.pick([1, 3, 12])
      let bytes = try Self.state(view, &streams, events: count)
      #expect(expectSound(bytes, view, seed), "\(view.features[0].name), seed \(seed)")
      for _ in 0..<150 where expectSound(mutated(bytes, &streams), view, seed) { accepted += 1 }
      let shorter = bytes.dropLast(Int.random(in: 1...min(20, bytes.count), using: &streams.random))
      #expect(throws: StateError.self) { try view.decode(Array(shorter)) }
      #expect(throws: StateError.self) { try view.decode(bytes + [0]) }
    }
    // Most bits of values are free, so that the checks above have something to check.
    #expect(accepted > 500)
  }

  private func mutated(_ bytes: [UInt8], _ streams: inout TestStreams) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &streams.random) {
      // Behind the format and the fingerprint, which are tested for themselves.
      let place = Int.random(in: 9...bytes.count, using: &streams.random)
      switch Int.random(in: 0..<6, using: &streams.random) {
      case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &streams.random)
      case 1 where place < bytes.count: bytes[place] = streams.pick([0, 1, 0x7F, 0x80, 0xFF])
      case 2 where place < bytes.count: bytes.remove(at: place)
      case 3: bytes.insert(.random(in: .min ... .max, using: &streams.random), at: place)
      case 4: bytes.insert(contentsOf: bytes[place...].prefix(12), at: place)
      default: if place < bytes.count { bytes[place] &+= 1 }
      }
    }
    return bytes
  }

  @Test(arguments: seeds(2)) func randomBytes(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    for view in Self.views {
      let header = try Self.state(view, &streams, events: 1).prefix(9)
      for _ in 0..<100 {
        let length = Int.random(in: 0...40, using: &streams.random)
        // Small numbers get further than any.
        let top: UInt8 = streams.pick([2, 8, 255])
        let rest = (0..<length).map { _ in UInt8.random(in: 0...top, using: &streams.random) }
        _ = expectSound(rest, view, seed)
        _ = expectSound(header + rest, view, seed)
      }
    }
  }

  /// Registers and counts that no events make.
  @Test func forgedSketches() throws {
    func forged(_ function: Aggregate.Function, k: Int? = nil, q: Double? = nil, _ cell: [UInt8]) throws {
      let aggregate = Aggregate(function, value: "i", windows: [.lifetime], k: k, q: q)
      let view = try TestSource.plan([Feature("x", .aggregate(aggregate))])
      var writer = ByteWriter(bytes: [])
      writer.byte(StateCodec.format)
      writer.fixed(view.fingerprint)
      writer.raw([0, 1, 1])
      _ = expectSound(writer.bytes + cell, view, 1)
    }
    let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
    // All registers at 53: an estimate of infinity.
    try forged(.countDistinct, [0] + Array(repeating: [0x75, 0x5D, 0xD7], count: 1024).flatMap(\.self))
    try forged(.countDistinct, [0] + Array(repeating: 0, count: 3072))
    try forged(.approxQuantile, q: 1, [0, 3, 0] + huge + [2] + huge + [2] + huge)
    try forged(.topK, k: 1, [2, 0] + huge + [2] + huge)
    try forged(.count, huge)
    try forged(.mean, huge + [0])
  }

  @Test func otherFormatsAndDefinitions() throws {
    let view = try TestSource.plan([Feature("n", .aggregate(Aggregate(.count, windows: [.last("1h")])))])
    let other = try TestSource.plan([Feature("n", .aggregate(Aggregate(.count, windows: [.last("2h")])))])
    let bytes = try TestFold.bytes(view, [TestEvent(time: 0, values: [:])])
    let foreign = #expect(throws: StateError.self) { try other.decode(bytes) }
    #expect(foreign?.kind == .otherDefinitions(found: view.fingerprint, expected: other.fingerprint))
    #expect(foreign?.description.contains("raise 'version' and replay") == true)
    let future = #expect(throws: StateError.self) { try view.decode([2] + bytes.dropFirst()) }
    #expect(future?.kind == .unknownFormat(2))
    #expect(throws: StateError.self) { try view.decode([]) }
  }

  /// One value more than counters, all equally frequent: none stands out, and still there is a list.
  @Test func topCountsOfEquallyFrequentValues() throws {
    let aggregate = Aggregate(.topK, value: "i", windows: [.lifetime], k: 2)
    let view = try TestSource.plan([Feature("top", .aggregate(aggregate))])
    let events = (0...Int64(Limits.topCountersMin)).map { TestEvent(time: $0, values: ["i": .int64($0)]) }
    let bytes = try TestFold.bytes(view, events)
    let state = try view.decode(bytes)
    #expect(view.encode(state) == bytes)
    // The last one took over the counter of the largest value, and counts double.
    #expect(view.evaluate(state, at: state.asOf) == [.list([.int64(64), .int64(0)])])
  }

  @Test func topCountsOfNothing() throws {
    let aggregate = Aggregate(.topK, value: "i", windows: [.lifetime], k: 2)
    let view = try TestSource.plan([Feature("top", .aggregate(aggregate))])
    let bytes = try TestFold.bytes(view, [TestEvent(time: 0, values: ["i": .int64(0)])])
    // The last three bytes: one counter, its value, its count.
    #expect(bytes.suffix(3) == [1, 0, 1])
    let empty = #expect(throws: StateError.self) { try view.decode(bytes.dropLast(3) + [0]) }
    #expect(empty?.kind == .corrupt("a list holds nothing"))
  }
}
