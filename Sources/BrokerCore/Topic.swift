/// The configuration of a topic: what Kafka's topics accept, of which this broker acts on a few.
public struct TopicSettings: Sendable, Equatable {
  /// What was set when the topic was created.
  public private(set) var overrides: [String: String] = [:]
  /// Whether records need keys. Nothing is ever compacted.
  public private(set) var isCompacted = false
  /// Whether the broker stamps batches with its own time.
  public private(set) var isLogAppendTime = false
  /// The largest batch.
  public private(set) var maxMessageBytes = 1_048_588

  /// The names that Kafka 3 knows, with its defaults.
  public static let defaults: [String: String] = [
    "cleanup.policy": "delete", "compression.type": "producer", "delete.retention.ms": "86400000",
    "file.delete.delay.ms": "60000", "flush.messages": "9223372036854775807",
    "flush.ms": "9223372036854775807", "follower.replication.throttled.replicas": "",
    "index.interval.bytes": "4096", "leader.replication.throttled.replicas": "",
    "local.retention.bytes": "-2", "local.retention.ms": "-2",
    "max.compaction.lag.ms": "9223372036854775807", "max.message.bytes": "1048588",
    "message.downconversion.enable": "true", "message.format.version": "3.0-IV1",
    "message.timestamp.after.max.ms": "9223372036854775807",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.difference.max.ms": "9223372036854775807", "message.timestamp.type": "CreateTime",
    "min.cleanable.dirty.ratio": "0.5", "min.compaction.lag.ms": "0", "min.insync.replicas": "1",
    "preallocate": "false", "remote.storage.enable": "false", "retention.bytes": "-1",
    "retention.ms": "604800000", "segment.bytes": "1073741824", "segment.index.bytes": "10485760",
    "segment.jitter.ms": "0", "segment.ms": "604800000", "unclean.leader.election.enable": "false",
  ]

  /// The defaults.
  public init() {}

  /// The defaults with some of them overridden.
  public init(_ overrides: [String: String]) throws(KafkaError) {
    self.overrides = overrides
    for (name, value) in overrides {
      guard Self.defaults[name] != nil else { throw .invalidConfig }
      switch name {
      case "cleanup.policy":
        guard ["delete", "compact", "compact,delete", "delete,compact"].contains(value) else {
          throw .invalidConfig
        }
        isCompacted = value != "delete"
      case "message.timestamp.type":
        guard ["CreateTime", "LogAppendTime"].contains(value) else { throw .invalidConfig }
        isLogAppendTime = value == "LogAppendTime"
      case "max.message.bytes":
        guard let bytes = Int32(value), bytes >= 0 else { throw .invalidConfig }
        maxMessageBytes = Int(bytes)
      default: break
      }
    }
  }
}

/// A topic.
public struct Topic {
  /// Tells apart topics that had the same name one after the other.
  public let number: Int64
  /// Its configuration.
  public let settings: TopicSettings
  /// Its partitions by index.
  public internal(set) var partitions: [Partition]
}
