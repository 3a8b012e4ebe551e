/// A committed offset.
public struct CommittedOffset: Sendable, Equatable {
  /// The offset of the next record to read.
  public var offset: Int64
  /// The leader epoch the consumer knew, or -1.
  public var leaderEpoch: Int32
  /// What the consumer wrote beside it.
  public var metadata: String

  /// An offset to commit.
  public init(offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "") {
    self.offset = offset
    self.leaderEpoch = leaderEpoch
    self.metadata = metadata
  }
}

/// A change of the broker's durable state. Written in order and given back to ``Broker/restore(_:now:)`` in the
/// same order, the entries rebuild the broker; any prefix of them is a state the broker was in.
public enum JournalEntry: Sendable, Equatable {
  case topicCreated(name: String, number: Int64, partitions: Int32, configs: [String: String])
  case topicDeleted(name: String)
  /// A topic has so many partitions now.
  case partitionsAdded(name: String, partitions: Int32)
  case logStart(TopicPartition, Int64)
  case batch(TopicPartition, topicNumber: Int64, bytes: [UInt8])
  case counters(producerIds: Int64, topics: Int64, incarnation: Int64)
  case transaction(id: String, Transaction)
  case offsets(group: String, [TopicPartition: CommittedOffset])
  case pendingOffsets(group: String, producerId: Int64, [TopicPartition: CommittedOffset])
  case offsetsDecided(group: String, producerId: Int64, commit: Bool)
  /// With its offsets.
  case groupDeleted(name: String)
}
