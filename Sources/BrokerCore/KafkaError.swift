/// Kafka's error codes, as far as this broker answers them.
public enum KafkaError: Int16, Error, Sendable {
  case none = 0
  case offsetOutOfRange = 1
  case corruptMessage = 2
  case unknownTopicOrPartition = 3
  case messageTooLarge = 10
  case offsetMetadataTooLarge = 12
  case invalidTopic = 17
  case invalidRequiredAcks = 21
  case illegalGeneration = 22
  case inconsistentGroupProtocol = 23
  case invalidGroupId = 24
  case unknownMemberId = 25
  case invalidSessionTimeout = 26
  case rebalanceInProgress = 27
  case unsupportedVersion = 35
  case topicAlreadyExists = 36
  case invalidPartitions = 37
  case invalidReplicationFactor = 38
  case invalidReplicaAssignment = 39
  case invalidConfig = 40
  case invalidRequest = 42
  case unsupportedForMessageFormat = 43
  case policyViolation = 44
  case outOfOrderSequenceNumber = 45
  case invalidProducerEpoch = 47
  case invalidTransactionState = 48
  case invalidProducerIdMapping = 49
  case invalidTransactionTimeout = 50
  case concurrentTransactions = 51
  case operationNotAttempted = 55
  case nonEmptyGroup = 68
  case groupIdNotFound = 69
  case unknownLeaderEpoch = 75
  case unsupportedCompressionType = 76
  case memberIdRequired = 79
  case groupMaxSizeReached = 81
  case fencedInstanceId = 82
  case invalidRecord = 87
  case unstableOffsetCommit = 88
  case producerFenced = 90
}

/// A partition of a topic.
public struct TopicPartition: Hashable, Sendable, Comparable {
  /// The topic's name.
  public var topic: String
  /// The partition's index.
  public var partition: Int32

  /// A partition by its topic's name and its index.
  public init(_ topic: String, _ partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// By topic, then by index: the order in which anything is done to several partitions.
  public static func < (a: TopicPartition, b: TopicPartition) -> Bool {
    a.topic == b.topic ? a.partition < b.partition : a.topic < b.topic
  }
}
