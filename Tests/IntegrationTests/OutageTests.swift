import CRDKafka
import EventLog
import Foundation
import LiveView
import Processor
import Testing
import TestSupport

extension Integration {
  /// Kafka is away for longer than everything that waits for it, or has forgotten what it had.
  @Suite struct OutageTests {}
}

extension Integration.OutageTests {
  /// In the middle of a transaction, for longer than the transaction, the session and everybody's patience.
  @Test(.enabled(if: Broker.external == nil, "PLUMB_TEST_BROKERS names a broker that this test may not kill"))
  func brokersThatAreAwayAreToldAndWaitedFor() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let endpoint = try site.startReady(more: ["-X", "producer.transaction.timeout.ms=2000"])
      try events.produce(milliseconds: 2_000)
      let series = endpoint.lags.count
      site.broker.kill()
      try endpoint.awaitState("not ready, but alive") { !$0.isReady && $0.isAlive }
      // Twelve times the session, six times the transaction.
      try endpoint.awaitState("behind by the clock in all partitions") { endpoint in
        endpoint.lags.count == series && series > 0 && endpoint.lags.allSatisfy { $0 >= 12 }
      }
      var problems = endpoint.isAlive && !endpoint.isReady ? [] : ["healthy: \(endpoint.isAlive)"]
      let lines = site.logs.split(separator: "\n").filter {
        $0.contains(" warning ") || $0.contains(" error ")
      }
      if lines.count > 15 { problems.append("\(lines.count) lines about one outage") }
      try site.broker.start()
      try endpoint.awaitState("ready again") { $0.isReady && $0.lags.allSatisfy { $0 < 12 } }
      try events.produce(milliseconds: 500)
      problems += try Audit(site, seconds: 300).problems(events.written) + site.complaints()
      // Once more, and now it is to end: no call may hold it up.
      try events.produce(milliseconds: 500)
      site.broker.kill()
      try endpoint.awaitState("not ready") { !$0.isReady }
      let start = ContinuousClock.now
      let status = try site.terminate("a")
      // Ten seconds by its own clock; a busy machine starts them late.
      if status != 0 || .now - start > .seconds(20) {
        problems.append("ended with \(status) after \(ContinuousClock.now - start)")
      }
      if !site.logs.contains("dead_letters=") { problems.append("no count of dead letters at the end") }
      return Integration.report(problems, seed, site)
    }
  }

  /// Connections that stay and are never answered, in the middle of a transaction: twelve times the session, six times the
  /// transaction.
  @Test(.enabled(if: Broker.external == nil, "PLUMB_TEST_BROKERS names a broker that this test may not stop"))
  func aBrokerThatHangsIsWaitedFor() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let endpoint = try site.startReady(more: ["-X", "producer.transaction.timeout.ms=2000"])
      try events.produce(milliseconds: 1_000)
      // More than is folded at once: it hangs with a transaction open.
      try events.produce(3_000)
      site.broker.freeze(true)
      defer { site.broker.freeze(false) }
      try endpoint.awaitState("not ready, but alive") { !$0.isReady && $0.isAlive }
      try endpoint.awaitState("behind by the clock") { !$0.lags.isEmpty && $0.lags.allSatisfy { $0 >= 12 } }
      var problems = endpoint.isReady || !endpoint.isAlive ? ["ready or dead"] : []
      site.broker.freeze(false)
      try endpoint.awaitState("ready again") { $0.isReady && $0.lags.allSatisfy { $0 < 12 } }
      try events.produce(milliseconds: 500)
      problems += try Audit(site, seconds: 300).problems(events.written) + site.complaints()
      return Integration.report(problems, seed, site)
    }
  }

  /// A group without members has lost its offsets, as after the brokers' retention of them, or somebody has set them back.
  @Test(arguments: [("were set back", false), ("has expired", true)])
  func offsetsAreSetFromTheStore(_ told: String, areLost: Bool) async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try events.produce(2_000)
      try site.start(Site.Instance("a"))
      var problems = try Audit(site, seconds: 120).problems(events.written)
      guard try site.terminate("a") == 0 else { return [site.logs] }
      let auditor = try KafkaAuditor(brokers: site.brokers, group: site.group)
      let partitions = site.inputs.map(\.partition)
      let before = try auditor.committed(partitions)
      // As long as the last member's session lasts, nobody else may.
      try waitUntil("the offsets are gone") {
        try areLost ? auditor.deleteGroup(site.group) : auditor.commit(partitions.map { ($0, 0) })
      }
      let refused = try site.command(["run", "--redis", site.redis.url])
      if try refused.status(within: 60) != 1 { problems.append("it started: \(refused.text)") }
      let advice = "plumb offsets -d FILE --set-to-store"
      if !refused.text.contains(advice) || !refused.text.contains(told) {
        problems.append(refused.text)
      }
      let repair = try site.command(["offsets", "--set-to-store", "--redis", site.redis.url])
      if try repair.status(within: 120) != 0 { problems.append(repair.text) }
      if try auditor.committed(partitions) != before { problems.append("not all set: \(repair.text)") }
      try site.start(Site.Instance("b"))
      try events.produce(500)
      problems += try Audit(site, seconds: 120).problems(events.written) + site.complaints()
      return Integration.report(problems, seed, site)
    }
  }

  /// One of them ends and says why; the other one goes on.
  @Test func twoProcessesOfOneNameAreAnError() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      func start() throws -> ChildProcess {
        try site.command(["run", "--redis", site.redis.url, "--instance", "twin", "--commit-interval", "50"])
      }
      let twins = [try start(), try start()]
      try waitUntil("one of them ends: \(twins.map(\.text))", seconds: 120) {
        try events.produce(50)
        return twins.contains { !$0.isRunning }
      }
      guard let ended = twins.first(where: { !$0.isRunning }) else { return [] }
      let text = "another live process has the same instance name"
      var problems = try ended.status(within: 10) == 1 && ended.text.contains(text) ? [] : [ended.text]
      if twins.filter(\.isRunning).count != 1 { problems.append("both ended: \(twins.map(\.text))") }
      problems += try Audit(site, seconds: 120).problems(events.written)
      return Integration.report(problems, seed, site)
    }
  }

  /// Keys are in other partitions than their states from then on, so nothing more may be folded; a new version goes on.
  @Test func addedPartitionsEndTheService() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try events.produce(2_000)
      try site.start(Site.Instance("a"), more: ["-X", "topic.metadata.refresh.interval.ms=500"])
      _ = try Audit(site, seconds: 120)
      try KafkaAuditor(brokers: site.brokers, group: "audit").addPartitions(
        site.sourceTopic, to: Site.partitions + 1)
      var status: Int32?
      try waitUntil("the service ends: \(site.logs)", seconds: 120) {
        status = try site.ended("a")
        return status != nil
      }
      let told =
        "had 3 partitions when this service started, and the group has assigned \(site.sourceTopic)-3"
      var problems = status == 1 && site.logs.contains(told) ? [] : ["status \(status!)"]
      let again = try site.command(["run", "--redis", site.redis.url])
      let refusal = "had 3 partitions when its states were made, and has 4 now"
      if try again.status(within: 60) != 1 || !again.text.contains(refusal) { problems.append(again.text) }
      // What both have told to do.
      let text = try String(contentsOfFile: site.definitions, encoding: .utf8)
      let next = site.path("next.yaml")
      try Data(text.replacingOccurrences(of: "\nversion: 1\n", with: "\nversion: 2\n").utf8)
        .write(to: URL(fileURLWithPath: next))
      for command in [["topics", "apply"], ["run", "--until", "end", "--redis", site.redis.url]] {
        let process = try site.command(command, definitions: next)
        if try process.status(within: 120) != 0 { problems.append("\(command): \(process.text)") }
      }
      return Integration.report(problems, seed, site)
    }
  }

  /// Where every view is repartitioned, no state stands where a source's partitions have put it.
  @Test func aSourceOfRepartitionedViewsMayGrow() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let all = ShopEvents.definitions
      guard let users = all.range(of: "  users:\n"), let items = all.range(of: "  items:\n") else {
        return [all]
      }
      let site = try Site(all.replacingCharacters(in: users.lowerBound..<items.lowerBound, with: ""))
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"), more: ["-X", "topic.metadata.refresh.interval.ms=500"])
      try events.produce(2_000)
      _ = try Audit(site, seconds: 120)
      try KafkaAuditor(brokers: site.brokers, group: "audit").addPartitions(
        site.sourceTopic, to: Site.partitions + 1)
      // A producer that was there before learns of it minutes later.
      let more = try ShopEvents(site, seed: seed &+ 1)
      try waitUntil("the new partition is folded: \(site.logs)", seconds: 120) {
        try more.produce(50)
        if !site.complaints().isEmpty { throw Failure("\(site.complaints())") }
        return try site.redis.positions(site.keys, ["clicks.3"])[0] ?? 0 > 0
      }
      guard try site.terminate("a") == 0 else { return [site.logs] }
      let verify = try site.command(["verify", "--redis", site.redis.url])
      let isSound = try verify.status(within: 120) == 0 && verify.text.contains("no difference")
      return Integration.report(isSound ? [] : [verify.text], seed, site)
    }
  }

  /// Its offsets say nothing about the new topic, and its keys are elsewhere.
  @Test func aTopicThatIsAnotherOneEndsTheService() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try events.produce(2_000)
      try site.start(Site.Instance("a"), more: ["-X", "topic.metadata.refresh.interval.ms=500"])
      _ = try Audit(site, seconds: 120)
      try KafkaAuditor(brokers: site.brokers, group: "audit").deleteTopic(site.sourceTopic)
      let admin = try TopicAdmin(
        KafkaOptions(brokers: site.brokers, group: "audit", transactionalID: "admin")
      ) { _, _ in }
      let grown = TopicDescription(
        name: site.sourceTopic, partitions: Int(Site.partitions) + 1, replication: 1)
      _ = try admin.create([grown])
      var status: Int32?
      try waitUntil("the service ends: \(site.logs)", seconds: 120) {
        status = try site.ended("a")
        return status != nil
      }
      let isTold = site.logs.contains("created anew") || site.logs.contains("had 3 partitions when")
      let problems =
        status == 1 && isTold && site.logs.contains("plumb run --until end") ? [] : ["status \(status!)"]
      return Integration.report(problems, seed, site)
    }
  }
}

