import CRDKafka
import LocalBroker
import Processor
import Testing

@testable import EventLog

extension BrokerSuite {
  /// Brokers that go away, forget, or know somebody else by the same name.
  @Suite(.serialized) struct OutageTests {
    /// A broker of its own in memory: what stops forgets everything.
    private func broker(port: Int = 0, topics: [String] = []) async throws -> LocalBroker {
      var configuration = TestBroker.configuration()
      configuration.port = port
      configuration.topics = topics.map { ($0, 1) }
      return try await LocalBroker.start(configuration)
    }

    /// An abort that is not answered is asked for again, and no call waits for the broker's return.
    @Test func noCallOutlivesItsDeadline() async throws {
      let broker = try await broker()
      let bench = Bench(brokers: "127.0.0.1:\(broker.port)")
      let topic = try bench.newTopic()
      var options = bench.options([
        "producer.transaction.timeout.ms": "2000", "statistics.interval.ms": "100",
      ])
      options.requestTimeoutMilliseconds = 500
      options.takeoverTimeoutMilliseconds = 500
      let log = try bench.log(topic, options)
      let reader = Reader(log)
      try reader.join()
      try log.begin()
      try log.send(topic, key: nil, value: "lost")
      // The brokers have to know of the transaction, else an abort would not ask them.
      let (admin, patience) = (try TopicAdmin(options, report: quiet), Patience())
      let partition = TopicPartition(topic, 0)
      while try admin.ends(of: [partition])[0] == 0 { try patience.check("the open record") }
      try await broker.stop()
      // What the library calls the transaction's time is 2 s; a machine under load may take a multiple of it.
      func outcome(_ what: String, _ body: () throws -> Void) throws -> LogError.Remedy? {
        let start = ContinuousClock.now
        let found = try remedy(body)
        #expect(.now - start < .seconds(30), "\(what)")
        return found
      }
      var failed: LogError.Remedy? = .retry
      while failed == .retry {
        try patience.check("the end of the commit")
        failed = try outcome("commit") { try log.commit([(partition, 0)]) }
      }
      #expect(failed == .abort || failed == .fenced)
      for _ in 1...3 {
        let aborted = try outcome("abort") { try log.abort() }
        #expect(aborted != nil)
      }
      let asked = try outcome("committed") { _ = try log.committed([partition]) }
      let renewed = try outcome("a new log") { _ = try bench.log(topic, options) }
      #expect(asked == .retry && renewed == .retry)
      while log.silenceMilliseconds == nil {
        try patience.check("the statistics")
        _ = try? log.poll(recordsMax: 1, timeoutMilliseconds: 50)
      }
      _ = try outcome("close") { log.close(timeoutMilliseconds: 1_000) }
    }

    /// As after transactional.id.expiration.ms: an abort would meet the same error again, for ever.
    @Test func aProducerThatTheBrokersHaveForgottenIsReplaced() async throws {
      let first = try await broker(topics: ["t"])
      let bench = Bench(brokers: "127.0.0.1:\(first.port)")
      let options = bench.options(transactionalID: "forgotten")
      let producer = try KafkaProducer(options, events: ClientEvents(.producer, options, log: quiet))
      try producer.initTransactions()
      try await first.stop()
      let second = try await broker(port: first.port, topics: ["t"])
      guard let metadata = rd_kafka_consumer_group_metadata_new(bench.group) else {
        throw Overdue(description: "")
      }
      let membership = GroupMembership(metadata)
      try producer.begin()
      let found = try remedy {
        try producer.send(PartitionList([(TopicPartition("t", 0), 0)]), of: membership)
      }
      #expect(found == .fenced)
      // The successor goes on.
      let heir = try KafkaProducer(options, events: ClientEvents(.producer, options, log: quiet))
      try heir.initTransactions()
      try heir.begin()
      try heir.send(PartitionList([(TopicPartition("t", 0), 1)]), of: membership)
      try heir.commit()
      try await second.stop()
    }

    /// kill -9 and a restart under the same name: the group knows the member again, and nobody waits for its session.
    @Test func aMemberWithANameComesBackAtOnce() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(2)
      var options = bench.options(["consumer.session.timeout.ms": "60000"])
      options.groupInstance = "a-0"
      let start = ContinuousClock.now
      do {
        let victim = Reader(try bench.log(topic, options))
        try victim.join()
        #expect(victim.assigned.count == 2)
      }
      let heir = Reader(try bench.log(topic, options))
      try heir.join()
      #expect(heir.assigned.count == 2)
      #expect(.now - start < .seconds(50))
      heir.log.close(timeoutMilliseconds: 10_000)
    }

    /// Each would fence the other for ever.
    @Test func theYoungerOfTwoMembersOfOneNameStays() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      func log(_ transactionalID: String) throws -> KafkaLog {
        var options = bench.options(transactionalID: TestBroker.unique(transactionalID))
        options.groupInstance = "a-0"
        return try bench.log(topic, options)
      }
      let older = Reader(try log("older"))
      try older.join()
      let younger = Reader(try log("younger"))
      try younger.join()
      let patience = Patience()
      var found: LogError?
      while found == nil {
        try patience.check("the older one's end")
        _ = try younger.poll()
        do { _ = try older.poll() } catch let error as LogError { found = error }
      }
      // The brokers may have been away, too: whoever joins anew counts how often.
      #expect(found?.remedy == .fenced)
      #expect(found?.message.contains("the instance name was taken over") == true, "\(found!)")
      for log in [older.log, younger.log] { log.close(timeoutMilliseconds: 10_000) }
    }

    /// Of an outage one line is told, and one of its end; the rest is for those who debug.
    @Test func anOutageIsToldOnce() async throws {
      let first = try await broker(topics: ["t"])
      let lines = Lines()
      var options = Bench(brokers: "127.0.0.1:\(first.port)").options(["statistics.interval.ms": "100"])
      options.requestTimeoutMilliseconds = 500
      let log = try KafkaLog(options, topics: ["t"]) { severity, line in
        if severity >= .info, !line.hasPrefix("STATISTICS") { lines.add(line) }
      }
      try Reader(log).join()
      try await first.stop()
      let patience = Patience()
      let counted = log.counters.errors
      // Several rounds of failed connections of both clients.
      while log.counters.errors < counted + 12 {
        try patience.check("errors")
        _ = try? log.poll(recordsMax: 1, timeoutMilliseconds: 50)
      }
      #expect(lines.all.count { $0.contains("the client goes on trying") } <= 2, "\(lines.all)")
      #expect(lines.all.count <= 4, "\(lines.all)")
      let second = try await broker(port: first.port, topics: ["t"])
      while !lines.all.contains(where: { $0.contains("the brokers answer again, after") }) {
        try patience.check("the end of the outage: \(lines.all)")
        _ = try? log.poll(recordsMax: 1, timeoutMilliseconds: 50)
      }
      log.close(timeoutMilliseconds: 5_000)
      try await second.stop()
    }
  }
}
