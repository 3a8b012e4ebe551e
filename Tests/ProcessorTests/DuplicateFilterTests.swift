import FeatureCore
import Testing
import TestSupport

@testable import Processor

/// Events that come again are folded, forwarded and dead-lettered once.
@Suite struct DuplicateFilterTests {
  private func plan(_ rule: Source.Duplicates?, each: String? = nil) throws -> Plan {
    var source = Source(
      "orders", topic: "orders", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [
        .init("user", .string), .init("order", .string),
        .init("item", .string, path: each.map { "\($0).item" }), .init("price", .double),
        .record("arrived", .timestamp, .timestamp),
      ], each: each)
    source.duplicates = rule
    let features = [
      Feature("orders", .aggregate(.init(.count, windows: [.lifetime]))),
      Feature("spend", .aggregate(.init(.sum, value: "price", windows: [.last("1h"), .lifetime]))),
    ]
    return try Plan(
      Definitions(
        name: "shop", sources: [source],
        views: [
          View("by_user", source: "orders", entity: ["user"], features: features),
          View("by_item", source: "orders", entity: ["item"], features: features),
        ]))
  }

  private struct Sent {
    var offset: Int64
    var time: Int64?
    var value: String
  }

  /// Folds records in batches of a size; returns the states and what was due.
  private func fold(_ plan: Plan, _ records: [Sent], batch: Int = 7) -> (states: [[UInt8]], due: [String]) {
    let fold = TaskFold(plan, Routing(plan).inputs[0], 0, of: 1, from: 0)
    var due: [String] = []
    fold.onDue = { record in
      let text = String(decoding: record.value ?? .init(start: nil, count: 0), as: UTF8.self)
      due.append(
        "\(record.topic) \(record.offset)\(text.contains("conflicting_duplicate") ? " conflict" : "")")
    }
    for start in stride(from: 0, to: records.count, by: batch) {
      let part = records[start..<min(start + batch, records.count)]
      let values = part.map { Array($0.value.utf8) }
      let memory = values.map { value in
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, value.count), alignment: 1)
        room.copyBytes(from: value)
        return UnsafeRawBufferPointer(rebasing: room[..<value.count])
      }
      let batch = zip(part, memory).map { sent, value in
        LogRecord(
          partition: 0, offset: sent.offset, timestampMilliseconds: sent.time, key: nil, value: value)
      }
      batch.withUnsafeBufferPointer { fold.fold($0) }
      for room in memory { room.deallocate() }
    }
    return (fold.keys(0).compactMap { key in fold.state(0, key).map { fold.views[0].encode($0) } }, due)
  }

  private static let epoch: Int64 = 1_700_000_000_000
  private static func value(_ order: String, _ price: Int, _ item: String = "i") -> String {
    "{\"ts\":\(epoch + Int64(price)),\"user\":\"u\",\"order\":\(order),\"item\":\"\(item)\",\"price\":\(price)}"
  }

  /// The fold of a log with duplicates is the fold of the distinct events.
  @Test(arguments: [1, 3, 64]) func aFoldWithDuplicatesIsOneOfDistinctEvents(_ batch: Int) throws {
    let plan = try plan(.init(by: "order", within: 60_000_000))
    let seed = UInt64.random(in: 0...(.max))
    print("duplicates: seed \(seed)")
    var random = SplitMix64(seed: seed)
    var (all, distinct): ([Sent], [Sent]) = ([], [])
    for index in 0..<300 {
      let time = Self.epoch + Int64(index) * 100
      // Within a minute: 600 records.
      if index > 0, random.next() % 4 == 0 {
        var again = distinct[Int(random.next() % UInt64(distinct.count))]
        again.offset = Int64(index)
        again.time = time
        all.append(again)
      } else {
        let sent = Sent(offset: Int64(index), time: time, value: Self.value("\"o\(index)\"", index))
        all.append(sent)
        distinct.append(sent)
      }
    }
    #expect(all.count > distinct.count)
    let (with, without) = (fold(plan, all, batch: batch), fold(plan, distinct, batch: batch))
    #expect(with.states == without.states)
    #expect(with.due == without.due)
  }

  /// An id that is used again is told, an absent one is folded, and a repaired record is taken.
  @Test func edges() throws {
    let plan = try plan(.init(by: "order", within: 60_000_000))
    let records = [
      Sent(offset: 0, time: Self.epoch, value: Self.value("\"a\"", 1)),
      Sent(offset: 1, time: Self.epoch, value: Self.value("\"a\"", 2)),
      Sent(offset: 2, time: Self.epoch, value: Self.value("null", 3)),
      Sent(offset: 3, time: Self.epoch, value: Self.value("null", 3)),
      Sent(
        offset: 4, time: Self.epoch,
        value: Self.value("\"b\"", 4).replacing("\"item\":\"i\"", with: "\"item\":7")),
      Sent(offset: 5, time: Self.epoch, value: Self.value("\"b\"", 4)),
      // Out of order: the time is that of the latest record.
      Sent(offset: 6, time: Self.epoch - 240_000, value: Self.value("\"a\"", 2)),
      Sent(offset: 7, time: Self.epoch + 60_001, value: Self.value("\"a\"", 2)),
    ]
    let found = fold(plan, records)
    let letters = found.due.filter { $0.contains("dead-letters") }
    #expect(letters.sorted() == ["shop.dead-letters 1 conflict", "shop.dead-letters 4"])
    let forwards = found.due.filter { !$0.contains("dead-letters") }.compactMap {
      $0.split(separator: " ").last
    }
    #expect(forwards == ["0", "2", "3", "5", "7"])
  }

  /// With elements the whole record counts once, and its own elements are not duplicates of each other.
  @Test func recordsWithElementsCountOnce() throws {
    let plan = try plan(.init(by: "order", within: 60_000_000), each: "items")
    let value =
      "{\"ts\":\(Self.epoch),\"user\":\"u\",\"order\":\"a\",\"price\":1,\"items\":[{\"item\":\"x\"},{\"item\":\"y\"},{\"item\":\"x\"}]}"
    let twice = (0..<2).map { Sent(offset: $0, time: Self.epoch, value: value) }
    let (with, once) = (fold(plan, twice), fold(plan, [twice[0]]))
    #expect(with.states == once.states)
    #expect(with.due == once.due && once.due.count == 2)
  }

  /// Files have no record timestamps: the event time stands in.
  @Test func filesGoByEventTime() throws {
    let plan = try plan(.init(by: "order", within: 60_000_000)).definitions
    var source = plan.sources[0]
    source.fields.removeLast()
    let made = try Plan(
      Definitions(name: "shop", sources: [source], views: [plan.views[0]]))
    var letters: [String] = []
    let processor = BatchProcessor(made.sources[0], views: made.views) { letters.append($0.reason) }
    let lines = [(0, "a"), (10, "b"), (10, "a"), (60_000, "a"), (130_000, "a"), (129_000, "b")].map {
      "{\"ts\":\(Self.epoch + Int64($0.0)),\"user\":\"u\",\"order\":\"\($0.1)\",\"item\":\"i\",\"price\":1}"
    }
    let records = SingleRecords(processor)
    for (index, line) in lines.enumerated() {
      Array(line.utf8).withUnsafeBytes { records.fold($0, sequence: Int64(index)) }
    }
    // Another time is another value.
    #expect(processor.counts.duplicates == 2)
    #expect(letters == ["conflicting_duplicate", "conflicting_duplicate"])
    #expect(processor.counts.folded == 4)
  }
}
