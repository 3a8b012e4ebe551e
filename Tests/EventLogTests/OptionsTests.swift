import CRDKafka
import Processor
import Testing

@testable import EventLog

/// What needs no broker.
@Suite struct OptionsTests {
  private func open(_ properties: [String: String]) -> LogError? {
    let options = KafkaOptions(
      brokers: "127.0.0.1:1", group: "g", transactionalID: "t", delivery: .atLeastOnce, properties: properties
    )
    do throws(LogError) {
      _ = try KafkaLog(options, topics: ["t"], report: quiet)
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: [
    ("no.such.property", "1"), ("consumer.no.such.property", "1"), ("fetch.wait.max.ms", "soon"),
    ("enable.auto.commit", "true"), ("producer.partitioner", "random"), ("group.id", "other"),
  ])
  func badPropertiesAreNamed(name: String, value: String) throws {
    let error = try #require(open([name: value]))
    #expect(error.remedy == .fatal)
    let bare = name.hasPrefix("consumer.") && value == "1" ? String(name.dropFirst("consumer.".count)) : name
    #expect(error.message.contains("'\(bare)'"), "\(error)")
  }

  @Test func propertiesReplaceDefaultsOfTheirClient() throws {
    let options = KafkaOptions(
      brokers: "b", group: "g", transactionalID: "t",
      properties: [
        "consumer.queued.min.messages": "7", "producer.linger.ms": "3", "socket.timeout.ms": "5000",
      ])
    let consumer = Dictionary(
      uniqueKeysWithValues: try options.settings(for: .consumer).map { ($0.name, $0.value) })
    let producer = Dictionary(
      uniqueKeysWithValues: try options.settings(for: .producer).map { ($0.name, $0.value) })
    let admin = Dictionary(
      uniqueKeysWithValues: try options.settings(for: .admin).map { ($0.name, $0.value) })
    #expect(consumer["queued.min.messages"] == "7")
    #expect(consumer["linger.ms"] == nil)
    #expect(consumer["isolation.level"] == "read_committed")
    #expect(consumer["group.id"] == "g")
    #expect(producer["linger.ms"] == "3")
    #expect(producer["queued.min.messages"] == nil)
    #expect(producer["transactional.id"] == "t")
    #expect(producer["partitioner"] == "murmur2_random")
    #expect([consumer, producer, admin].allSatisfy { $0["socket.timeout.ms"] == "5000" })
    #expect(admin["group.id"] == nil && admin["linger.ms"] == nil)
  }

  @Test(arguments: [
    (
      ["transaction.timeout.ms": "10000"], 5_001,
      "transaction.timeout.ms is 10000 and commit_interval_ms is 5001"
    ),
    (["producer.transaction.timeout.ms": "60000"], 60_000, "transaction.timeout.ms is 60000"),
    (["consumer.max.poll.interval.ms": "15000"], 8_000, "max.poll.interval.ms is 15000"),
    (["session.timeout.ms": "5000"], 100, "session.timeout.ms is 5000 and heartbeat.interval.ms is 3000"),
    (["max.poll.interval.ms": "9000"], 100, "max.poll.interval.ms is 9000 and session.timeout.ms is 10000"),
    (["message.timeout.ms": "20000"], 100, "transaction.timeout.ms is 10000 and message.timeout.ms is 20000"),
  ])
  func settingsThatExcludeEachOtherAreRefusedTogether(
    properties: [String: String], interval: Int, message: String
  ) {
    func refusal(_ properties: [String: String], _ delivery: KafkaDelivery) -> LogError? {
      let options = KafkaOptions(
        brokers: "b", group: "g", transactionalID: "t", delivery: delivery, properties: properties)
      do throws(LogError) {
        try options.refuseExclusions(commitIntervalMilliseconds: interval)
        return nil
      } catch { return error }
    }
    #expect(refusal(properties, .exactlyOnce)?.remedy == .fatal)
    #expect(refusal(properties, .exactlyOnce)?.message.contains(message) == true)
    #expect((refusal(properties, .atLeastOnce) == nil) == message.hasPrefix("transaction"))
    // A second one is named beside the first.
    let both = refusal(properties.merging(["heartbeat.interval.ms": "9999"]) { $1 }, .exactlyOnce)
    #expect(both?.message.contains(message.prefix { $0 != " " }) == true)
    #expect(both?.message.contains("heartbeat.interval.ms is 9999") == true)
  }

  @Test func theDefaultsExcludeNothing() throws {
    let options = KafkaOptions(brokers: "b", group: "g", transactionalID: "t")
    try options.refuseExclusions(commitIntervalMilliseconds: 5_000)
  }

  @Test func secretsAreMasked() {
    let names = [
      "sasl.password", "ssl.key.password", "producer.sasl.password", "ssl.key.pem", "SASL.PASSWORD",
      "Consumer.Sasl.Password", "sasl.pasword", "consumer.sasl.pw", "sasl.jaas.config", "ssl_key",
    ]
    #expect(
      !["acks", "consumer.fetch.wait.max.ms", "client.rack", "sasl.username"].contains(
        where: KafkaOptions.isSecret))
    let options = KafkaOptions(
      brokers: "b", group: "g", transactionalID: "t",
      properties: Dictionary(uniqueKeysWithValues: names.map { ($0, "hunter2") }).merging(["debug": "seen"]) {
        $1
      })
    for text in [options.description, options.debugDescription, "\(options)", String(reflecting: options)] {
      #expect(!text.contains("hunter2"))
      #expect(text.contains("debug=seen"))
      #expect(names.allSatisfy { text.contains("\($0)=***") })
    }
    let error = open(["ssl.key.password": "hunter2", "ssl.key.location": "/does/not/exist"])
    #expect(error?.message.contains("hunter2") != true)
    for refused in ["sasl.jaas.config", "ssl_key"] {
      let message = open([refused: "password=hunter2"])?.message
      #expect(message?.contains(refused) == true && message?.contains("hunter2") == false, "\(message ?? "")")
    }
    let misspelt = open(["sasl.pasword": "hunter2"])
    #expect(
      misspelt?.message.contains("There is no Kafka property 'sasl.pasword'") == true, "\(misspelt as Any)")
    #expect(misspelt?.message.contains("hunter2") != true)
  }

  @Test(arguments: [
    (RD_KAFKA_RESP_ERR_PRODUCER_FENCED, LogError.Remedy.fenced), (RD_KAFKA_RESP_ERR__FENCED, .fenced),
    (RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, .fenced), (RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, .fenced),
    (RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, .fenced), (RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, .abort),
    (RD_KAFKA_RESP_ERR__TRANSPORT, .retry), (RD_KAFKA_RESP_ERR_NOT_COORDINATOR, .retry),
    (RD_KAFKA_RESP_ERR__QUEUE_FULL, .retry), (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, .fatal),
    (RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, .fatal), (RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, .fatal),
  ])
  func codesNameARemedy(code: rd_kafka_resp_err_t, remedy: LogError.Remedy) {
    let error = LogError(code, "Doing this")
    #expect(error.remedy == remedy)
    #expect(error.message.hasPrefix("Doing this: "))
    #expect(error.message.contains(code.name))
  }

  /// Every code that InitProducerId, AddPartitionsToTxn, Produce, AddOffsetsToTxn, TxnOffsetCommit and EndTxn can answer
  /// with (Kafka 3.9's protocol), and those that the library makes itself of a transaction.
  private static let transactionCodes: [Int32] =
    [2, 3, 5, 6, 7, 10, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 25, 27, 29, 30, 31, 35, 43]
    + [45, 46, 47, 48, 49, 50, 51, 52, 53, 55, 56, 58, 59, 74, 75, 82, 87, 88, 89, 90]
    + [-195, -192, -185, -168, -166, -152, -151, -150, -149, -148, -147, -144, -172, -181]

  @Test func everyCodeOfATransactionIsDecided() {
    #expect(KafkaDecisions.byCode.count == KafkaDecisions.table.reduce(0) { $0 + $1.codes.count })
    let undecided = Self.transactionCodes.map { rd_kafka_resp_err_t(rawValue: $0) }
      .filter { $0.decision == nil }.map { "\($0.rawValue) \($0.name)" }
    #expect(undecided == [])
  }

  /// The library's view counts where the code leaves room for it.
  @Test(arguments: [
    // Forgotten by the brokers: an abort would meet it again, for ever.
    (RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, false, true, false, LogError.Remedy.fenced),
    (RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, false, true, false, .fenced),
    (RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, true, false, false, .fenced),
    (RD_KAFKA_RESP_ERR__STATE, false, false, true, .retry),
    (RD_KAFKA_RESP_ERR__STATE, false, false, false, .fenced),
    (RD_KAFKA_RESP_ERR__TIMED_OUT, false, true, false, .abort),
    (RD_KAFKA_RESP_ERR__TIMED_OUT, false, false, true, .retry),
    // The commit was made, and the library had given it up: another producer goes on.
    (RD_KAFKA_RESP_ERR__TIMED_OUT, true, false, false, .fenced),
    (RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, false, true, false, .fatal),
    (RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, true, false, false, .fatal),
    (RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, true, false, false, .fenced),
    (RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, false, false, true, .retry),
  ])
  func flagsNameARemedy(
    code: rd_kafka_resp_err_t, isFatal: Bool, requiresAbort: Bool, isRetriable: Bool, remedy: LogError.Remedy
  ) {
    #expect(
      code.remedy(isFatal: isFatal, requiresAbort: requiresAbort, isRetriable: isRetriable) == remedy)
  }

  @Test func statisticsTellTheLatestAnswer() {
    func idle(_ text: String) -> Int64? {
      Array(text.utf8).withUnsafeBytes(BrokerStatistics.idleMicroseconds)
    }
    #expect(
      idle(#"{"brokers":{"a":{"rxidle":700,"x":1},"b":{"rxidle":-1},"c":{"txidle":3,"rxidle":52}}}"#) == 52)
    #expect(idle(#"{"brokers":{"a":{"rxidle":-1}}}"#) == nil)
    #expect(idle(#"{"rxidle":"#) == nil && idle("") == nil)
  }
}