extension KafkaAuditor {
  /// Sets the group's offsets; false while the group has members.
  fileprivate func commit(_ offsets: [(partition: TopicPartition, offset: Int64)]) -> Bool {
    let list = rd_kafka_topic_partition_list_new(Int32(offsets.count))
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for (partition, offset) in offsets {
      rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset
    }
    return rd_kafka_commit(handle, list, 0) == RD_KAFKA_RESP_ERR_NO_ERROR
  }

  /// Deletes a group with its offsets; false while it has members.
  fileprivate func deleteGroup(_ name: String) throws -> Bool {
    guard let queue = rd_kafka_queue_new(handle) else { throw Failure("out of memory") }
    defer { rd_kafka_queue_destroy(queue) }
    var request = rd_kafka_DeleteGroup_new(name)
    defer { rd_kafka_DeleteGroup_destroy(request) }
    rd_kafka_DeleteGroups(handle, &request, 1, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, 20_000) else { throw Failure("no answer") }
    defer { rd_kafka_event_destroy(event) }
    var results = 0
    let groups = rd_kafka_DeleteGroups_result_groups(
      rd_kafka_event_DeleteGroups_result(event), &results)
    guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR, results == 1, let groups else {
      throw Failure("delete the group \(name)")
    }
    return rd_kafka_group_result_error(groups[0]) == nil
  }

