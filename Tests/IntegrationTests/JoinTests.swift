import FeatureCore
import Foundation
import Processor
import Testing
import TestSupport

extension Journeys {
  /// Joins of a real service, under kill -9: each left event has one outcome, the one that plain search finds.
  @Suite struct JoinTests {}
}

extension Journeys.JoinTests {
  private static let definitions = """
    name: shop
    version: 1
    sources:
      events:
        topic: events
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { id: int64, user: string, item: string, kind: string }
    joins:
      outcomes:
        left: { source: events, where: "kind = 'show'" }
        right: { source: events, where: "kind = 'click'" }
        on: [user, item]
        within: 30m
        wait: 2m
    views:
      quality:
        source: outcomes
        entity: item
        where: revision = 0
        features:
          shown: { aggregate: count, windows: [1h, lifetime] }
          clicked: { aggregate: count, where: label, windows: [1h, lifetime] }
    """

  private struct Event {
    var id: Int
    var time: Int64
    var user: String
    var item: String
    var kind: String

    var written: WrittenEvent {
      WrittenEvent(
        key: Array(user.utf8),
        value: Array(
          "{\"id\":\(id),\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"\(item)\",\"kind\":\"\(kind)\"}".utf8)
      )
    }
  }

  @Test func everyOutcomeOnceUnderKills() async throws {
    try await Integration.expectNone(Self.underKills)
  }

  private static func underKills() throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site(definitions)
    let producer = try EventProducer(site)
    for name in ["a", "b"] { try site.start(Site.Instance(name)) }
    var events: [Event] = []
    // Ten days ago, so that nothing is ahead of its record.
    var time = (Int64(Date().timeIntervalSince1970) - 864_000) * 1_000
    let users = (0..<12).map { "u\($0)" }
    for round in 0..<12 {
      let batch = (0..<80).map { index in
        time += Int64(random.next() % 20_000)
        return Event(
          // Out of order by less than what is waited for.
          id: round * 80 + index, time: time - Int64(random.next() % 100_000),
          user: users[Int(random.next() % 12)], item: "i\(random.next() % 3)",
          kind: random.next() % 3 == 0 ? "click" : "show")
      }
      let isAborted = random.next() % 8 == 0
      try producer.produce(batch.map(\.written), isAborted: isAborted)
      if !isAborted { events += batch }
      site.kill(round % 2 == 0 ? "a" : "b")
      try site.start(Site.Instance(round % 2 == 0 ? "a" : "b"))
    }
    let due = events.filter { $0.kind == "show" }
    // An event of far ahead holds up what comes behind it in a join's log.
    try site.awaitFolded(records: events.count)
    // Takes every partition past what is due.
    let last = users.enumerated().map { index, user in
      Event(id: 100_000 + index, time: time + 86_400_000, user: user, item: "last", kind: "show")
    }
    try producer.produce(last.map(\.written))
    let partitions = (0..<Site.partitions).map {
      TopicPartition("\(site.plan.name).\(site.plan.version).outcomes", $0)
    }
    let auditor = try KafkaAuditor(brokers: site.brokers, group: "audit")
    try waitUntil("\(due.count) outcomes are there: \(site.logs)", seconds: 240) {
      try auditor.read(partitions).joined().count >= due.count
    }
    var problems = try compare(auditor.read(partitions).joined().compactMap(\.value), due, events)
    problems += site.complaints()
    let verify = try site.command(["verify", "--redis", site.redis.url])
    let status = try verify.status(within: 120)
    if status != 0 { problems.append("verify: \(verify.text)") }
    return Integration.report(problems, seed, site)
  }

  private static func compare(_ records: [[UInt8]], _ due: [Event], _ events: [Event]) throws -> [String] {
    let clicks = Dictionary(grouping: events.filter { $0.kind == "click" }) { "\($0.user) \($0.item)" }
    var found: [Int: [String: Any]] = [:]
    var problems: [String] = []
    for record in records {
      guard let object = try JSONSerialization.jsonObject(with: Data(record)) as? [String: Any],
        let id = object["id"] as? Int
      else { throw Failure("no outcome: \(String(decoding: record, as: UTF8.self))") }
      if found.updateValue(object, forKey: id) != nil { problems.append("event \(id) has two outcomes") }
    }
    for event in due {
      let first = clicks["\(event.user) \(event.item)", default: []].map(\.time).filter {
        $0 > event.time && $0 <= event.time + 1_800_000
      }.min()
      guard let outcome = found.removeValue(forKey: event.id) else {
        problems.append("event \(event.id) has no outcome")
        continue
      }
      let isRight =
        outcome["label"] as? Bool == (first != nil)
        && outcome["label_time"] as? Int64 == first.map { $0 * 1_000 }
        && outcome["ts"] as? Int64 == event.time * 1_000 && outcome["revision"] as? Int == 0
      if !isRight { problems.append("event \(event): \(outcome), not \(first ?? 0)") }
    }
    if let (id, _) = found.first { problems.append("event \(id) has an outcome before it is due") }
    return problems
  }
}
