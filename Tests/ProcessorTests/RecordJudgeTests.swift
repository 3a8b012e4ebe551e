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
