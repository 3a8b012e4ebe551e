import EventLog
import FeatureCore
import Foundation
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb snapshots tail` and `plumb dead-letters tail` of what a real service wrote.
  @Suite struct TailTests {}
}

extension Journeys.TailTests {
  @Test func rowsAreTheTopics() async throws {
    try await Integration.expectNone {
      try Self.run()
      return []
    }
  }

  private static func run() throws {
    let seed = Integration.seed()
    let site = try Site()
    let events = try ShopEvents(site, seed: seed)
    // Transactions, of which some are aborted.
    for _ in 0..<20 { try events.produce(20) }
    try site.start(Site.Instance("a"))
    _ = try Audit(site, seconds: 120)
    let rows = try snapshots(site, seed)
    try filters(site, rows, seed)
    let letters = try table(site.output(of: ["dead-letters", "tail"]))
    let reasons = letters.map { "\($0["reason"] ?? "") \($0["payload"] ?? "")" }.sorted()
    let expected = events.written.flatMap { event in
      event.refusals.map { "\($0.reason) \(String(decoding: event.value ?? [], as: UTF8.self))" }
    }
    try check(reasons == expected.sorted(), "seed \(seed)")
    try foreignRecords(site, rows.count)
    try following(site, events, rows.count)
  }

  /// Every snapshot is a row, whose features are what its state evaluates to.
  private static func snapshots(_ site: Site, _ seed: UInt64) throws -> [NSDictionary] {
    let rows = try table(site.output(of: ["snapshots", "tail"]))
    let byRecord = Dictionary(uniqueKeysWithValues: rows.map { ($0["record"] as? String ?? "", $0) })
    let topic = (0..<Site.partitions).map { TopicPartition(site.routing.snapshotTopic, $0) }
    let records = try KafkaAuditor(brokers: site.brokers, group: "audit").read(topic)
    try check(records.joined().count == rows.count && byRecord.count == rows.count, "seed \(seed)")
    for (partition, record) in zip(topic, records).flatMap({ place in place.1.map { (place.0, $0) } }) {
      let snapshot = try require(Snapshot(record.value))
      let view = try require(site.plan.view(snapshot.view))
      let state = try snapshot.state.withUnsafeBytes { try view.decode($0) }
      let entity = try require(snapshot.key.withUnsafeBytes { EntityKey.values(of: $0, view.entity) })
      let row = try require(byRecord["\(partition)@\(record.offset)"])
      try check(row["view"] as? String == view.name)
      try check(row["entity"] as? NSDictionary == object(view.entity.map(\.name), entity))
      try check(
        row["features"] as? NSDictionary
          == object(view.features.map(\.name), view.evaluate(state, at: state.asOf)), "seed \(seed): \(row)")
      try check(row["as_of"] as? String == RFC3339.format(state.asOf))
      let written = EventTime(microseconds: record.timestamp * 1_000)
      try check(row["written"] as? String == RFC3339.format(written))
      let position = try require(row["position"] as? NSDictionary)
      try check("\(position["topic"] ?? "")-\(position["partition"] ?? "")" == snapshot.partition)
      try check(position["offset"] as? Int64 == snapshot.position)
      try check(row["problem"] == nil)
    }
    return rows
  }

  private static func filters(_ site: Site, _ rows: [NSDictionary], _ seed: UInt64) throws {
    let users = rows.filter { $0["view"] as? String == "users" }
    try check(table(site.output(of: ["snapshots", "tail", "--view", "users"])).count == users.count)
    let user = try require((users.last?["entity"] as? NSDictionary)?["user"] as? String)
    let one = try table(
      site.output(of: ["snapshots", "tail", "--view", "users", "--entity", "user=\(user)"]))
    try check(one == users.filter { ($0["entity"] as? NSDictionary)?["user"] as? String == user })
    try check(table(site.output(of: ["snapshots", "tail", "--limit", "3"])).count == 3)
    let times = try rows.map { row in
      var text = row["written"] as? String ?? ""
      return try require(text.withUTF8 { RFC3339.parse(UnsafeRawBufferPointer($0)) })
    }.sorted()
    let middle = times[times.count / 2]
    let late = try table(site.output(of: ["snapshots", "tail", "--from", RFC3339.format(middle)]))
    let expected = times.count { $0 >= middle }
    try check(late.count == expected, "seed \(seed): \(late.count) from \(middle), expected \(expected)")
    // A reader that has gone is an ordinary end, also while there is nothing to write.
    let first = try site.output(of: ["snapshots", "tail", "--follow", "--view", "users"], piped: "| head -1")
    try check(table(first).count == 1)
  }

  /// Tombstones, and what another program wrote.
  private static func foreignRecords(_ site: Site, _ count: Int) throws {
    let options = KafkaOptions(
      brokers: site.brokers, group: "\(site.group).foreign", transactionalID: "\(site.group).foreign")
    let log = try KafkaLog(options, topics: [site.sourceTopic]) { _, _ in }
    defer { log.close(timeoutMilliseconds: 5_000) }
    try log.begin()
    for (key, value) in [("users:u1", nil), ("users:u2", "garbage"), ("gone:x", nil)] as [(String, String?)] {
      try Array(key.utf8).withUnsafeBytes { key in
        let value = value.map { Array($0.utf8) }
        if let value {
          try value.withUnsafeBytes {
            try log.send(topic: site.routing.snapshotTopic, partition: 0, key: key, value: $0)
          }
        } else {
          try log.send(topic: site.routing.snapshotTopic, partition: 0, key: key, value: nil)
        }
      }
    }
    try log.commit([])
    // A commit is answered before its marks are in the partitions.
    var rows: [NSDictionary] = []
    try waitUntil("the foreign records are committed") {
      rows = try table(site.output(of: ["snapshots", "tail"]))
      return rows.count == count + 3
    }
    let tombstones = rows.filter { $0["tombstone"] as? Bool == true }
    try check(tombstones.map { $0["entity"] as? NSDictionary } == [["user": "u1"], nil])
    try check(tombstones.last?["entity_key"] as? String == "x")
    let problems = rows.compactMap { $0["problem"] as? String }
    try check(problems.count == 1 && problems[0].contains("no snapshot"))
  }

  private static func following(_ site: Site, _ events: ShopEvents, _ count: Int) throws {
    let process = try site.command(["snapshots", "tail", "--follow"])
    try waitUntil("what is there is printed") { process.text.split(separator: "\n").count == count + 3 }
    for _ in 0..<5 { try events.produce(10) }
    try waitUntil("what is new is printed") { process.text.split(separator: "\n").count > count + 3 }
    process.signal(SIGINT)
    try check(process.status(within: 30) == 0)
    try check(!table(process.text).isEmpty && process.text.hasSuffix("\n"))
  }

  /// Thrown rather than recorded: on this thread no test is known that an issue could be of.
  private static func check(
    _ isTrue: @autoclosure () throws -> Bool, _ text: @autoclosure () -> String = "", line: Int = #line
  ) throws {
    guard try isTrue() else { throw Failure("line \(line): not so. \(text())") }
  }

  private static func require<Value>(_ value: Value?, _ text: String = "", line: Int = #line) throws -> Value
  {
    guard let value else { throw Failure("line \(line): nothing. \(text)") }
    return value
  }

  private static func table(_ text: String) throws -> [NSDictionary] {
    try text.split(separator: "\n").map { line in
      let row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? NSDictionary
      return try require(row, "\(line)")
    }
  }

  private static func object(_ names: [String], _ values: [FeatureValue]) -> NSDictionary {
    NSDictionary(dictionary: Dictionary(uniqueKeysWithValues: zip(names, values.map(json))))
  }

  private static func json(_ value: FeatureValue) -> Any {
    switch value {
    case .null: NSNull()
    case .int64(let number): NSNumber(value: number)
    case .double(let number): NSNumber(value: number)
    case .bool(let flag): NSNumber(value: flag)
    case .string(let text): text.description
    case .timestamp(let time): RFC3339.format(time)
    case .list(let values): values.map(json)
    }
  }
}