  fileprivate func addPartitions(_ topic: String, to count: Int32) throws {
    guard let queue = rd_kafka_queue_new(handle) else { throw Failure("out of memory") }
    defer { rd_kafka_queue_destroy(queue) }
    var request = rd_kafka_NewPartitions_new(topic, Int(count), nil, 0)
    defer { rd_kafka_NewPartitions_destroy(request) }
    rd_kafka_CreatePartitions(handle, &request, 1, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, 20_000) else { throw Failure("no answer") }
    defer { rd_kafka_event_destroy(event) }
    var results = 0
    let topics = rd_kafka_CreatePartitions_result_topics(
      rd_kafka_event_CreatePartitions_result(event), &results)
    guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR, results == 1, let topics,
      rd_kafka_topic_result_error(topics[0]) == RD_KAFKA_RESP_ERR_NO_ERROR
    else { throw Failure("add partitions to \(topic)") }
  }

  func deleteTopic(_ name: String) throws {
    guard let queue = rd_kafka_queue_new(handle) else { throw Failure("out of memory") }
    defer { rd_kafka_queue_destroy(queue) }
    var request = rd_kafka_DeleteTopic_new(name)
    defer { rd_kafka_DeleteTopic_destroy(request) }
    rd_kafka_DeleteTopics(handle, &request, 1, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, 20_000) else { throw Failure("no answer") }
    defer { rd_kafka_event_destroy(event) }
    guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure("delete \(name)") }
  }
}
