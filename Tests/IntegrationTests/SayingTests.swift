import CRDKafka
import EventLog
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

extension Integration {
  /// What the processes say, and what they don't.
  @Suite struct SayingTests {}
}

extension Integration.SayingTests {
  /// An entity may be called anything: neither a log nor a terminal takes its name for anything but text.
  @Test func namesThatActAreWrittenOut() async throws {
    try await Integration.expectNone {
      let site = try Site()
      let producer = try EventProducer(site)
      let user = "u\u{1B}[2J\nforged line\u{202E}"
      var count = 0
      func produce() throws {
        count += 1
        let text = #""u\u001b[2J\nforged line\u202e""#
        let value = #"{"id":\#(count),"ts":1700000000000,"user":\#(text),"item":"i","n":1}"#
        try producer.produce([WrittenEvent(key: Array(user.utf8), value: Array(value.utf8))])
      }
      try produce()
      try site.start(Site.Instance("a"))
      _ = try Audit(site, seconds: 120)
      guard try site.terminate("a") == 0 else { return [site.logs] }
      guard
        let (key, healthy) = try site.redis.contents().first(where: {
          String(decoding: $0.key, as: UTF8.self).contains(":s:users:")
        })
      else { return ["no state"] }
      var value = healthy
      value[value.count - 1] ^= 1
      try site.redis.set(key, value)
      // The damage is named, first in what is compared, then in the log, then in a letter.
      let verify = try site.command(["verify", "--redis", site.redis.url])
      _ = try verify.status(within: 120)
      try site.start(Site.Instance("a"))
      try waitUntil("the damage is noticed: \(site.logs)", seconds: 120) {
        try produce()
        return site.logs.contains("is damaged: its checksum is another")
      }
      // The log says it before the letter is committed.
      var letters = ""
      try waitUntil("there is a letter: \(site.logs)", seconds: 60) {
        letters = try site.output(of: ["dead-letters", "tail"])
        return !letters.isEmpty
      }
      let said = [
        ("verify", verify.text), ("log", site.logs), ("letters", letters),
        ("snapshots", try site.output(of: ["snapshots", "tail"])),
      ]
      return said.flatMap { name, text in
        (text.contains("forged line") ? [] : ["\(name) doesn't name the entity: \(text)"])
          + (text.unicodeScalars.contains("\u{1B}")
            || text.split(separator: "\n").contains { $0.hasPrefix("forged") }
            ? ["\(name): \(text.debugDescription)"] : [])
      }
    }
  }

