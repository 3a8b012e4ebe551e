import Processor

/// Every number and property that isn't librdkafka's own default, each with its reason.
enum KafkaDefaults {
  /// Longer than a coordinator takes to move to another broker, shorter than an operator's patience.
  static let requestTimeoutMilliseconds = 30_000
  /// A client's threads end within milliseconds, or never.
  static let destroyTimeoutMilliseconds = 5_000
  /// A full queue empties at tens of megabytes a second: five seconds without room mean that nothing moves.
  static let sendTimeoutMilliseconds = 5_000
  /// How long a new producer waits until its predecessor's transaction has ended.
  static let takeoverTimeoutMilliseconds = 60_000
  /// Kafka Streams' choice: a crashed worker's open transaction holds up `read_committed` readers no longer.
  static let transactionTimeoutMilliseconds = "10000"
  /// How long a closing member waits to be told its first share: Kafka waits 3 s for a new group's members.
  static let firstRebalanceTimeoutMilliseconds = 5_000
  /// Between two tellings of an error that repeats.
  static let repetitionInterval = Duration.seconds(60)
  /// Between looks at whether the consumer has left its group.
  static let closeSliceMilliseconds: Int32 = 20
  /// Bytes for librdkafka's explanations; it cuts longer ones.
  static let explanationBytes = 512
  /// Messages that a poll makes room for at once; a larger `recordsMax` grows the room.
  static let batchRecords = 4_096

  /// The next poll takes fewer messages at once.
  static let wakingMessagesMin: Int32 = 1_000
  /// Sent is enough.
  static let wakingTimeoutMilliseconds: Int32 = 1

  /// For the consumer.
  static let consumer = [
    // Only what moves stops: with an eager protocol every partition would be reloaded on every change.
    "partition.assignment.strategy": "cooperative-sticky",
    // How long the partitions of a machine that is lost have no owner, and those of a worker that has ended for good: its
    // transaction holds readers up for as long. Three heartbeats; a restart takes less.
    "session.timeout.ms": "10000",
    "heartbeat.interval.ms": "3000",
    // The bound of what is fetched ahead, all partitions together; as much again goes into its bookkeeping. A tenth of a
    // second's records, so that half of them outlasts the fetch that `FetchWaker` asks for.
    "queued.max.messages.kbytes": "32768",
    // Only the bytes count.
    "queued.min.messages": "500000",
    // A partition that is assigned or resumed waits for the fetch that is under way.
    "fetch.wait.max.ms": "100",
    "fetch.error.backoff.ms": "100",
    // CRC-32C costs next to nothing beside JSON, and a flipped bit would become a feature.
    "check.crcs": "true",
    "reconnect.backoff.max.ms": "1000",
    // How the worker learns when a broker has last answered: every fetch and every heartbeat counts.
    "statistics.interval.ms": "2000",
    // Brokers close idle connections: not worth a warning.
    "log.connection.close": "false",
  ]

  /// For the consumer, and not to be changed: the commit protocol rests on them.
  static let consumerFixed = [
    "enable.auto.commit": "false", "enable.auto.offset.store": "false", "isolation.level": "read_committed",
    "auto.offset.reset": "error", "allow.auto.create.topics": "false", "enable.partition.eof": "true",
  ]

  /// For the producer.
  static let producer = [
    "compression.codec": "lz4",
    // Snapshots come thousands at a time; small batches would cost a header, a CRC and a request each.
    "batch.num.messages": "50000",
    // More than an event and what is said of it: librdkafka's own limit is below the largest event.
    "message.max.bytes": "\(TopicKind.recordBytesMax)",
    // The bound of what a commit may hold that isn't sent yet.
    "queue.buffering.max.messages": "1000000",
    "queue.buffering.max.kbytes": "262144",
    // Commits flush, and flushing doesn't linger: this only fills batches.
    "linger.ms": "20",
    "reconnect.backoff.max.ms": "1000",
    // How it is known that an outage is over.
    "statistics.interval.ms": "2000",
    "log.connection.close": "false",
  ]

  /// For the producer, and not to be changed.
  static let producerFixed = [
    "enable.idempotence": "true", "partitioner": "murmur2_random",
    // Every delivery is reported: nothing else wakes the library's flush, which would sleep for 10 ms in each commit.
    "delivery.report.only.error": "false",
  ]

  /// For the administrator. It asks as a consumer does: a producer's question would create a missing topic.
  static let admin = [
    "allow.auto.create.topics": "false", "log.connection.close": "false",
    // Who asks for ends wants to know what is coming, too.
    "isolation.level": "read_uncommitted",
  ]

  /// What an administrator takes over from the user's properties: how to reach the brokers.
  static let adminPrefixes = [
    "security.", "sasl.", "ssl.", "socket.", "broker.", "reconnect.", "api.", "debug", "enable.ssl.",
  ]

  /// Properties that are set by other means, or that the commit protocol rests on; each with what to do instead.
  static let reserved = [
    "bootstrap.servers": "name the brokers in their own option.",
    "metadata.broker.list": "name the brokers in their own option.",
    "client.id": "it has its own option.",
    "group.id": "it follows from the definitions' name.",
    "transactional.id": "it follows from the definitions' name and the worker.",
    "group.instance.id": "it follows from the instance's name and the worker.",
    "enable.auto.commit": "offsets are committed with the results.",
    "enable.auto.offset.store": "offsets are committed with the results.",
    "isolation.level": "only committed records are read.",
    "auto.offset.reset": "where to begin is decided from the committed position, never silently.",
    "allow.auto.create.topics": "create topics on purpose, with their partitions.",
    "enable.partition.eof": "positions go over the marks of transactions at the end.",
    "enable.idempotence": "repeated records would be folded twice downstream.",
    "partitioner": "readers find a key by murmur2.",
    "delivery.report.only.error": "commits wait for the reports.",
  ]
}
