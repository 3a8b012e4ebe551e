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

  @Test func secretsAreMasked() {
    let names = [
      "sasl.password", "ssl.key.password", "producer.sasl.password", "ssl.key.pem", "SASL.PASSWORD",
      "Consumer.Sasl.Password", "sasl.pasword", "consumer.sasl.pw",
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
}
