import FeatureCore
import Testing

@testable import Processor

/// Right events are kept for as long as a left one may need them, and no longer.
@Suite struct JoinForgettingTests {
  private static let second = OutcomeShop.second
  private static let start: Int64 = 1_700_000_000 * second

  /// A record of the join's log.
  private struct Written {
    var key: [UInt8]?
    var value: [UInt8]
  }

  private static func event(_ side: JoinPlan.Side, _ user: String, at seconds: Int64, _ plan: Plan) -> Written
  {
    let text = Array(#"{"user":"\#(user)","ts":\#(start + seconds * second)}"#.utf8)
    var writer = ProtobufWriter()
    text.withUnsafeBytes {
      writer.event(
        LogRecord(partition: 0, offset: 0, timestampMilliseconds: start / 1_000, key: nil, value: $0),
        plan.sources[plan.joins[0].source(of: side)].schema, of: side)
    }
    return Written(key: Array(user.utf8), value: writer.bytes)
  }

  /// Both streams have come to a time.
  private static func marks(_ seconds: Int64) -> [Written] {
    OutcomeShop.marks(at: start + seconds * second).map { Written(key: nil, value: $0) }
  }

  /// Folds records, some at a time.
  private static func fold(_ written: [Written], into fold: TaskFold, from first: Int64, batch: Int = 1_000) {
    var offset = first
    var rest = written[...]
    while !rest.isEmpty {
      var records: [LogRecord] = []
      var memory: [UnsafeMutableRawBufferPointer] = []
      func copy(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        memory.append(.allocate(byteCount: max(1, bytes.count), alignment: 1))
        memory[memory.count - 1].copyBytes(from: bytes)
        return UnsafeRawBufferPointer(rebasing: memory[memory.count - 1][..<bytes.count])
      }
      for record in rest.prefix(batch) {
        records.append(
          LogRecord(
            partition: 0, offset: offset, timestampMilliseconds: nil, key: record.key.map(copy),
            value: copy(record.value)))
        offset += 1
      }
      records.withUnsafeBufferPointer { fold.fold($0) }
      for bytes in memory { bytes.deallocate() }
      rest = rest.dropFirst(batch)
    }
  }

  private static func taskFold(_ plan: Plan) throws -> TaskFold {
    let input = try #require(Routing(plan).inputs.first { $0.join != nil })
    return TaskFold(plan, input, 0, of: 1, from: 0)
  }

  private static func users(_ fold: TaskFold) -> [String] {
    // The progress has a dot before the colon.
    fold.joinKeys.filter { $0.starts(with: Array("outcomes:".utf8)) }.map {
      String(decoding: $0.dropFirst("outcomes:".utf8.count), as: UTF8.self)
    }
  }

  /// A right event at 5 is over when the clock at the slowest cursor says 20, not when the head's does.
  @Test func anEventIsForgottenWhenNoLeftOneNeedsIt() throws {
    let plan = try OutcomeShop.plan()
    let fold = try Self.taskFold(plan)
    var told: [String] = []
    fold.onDue = { told.append(String(decoding: $0.value ?? .init(start: nil, count: 0), as: UTF8.self)) }
    let events = [
      Self.event(.left, "a", at: 0, plan), Self.event(.right, "a", at: 5, plan),
      Self.event(.right, "b", at: 5, plan), Self.event(.left, "b", at: 8, plan),
    ]
    var written = events + Self.marks(8) + [Self.event(.left, "a", at: 9, plan)]
    // At the head the clock says 23: the event at 8 isn't due to be corrected yet, and holds the slowest cursor where it says 8.
    written += Self.marks(22)
    Self.fold(written, into: fold, from: 0)
    #expect(Self.users(fold) == ["a", "b"])
    #expect(told.count { $0.contains("\"label\":true") } == 1)
    // The one at 8 is taken, and the one at 9 is next: the clock before it says 8.
    var next = Int64(written.count)
    Self.fold(Self.marks(23), into: fold, from: next)
    #expect(Self.users(fold) == ["a", "b"])
    next += 2
    Self.fold(Self.marks(24), into: fold, from: next)
    #expect(Self.users(fold) == [])
    #expect(told.count { $0.contains("\"label\":false") } == 2)
  }

  /// Neither the size of batches nor how far the last place may come with one record of the head shows in the end, and at no
  /// position the size of batches.
  @Test(arguments: [1, 2, 10_000]) func whatIsKeptIsAFunctionOfTheLog(_ followMax: Int) throws {
    let plan = try OutcomeShop.plan(followMax: followMax)
    let seed = UInt64.random(in: 0...(.max))
    print("what is kept: seed \(seed)")
    var random = seed
    func below(_ bound: UInt64) -> Int64 {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int64((random >> 33) % bound)
    }
    var written: [Written] = []
    for turn in 0..<400 as Range<Int64> {
      let user = ["a", "b", "c", "d"][Int(below(4))]
      written.append(
        Self.event(below(3) == 0 ? .right : .left, user, at: turn / 2 + below(9) - 4, plan))
      if below(5) == 0 { written += Self.marks(turn / 2) }
    }
    func states(_ fold: TaskFold) -> [[UInt8]: [UInt8]?] {
      fold.joinKeys.reduce(into: [:]) { $0[$1] = fold.joinBytes($1) }
    }
    let folds = try (0..<3).map { _ in try Self.taskFold(plan) }
    var position: Int64 = 0
    while position < written.count {
      let end = min(Int64(written.count), position + 1 + below(60))
      for (fold, batch) in zip(folds, [1, 7, 1_000]) {
        Self.fold(Array(written[Int(position)..<Int(end)]), into: fold, from: position, batch: batch)
      }
      position = end
      #expect(states(folds[0]) == states(folds[1]) && states(folds[0]) == states(folds[2]))
    }
    // Everything is over in the end.
    for turn in 0..<Int64(2_000) where turn < 4 || followMax < 10 {
      Self.fold(Self.marks(1_000 + turn), into: folds[0], from: position)
      position += 2
    }
    #expect(folds[0].joinKeys.count == 1, "the progress alone")
  }

  // MARK: What is in memory

  private static func key<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(text.utf8).withUnsafeBytes(body)
  }

