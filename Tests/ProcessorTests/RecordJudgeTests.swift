import FeatureCore
import Testing

@testable import Processor

/// Which records can be folded, by the log and the definitions alone.
@Suite struct RecordJudgeTests {
  private static func plan() throws -> Plan {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("n", .int64)])
    func view(_ name: String, where filter: String) -> View {
      let count = Feature("events", .aggregate(.init(.count, windows: [.lifetime])))
      return View(name, source: "clicks", entity: ["user"], where: filter, features: [count])
    }
    return try Plan(
      Definitions(
        name: "shop", sources: [source], views: [view("a", where: "n = 1"), view("b", where: "n = 2 / 1")]))
  }

  /// The letters of some records, each a timestamp and a payload, and the records that are left.
  private func judge(
    _ records: [(time: Int64?, payload: String)],
    _ body: (RecordJudge, EventBatch, UnsafeBufferPointer<LogRecord>) -> Void
  ) throws {
    let plan = try Self.plan()
    let bytes = records.map { record in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: record.payload.utf8.count, alignment: 1)
      copy.copyBytes(from: record.payload.utf8)
      return copy
    }
    defer { for copy in bytes { copy.deallocate() } }
    let log = zip(records, bytes).enumerated().map { index, record in
      LogRecord(
        partition: 0, offset: Int64(index), timestampMilliseconds: record.0.time, key: nil,
        value: UnsafeRawBufferPointer(record.1))
    }
    let batch = EventBatch(plan.sources[0].schema, capacity: records.count)
    log.withUnsafeBufferPointer { body(RecordJudge(plan, Routing(plan).inputs[0]), batch, $0) }
  }

  /// A producer's clock, or the unit of its timestamps, may be anything.
  @Test func timestampsFarAwayAreCompared() throws {
    let payload = #"{"ts":1700000000000,"user":"u","n":1}"#
    let times: [Int64?] = [
      .min, .max, .min / 1_000, .max / 1_000, 0, nil, 1_700_000_000_000_000_000, 1_699_999_800_000,
      1_699_999_600_000,
    ]
    try judge(times.map { ($0, payload) }) { judge, batch, records in
      let letters = judge.decode(records, into: batch)
      #expect(letters.map(\.record) == [0, 2, 4, 8])
      #expect(letters.allSatisfy { $0.letter.reason == "ahead_of_record" })
      #expect(batch.count == 5)
    }
  }

  /// An element whose time is too far ahead is refused by the source's task, and not folded either where its record goes for the
  /// sake of another element.
  @Test func elementsAheadAreRefusedEverywhere() throws {
    let source = Source(
      "carts", topic: "carts", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [
        .init("user", .string), .init("item", .string, path: "items.item"),
        .init("ts", .timestamp, path: "items.ts"),
      ], each: "items")
    let count = Feature("events", .aggregate(.init(.count, windows: [.lifetime])))
    let plan = try Plan(
      Definitions(
        name: "shop", sources: [source],
        views: [View("by_item", source: "carts", entity: ["item"], features: [count])]))
    let time: Int64 = 1_700_000_000_000
    let value = Array(
      #"{"user":"u","items":[{"item":"a","ts":\#(time)},{"item":"a","ts":\#(time + 3_600_000)}]}"#
        .utf8)
    let inputs = Routing(plan).inputs
    let (first, second) = (
      TaskFold(plan, inputs[0], 0, of: 1, from: 0), TaskFold(plan, inputs[1], 0, of: 1, from: 0)
    )
    var forwarded: [(key: [UInt8], value: [UInt8])] = []
    var letters = 0
    first.onDue = { due in
      if due.topic == inputs[1].topic {
        forwarded.append(
          (Array(due.key ?? .init(start: nil, count: 0)), Array(due.value ?? .init(start: nil, count: 0))))
      } else {
        letters += 1
      }
    }
    func fold(_ value: [UInt8], _ key: [UInt8]?, at time: Int64, _ task: TaskFold) {
      value.withUnsafeBytes { value in
        (key ?? []).withUnsafeBytes { key_ in
          let record = LogRecord(
            partition: 0, offset: 0, timestampMilliseconds: time, key: key == nil ? nil : key_, value: value)
          withUnsafePointer(to: record) { task.fold(UnsafeBufferPointer(start: $0, count: 1)) }
        }
      }
    }
    fold(value, nil, at: time, first)
    #expect(forwarded.count == 1 && letters == 1)
    // The repartition topic's own times are later.
    for record in forwarded { fold(record.value, record.key, at: time + 7_200_000, second) }
    let state = try #require(second.state(0, Array("a".utf8)))
    #expect(plan.views[0].evaluate(state, at: state.asOf) == [.int64(1)])
  }

  /// A record is misplaced if a view would fold it; those that none takes are only passed on.
  @Test(arguments: 1...5 as ClosedRange<Int32>) func keysBelongInOnePartition(_ count: Int32) throws {
    let events = (0..<200).map { index in (user: "u\(index % 40)", n: index % 4) }
    let payloads = events.map { #"{"ts":1700000000000,"user":"\#($0.user)","n":\#($0.n)}"# }
    try judge(payloads.map { (nil, $0) }) { judge, batch, records in
      let folds = (try? Self.plan())?.views.map(ViewFold.init) ?? []
      for partition in 0..<count {
        #expect(judge.decode(records, into: batch).isEmpty)
        let letters = judge.misplaced(
          batch, records, in: TopicPartition("clicks", partition), of: count, folds)
        let expected = events.indices.filter { index in
          let place = Array(events[index].user.utf8).withUnsafeBytes { Murmur2.partition($0, count: count) }
          return place != partition && (events[index].n == 1 || events[index].n == 2)
        }
        #expect(letters.map(\.record) == expected)
        #expect(
          letters.allSatisfy {
            $0.letter.reason == "wrong_partition" && $0.letter.message.contains("unknown")
          })
        #expect(judge.decode(records, into: batch, leavingOut: Set(expected)).isEmpty)
        #expect(batch.count == events.count - expected.count)
        #expect(
          judge.misplaced(batch, records, in: TopicPartition("clicks", partition), of: count, folds).isEmpty)
      }
    }
  }
}
