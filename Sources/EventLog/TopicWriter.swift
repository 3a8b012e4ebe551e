import CRDKafka
public import Processor

/// Writes records to a topic: idempotent, in the order in which they are sent, to the partition that murmur2 of the key
/// names. One thread.
public final class TopicWriter {
  private let producer: KafkaProducer
  private let topic: String
  /// Records sent since callbacks were last served.
  private var unserved = 0

  /// Records between two looks at what could not be delivered.
  private static let serveInterval = 1_000

  /// Reaches the brokers of some options, of which the group and the transactional id play no part. The topic has to
  /// exist. `report` may be called from any thread.
  public init(
    _ options: KafkaOptions, topic: String, report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    let options = Self.patient(options)
    guard try TopicAdmin(options, report: report).describe([topic])[0] != nil else {
      throw LogError(.fatal, "The topic '\(topic)' doesn't exist: create it, or check the brokers' address")
    }
    self.topic = topic
    producer = try KafkaProducer(options, events: ClientEvents(.producer, options, log: report))
  }

  /// Records wait for their brokers however long those are away, as many as the queue holds.
  static func patient(_ options: KafkaOptions) -> KafkaOptions {
    var options = options
    options.delivery = .atLeastOnce
    let names = ["message.timeout.ms", "delivery.timeout.ms"].flatMap { [$0, "producer.\($0)"] }
    if names.allSatisfy({ options.properties[$0] == nil }) {
      options.properties["producer.message.timeout.ms"] = "0"
    }
    return options
  }

  /// Hands a record over for sending; copies its bytes. Without a key the partition is any. Throws what an earlier
  /// record could not be delivered for; `.retry` when the brokers take nothing, and this record wasn't taken.
  public func send(key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?) throws(LogError) {
    try producer.send(topic: topic, partition: nil, key: key, value: value)
    unserved += 1
    if unserved >= Self.serveInterval { try serve() }
  }

  /// Waits until every record is delivered; throws if one can't be.
  public func flush() throws(LogError) {
    try producer.flush()
    try serve()
  }

  private func serve() throws(LogError) {
    unserved = 0
    producer.serve()
    if let failure = producer.takeFailure() { throw failure }
  }
}