  private static let first = RightEvents.Event(time: 1, offset: 1, passed: 0, fields: [])

  private static func changed(_ cache: RightEventsCache) -> [String] {
    var found: [String] = []
    cache.forEachChanged { key, events in
      found.append("\(String(decoding: key, as: UTF8.self)) \(events.events.count)")
    }
    return found
  }

  /// What a commit removes stays in memory until the next one is sealed: until then the store may have it.
  @Test func whatIsRemovedStaysInMemoryUntilTheStoreHasNothingOfIt() {
    let cache = RightEventsCache(countMax: 0, isStored: true)
    for name in ["b", "a"] {
      #expect(Self.key(name) { cache.add(Self.first, to: $0) { _ in false } })
    }
    #expect(Self.changed(cache) == ["a 1", "b 1"])
    cache.seal(bytesMax: 0)
    #expect(Self.changed(cache) == [])
    #expect(Self.key("a") { cache.forget($0) { _ in false } } == nil)
    #expect(Self.key("a") { cache.forget($0) { _ in true } } == 16)
    #expect(Self.changed(cache) == ["a 0"])
    // The store still has its event.
    cache.seal(bytesMax: 0)
    #expect(Self.key("a") { cache[$0] } == RightEvents())
    #expect(Self.key("b") { cache[$0] } == nil, "the store has it")
    cache.seal(bytesMax: 0)
    #expect(Self.key("a") { cache[$0] } == nil)
  }

  @Test func whatIsRemovedAndComesAgainStays() {
    let cache = RightEventsCache(countMax: 100, isStored: true)
    func add() -> Bool { Self.key("a") { cache.add(Self.first, to: $0) { _ in false } } }
    #expect(add())
    #expect(Self.key("a") { cache.forget($0) { _ in true } } == 16)
    cache.seal(bytesMax: .max)
    #expect(add())
    cache.seal(bytesMax: .max)
    #expect(Self.key("a") { cache[$0]?.events.count } == 1)
    cache.seal(bytesMax: .max)
    #expect(cache.sortedKeys == [Array("a".utf8)])
    #expect(!cache.hasEvicted)
  }

  /// Where nobody stores what changes, a key without events takes up nothing.
  @Test func withoutAStoreAKeyGoesAtOnce() {
    let cache = RightEventsCache(countMax: .max, isStored: false)
    #expect(Self.key("a") { cache.add(Self.first, to: $0) { _ in false } })
    #expect(Self.key("a") { cache.forget($0) { _ in true } } == 0)
    #expect(Self.key("a") { cache.contains($0) } == false)
    #expect(Self.changed(cache) == [])
  }
}
