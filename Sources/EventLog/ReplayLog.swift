public import Processor

/// What a consumer group has committed, to be folded once more into a store that has lost it: the log of a worker that is
/// no member of the group, reads some partitions up to the group's offsets, and sends nothing. One thread.
public final class ReplayLog: EventLogPort {
  private let consumer: KafkaConsumer
  private let cursors: CursorReaders
  private let partitions: [TopicPartition]
  private let ends: [TopicPartition: Int64]
  private var isAssigned = false

  /// A log of some partitions up to an offset of each, which pass for the group's. `report` may be called from any
  /// thread.
  public init(
    _ options: KafkaOptions, ends: [TopicPartition: Int64],
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    consumer = try KafkaConsumer(
      options, topics: nil, events: ClientEvents(.replay, options, log: report))
    cursors = CursorReaders(options, report: report)
    partitions = Array(ends.keys)
    self.ends = ends
  }

  /// The offsets that the group has committed by now, nil where there is none.
  public func groupOffsets(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    partitions.isEmpty ? [] : try consumer.committed(partitions)
  }

  /// Sets the group's offsets of some partitions. The group must have no members.
  public func setGroupOffsets(
    _ offsets: [(partition: TopicPartition, offset: Int64)]
  ) throws(LogError) {
    if !offsets.isEmpty { try consumer.commit(PartitionList(offsets)) }
  }

  /// See `EventLogPort`. The first poll assigns the partitions.
  public func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    let wait = isAssigned ? timeoutMilliseconds : 0
    var poll = try consumer.poll(recordsMax: recordsMax, timeoutMilliseconds: wait)
    if !isAssigned { poll.assignments.append(.assigned(partitions)) }
    isAssigned = true
    return poll
  }

  /// See `EventLogPort`.
  public func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    try consumer.assign(partitions, ends: ends)
  }

  /// See `EventLogPort`.
  public func unassign(_ partitions: [TopicPartition]) throws(LogError) { try consumer.unassign(partitions) }
  /// See `EventLogPort`.
  public func pause(_ partitions: [TopicPartition]) throws(LogError) { try consumer.pause(partitions) }
  /// See `EventLogPort`.
  public func resume(_ partitions: [TopicPartition]) throws(LogError) { try consumer.resume(partitions) }

  /// See `EventLogPort`.
  public func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) {
    try consumer.seek(partition, to: offset)
  }

  /// See `EventLogPort`.
  public func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    try cursors.read(partition, cursor: cursor, from: offset, recordsMax: recordsMax)
  }

  /// Where reading ends: before it, nothing is sent.
  public func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    partitions.map { ends[$0] }
  }

  /// See `EventLogPort`.
  public func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    try consumer.watermarks(partition)
  }

  /// See `EventLogPort`.
  public func firstOffset(
    of partition: TopicPartition, since milliseconds: Int64
  ) throws(LogError) -> Int64? {
    try consumer.firstOffset(of: partition, since: milliseconds)
  }

  /// Never called: what the group has committed has been sent.
  public func begin() throws(LogError) { preconditionFailure("Cannot send when replaying") }

  /// Never called.
  public func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) { preconditionFailure("Cannot send when replaying") }

  /// Never called: the offsets are the live group's.
  public func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool { preconditionFailure("Cannot commit when replaying") }

  /// Never called.
  public func finishCommit(waiting: Bool) throws(LogError) -> Bool {
    preconditionFailure("Cannot commit when replaying")
  }

  /// Nothing is open.
  public func abort() throws(LogError) {}

  /// There is no group to leave.
  @discardableResult
  public func close(timeoutMilliseconds: Int) -> Bool { true }
}
