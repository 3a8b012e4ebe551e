import CallThread
public import Processor

/// The log of one worker in Kafka: a member of the consumer group and a producer. One thread, and one of its own for commits.
///
/// Without `close` it ends like a crash: the group notices when the session times out, the brokers when the
/// transaction does.
public final class KafkaLog: EventLogPort {
  /// Where the worker is between two commits.
  private enum Phase { case idle, open, committing }

  private let consumer: KafkaConsumer
  private let producer: KafkaProducer
  private let cursors: CursorReaders
  private let delivery: KafkaDelivery
  private var phase = Phase.idle
  /// Makes the commits, so that the worker can go on reading.
  private let committer = CallThread<LogError>()
  /// The commit that was started last, until it has succeeded.
  private var ending: TransactionEnd?
  private var isClosed = false
  /// What the producer had sent when it was last this thread's.
  private var sent = (records: 0, waits: 0)
  private var commits = 0
  private var aborts = 0

  /// Joins the group for some topics, and takes the transactional id over from whoever had it.
  ///
  /// `report` is told what the client library has to say; it may be called from any thread.
  public init(
    _ options: KafkaOptions, topics: [String], report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    delivery = options.delivery
    cursors = CursorReaders(options, report: report)
    producer = try KafkaProducer(options, events: ClientEvents(.producer, options, log: report))
    // First the fence, then the membership: who is assigned partitions must be able to commit.
    if options.delivery == .exactlyOnce { try producer.initTransactions() }
    consumer = try KafkaConsumer(
      options, topics: topics, events: ClientEvents(.consumer, options, log: report))
  }

  /// What happened so far; of what a commit that is under way sends, when it is over.
  public var counters: KafkaCounters {
    if !committer.isCalling { sent = (producer.recordsSent, producer.waits) }
    return KafkaCounters(
      recordsFetched: consumer.recordsFetched, recordsSent: sent.records, sendWaits: sent.waits,
      commits: commits, aborts: aborts, errors: consumer.errors + producer.errors)
  }

  /// Whether the group counts this worker in, with or without partitions.
  public var isMember: Bool { consumer.isMember }

  /// Milliseconds since a broker has answered the consumer, as of its last poll; nil if nobody knows, because
  /// `statistics.interval.ms` is 0.
  public var silenceMilliseconds: Int64? { consumer.silenceMilliseconds }

  /// How many offsets of an assigned partition are not read yet, as of the last fetch; nil if nobody knows. The
  /// marks of transactions count, so it may stay above zero.
  public func lag(_ partition: TopicPartition) -> Int64? {
    expectOpen("ask for the lag")
    return consumer.lag(partition)
  }

  /// Where partitions end now, asked of the brokers; nil where they don't say.
  public func ends(of partitions: [TopicPartition], timeoutMilliseconds: Int) throws(LogError) -> [Int64?] {
    expectOpen("ask for the ends of partitions")
    return try consumer.ends(of: partitions, timeoutMilliseconds: timeoutMilliseconds)
  }

  /// Aborts what is open and leaves the group. Returns false if that failed or took too long; the brokers then find
  /// out by themselves. The log is of no further use.
  @discardableResult
  public func close(timeoutMilliseconds: Int) -> Bool {
    guard !isClosed else { return true }
    precondition(!committer.isCalling, "Cannot close a log that commits")
    isClosed = true
    let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
    var isClean = true
    if phase != .idle && delivery == .exactlyOnce {
      do throws(LogError) {
        // Half of the time: the group has to be left, too.
        try producer.abort(timeoutMilliseconds: Int32(clamping: timeoutMilliseconds / 2))
      } catch {
        // The brokers abort it when its time is over.
        isClean = false
      }
    }
    return consumer.close(until: deadline) && isClean
  }

  private func expectOpen(_ attempt: StaticString) {
    precondition(!isClosed, "Cannot \(attempt) when the log is closed")
  }

  // MARK: Reading

