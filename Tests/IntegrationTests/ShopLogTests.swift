import EventFiles
import FeatureCore
import Foundation
import Processor
import Testing
import TestSupport

extension Journeys {
  /// A real shop's events through Kafka: every state is the one that a fold of the file gives.
  @Suite struct ShopLogTests {}
}

extension Journeys.ShopLogTests {
  private static let file = ProcessInfo.processInfo.environment["PLUMB_TEST_DATA"].map {
    "\($0)/jd/events.ndjson.zst"
  }

  @Test(
    .enabled(
      if: file.map(FileManager.default.fileExists) ?? false, "needs PLUMB_TEST_DATA with jd/events.ndjson.zst"
    ))
  func theLogGivesWhatTheFileGives() async throws {
    try await Integration.expectNone { try Self.throughKafka(Self.file ?? "") }
  }

  @Test func whatCannotBeUsedIsKept() async throws {
    try await Integration.expectNone {
      let site = try Site(try Self.definitions())
      let producer = try EventProducer(site)
      let ordinary = try (0..<50).map { try Self.written(Self.event("ordinary-\($0)")) }
      try producer.produce(ordinary[..<25] + Self.refused() + ordinary[25...])
      try site.start(Site.Instance("a"))
      let problems = try Audit(site, seconds: 120).problems(producer.written) + site.complaints()
      return Integration.report(problems, 0, site)
    }
  }

  /// Instances join and leave while the events come.
  private static func throughKafka(_ path: String) throws -> [String] {
    let seed = Integration.seed()
    let site = try Site(try definitions())
    let producer = try EventProducer(site)
    let lines = try lines(of: path)
    var events = try lines.map(written)
    // Spread over the file: what can't be used harms nothing around it.
    for (index, event) in try refused().enumerated() { events.insert(event, at: (index + 1) * 7_000) }
    let steps = stride(from: 0, to: events.count, by: events.count / 12 + 1).map {
      events[$0..<min($0 + events.count / 12 + 1, events.count)]
    }
    var problems: [String] = []
    func change(at step: Int) throws {
      switch step {
      case 0: try site.start(Site.Instance("a"))
      case 2: try site.start(Site.Instance("b"))
      case 4: try site.start(Site.Instance("c", workers: 2))
      case 6: problems += try site.terminate("a") == 0 ? [] : ["a's exit status"]
      case 8: site.kill("c")
      case 9: try site.start(Site.Instance("a"))
      case 10: problems += try site.terminate("b") == 0 ? [] : ["b's exit status"]
      default: break
      }
    }
    for (index, step) in steps.enumerated() {
      try change(at: index)
      for start in stride(from: step.startIndex, to: step.endIndex, by: 1_000) {
        try producer.produce(Array(step[start..<min(start + 1_000, step.endIndex)]))
      }
      // Not ahead of the service: what joins and leaves meets it at work.
      try waitUntilHalf(site, producer)
    }
    let audit = try Audit(site, seconds: 600)
    problems += try audit.problems(producer.written) + site.complaints()
    problems += try compare(site, with: producer.written)
    print("\(audit.summary)")
    return Integration.report(problems, seed, site)
  }

