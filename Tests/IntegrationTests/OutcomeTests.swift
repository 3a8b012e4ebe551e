import EventFiles
import FeatureCore
import Foundation
import Processor
import TestSupport
import Testing

extension Journeys {
  /// Outcomes of real events in disorder: those of `training-set --label` and of a join in SQL.
  @Suite(.enabled(if: Python.has("duckdb"), "the Python of PLUMB_PYTHON lacks duckdb")) struct OutcomeTests {}
}

extension Journeys.OutcomeTests {
  @Test(arguments: OutcomeLog.all) func outcomesAreTrainingRowsAndSQL(_ log: OutcomeLog)
    async throws
  {
    try await Integration.expectNone { try Self.compare(log) }
  }

  private static func compare(_ log: OutcomeLog) throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site(log.definitions)
    let events = try log.events(&random)
    // Out of order by less than what is waited for.
    let order = events.indices.map { ($0, events[$0].time + Int64(random.next() % 540_000_000)) }
      .sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
    let producer = try EventProducer(site)
    for start in stride(from: 0, to: order.count, by: 5_000) {
      try producer.produce(
        order[start..<min(start + 5_000, order.count)].map {
          WrittenEvent(key: Array(events[$0].key.utf8), value: events[$0].line)
        })
    }
    let lines = order.map { String(decoding: events[$0].line, as: UTF8.self) }
    try lines.joined(separator: "\n").write(
      toFile: site.path("events.ndjson"), atomically: true, encoding: .utf8)
    let rows = site.path("rows.ndjson")
    _ = try site.output(
      of: [
        "training-set", "--as", "happened", "--spine-events", quoted(log.left), "--label", quoted(log.right),
        "--within", "1h", "--on", log.on.joined(separator: ","), "--out", rows,
      ])
    // Another two weeks, in each partition, with neither a left event nor a right one of these keys.
    let last = (events.last?.time ?? 0) + 14 * 86_400_000_000
    try producer.produce(try flush(log, last))
    let ran = try site.command(["run", "--until", "end", "--redis", site.redis.url])
    if try ran.status(within: 240) != 0 { return ["run: \(ran.text)"] }
    let auditor = try KafkaAuditor(brokers: site.brokers, group: "audit")
    let topic = "\(site.plan.name).\(site.plan.version).outcomes"
    let outcomes = try auditor.read((0..<Site.partitions).map { TopicPartition(topic, $0) }).joined()
      .compactMap { $0.value.map { String(decoding: $0, as: UTF8.self) } }
    let found = site.path("outcomes.ndjson")
    try outcomes.joined(separator: "\n").write(toFile: found, atomically: true, encoding: .utf8)
    let check = try Python.run([
      "\(Python.scripts)/outcome_check.py", site.path("events.ndjson"), rows, found, log.id, log.left,
      log.right,
      log.on.joined(separator: ","),
    ])
    print("\(log.name): \(check.output)")
    return Integration.report(check.status == 0 ? site.complaints() : [check.output], seed, site)
  }

  /// Quotes for the shell that stand between single quotes already.
  private static func quoted(_ expression: String) -> String {
    expression.replacing("'", with: "'\\''")
  }

  /// An event of a later time for each partition.
  private static func flush(_ log: OutcomeLog, _ time: Int64) throws -> [WrittenEvent] {
    var keys: [Int32: String] = [:]
    var number = 0
    while keys.count < Int(Site.partitions) {
      let key = "flush-\(number)"
      keys[Array(key.utf8).withUnsafeBytes { Murmur2.partition($0, count: Site.partitions) }] = key
      number += 1
    }
    let written: Any =
      switch log.unit {
      case "unit: ms": time / 1_000
      case "unit: us": time
      default: RFC3339.format(EventTime(microseconds: time))
      }
    return try keys.values.sorted().map { key in
      let event = try JSONSerialization.data(withJSONObject: [log.key: key, "ts": written])
      return WrittenEvent(key: Array(key.utf8), value: Array(event))
    }
  }
}

/// Whose events, and what follows what.
struct OutcomeLog: CustomTestStringConvertible, Sendable {
  var name: String
  /// In the folder of test data; made up without one.
  var file: String?
  var id: String
  var key: String
  /// How times are written, and in the definitions.
  var unit: String
  var fields: String
  var left: String
  var right: String
  var on: [String]

  var testDescription: String { name }

  static let all = every.filter(\.isThere)

  private static let every = [
    OutcomeLog(
      name: "jd", file: "jd/events.ndjson.zst", id: "event_id", key: "user_id", unit: "unit: ms",
      fields: "event_id: string, user_id: string, sku_id: string, event_type: string, model_id: int64",
      left: "event_type = 'browse'", right: "event_type = 'click'", on: ["user_id", "sku_id"]),
    OutcomeLog(
      name: "obd", file: "obd/impressions.ndjson.zst", id: "impression_id", key: "item_id",
      unit: "unit: rfc3339",
      fields: "impression_id: string, item_id: string, position: int64, clicked: bool, segment: string",
      left: "position = 1", right: "clicked", on: ["item_id"]),
    OutcomeLog(
      name: "generated", id: "id", key: "user", unit: "unit: us",
      fields: "id: string, user: string, item: string, n: int64", left: "n > 0", right: "n <= 1",
      on: ["user", "item"]),
  ]

  var definitions: String {
    """
    name: \(name)
    version: 1
    sources:
      events:
        topic: events
        key: \(key)
        timestamp: { field: ts, \(unit) }
        fields: { \(fields) }
    joins:
      outcomes:
        left: { source: events, where: "\(left)" }
        right: { source: events, where: "\(right)" }
        on: [\(on.joined(separator: ", "))]
        within: 1h
        wait: 10m
    views:
      by_key:
        source: events
        entity: \(key)
        features:
          events: { aggregate: count, windows: [1h] }
    """
  }

  var isThere: Bool {
    file == nil || path.map(FileManager.default.fileExists) ?? false
  }

  private var path: String? {
    file.flatMap { file in ProcessInfo.processInfo.environment["PLUMB_TEST_DATA"].map { "\($0)/\(file)" } }
  }

  /// The events, each with its key and its time in microseconds, in order of time.
  func events(_ random: inout SplitMix64) throws -> [(key: String, time: Int64, line: [UInt8])] {
    guard let path else { return made(&random) }
    var reader = try LineReader(path: path)
    var events: [(key: String, time: Int64, line: [UInt8])] = []
    while let block = try reader.next() {
      for line in block {
        let bytes = Array(line.bytes)
        let object = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] ?? [:]
        let text = (object["ts"] as? String).flatMap { text in
          Array(text.utf8).withUnsafeBytes { RFC3339.parse($0)?.microseconds }
        }
        guard let key = object[key] as? String,
          let time = text ?? (object["ts"] as? Int64).map({ $0 * 1_000 })
        else { throw Failure("\(path): \(String(decoding: bytes, as: UTF8.self))") }
        events.append((key, time, bytes))
      }
    }
    return events
  }

  /// Times that are often equal, and pairs that meet often.
  private func made(_ random: inout SplitMix64) -> [(key: String, time: Int64, line: [UInt8])] {
    var time: Int64 = 1_700_000_000_000_000
    return (0..<20_000).map { index in
      if random.next() % 3 > 0 { time += Int64(random.next() % 40_000_000) }
      let user = "u\(random.next() % 60)"
      let line =
        "{\"id\":\"e\(index)\",\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"i\(random.next() % 5)\",\"n\":\(random.next() % 4)}"
      return (user, time, Array(line.utf8))
    }
  }
}