  /// See `EventLogPort`. Records come at once if there are any; the wait is for the first.
  public func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    expectOpen("poll")
    // A commit serves the producer while it waits.
    if !committer.isCalling { producer.serve() }
    return try consumer.poll(recordsMax: recordsMax, timeoutMilliseconds: timeoutMilliseconds)
  }

  /// See `EventLogPort`. All partitions of a change in one call.
  public func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    expectOpen("assign")
    try consumer.assign(partitions)
  }

  /// See `EventLogPort`. All partitions of a change in one call.
  public func unassign(_ partitions: [TopicPartition]) throws(LogError) {
    expectOpen("unassign")
    cursors.forget(partitions)
    try consumer.unassign(partitions)
  }

  /// See `EventLogPort`.
  public func pause(_ partitions: [TopicPartition]) throws(LogError) {
    expectOpen("pause")
    try consumer.pause(partitions)
  }

  /// See `EventLogPort`.
  public func resume(_ partitions: [TopicPartition]) throws(LogError) {
    expectOpen("resume")
    try consumer.resume(partitions)
  }

  /// See `EventLogPort`.
  public func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) {
    expectOpen("seek")
    try consumer.seek(partition, to: offset)
  }

  /// See `EventLogPort`.
  public func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    expectOpen("read")
    return try cursors.read(partition, cursor: cursor, from: offset, recordsMax: recordsMax)
  }

  /// See `EventLogPort`.
  public func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    expectOpen("read committed offsets")
    return try consumer.committed(partitions)
  }

  /// See `EventLogPort`.
  public func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    expectOpen("read watermarks")
    return try consumer.watermarks(partition)
  }

  /// See `EventLogPort`.
  public func firstOffset(
    of partition: TopicPartition, since milliseconds: Int64
  ) throws(LogError) -> Int64? {
    expectOpen("look for a time")
    return try consumer.firstOffset(of: partition, since: milliseconds)
  }

  // MARK: Writing

  /// See `EventLogPort`.
  public func begin() throws(LogError) {
    expectOpen("begin")
    precondition(phase == .idle, "Cannot begin when a transaction is open")
    if delivery == .exactlyOnce { try producer.begin() }
    phase = .open
  }

  /// See `EventLogPort`. Waits while the producer's queue is full, for a bounded time.
  public func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {
    precondition(phase == .open && !isClosed, "Cannot send when no transaction is open")
    try producer.send(topic: topic, partition: partition, key: key, value: value)
  }

  /// See `EventLogPort`. Lasts no longer than a full queue is waited for, the request's deadline and twice the transaction's.
  /// Without transactions it is done when it returns.
  public func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool {
    expectOpen("commit")
    precondition(phase != .idle, "Cannot commit when no transaction is open")
    guard delivery == .exactlyOnce else {
      try producer.send(changes)
      try commitAfterDelivery(PartitionList(offsets))
      return hasCommitted()
    }
    let ending = self.ending ?? TransactionEnd(producer, consumer, offsets, changes)
    self.ending = ending
    phase = .committing
    committer.start { () throws(LogError) in try ending.run() }
    return false
  }

  /// See `EventLogPort`.
  public func finishCommit(waiting: Bool) throws(LogError) -> Bool {
    guard try committer.finish(waiting: waiting) else { return false }
    return hasCommitted()
  }

  private func hasCommitted() -> Bool {
    phase = .idle
    ending = nil
    commits += 1
    return true
  }

  private func commitAfterDelivery(_ offsets: consuming PartitionList) throws(LogError) {
    try producer.flush()
    if let failure = producer.takeFailure() { throw failure }
    // After the flush: committing first would lose records on a crash.
    if !offsets.elements.isEmpty { try consumer.commit(offsets) }
  }

  /// See `EventLogPort`. Without transactions, what was sent stays sent. Without an open transaction it does nothing. After
  /// `.retry`, call it again: until it succeeds no other transaction can begin.
  public func abort() throws(LogError) {
    expectOpen("abort")
    guard phase != .idle else { return }
    switch delivery {
    case .exactlyOnce: try producer.abort()
    case .atLeastOnce: _ = producer.takeFailure()
    }
    phase = .idle
    ending = nil
    aborts += 1
  }
}

/// The end of a transaction, up to its commit. While it runs the producer is its own; between two runs nobody uses it. Of the
/// consumer it asks only what any thread may.
private final class TransactionEnd: @unchecked Sendable {
  private let producer: KafkaProducer
  private let consumer: KafkaConsumer
  private let offsets: [(partition: TopicPartition, offset: Int64)]
  /// What is sent before.
  private let changes: [SealedChanges]
  /// They can't be added any more once the transaction has begun to commit.
  private var hasOffsets = false

  init(
    _ producer: KafkaProducer, _ consumer: KafkaConsumer,
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) {
    self.producer = producer
    self.consumer = consumer
    self.offsets = offsets
    self.changes = changes
  }

  /// Cut short with `.retry`, it may be run again, and goes on where it was.
  func run() throws(LogError) {
    if !hasOffsets {
      try producer.send(changes)
      // Before anything of the commit that can't be waited for again.
      try producer.flush()
      // As the member that it is by now: the group may have shared out anew since the commit was sealed, and what it asks back is
      // given up only once the commit is over.
      if !offsets.isEmpty {
        try producer.send(PartitionList(offsets), of: try consumer.membership())
      }
      hasOffsets = true
    }
    try producer.commit()
  }
}

/// What happened in a log since it was opened.
public struct KafkaCounters: Hashable, Sendable {
  /// Records that polls returned.
  public var recordsFetched: Int
  /// Records that were handed over for sending.
  public var recordsSent: Int
  /// Sends that had to wait because the producer's queue was full.
  public var sendWaits: Int
  /// Commits that succeeded.
  public var commits: Int
  /// Transactions that were aborted.
  public var aborts: Int
  /// Errors that the client library reported; it overcomes most of them by itself.
  public var errors: Int
}
