import Processor
import Testing

@testable import EventLog

extension BrokerSuite {
  /// Commits, aborts and fences.
  @Suite(.serialized) struct TransactionTests {
    @Test func onlyCommittedRecordsAreSeen() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let log = try bench.log(topic)
      let reader = Reader(log)
      try reader.join()
      try log.begin()
      try log.send(topic, key: nil, value: "aborted")
      try log.abort()
      try log.begin()
      try log.send(topic, key: nil, value: "open")
      // Sending is not waited for: the next would come first.
      let (admin, patience) = (try TopicAdmin(bench.options()) { _, _ in }, Patience())
      let start = try log.watermarks(TopicPartition(topic, 0)).high
      while try admin.ends(of: [TopicPartition(topic, 0)])[0] <= start {
        try patience.check("an open record")
      }
      // A second producer's record is behind the open transaction and has to wait for its end.
      let other = try Bench(brokers: bench.brokers).log(topic)
      try other.write(topic, ["behind"])
      let end = try log.watermarks(TopicPartition(topic, 0)).high
      #expect(try reader.poll(timeoutMilliseconds: 300).isEmpty)
      try log.commit([])
      #expect(try reader.read(2).map(\.value).sorted { $0! < $1! } == ["behind", "open"])
      #expect(try log.watermarks(TopicPartition(topic, 0)).high > end)
      #expect(log.counters.aborts == 1)
      for log in [log, other] { log.close(timeoutMilliseconds: 10_000) }
    }

    @Test func theMarksBehindTheLastRecordArePassed() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let partition = TopicPartition(topic, 0)
      let log = try bench.log(topic)
      let reader = Reader(log)
      try reader.join()
      try log.write(topic, ["a", "b"])
      #expect(try reader.read(2).map(\.offset) == [0, 1])
      let end = try log.watermarks(partition).high
      #expect(end > 2)
      try reader.awaitEnd(partition, end)
      // Once more for who goes back.
      try log.seek(partition, to: 1)
      #expect(try reader.read(1).map(\.offset) == [1])
      try reader.awaitEnd(partition, end)
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test(arguments: KafkaDelivery.allCases)
    func offsetsAreCommittedWithTheRecords(delivery: KafkaDelivery) async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let partition = TopicPartition(topic, 0)
      let log = try bench.log(topic, bench.options(delivery: delivery))
      let reader = Reader(log)
      try reader.join()
      #expect(try log.committed([partition]) == [nil])
      try log.begin()
      try log.send(topic, key: nil, value: "a")
      try log.abort()
      #expect(try log.committed([partition]) == [nil])
      try log.begin()
      try log.send(topic, key: nil, value: "b")
      try log.commit([(partition, 5)])
      #expect(try log.committed([partition]) == [5])
      try log.begin()
      try log.commit([(partition, 6)])
      #expect(try log.committed([partition]) == [6])
      log.close(timeoutMilliseconds: 10_000)
    }

    /// Whoever refuses it, the client as it is handed over or the brokers when it has been sent: a second attempt fails as well.
    @Test(arguments: [(topic: 2_000, client: 1_000_000), (topic: 1_000_000, client: 2_000)])
    func aRecordThatIsTooLargeIsForAPerson(bytesMax: (topic: Int, client: Int)) async throws {
      let bench = try await Bench()
      let topic = TestBroker.unique("topic")
      let configuration = ["max.message.bytes": "\(bytesMax.topic)"]
      _ = try TopicAdmin(bench.options(), report: quiet).create([
        TopicDescription(name: topic, partitions: 1, replication: 1, configuration: configuration)
      ])
      let options = bench.options(["producer.message.max.bytes": "\(bytesMax.client)"])
      let log = try bench.log(topic, options)
      try log.write(topic, ["small"])
      // Compressed it is large, too.
      let large = (0..<1_000).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
      let error = #expect(throws: LogError.self) { try log.write(topic, ["small", large]) }
      #expect(
        error?.remedy == .fatal && error?.message.contains("MSG_SIZE_TOO_LARGE") == true, "\(error as Any)")
      log.close(timeoutMilliseconds: 10_000)
      #expect(try bench.read(topic, count: 1).map(\.value) == ["small"])
    }

    @Test func aSecondProducerOfTheNameFencesTheFirst() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let name = TestBroker.unique("txn")
      let zombie = try bench.log(topic, bench.options(transactionalID: name))
      try Reader(zombie).join()
      try zombie.begin()
      try zombie.send(topic, key: nil, value: "zombie")
      let heir = try Bench(brokers: bench.brokers).log(topic, bench.options(transactionalID: name))
      #expect(try remedy { try zombie.commit([(TopicPartition(topic, 0), 1)]) } == .fenced)
      #expect(try heir.committed([TopicPartition(topic, 0)]) == [nil])
      try heir.write(topic, ["heir"])
      #expect(try bench.read(topic, count: 1).map(\.value) == ["heir"])
      for log in [zombie, heir] { log.close(timeoutMilliseconds: 10_000) }
    }

    @Test func aMemberThatHasLeftCannotCommit() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let partition = TopicPartition(topic, 0)
      let options = bench.options()
      let producer = try KafkaProducer(options, events: ClientEvents(.producer, options, log: quiet))
      try producer.initTransactions()
      let consumer = try KafkaConsumer(
        options, topics: [topic], events: ClientEvents(.consumer, options, log: quiet))
      let patience = Patience()
      var isAssigned = false
      while !isAssigned {
        try patience.check("an assignment")
        for case .assigned(let partitions) in try consumer.poll(recordsMax: 1, timeoutMilliseconds: 100)
          .assignments
        {
          try consumer.assign(partitions.map { ($0, 0) })
          isAssigned = true
        }
      }
      try producer.begin()
      let membership = try consumer.membership()
      #expect(consumer.close(until: .now + .seconds(10)))
      // Somebody else is in the group, so that it isn't empty.
      let heir = Reader(try bench.log(topic))
      try heir.join()
      #expect(
        try remedy { try producer.send(PartitionList([(partition, 3)]), of: membership) } == .fenced)
      #expect(try heir.log.committed([partition]) == [nil])
      heir.log.close(timeoutMilliseconds: 10_000)
    }

    @Test func aMemberThatDoesNotPollLosesItsPartitions() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let partition = TopicPartition(topic, 0)
      let idle = try bench.log(
        topic, bench.options(["consumer.max.poll.interval.ms": "\(TestBroker.sessionMilliseconds)"]))
      let sleeper = Reader(idle)
      try sleeper.join()
      try idle.begin()
      try idle.send(topic, key: nil, value: "too late")
      let heir = Reader(try bench.log(topic))
      try heir.join()
      let found = try remedy { try idle.commit([(partition, 9)]) }
      #expect(found == .abort || found == .fenced)
      try idle.abort()
      #expect(try heir.log.committed([partition]) == [nil])
      let patience = Patience()
      while !sleeper.changes.contains(.lost([partition])) {
        try patience.check("the loss")
        _ = try sleeper.poll()
      }
      for log in [idle, heir.log] { log.close(timeoutMilliseconds: 10_000) }
    }
  }
}
