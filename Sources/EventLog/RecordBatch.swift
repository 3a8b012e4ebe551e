import CRDKafka
import Processor

/// The owner of the messages of one poll and of the records that point into them. Its memory is used again.
struct RecordBatch: ~Copyable {
  private var messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>
  private var records: UnsafeMutableBufferPointer<LogRecord>
  private var messageCount = 0
  private var recordCount = 0

  init(capacity: Int) {
    messages = .allocate(capacity: capacity)
    records = .allocate(capacity: capacity)
  }

  deinit {
    for index in 0..<messageCount { rd_kafka_message_destroy(messages[index]) }
    messages.deallocate()
    records.deallocate()
  }

  /// Gives the messages back; the records are gone with them.
  mutating func removeAll() {
    for index in 0..<messageCount { rd_kafka_message_destroy(messages[index]) }
    messageCount = 0
    recordCount = 0
  }

  /// Makes room, for an empty batch.
  mutating func reserve(_ capacity: Int) {
    precondition(messageCount == 0, "Cannot make room when messages are out")
    guard capacity > messages.count else { return }
    self = RecordBatch(capacity: capacity)
  }

  /// Takes what the queue holds, up to a total of `countMax`; waits until the first of them is there. Returns whether
  /// anything came.
  mutating func fill(from queue: OpaquePointer, countMax: Int, timeoutMilliseconds: Int32) -> Bool {
    guard messageCount < countMax, let start = messages.baseAddress else { return false }
    let count = rd_kafka_consume_batch_queue(
      queue, timeoutMilliseconds, start + messageCount, countMax - messageCount)
    // -1 is for queues that serve no topic.
    messageCount += max(0, count)
    return count > 0
  }

  /// Looks at each message, and makes a record of it where `accept` names its partition's index.
  mutating func makeRecords(
    _ accept: (UnsafeMutablePointer<rd_kafka_message_t>) -> Int?
  ) -> UnsafeBufferPointer<LogRecord> {
    for index in 0..<messageCount {
      guard let message = messages[index], let partition = accept(message) else { continue }
      let (key, value) = (message.pointee.key, message.pointee.payload)
      let time = rd_kafka_message_timestamp(message, nil)
      (records.baseAddress! + recordCount).initialize(
        to: LogRecord(
          partition: partition, offset: message.pointee.offset, timestampMilliseconds: time < 0 ? nil : time,
          key: key.map { UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len) },
          value: value.map { UnsafeRawBufferPointer(start: $0, count: message.pointee.len) }))
      recordCount += 1
    }
    return UnsafeBufferPointer(start: records.baseAddress, count: recordCount)
  }
}
