public import FeatureCore

/// A partition of a topic.
public struct TopicPartition: Hashable, Sendable, CustomStringConvertible {
  /// The topic.
  public var topic: String
  /// The partition's index.
  public var partition: Int32

  /// A partition from its parts.
  public init(_ topic: String, _ partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// As Kafka's tools write it: `clicks-3`.
  public var description: String { "\(topic)-\(partition)" }
}

/// A record as it was fetched. Its bytes are borrowed until the next poll.
public struct LogRecord {
  /// Index of the record's partition among those that the poll reports.
  public var partition: Int
  /// The record's offset.
  public var offset: Int64
  /// The record's Kafka timestamp in milliseconds since the epoch; nil if it has none.
  public var timestampMilliseconds: Int64?
  /// The key; nil is Kafka's null.
  public var key: UnsafeRawBufferPointer?
  /// The value; nil is Kafka's null, a tombstone.
  public var value: UnsafeRawBufferPointer?
  /// The headers; nil if there are none, or if the log was not asked to read them.
  public var headers: RecordHeaders?

  /// A record from its parts.
  public init(
    partition: Int, offset: Int64, timestampMilliseconds: Int64?, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?, headers: RecordHeaders? = nil
  ) {
    self.partition = partition
    self.offset = offset
    self.timestampMilliseconds = timestampMilliseconds
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// A change of what a consumer owns. The consumer waits with it until `assign` or `unassign` is called.
public enum LogAssignment: Hashable, Sendable {
  /// The group gave these partitions; call `assign`.
  case assigned([TopicPartition])
  /// The group takes these partitions back; finish what is under way, then call `unassign`.
  case revoked([TopicPartition])
  /// These partitions are gone already (the session timed out): nothing of theirs may be committed; call `unassign`.
  case lost([TopicPartition])
}

/// What a poll found.
public struct LogPoll {
  /// Changes of the assignment, to be handled before the records.
  public var assignments: [LogAssignment]
  /// The partitions that `records` refer to.
  public var partitions: [TopicPartition]
  /// The records, in offset order within a partition.
  public var records: UnsafeBufferPointer<LogRecord>
  /// Offsets below which nothing is left to hand out. The marks of transactions and aborted records take offsets too,
  /// so they may lie behind the last record; the next `seek` makes them void.
  public var ends: [(partition: TopicPartition, offset: Int64)]

  /// A poll from its parts.
  public init(
    assignments: [LogAssignment], partitions: [TopicPartition], records: UnsafeBufferPointer<LogRecord>,
    ends: [(partition: TopicPartition, offset: Int64)]
  ) {
    self.assignments = assignments
    self.partitions = partitions
    self.records = records
    self.ends = ends
  }
}

/// What a caller can do about an error of the log.
public struct LogError: Error, Sendable, CustomStringConvertible {
  /// What to do.
  public enum Remedy: Hashable, Sendable {
    /// The same call may succeed later.
    case retry
    /// Abort the transaction and begin again from the committed offsets.
    case abort
    /// Another producer or member has taken over: give everything up and join anew.
    case fenced
    /// An offset is not in the log (retention, or a wrong seek).
    case outOfRange(TopicPartition)
    /// Only a person can help.
    case fatal
  }

  /// What to do.
  public var remedy: Remedy
  /// What was attempted, where, and what the client library says.
  public var message: String
  /// Whether it comes with what is ordinary, such as another member that joins the group.
  public var isOrdinary = false

  /// An error from its parts.
  public init(_ remedy: Remedy, _ message: String) {
    self.remedy = remedy
    self.message = message
  }

  /// The message.
  public var description: String { message }
}

/// The log as one worker uses it: a member of a consumer group and a transactional producer. One thread.
public protocol EventLogPort: AnyObject {
  /// Waits at most `timeoutMilliseconds` for at most `recordsMax` records or a change of the assignment.
  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll

  /// Takes on partitions, fetching each from an offset.
  func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError)
  /// Gives partitions up.
  func unassign(_ partitions: [TopicPartition]) throws(LogError)
  /// Stops fetching some partitions without giving them up; who gives them up also ends that.
  func pause(_ partitions: [TopicPartition]) throws(LogError)
  /// Fetches them again.
  func resume(_ partitions: [TopicPartition]) throws(LogError)
  /// Goes to an offset of an assigned partition.
  func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError)

  /// Records of an assigned partition from an offset on that is before the one that `poll` reads next, at least one and
  /// at most `recordsMax`; borrowed until the next read of the partition by the same cursor. Cursors don't disturb `poll` or
  /// each other.
  func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord>

  /// The group's committed offsets, nil where there is none. Waits for transactions that are about to end.
  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?]
  /// The first offset, and the one after the last that a reader of committed records can see now.
  func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64)

  /// The offset of a partition's first record with this timestamp, in milliseconds since the epoch, or a later one; it may be
  /// an earlier offset. nil if there is no such record.
  func firstOffset(of partition: TopicPartition, since milliseconds: Int64) throws(LogError) -> Int64?

  /// Begins a transaction; everything sent until `commit` belongs to it.
  func begin() throws(LogError)
  /// Hands a record over for sending; copies its bytes. `partition` nil: murmur2 of the key.
  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError)
  /// Begins to commit the transaction, of which the snapshots of `changes` are the last records, and with it the offsets (exclusive:
  /// the next record to read) for the group. Returns whether that is done; if not, `finishCommit` tells, and until it has,
  /// the only calls are those that read. No partition is given up meanwhile.
  func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool
  /// Whether the commit that was started is done; throws why it isn't. Waits for that, or returns false at once. After an error
  /// it may be started again, with the same offsets and changes, or aborted.
  func finishCommit(waiting: Bool) throws(LogError) -> Bool
  /// Aborts the transaction.
  func abort() throws(LogError)

  /// Leaves the group. False if that failed or took too long; the brokers then find out by themselves. The log is of
  /// no further use.
  @discardableResult
  func close(timeoutMilliseconds: Int) -> Bool
}

extension EventLogPort {
  /// Commits the transaction and waits until that is done.
  public func commit(_ offsets: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    if try !startCommit(offsets, []) { _ = try finishCommit(waiting: true) }
  }
}
