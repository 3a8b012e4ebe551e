import FeatureCore
import Foundation
import OutputRecords
import Processor
import SwiftProtobuf
import Verification

/// A shop with two partitions of clicks, and what a server answers about it, written by hand: no state is folded here.
struct ServedShop {
  let plan: Plan
  var service: ServicePlan { plan.services[0] }

  init(version: Int = 2) throws {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .int64), .init("price", .double)])
    let users = View(
      "users", source: "clicks", entity: ["user"],
      features: [
        Feature("n", .aggregate(.init(.count, windows: [.last("1m"), .lifetime]))),
        Feature("last", .aggregate(.init(.lastK, value: "item", windows: [.lifetime], k: 2))),
      ])
    let items = View(
      "items", source: "clicks", entity: ["item"],
      features: [Feature("spend", .aggregate(.init(.sum, value: "price", windows: [.lifetime])))])
    let ranker = Service(
      "ranker", features: ["users.n_lifetime", "users.last_lifetime", "items.*"],
      inputs: [.init("bid", .double)],
      derived: [.init("worth", "bid * users__n_lifetime + coalesce(items__spend_lifetime, 0)")],
      maxAge: [.init("items", 3_600_000_000)], servedShare: 1)
    plan = try Plan(
      Definitions(
        name: "shop", version: version, sources: [source], views: [users, items], services: [ranker]))
  }

  var usersTopic: String { "clicks" }
  var itemsTopic: String { "shop.\(plan.version).clicks.by-item" }

  /// A click, at a number of seconds.
  static func click(_ user: String, _ item: Int64, price: Double, at seconds: Int64) -> [UInt8] {
    Array("{\"user\":\"\(user)\",\"item\":\(item),\"price\":\(price),\"ts\":\(seconds * 1_000)}".utf8)
  }

  /// What all records of a row have.
  func record(_ request: String, row: Int32 = 0, at seconds: Int64, of count: Int32 = 3)
    -> Plumbline_ServedRecord
  {
    var record = Plumbline_ServedRecord()
    record.requestID = request
    record.service = "ranker"
    record.row = row
    record.version = Int64(plan.version)
    record.requestedAt = seconds * 1_000_000
    record.rowRecords = count
    return record
  }

  /// What a view says of an entity, its values in the order of the definitions. `offset` is nil if it has no state.
  func answer(
    _ base: Plumbline_ServedRecord, _ view: String, _ key: String, _ values: [Plumbline_Value],
    partition: Int32 = 0, offset: Int64?, asOf seconds: Int64 = 0
  ) -> Plumbline_ServedRecord {
    var record = base
    record.view = view
    record.entityKey = Data(key.utf8)
    record.fingerprint = plan.view(view)?.fingerprint ?? 0
    record.evaluatedAt = base.requestedAt
    let order = plan.view(view)?.featuresByName ?? []
    record.values = values.count == order.count ? order.map { values[$0] } : values
    if let offset {
      record.topic = view == "users" ? usersTopic : itemsTopic
      record.partition = partition
      record.offset = offset
      record.asOf = seconds * 1_000_000
    }
    return record
  }

  /// What was computed.
  func computed(
    _ base: Plumbline_ServedRecord, bid: Double?, worth: Double?
  ) -> Plumbline_ServedRecord {
    var record = base
    record.inputs = [bid.map(Self.double) ?? Plumbline_Value()]
    record.values = [worth.map(Self.double) ?? Plumbline_Value()]
    return record
  }

  static func int(_ number: Int64) -> Plumbline_Value { .with { $0.int64 = number } }
  static func double(_ number: Double) -> Plumbline_Value { .with { $0.double = number } }
  static func list(_ numbers: [Int64]) -> Plumbline_Value {
    .with { $0.list = .with { $0.values = numbers.map(int) } }
  }
  static let null = Plumbline_Value()

  /// A partition in which the service puts a key, of two.
  static func partition(of key: String) -> Int32 {
    Array(key.utf8).withUnsafeBytes { Murmur2.partition($0, count: 2) }
  }

  /// A user whose clicks are in a partition.
  static func user(in partition: Int32) -> String {
    (0...).lazy.map { "u\($0)" }.first { Self.partition(of: $0) == partition } ?? ""
  }
}

/// A log in memory.
final class MemoryLog: VerifiedLog {
  private var partitions: [TopicPartition: [(key: [UInt8]?, value: [UInt8]?)]] = [:]

  /// A partition that is there, whether it has records or not.
  func open(_ topic: String, partitions count: Int32) {
    for partition in 0..<count { partitions[TopicPartition(topic, partition), default: []] += [] }
  }

  func append(_ topic: String, _ partition: Int32, key: String? = nil, _ value: [UInt8]) {
    partitions[TopicPartition(topic, partition), default: []].append((key.map { Array($0.utf8) }, value))
  }

  func firstOffset(_ partition: TopicPartition) -> Int64 { 0 }

  func ends(of topic: String) -> [(partition: TopicPartition, offset: Int64)] {
    partitions.filter { $0.key.topic == topic }.map { ($0.key, Int64($0.value.count)) }
      .sorted { $0.0.partition < $1.0.partition }
  }

  func read(
    _ partition: TopicPartition, _ offsets: Range<Int64>,
    _ body: (UnsafeBufferPointer<LogRecord>) throws -> Void
  ) throws {
    for (offset, record) in (partitions[partition] ?? []).enumerated() where offsets.contains(Int64(offset)) {
      try (record.key ?? []).withUnsafeBytes { key in
        try (record.value ?? []).withUnsafeBytes { value in
          let read = LogRecord(
            partition: 0, offset: Int64(offset), timestampMilliseconds: nil,
            key: record.key == nil ? nil : key,
            value: record.value == nil ? nil : value)
          try withUnsafePointer(to: read) { try body(UnsafeBufferPointer(start: $0, count: 1)) }
        }
      }
    }
  }
}
