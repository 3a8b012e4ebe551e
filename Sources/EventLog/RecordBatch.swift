import CRDKafka
import FeatureCore
import Glibc
import Processor

/// The owner of the messages of one poll and of the records that point into them. Its memory is used again.
struct RecordBatch: ~Copyable {
  private var messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>
  private var records: UnsafeMutableBufferPointer<LogRecord>
  private var messageCount = 0
  private var recordCount = 0
  /// Of the headers; nil: they are not looked at, which would make librdkafka allocate for each record.
  private let headers: TextArena?

  init(capacity: Int, readsHeaders: Bool) {
    self.init(capacity: capacity, headers: readsHeaders ? TextArena() : nil)
  }

  private init(capacity: Int, headers: TextArena?) {
    self.headers = headers
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
    headers?.reset()
  }

  /// Makes room, for an empty batch.
  mutating func reserve(_ capacity: Int) {
    precondition(messageCount == 0, "Cannot make room when messages are out")
    guard capacity > messages.count else { return }
    self = RecordBatch(capacity: capacity, headers: headers)
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
          value: value.map { UnsafeRawBufferPointer(start: $0, count: message.pointee.len) },
          headers: headers.flatMap { Self.headers(of: message, $0) }))
      recordCount += 1
    }
    return UnsafeBufferPointer(start: records.baseAddress, count: recordCount)
  }

  private static func headers(
    of message: UnsafeMutablePointer<rd_kafka_message_t>, _ arena: TextArena
  ) -> RecordHeaders? {
    var list: OpaquePointer?
    // Without headers, or with damaged ones, there is no list. It belongs to the message.
    guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return nil }
    var size = 0
    forEach(of: list) { size += RecordHeaders.size(name: $0.count, value: $1?.count) }
    let room = arena.allocate(size)
    var at = 0
    forEach(of: list) { name, value in
      let end = at + RecordHeaders.size(name: name.count, value: value?.count)
      RecordHeaders.write(
        name: name, value: value, to: UnsafeMutableRawBufferPointer(rebasing: room[at..<end]))
      at = end
    }
    return RecordHeaders(UnsafeRawBufferPointer(room))
  }

  private static func forEach(
    of list: OpaquePointer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) -> Void
  ) {
    var (name, value, size): (UnsafePointer<CChar>?, UnsafeRawPointer?, Int) = (nil, nil, 0)
    var index = 0
    while rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
      index += 1
      guard let name else { continue }
      body(
        UnsafeRawBufferPointer(start: name, count: strlen(name)),
        value.map { UnsafeRawBufferPointer(start: $0, count: size) })
    }
  }
}
