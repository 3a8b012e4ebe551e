import CRDKafka
public import Processor

/// What of a partition is to be read.
public struct ReadRange: Hashable, Sendable {
  /// The partition.
  public var partition: TopicPartition
  /// The first offset.
  public var from: Int64
  /// The offset behind the last; nil is without end.
  public var to: Int64?

  /// A range from its parts.
  public init(_ partition: TopicPartition, from: Int64, to: Int64?) {
    self.partition = partition
    self.from = from
    self.to = to
  }
}

/// Where a reader of whole topics begins.
public enum ReadStart: Hashable, Sendable {
  /// At the first record that there is.
  case beginning
  /// Behind the last committed record that there is.
  case end
  /// At the first record with this Kafka timestamp, in milliseconds since the epoch, or a later one.
  case time(milliseconds: Int64)
}

/// Reads partitions as a reader of committed records, without a group: nobody else notices. One thread.
public final class TopicReader {
  private let handle: KafkaHandle
  private let events: ClientEvents
  private let requestTimeout: Int32
  private var queue: KafkaQueue?
  private var topics = TopicHandles()
  private var batch: RecordBatch
  private var owned = OwnedPartitions()
  /// By the index of the partition.
  private var ends: [Int64] = []
  private var unfinished = 0
  private var heldError: LogError?
  private var waker = FetchWaker()

  /// Reaches the brokers of some options, of which the group and the transactional id play no part. `report` may be
  /// called from any thread.
  public init(
    _ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    events = ClientEvents(.reader, options, log: report)
    handle = try KafkaHandle(options, .reader, events)
    requestTimeout = Int32(clamping: options.requestTimeoutMilliseconds)
    batch = RecordBatch(capacity: KafkaDefaults.batchRecords, readsHeaders: options.readsHeaders)
    guard let raw = rd_kafka_queue_new(handle.raw) else { throw LogError(.fatal, "Out of memory") }
    queue = KafkaQueue(owning: raw)
  }

  deinit {
    for (index, partition) in owned.partitions.enumerated() where ends[index] >= 0 { topics.stop(partition) }
    // Messages, queues and topics belong to the client, which goes last.
    batch.removeAll()
    queue = nil
    topics.removeAll()
  }

  // MARK: What there is

  /// Ranges over all partitions of some topics, to the ends that a reader of committed records sees now, or endless.
  /// A topic that doesn't exist is an error.
  public func ranges(
    of topics: [String], from start: ReadStart, isEndless: Bool = false
  ) throws(LogError) -> [ReadRange] {
    var partitions: [TopicPartition] = []
    for topic in topics {
      guard let count = try handle.description(of: topic, timeout: requestTimeout)?.partitions else {
        throw LogError(.fatal, "The topic '\(topic)' doesn't exist: create it, or check the brokers' address")
      }
      partitions += (0..<count).map { TopicPartition(topic, Int32($0)) }
    }
    let ends = try handle.offsets(of: partitions, at: Int64(RD_KAFKA_OFFSET_END), timeout: requestTimeout)
    let firsts =
      switch start {
      case .beginning:
        try handle.offsets(of: partitions, at: Int64(RD_KAFKA_OFFSET_BEGINNING), timeout: requestTimeout)
      case .end: ends
      case .time(let milliseconds):
        try handle.offsets(of: partitions, at: max(0, milliseconds), timeout: requestTimeout)
      }
    return partitions.indices.map { index in
      // Asked for after the last record's time, brokers name no offset.
      let first = firsts[index] ?? ends[index] ?? 0
      return ReadRange(partitions[index], from: first, to: isEndless ? nil : ends[index])
    }
  }

  // MARK: Records

  /// Begins to fetch. Ranges of partitions that are read already are refused.
  public func open(_ ranges: [ReadRange]) throws(LogError) {
    guard let queue = queue?.raw else { preconditionFailure("Cannot read without a queue") }
    for range in ranges {
      let partition = range.partition
      precondition(!owned.partitions.contains(partition), "Cannot read \(partition) twice")
      owned.add([(partition, range.from)])
      ends.append(-1)
      guard range.from < range.to ?? .max else { continue }
      let topic = try topics.find(partition.topic, client: handle.raw)
      let attempt = "Reading \(partition) from offset \(range.from)"
      guard rd_kafka_consume_start_queue(topic, partition.partition, range.from, queue) == 0 else {
        throw LogError(rd_kafka_last_error(), attempt)
      }
      ends[ends.count - 1] = range.to ?? .max
      unfinished += 1
    }
  }

  /// The next records, in offset order within a partition; nil once every range has been read to its end. Waits at
  /// most `timeoutMilliseconds` for the first. The records are borrowed until the next call. What passes by itself (a
  /// broker that restarts) is reported and waited for.
  public func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll? {
    precondition(recordsMax > 0, "Cannot poll for no records")
    guard let queue = queue?.raw else { preconditionFailure("Cannot read without a queue") }
    rd_kafka_poll(handle.raw, 0)
    batch.removeAll()
    if let error = heldError {
      heldError = nil
      throw error
    }
    if unfinished == 0 { return nil }
    batch.reserve(recordsMax)
    // librdkafka waits until a batch is full. So: what is there; else the first message, and what is there with it.
    if !batch.fill(from: queue, countMax: recordsMax, timeoutMilliseconds: 0),
      batch.fill(from: queue, countMax: 1, timeoutMilliseconds: Int32(clamping: timeoutMilliseconds))
    {
      _ = batch.fill(from: queue, countMax: recordsMax, timeoutMilliseconds: 0)
    }
    let records = batch.makeRecords { accept($0) }
    waker.look(queue, handle, owned.partitions)
    if records.isEmpty, let error = heldError {
      heldError = nil
      throw error
    }
    return LogPoll(assignments: [], partitions: owned.partitions, records: records, ends: [])
  }

  /// The next offset of each partition that is read.
  public var positions: [(partition: TopicPartition, offset: Int64)] { owned.positions }

  private func accept(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> Int? {
    guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
      handleError(message)
      return nil
    }
    guard let topic = message.pointee.rkt,
      let index = owned.accept(topic, message.pointee.partition, message.pointee.offset)
    else { return nil }
    let isWanted = message.pointee.offset < ends[index]
    if message.pointee.offset + 1 >= ends[index] { finish(index) }
    return isWanted ? index : nil
  }

  private func handleError(_ message: UnsafeMutablePointer<rd_kafka_message_t>) {
    guard let topic = message.pointee.rkt else { return }
    let partition = TopicPartition(handle: topic, message.pointee.partition)
    guard let index = owned.partitions.firstIndex(of: partition), ends[index] >= 0 else { return }
    if message.pointee.err == RD_KAFKA_RESP_ERR__PARTITION_EOF {
      // Behind the last record there may be marks of transactions, which take offsets and are not handed out.
      if message.pointee.offset >= ends[index] { finish(index) }
      return
    }
    let error = LogError(reading: message, partition, next: owned.next(partition), client: handle.raw)
    guard error.remedy == .retry else { return heldError = heldError ?? error }
    events.report(.warning, error.message)
  }

  private func finish(_ index: Int) {
    guard ends[index] >= 0 else { return }
    ends[index] = -1
    unfinished -= 1
    let partition = owned.partitions[index]
    owned.stopReading([partition])
    topics.stop(partition)
  }
}
