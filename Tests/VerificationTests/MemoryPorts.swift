import FeatureCore
import OutputRecords
import Processor
import SwiftProtobuf

@testable import Verification

/// A log in memory: topics whose partitions are arrays of records, offsets their indices.
final class MemoryLog: VerifiedLog {
  struct Record: Hashable {
    var key: [UInt8]?
    var value: [UInt8]?
    var timestampMilliseconds: Int64 = 0
  }

  var topics: [String: [[Record]]] = [:]
  /// First offsets that retention has left; 0 where nothing stands.
  var firsts: [TopicPartition: Int64] = [:]

  /// Appends a record to the partition that its key belongs in, or to a given one. Returns the record's place.
  @discardableResult
  func append(_ topic: String, key: [UInt8]?, value: [UInt8]?, to partition: Int? = nil) -> Int {
    let count = Int32(topics[topic]!.count)
    let place = partition ?? Int((key ?? []).withUnsafeBytes { Murmur2.partition($0, count: count) })
    topics[topic]![place].append(Record(key: key, value: value))
    return place
  }

  func firstOffset(_ partition: TopicPartition) -> Int64 { firsts[partition] ?? 0 }

  func ends(of topic: String) -> [(partition: TopicPartition, offset: Int64)] {
    (topics[topic] ?? []).enumerated().map { (TopicPartition(topic, Int32($0)), Int64($1.count)) }
  }

  func read(
    _ partition: TopicPartition, _ offsets: Range<Int64>,
    _ body: (UnsafeBufferPointer<LogRecord>) throws -> Void
  ) throws {
    let records = topics[partition.topic]![Int(partition.partition)]
    for offset in max(offsets.lowerBound, firstOffset(partition))..<offsets.upperBound {
      let record = records[Int(offset)]
      try (record.key ?? []).withUnsafeBytes { key in
        try (record.value ?? []).withUnsafeBytes { value in
          let record = LogRecord(
            partition: 0, offset: offset, timestampMilliseconds: record.timestampMilliseconds,
            key: record.key == nil ? nil : key, value: record.value == nil ? nil : value)
          try withUnsafePointer(to: record) { try body(UnsafeBufferPointer(start: $0, count: 1)) }
        }
      }
    }
  }
}

/// A store in memory: positions and states of tasks.
final class MemoryStore: VerifiedStore {
  struct Task {
    var position: Int64?
    var states: [[UInt8]: [UInt8]] = [:]
  }

  var tasks: [String: Task] = [:]

  func position(_ task: String) -> Int64? { tasks[task]?.position }

  func read(_ task: String, _ keys: [[UInt8]]) -> (position: Int64?, states: [[UInt8]?]) {
    (position(task), keys.map { tasks[task]?.states[$0] })
  }

  func scan(_ task: String, _ body: ([[UInt8]]) throws -> Void) throws {
    try body((tasks[task]?.states ?? [:]).keys.sorted { $0.lexicographicallyPrecedes($1) })
  }
}

/// A topic of clicks and what a faultless service makes of it, by the plainest means: one commit after the other.
final class Shop {
  let plan: Plan
  let log = MemoryLog()
  let store = MemoryStore()

  static let clicks = "clicks"
  static let byItem = "shop.1.clicks.by-item"
  static let snapshots = "shop.snapshots"
  static let letters = "shop.dead-letters"
  static let triggers = "shop.triggers"

