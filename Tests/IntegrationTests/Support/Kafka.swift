import CRDKafka
import Processor
import TestSupport

/// A record that outlives its poll.
struct Record {
  var offset: Int64
  var timestamp: Int64
  var key: [UInt8]?
  var value: [UInt8]?
}

/// Looks at the log from outside, with librdkafka alone: what the service reads and writes with is under test.
final class KafkaAuditor {
  let handle: OpaquePointer

  /// A client that takes part in no group; `group` is the one whose offsets it reads.
  init(brokers: String, group: String, isolation: String = "read_committed") throws {
    let configuration = rd_kafka_conf_new()
    var reason = [CChar](repeating: 0, count: 512)
    let settings = [
      "bootstrap.servers": brokers, "group.id": group, "isolation.level": isolation,
      "enable.auto.commit": "false", "enable.partition.eof": "true", "fetch.wait.max.ms": "10",
      "log.connection.close": "false",
    ]
    for (name, value) in settings {
      guard rd_kafka_conf_set(configuration, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
        throw Failure("\(name)=\(value) was refused")
      }
    }
    guard let handle = rd_kafka_new(RD_KAFKA_CONSUMER, configuration, &reason, reason.count) else {
      throw Failure("no client")
    }
    self.handle = handle
    rd_kafka_poll_set_consumer(handle)
  }

  deinit {
    rd_kafka_consumer_close(handle)
    rd_kafka_destroy(handle)
  }

  /// The group's offsets, nil where there is none.
  func committed(_ partitions: [TopicPartition]) throws -> [Int64?] {
    try withList(partitions) { list in
      let code = rd_kafka_committed(handle, list, 20_000)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure("committed: \(text(code))") }
      return partitions.indices.map { index in
        let offset = list.pointee.elems[index].offset
        return offset < 0 ? nil : offset
      }
    }
  }

  /// The offset behind the last record of each that this client can see.
  func ends(_ partitions: [TopicPartition]) throws -> [Int64] {
    try partitions.map { partition in
      var (low, high) = (Int64(0), Int64(0))
      let code = rd_kafka_query_watermark_offsets(
        handle, partition.topic, partition.partition, &low, &high, 20_000)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
        throw Failure("the end of \(partition): \(text(code))")
      }
      return high
    }
  }

  /// The first offsets at or after a time in milliseconds, nil where there is none.
  func offsets(_ partitions: [TopicPartition], at time: Int64) throws -> [Int64?] {
    try withList(partitions) { list in
      for index in partitions.indices { list.pointee.elems[index].offset = time }
      let code = rd_kafka_offsets_for_times(handle, list, 20_000)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure("the offsets at \(time): \(text(code))") }
      return partitions.indices.map { index in
        let offset = list.pointee.elems[index].offset
        return offset < 0 ? nil : offset
      }
    }
  }

  /// The records of whole partitions, from the first to the end.
  func read(_ partitions: [TopicPartition]) throws -> [[Record]] {
    try withList(partitions) { list in
      for index in partitions.indices { list.pointee.elems[index].offset = 0 }
      let code = rd_kafka_assign(handle, list)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure("assign: \(text(code))") }
    }
    defer { rd_kafka_assign(handle, nil) }
    var records: [TopicPartition: [Record]] = [:]
    var ended: Set<TopicPartition> = []
    while ended.count < partitions.count {
      guard let message = rd_kafka_consumer_poll(handle, 20_000) else {
        throw Failure("the ends of \(Set(partitions).subtracting(ended)) did not come")
      }
      defer { rd_kafka_message_destroy(message) }
      let topic = message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? ""
      let partition = TopicPartition(topic, message.pointee.partition)
      switch message.pointee.err {
      case RD_KAFKA_RESP_ERR_NO_ERROR: records[partition, default: []].append(Record(message))
      case RD_KAFKA_RESP_ERR__PARTITION_EOF: ended.insert(partition)
      default: throw Failure("reading \(partition): \(text(message.pointee.err))")
      }
    }
    return partitions.map { records[$0] ?? [] }
  }

  /// Deletes the records before some offsets, as retention does.
  func deleteRecords(before offsets: [(partition: TopicPartition, offset: Int64)]) throws {
    try withList(offsets.map(\.partition)) { list in
      for index in offsets.indices { list.pointee.elems[index].offset = offsets[index].offset }
      guard let queue = rd_kafka_queue_new(handle) else { throw Failure("out of memory") }
      defer { rd_kafka_queue_destroy(queue) }
      var request = rd_kafka_DeleteRecords_new(list)
      defer { rd_kafka_DeleteRecords_destroy(request) }
      rd_kafka_DeleteRecords(handle, &request, 1, nil, queue)
      guard let event = rd_kafka_queue_poll(queue, 20_000) else { throw Failure("no answer") }
      defer { rd_kafka_event_destroy(event) }
      let code = rd_kafka_event_error(event)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure("delete records: \(text(code))") }
    }
  }

  private func text(_ code: rd_kafka_resp_err_t) -> String { String(cString: rd_kafka_err2str(code)) }

  private func withList<Result>(
    _ partitions: [TopicPartition],
    _ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws -> Result
  ) throws -> Result {
    guard let list = rd_kafka_topic_partition_list_new(Int32(partitions.count)) else {
      throw Failure("out of memory")
    }
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for partition in partitions {
      rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition)
    }
    return try body(list)
  }
}

extension Record {
  init(_ message: UnsafeMutablePointer<rd_kafka_message_t>) {
    offset = message.pointee.offset
    timestamp = rd_kafka_message_timestamp(message, nil)
    key = message.pointee.key.map { Array(UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len)) }
    value = message.pointee.payload.map {
      Array(UnsafeRawBufferPointer(start: $0, count: message.pointee.len))
    }
  }
}
