import FeatureCore
import Testing

@testable import Processor

/// What a task has to send, by the log and the definitions alone.
@Suite struct TaskFoldTests {
  /// A record is sent to an entity's partition once, however many of its elements are of that entity.
  @Test func anEntityOfSeveralElementsIsOneForward() throws {
    let source = Source(
      "orders", topic: "orders", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .string, path: "items.item")], each: "items")
    let count = Feature("events", .aggregate(.init(.count, windows: [.lifetime])))
    let plan = try Plan(
      Definitions(
        name: "shop", sources: [source],
        views: [View("by_item", source: "orders", entity: ["item"], features: [count])]))
    let fold = TaskFold(plan, Routing(plan).inputs[0], 0, of: 1, from: 0)
    var sent: [(offset: Int64, key: String)] = []
    fold.onDue = { due in
      sent.append((due.offset, String(decoding: due.key ?? .init(start: nil, count: 0), as: UTF8.self)))
    }
    let payload = #"{"ts":1700000000000,"user":"u","items":[{"item":"a"},{"item":"b"},{"item":"a"}]}"#
    Array(payload.utf8).withUnsafeBytes { value in
      let records = (0..<2).map {
        LogRecord(partition: 0, offset: $0, timestampMilliseconds: nil, key: nil, value: value)
      }
      records.withUnsafeBufferPointer { fold.fold($0) }
    }
    #expect(sent.map(\.offset) == [0, 0, 1, 1])
    #expect(sent.map(\.key) == ["a", "b", "a", "b"])
  }
}