  /// A start, another process that comes and goes, and a stop are no reason for a warning.
  @Test func whatIsOrdinaryIsNoWarning() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      _ = try site.startReady()
      try events.produce(500)
      try site.start(Site.Instance("b"))
      try waitUntil("they share: \(site.logs)", seconds: 60) {
        try events.produce(20)
        return site.logs.contains("instance=b") && site.logs.contains("giving up ")
      }
      try site.awaitStored(events)
      guard try site.terminate("b") == 0 else { return [site.logs] }
      try events.produce(200)
      try site.awaitStored(events)
      guard try site.terminate("a") == 0 else { return [site.logs] }
      let lines = site.logs.split(separator: "\n")
      // Some of the events are made to be dead letters.
      let loud = lines.filter { !$0.contains("such records go to") }.filter { line in
        [" warning ", " error ", " critical ", "CancellationError"].contains { line.contains($0) }
      }
      let ends = lines.count { $0.contains(" stopped ") && $0.contains("dead_letters=") }
      return Integration.report(
        loud.map { "said: \($0)" } + (ends == 2 ? [] : ["\(ends) ends are told"]), seed, site)
    }
  }

  /// Whoever collects the lines parses each of them, also those of a start that fails.
  @Test func aFailedStartIsALineOfJSON() async throws {
    try await Integration.expectNone {
      let site = try Site()
      let text = try String(contentsOfFile: site.definitions, encoding: .utf8)
      func variant(_ name: String, _ old: String, _ new: String) throws -> String {
        let path = site.path(name)
        try Data(text.replacingOccurrences(of: old, with: new).utf8).write(to: URL(fileURLWithPath: path))
        return path
      }
      let starts: [(definitions: String, more: [String], status: Int32, says: String)] = [
        (try variant("next.yaml", "\nversion: 1\n", "\nversion: 2\n"), [], 1, "is missing"),
        (try variant("wrong.yaml", "aggregate: count", "aggregate: cuont"), [], 2, "cuont"),
        (site.definitions, ["--delivery", "at_least_once"], 1, "counts its events twice"),
        (site.definitions, ["--http", "192.0.2.1:80"], 1, "choose another address with --http"),
      ]
      var problems: [String] = []
      for start in starts {
        let process = try site.command(
          ["run", "--redis", site.redis.url, "--log-format", "json"] + start.more,
          definitions: start.definitions)
        let status = try process.status(within: 60)
        let lines = process.text.split(separator: "\n").map {
          (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: String]
        }
        let last = lines.last ?? nil
        if status != start.status || lines.contains(nil) || last?["level"] != "critical"
          || last?["message"]?.contains(start.says) != true
        {
          problems.append("status \(status): \(process.text)")
        }
      }
      return problems
    }
  }

  /// A feature that one of two versions lacks is named, not left out.
  @Test func aDifferenceNamesWhatOneVersionLacks() async throws {
    try await Integration.expectNone {
      let site = try Site()
      let next = site.path("next.yaml")
      let text = try String(contentsOfFile: site.definitions, encoding: .utf8)
        .replacingOccurrences(of: "\nversion: 1\n", with: "\nversion: 2\n")
        .replacingOccurrences(of: "windows: 24h", with: "windows: 48h")
      try Data(text.utf8).write(to: URL(fileURLWithPath: next))
      let process = try ChildProcess(
        Site.binary, ["diff", "-d", site.definitions, "-d", next, "--redis", site.redis.url],
        log: URL(fileURLWithPath: site.path("diff.log")))
      let status = try process.status(within: 60)
      let isNamed = [("1", "_24h"), ("2", "_48h")].allSatisfy { version, window in
        process.text.split(separator: "\n").contains {
          $0.contains("only version \(version) has") && $0.contains(window)
        }
      }
      return status == 0 && isNamed ? [] : ["status \(status): \(process.text)"]
    }
  }

  /// A topic that has gone before anybody was told to read it is named, too: no fetch fails of it.
  @Test(arguments: [false, true]) func aTopicThatNobodyReadsAnyMoreIsNamed(isSmaller: Bool) async throws {
    try await Integration.expectNone {
      let site = try Site()
      // As long as the group waits for this member, nobody is told what to read.
      let silent = try SilentMember(site)
      try waitUntil("the member is in the group", seconds: 60) { silent.hasShare }
      try site.start(Site.Instance("a"))
      try site.awaitStarts()
      try KafkaAuditor(brokers: site.brokers, group: "audit").deleteTopic(site.sourceTopic)
      if isSmaller {
        let admin = try TopicAdmin(
          KafkaOptions(brokers: site.brokers, group: "audit", transactionalID: "admin")
        ) { _, _ in }
        _ = try admin.create([TopicDescription(name: site.sourceTopic, partitions: 1, replication: 1)])
      }
      silent.leave()
      var status: Int32?
      try waitUntil("the service ends: \(site.logs)", seconds: 120) {
        status = try site.ended("a")
        return status != nil
      }
      let told = isSmaller ? "partitions when this service started, and has 1 now" : ": is missing"
      return status == 1 && site.logs.contains(told)
        ? [] : ["status \(status!): \(site.logs)"]
    }
  }

  /// A topic that goes away under a running service is named, whichever it is.
  @Test(arguments: ["source", "snapshots"]) func aMissingTopicIsNamed(_ which: String) async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(
        Site.Instance("a"),
        more: [
          "-X", "topic.metadata.refresh.interval.ms=500", "-X", "producer.transaction.timeout.ms=2000",
        ])
      try events.produce(500)
      try site.awaitStored(events)
      let topic = which == "source" ? site.sourceTopic : site.routing.snapshotTopic
      try KafkaAuditor(brokers: site.brokers, group: "audit").deleteTopic(topic)
      if which != "source" { try events.produce(200, isSure: true) }
      var status: Int32?
      try waitUntil("the service ends: \(site.logs)", seconds: 180) {
        status = try site.ended("a")
        return status != nil
      }
      let isTold = site.logs.contains("\(topic): is missing")
      return Integration.report(status == 1 && isTold ? [] : ["status \(status!)"], seed, site)
    }
  }
}

/// A member of a service's group that takes its share and then answers nothing. It is left to the end of the process: librdkafka 2.0
/// never ends a client whose topic was deleted.
private final class SilentMember {
  private let handle: OpaquePointer

  init(_ site: Site) throws {
    let configuration = rd_kafka_conf_new()
    var reason = [CChar](repeating: 0, count: 512)
    let settings = [
      "bootstrap.servers": site.brokers, "group.id": site.group, "client.id": "silent",
      "partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": "30000",
      "log.connection.close": "false",
    ]
    for (name, value) in settings {
      guard rd_kafka_conf_set(configuration, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
        throw Failure("\(name)=\(value) was refused")
      }
    }
    // Called by who polls alone.
    rd_kafka_conf_set_rebalance_cb(configuration) { handle, code, partitions, _ in
      let error =
        code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
        ? rd_kafka_incremental_assign(handle, partitions)
        : rd_kafka_incremental_unassign(handle, partitions)
      if let error { rd_kafka_error_destroy(error) }
    }
    guard let handle = rd_kafka_new(RD_KAFKA_CONSUMER, configuration, &reason, reason.count) else {
      throw Failure("no client")
    }
    self.handle = handle
    rd_kafka_poll_set_consumer(handle)
    let topics = rd_kafka_topic_partition_list_new(1)
    defer { rd_kafka_topic_partition_list_destroy(topics) }
    rd_kafka_topic_partition_list_add(topics, site.sourceTopic, -1)
    guard rd_kafka_subscribe(handle, topics) == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw Failure("cannot subscribe")
    }
  }

  /// Whether it has been told what to read; it is the last thing that it takes note of.
  var hasShare: Bool {
    if let message = rd_kafka_consumer_poll(handle, 100) { rd_kafka_message_destroy(message) }
    var list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
    guard rd_kafka_assignment(handle, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return false }
    defer { rd_kafka_topic_partition_list_destroy(list) }
    return list.pointee.cnt > 0
  }

  func leave() { rd_kafka_consumer_close(handle) }
}
