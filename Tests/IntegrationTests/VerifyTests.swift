import EventLog
import FeatureCore
import Foundation
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb verify` finds nothing where nothing is wrong, and finds what was tampered with.
  @Suite struct VerifyTests {}
}

extension Journeys.VerifyTests {
  @Test func findsNothingUnderLoad() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      var problems: [String] = []
      for round in 0..<3 {
        // An instance joins, or leaves, while the verification goes on.
        if round % 2 == 0 { try site.start(Site.Instance("b")) } else { site.kill("b") }
        try events.produce(milliseconds: 1_500)
        let process = try site.command(["verify", "--redis", site.redis.url])
        while process.isRunning { try events.produce(20) }
        let status = try process.status(within: 120)
        if status != 0 { problems.append("seed \(seed), round \(round): \(process.text)") }
      }
      _ = try Audit(site, seconds: 120)
      let (status, text) = try Self.verify(site)
      if status != 0 || !text.contains(", 0 snapshots not yet in Redis: no difference") {
        problems.append(text)
      }
      return problems
    }
  }

  @Test func findsWhatWasTamperedWith() async throws {
    try await Integration.expectNone {
      let site = try Site()
      let events = try ShopEvents(site, seed: Integration.seed())
      for _ in 0..<20 { try events.produce(30) }
      try site.start(Site.Instance("a"))
      _ = try Audit(site, seconds: 120)
      guard try site.terminate("a") == 0 else { throw Failure("the service failed: \(site.logs)") }
      return try [Self.editedDefinition(site), Self.foreignWrites(site), Self.forgedSnapshot(site)].flatMap(
        \.self)
    }
  }

  /// The definitions were changed, and their version wasn't.
  private static func editedDefinition(_ site: Site) throws -> [String] {
    let text = try String(contentsOfFile: site.definitions, encoding: .utf8)
    let edited = site.definitions + ".edited.yaml"
    try Data(text.replacingOccurrences(of: "windows: 24h", with: "windows: 48h").utf8)
      .write(to: URL(fileURLWithPath: edited))
    let (status, found) = try verify(site, definitions: edited)
    let isFound =
      status == 1 && found.contains("probably the definitions were changed without raising 'version'")
    return isFound ? [] : ["an edited definition: \(found)"]
  }

  /// A value of Redis was changed, one deleted, and one added.
  private static func foreignWrites(_ site: Site) throws -> [String] {
    let contents = try site.redis.contents()
    let users = contents.keys.filter { String(decoding: $0, as: UTF8.self).contains(":s:users:") }
      .sorted { $0.lexicographicallyPrecedes($1) }
    let (changed, deleted) = (users[0], users[1])
    guard let value = contents[deleted], let state = try site.redis.states()[deleted] else {
      throw Failure("no state")
    }
    try site.redis.set(changed, state: state, at: 1)
    try site.redis.set(Array("\(String(decoding: changed, as: UTF8.self))-nobody".utf8), value)
    try site.redis.delete(deleted)
    let (status, found) = try verify(site)
    for (key, value) in contents { try site.redis.set(key, value) }
    try site.redis.delete(Array("\(String(decoding: changed, as: UTF8.self))-nobody".utf8))
    let names = [changed, deleted].map {
      String(decoding: $0, as: UTF8.self).split(separator: ":").last ?? ""
    }
    let expected = [
      "entity '\(names[0])'", "entity '\(names[1])'", "the store has no state", "by folding the log",
      "entity '\(names[0])-nobody'", "the log has no event of the entity", ": 3 differences",
    ]
    let missing = expected.filter { !found.contains($0) }
    let (healed, after) = try verify(site)
    return (status == 1 && missing.isEmpty ? [] : ["foreign writes, \(missing) missing: \(found)"])
      + (healed == 0 ? [] : ["put back: \(after)"])
  }

  /// A snapshot of an entity says what another one's state is, in a valid encoding.
  private static func forgedSnapshot(_ site: Site) throws -> [String] {
    let topic = (0..<Site.partitions).map { TopicPartition(site.routing.snapshotTopic, $0) }
    let snapshots = try KafkaAuditor(brokers: site.brokers, group: "audit").read(topic).joined()
      .compactMap { Snapshot($0.value) }.filter { $0.view == "users" }
    guard let victim = snapshots.last, let other = snapshots.first(where: { $0.state != victim.state }),
      let input = site.inputs.first(where: { !$0.input.isRepartitioned }), let view = site.plan.view("users")
    else { throw Failure("no snapshots") }
    let state = try other.state.withUnsafeBytes { try view.decode($0) }
    guard let partition = victim.partition.split(separator: "-").last.flatMap({ Int32($0) }) else {
      throw Failure("no partition in \(victim.partition)")
    }
    let value = TaskFold(site.plan, input.input, partition, of: Site.partitions, from: 0).snapshot(
      0, victim.key, state, at: TopicPartition(site.sourceTopic, partition), victim.position)
    let log = try KafkaLog(
      KafkaOptions(
        brokers: site.brokers, group: "\(site.group).forger", transactionalID: "\(site.group).forger"),
      topics: [site.sourceTopic]
    ) { _, _ in }
    defer { log.close(timeoutMilliseconds: 5_000) }
    try log.begin()
    try Array("users:".utf8 + victim.key).withUnsafeBytes { key in
      try value.withUnsafeBytes { value in
        try log.send(topic: site.routing.snapshotTopic, partition: nil, key: key, value: value)
      }
    }
    try log.commit([])
    let (status, found) = try verify(site)
    let entity = String(decoding: victim.key, as: UTF8.self)
    let place = "snapshot of view 'users', entity '\(entity)' at \(victim.partition)@\(victim.position): "
    let isFound = status == 1 && found.contains(place) && found.contains(": 1 difference")
    return isFound ? [] : ["a forged snapshot (\(place)): \(found)"]
  }

  private static func verify(_ site: Site, definitions: String? = nil) throws -> (status: Int32, text: String)
  {
    let process = try site.command(
      ["verify", "--redis", site.redis.url], definitions: definitions ?? site.definitions)
    return (try process.status(within: 120), process.text)
  }
}
