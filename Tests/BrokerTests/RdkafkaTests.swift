import CRDKafka
import Testing

/// The behaviours the processor rests on, through the client it uses.
@Suite(.serialized) struct RdkafkaTests {
  private func setUp() async throws -> (brokers: String, topic: String) {
    let brokers = try await TestBroker.address()
    let topic = TestBroker.unique("rdkafka")
    try Rdkafka.createTopic(topic, 1, brokers)
    return (brokers, topic)
  }

  private func reader(_ brokers: String, _ isolation: String = "read_committed", group: String? = nil) throws
    -> Rdkafka
  {
    try Rdkafka(
      RD_KAFKA_CONSUMER, brokers,
      [
        "group.id": group ?? TestBroker.unique("group"), "isolation.level": isolation,
        "enable.partition.eof": "true", "auto.offset.reset": "earliest", "enable.auto.commit": "false",
        "fetch.wait.max.ms": "50",
      ])
  }

  private func read(_ brokers: String, _ topic: String, _ isolation: String = "read_committed") throws
    -> [String]
  {
    let reader = try reader(brokers, isolation)
    reader.assign(topic, at: 0)
    return try reader.readToEnd()
  }

  @Test(arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
  func codecsAndIdempotence(codec: String) async throws {
    let (brokers, topic) = try await setUp()
    let producer = try Rdkafka(
      RD_KAFKA_PRODUCER, brokers,
      [
        "enable.idempotence": "true", "compression.codec": codec, "batch.num.messages": "17",
        "linger.ms": "1",
      ])
    let values = (0..<2_000).map { "value \($0) \($0 % 7)" }
    try producer.produce(topic, values)
    #expect(try read(brokers, topic) == values)
  }

  @Test func transactionsAreAllOrNothing() async throws {
    let (brokers, topic) = try await setUp()
    let producer = try Rdkafka.transactional(brokers, TestBroker.unique("txn"))
    for (value, commit) in [("a", true), ("b", false), ("c", true)] {
      try producer.begin()
      try producer.produce(topic, [value + "1", value + "2"])
      if commit { try producer.commit() } else { try producer.abort() }
    }
    try producer.begin()
    try producer.produce(topic, ["open"])
    #expect(try read(brokers, topic) == ["a1", "a2", "c1", "c2"])
    #expect(try read(brokers, topic, "read_uncommitted") == ["a1", "a2", "b1", "b2", "c1", "c2", "open"])
    try producer.commit()
    #expect(try read(brokers, topic) == ["a1", "a2", "c1", "c2", "open"])
  }

  @Test func offsetsCountWithTheirTransaction() async throws {
    let (brokers, topic) = try await setUp()
    let group = TestBroker.unique("group")
    let consumer = try reader(brokers, group: group)
    consumer.subscribe(topic)
    #expect(try consumer.readToEnd() == [])
    let producer = try Rdkafka.transactional(brokers, TestBroker.unique("txn"))
    for (commit, wanted) in [(false, Int64(RD_KAFKA_OFFSET_INVALID)), (true, 5)] {
      try producer.begin()
      try producer.send(5, of: topic, for: consumer)
      if commit { try producer.commit() } else { try producer.abort() }
      #expect(try consumer.committed(topic) == wanted)
    }
  }

  @Test func zombiesAreFenced() async throws {
    let (brokers, topic) = try await setUp()
    let id = TestBroker.unique("txn")
    let zombie = try Rdkafka.transactional(brokers, id)
    try zombie.begin()
    try zombie.produce(topic, ["zombie"])
    let heir = try Rdkafka.transactional(brokers, id)
    #expect(throws: Rdkafka.Failed.self) { try zombie.produce(topic, ["zombie again"]) }
    #expect(throws: Rdkafka.Failed.self) { try zombie.commit() }
    try heir.begin()
    try heir.produce(topic, ["heir"])
    try heir.commit()
    #expect(try read(brokers, topic) == ["heir"])
  }

  @Test func staleGenerationsCannotCommit() async throws {
    let (brokers, topic) = try await setUp()
    let group = TestBroker.unique("group")
    let producer = try Rdkafka.transactional(brokers, TestBroker.unique("txn"))
    var stale: OpaquePointer?
    do {
      let consumer = try reader(brokers, group: group)
      consumer.subscribe(topic)
      #expect(try consumer.readToEnd() == [])
      stale = rd_kafka_consumer_group_metadata(consumer.handle)
    }
    defer { rd_kafka_consumer_group_metadata_destroy(stale) }
    // The member has left; another one has the partition now.
    let heir = try reader(brokers, group: group)
    heir.subscribe(topic)
    #expect(try heir.readToEnd() == [])
    let offsets = rd_kafka_topic_partition_list_new(1)
    defer { rd_kafka_topic_partition_list_destroy(offsets) }
    rd_kafka_topic_partition_list_add(offsets, topic, 0).pointee.offset = 7
    try producer.begin()
    let codes = [RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION].map(\.rawValue)
    do {
      try producer.check(rd_kafka_send_offsets_to_transaction(producer.handle, offsets, stale, 30_000))
      Issue.record("a stale member could commit")
    } catch let error as Rdkafka.Failed {
      #expect(codes.contains(error.code), "\(error)")
    }
    try producer.abort()
    #expect(try heir.committed(topic) == Int64(RD_KAFKA_OFFSET_INVALID))
  }
}
