import CRDKafka
import Processor

/// Reads partitions once more, behind where their consumer is. One thread; one cursor.
final class CursorReader {
  private let handle: KafkaHandle
  private let events: ClientEvents
  private let requestTimeout: Int32
  private let readsHeaders: Bool
  private var topics = TopicHandles()
  private var places: [TopicPartition: Place] = [:]

  /// A partition that is read.
  private final class Place {
    let queue: KafkaQueue
    var batch: RecordBatch
    /// The offset behind the last record that was handed out.
    var next: Int64
    var waker = FetchWaker()

    init(_ queue: consuming KafkaQueue, at offset: Int64, readsHeaders: Bool) {
      self.queue = queue
      batch = RecordBatch(capacity: KafkaDefaults.batchRecords, readsHeaders: readsHeaders)
      next = offset
    }
  }

  init(
    _ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    events = ClientEvents(.reader, options, log: report)
    handle = try KafkaHandle(options, .reader, events)
    requestTimeout = Int32(clamping: options.requestTimeoutMilliseconds)
    readsHeaders = options.readsHeaders
  }

  deinit {
    for partition in places.keys { topics.stop(partition) }
    places = [:]
    topics.removeAll()
  }

  /// Records from an offset on, at least one; see `EventLogPort.read`.
  func read(
    _ partition: TopicPartition, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    rd_kafka_poll(handle.raw, 0)
    let place = try place(partition, at: offset)
    place.batch.removeAll()
    place.batch.reserve(recordsMax)
    let queue = place.queue.raw
    var failure: LogError?
    let deadline = ContinuousClock.now + .milliseconds(requestTimeout)
    while true {
      if !place.batch.fill(from: queue, countMax: recordsMax, timeoutMilliseconds: 0) {
        _ = place.batch.fill(from: queue, countMax: 1, timeoutMilliseconds: 100)
      }
      let records = place.batch.makeRecords { message in
        guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
          failure = failure ?? meaning(of: message, partition, place.next)
          return nil
        }
        return message.pointee.offset >= place.next ? 0 : nil
      }
      place.waker.look(queue, handle, [partition])
      if let last = records.last {
        place.next = last.offset + 1
        return records
      }
      place.batch.removeAll()
      if let failure {
        forget([partition])
        throw failure
      }
      guard ContinuousClock.now < deadline else {
        throw LogError(
          .retry, "Reading \(partition) from offset \(offset): no answer within \(requestTimeout) ms")
      }
    }
  }

  /// Reads some partitions no more.
  func forget(_ partitions: [TopicPartition]) {
    for partition in partitions where places[partition] != nil {
      topics.stop(partition)
      places[partition] = nil
    }
  }

  private func place(_ partition: TopicPartition, at offset: Int64) throws(LogError) -> Place {
    if let place = places[partition], place.next == offset { return place }
    forget([partition])
    let topic = try topics.find(partition.topic, client: handle.raw)
    guard let raw = rd_kafka_queue_new(handle.raw) else { throw LogError(.fatal, "Out of memory") }
    let queue = KafkaQueue(owning: raw)
    guard rd_kafka_consume_start_queue(topic, partition.partition, offset, raw) == 0 else {
      throw LogError(rd_kafka_last_error(), "Reading \(partition) from offset \(offset)")
    }
    let place = Place(queue, at: offset, readsHeaders: readsHeaders)
    places[partition] = place
    return place
  }

  /// What a message that is no record means; nil if nothing.
  private func meaning(
    of message: UnsafeMutablePointer<rd_kafka_message_t>, _ partition: TopicPartition, _ next: Int64
  ) -> LogError? {
    switch message.pointee.err {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: return nil
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return LogError(
        .fatal,
        "Reading \(partition) from offset \(next): the records were deleted before the join had read them for the last time; give "
          + "the topic a longer retention (plumb topics check), raise 'version:', and fill that with plumb run --until end"
      )
    default: return LogError(reading: message, partition, next: next, client: handle.raw)
    }
  }
}

/// The cursors of a log, each with a client of its own, from when it is first used.
final class CursorReaders {
  private let options: KafkaOptions
  private let report: @Sendable (KafkaSeverity, String) -> Void
  private var readers: [Int: CursorReader] = [:]

  init(_ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void) {
    self.options = options
    self.report = report
  }

  private func reader(_ cursor: Int) throws(LogError) -> CursorReader {
    if let known = readers[cursor] { return known }
    let reader = try CursorReader(options, report: report)
    readers[cursor] = reader
    return reader
  }

  func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    try reader(cursor).read(partition, from: offset, recordsMax: recordsMax)
  }

  func forget(_ partitions: [TopicPartition]) {
    for reader in readers.values { reader.forget(partitions) }
  }
}