  /// The example's definitions. Left out is what depends on the order in which events of several partitions arrive: a
  /// decayed count is a sum of fractions.
  private static func definitions() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("examples/jd.yaml"), encoding: .utf8)
    let kept = text.split(separator: "\n", omittingEmptySubsequences: false).filter {
      !$0.hasPrefix("      trend: ")
    }
    return kept.joined(separator: "\n")
  }

  private static func lines(of path: String) throws -> [[UInt8]] {
    var reader = try LineReader(path: path)
    var lines: [[UInt8]] = []
    while let block = try reader.next() { lines += block.map { Array($0.bytes) } }
    return lines
  }

  private static func written(_ line: [UInt8]) throws -> WrittenEvent {
    let object = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] ?? [:]
    guard let user = object["user_id"] as? String else { throw Failure("no user_id") }
    var event = WrittenEvent(key: Array(user.utf8), value: line)
    func forward(_ input: String, view: String, _ key: String?) {
      if let key {
        event.forwards.append((input, Array(key.utf8)))
      } else {
        event.refusals.append(("missing_key", view))
      }
    }
    forward("actions.by-sku_id", view: "item_popularity", object["sku_id"] as? String)
    forward(
      "actions.by-user_id-category", view: "user_category",
      (object["category"] as? String).map { "\(user)|\($0)" })
    return event
  }

  /// An event of a user of its own, padded to some bytes.
  private static func event(
    _ id: String, time: String = "1460000000000", sku: String = "\"1\"", bytes: Int = 0
  ) -> [UInt8] {
    let head =
      "{\"event_id\":\"\(id)\",\"ts\":\(time),\"user_id\":\"u-\(id)\",\"sku_id\":\(sku),"
      + "\"event_type\":\"click\",\"category\":\"1\",\"brand\":null,\"model_id\":null,\"note\":\""
    return Array(head.utf8)
      + [UInt8](repeating: UInt8(ascii: "x"), count: max(0, bytes - head.utf8.count - 2))
      + Array("\"}".utf8)
  }

  /// One event of each kind that can't be used, and the largest that can.
  private static func refused() throws -> [WrittenEvent] {
    func refused(_ id: String, _ reason: String, _ value: [UInt8]?) -> WrittenEvent {
      WrittenEvent(key: Array("u-\(id)".utf8), value: value, refusals: [(reason, "")])
    }
    let largest = Limits.recordBytesMax
    return [
      refused("cut", "malformed_json", event("cut").dropLast(3)),
      WrittenEvent(
        key: [UInt8](repeating: UInt8(ascii: "k"), count: 5_000), value: event("key").dropLast(),
        refusals: [("malformed_json", "")]),
      refused("gone", "empty", nil),
      refused("ahead", "ahead_of_record", event("ahead", time: "9000000000000")),
      refused("text", "wrong_type", event("text", time: "1460000000000", sku: "7")),
      refused("time", "time_out_of_range", event("time", time: "300000000000000")),
      try written(event("nothing", sku: "null")),
      try written(event("largest", bytes: largest)),
      refused("oversized", "oversized", event("oversized", bytes: largest + 1)),
      refused("large", "malformed_json", Array(event("large", bytes: largest).dropLast())),
    ]
  }

  /// Waits until the group has read half of what was written.
  private static func waitUntilHalf(_ site: Site, _ producer: EventProducer) throws {
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    let sources = site.inputs.filter { !$0.input.isRepartitioned }.map(\.partition)
    try waitUntil("the service goes on: \(site.complaints()) \(site.logs)", seconds: 300) {
      let read = try reader.committed(sources).reduce(0) { $0 + ($1 ?? 0) }
      return read > producer.written.count / 2
    }
  }

  /// The states in the store, against those of the file.
  private static func compare(_ site: Site, with written: [WrittenEvent]) throws -> [String] {
    let processor = BatchProcessor(site.plan.sources[0], views: site.plan.views) { _ in }
    let records = SingleRecords(processor)
    for event in written where !event.refusals.contains(where: { $0.reason == "ahead_of_record" }) {
      (event.value ?? []).withUnsafeBytes { records.fold($0) }
    }
    var found: [[UInt8]: [UInt8]] = [:]
    for (key, state) in try site.redis.states() {
      // What stands behind the hash tag and ":s:".
      if let name = key.split(separator: UInt8(ascii: "}"), maxSplits: 1).last, name.starts(with: ":s:".utf8)
      {
        found[Array(name.dropFirst(3))] = state
      }
    }
    var problems: [String] = []
    for (index, view) in site.plan.views.enumerated() {
      processor.forEachState(index) { key, state in
        let name = Array("\(view.name):".utf8) + key
        if found.removeValue(forKey: name) != view.encode(state) {
          problems.append("\(Text(utf8: name)) is not what the file gives")
        }
      }
    }
    return problems + found.keys.map { "\(Text(utf8: $0)) is not in the file" }
  }
}
