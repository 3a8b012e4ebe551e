import FeatureCore
import EventLog
import Processor
import TestSupport

/// Writes events to a topic in transactions, and remembers those of the committed ones.
final class EventProducer {
  private(set) var written: [WrittenEvent] = []
  private let log: KafkaLog
  private let topic: String
  private let site: Site

  /// Of a source's topic, by default the first one's.
  init(_ site: Site, source: String? = nil) throws {
    self.site = site
    topic =
      source.flatMap { name in site.plan.declaredSources.first { $0.source.name == name }?.source.topic }
      ?? site.sourceTopic
    let options = KafkaOptions(
      brokers: site.brokers, group: "\(site.plan.name).producer",
      transactionalID: "\(topic).producer",
      properties: ["producer.linger.ms": "1", "producer.message.max.bytes": "\(Site.sourceBytesMax)"])
    log = try KafkaLog(options, topics: [topic]) { _, _ in }
  }

  deinit { log.close(timeoutMilliseconds: 5_000) }

  /// Writes a transaction.
  func produce(_ events: [WrittenEvent], isAborted: Bool = false) throws {
    // Kafka adds nothing to a transaction before the last one has its markers, and refuses to abort nothing.
    if isAborted { try awaitMarkers() }
    try log.begin()
    for event in events { try send(event) }
    if isAborted { return try log.abort() }
    // A broker that is away, or slow, is asked again: what becomes of the transaction has to be known.
    while true {
      do throws(LogError) {
        try log.commit([])
        break
      } catch {
        guard error.remedy == .retry else { throw error }
      }
    }
    written += events
  }

  private func awaitMarkers() throws {
    let partitions = (0..<Site.partitions).map { TopicPartition(topic, $0) }
    let auditors = try ["read_committed", "read_uncommitted"].map {
      try KafkaAuditor(brokers: site.brokers, group: "markers", isolation: $0)
    }
    try waitUntil("the last transaction's markers are written") {
      try auditors[0].ends(partitions) == auditors[1].ends(partitions)
    }
  }

  private func send(_ event: WrittenEvent) throws {
    try event.key.withUnsafeBytes { key in
      guard let value = event.value else {
        return try log.send(topic: topic, partition: event.partition, key: key, value: nil)
      }
      try value.withUnsafeBytes {
        try log.send(topic: topic, partition: event.partition, key: key, value: $0)
      }
    }
  }
}