  /// With a zone there is a window over its days.
  init(partitions: Int = 2, isWatched: Bool = false, zone: TimeZoneRules? = nil) throws {
    let source = Source(
      "clicks", topic: Self.clicks, key: "user", timestamp: .init(field: "ts", unit: .seconds),
      fields: [.init("user", .string), .init("item", .string), .init("price", .int64)])
    var users = View(
      "users", source: "clicks", entity: ["user"],
      features: [
        Feature("n", .aggregate(.init(.count, windows: [.last("1h"), .lifetime]))),
        Feature("a_sum", .aggregate(.init(.sum, value: "price * 2", windows: [.lifetime]))),
      ])
    if let zone {
      users.features.append(
        Feature("today", .aggregate(.init(.count, windows: [.calendar(.today, zone: zone.name)]))))
    }
    var items = View(
      "items", source: "clicks", entity: ["item"], where: "price > 0",
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    if isWatched {
      users.triggers = [Trigger("often", when: "n_lifetime >= 3 and n_1h > 0", for: 2, every: 10_000_000)]
      items.triggers = [
        Trigger("seen", when: "n_lifetime > 0", every: 10_000_000, againAfter: 20_000_000)
      ]
    }
    var zones = ["UTC": TimeZoneRules.utc]
    if let zone { zones[zone.name] = zone }
    plan = try Plan(Definitions(name: "shop", sources: [source], views: [users, items]), zones: zones)
    for topic in [Self.clicks, Self.byItem, Self.snapshots] {
      log.topics[topic] = Array(repeating: [], count: partitions)
    }
    log.topics[Self.letters] = [[]]
    if isWatched { log.topics[Self.triggers] = [[], []] }
  }

  /// Writes events of four users and three items.
  func produce(_ count: Int, from first: Int = 0) {
    for index in first..<(first + count) {
      let (user, item) = ("u\(index % 4)", "i\(index % 3)")
      let event =
        "{\"user\":\"\(user)\",\"item\":\"\(item)\",\"price\":\(index % 5),\"ts\":\(1_700_000_000 + index)}"
      log.append(Self.clicks, key: Array(user.utf8), value: Array(event.utf8))
      log.topics[Self.clicks] = log.topics[Self.clicks]!.map { partition in
        partition.map {
          var record = $0
          record.timestampMilliseconds = 1_700_001_000_000
          return record
        }
      }
    }
  }

  /// Processes all that is in the topics: forwards, snapshots, and states with their positions.
  func process(snapshotsHaveValues: Bool = true) throws {
    for (partition, records) in log.topics[Self.clicks]!.enumerated() {
      let done = Int(store.tasks["clicks.\(partition)"]?.position ?? 0)
      for record in records[done...] {
        let text = String(decoding: record.value ?? [], as: UTF8.self)
        if text.contains("\"price\":0") { continue }
        guard let item = text.split(separator: "\"item\":\"").last?.prefix(2), text.contains("item") else {
          continue
        }
        log.append(Self.byItem, key: Array(item.utf8), value: record.value)
      }
    }
    for input in Routing(plan).inputs {
      for partition in log.topics[input.topic]!.indices {
        try process(input, Int32(partition), snapshotsHaveValues)
      }
    }
  }

  private func process(_ input: Routing.Input, _ partition: Int32, _ hasValues: Bool) throws {
    let place = TopicPartition(input.topic, partition)
    let name = "\(input.name).\(partition)"
    let count = Int32(log.topics[input.topic]!.count)
    let fold = TaskFold(plan, input, partition, of: count, from: 0)
    let done = store.tasks[name]?.position ?? 0
    let end = Int64(log.topics[input.topic]![Int(partition)].count)
    if done > 0 { try log.read(place, 0..<done) { fold.fold($0) } }
    for view in fold.views.indices { _ = fold.takeChanged(view) }
    fold.onDue = { [log] due in
      guard due.topic == Self.triggers else { return }
      log.append(due.topic, key: due.key.map(Array.init), value: due.value.map(Array.init))
    }
    if end > done { try log.read(place, done..<end) { fold.fold($0) } }
    fold.onDue = nil
    var task = store.tasks[name] ?? MemoryStore.Task()
    for (index, view) in fold.views.enumerated() {
      for key in fold.takeChanged(index) {
        let state = fold.state(index, key)!
        let stateKey = StateKey.make(view: view.name, key)
        let snapshot = fold.snapshot(index, key, state, at: place, end, hasValues: hasValues)
        log.append(Self.snapshots, key: stateKey, value: snapshot)
        task.states[stateKey] = view.encode(state)
      }
    }
    task.position = end
    store.tasks[name] = task
  }

  /// What a verification finds.
  func verify(expectsEverySnapshot: Bool = true) throws -> VerificationReport {
    try Verifier(plan, log: log, store: store, expectsEverySnapshot: expectsEverySnapshot) { _ in }.run()
  }

  /// Changes a record of a topic.
  func change(
    _ topic: String, _ partition: Int, _ offset: Int, _ change: (inout MemoryLog.Record) throws -> Void
  )
    rethrows
  {
    try change(&log.topics[topic]![partition][offset])
  }
}
