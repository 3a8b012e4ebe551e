import CRDKafka
import Glibc

/// Just enough of librdkafka to drive a broker with it.
final class Rdkafka {
  struct Failed: Error, CustomStringConvertible {
    var code: Int32
    var description: String
  }

  let handle: OpaquePointer
  private let isConsumer: Bool

  init(_ type: rd_kafka_type_t, _ brokers: String, _ settings: [String: String] = [:]) throws {
    let configuration = rd_kafka_conf_new()
    var reason = [CChar](repeating: 0, count: 512)
    for (name, value) in settings.merging(["bootstrap.servers": brokers], uniquingKeysWith: { $1 }) {
      guard rd_kafka_conf_set(configuration, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
        throw Failed(code: -1, description: "\(name)=\(value) was refused")
      }
    }
    // Delivery reports are polled for as events, so a failed delivery can't hide.
    if type == RD_KAFKA_PRODUCER { rd_kafka_conf_set_events(configuration, RD_KAFKA_EVENT_DR) }
    guard let handle = rd_kafka_new(type, configuration, &reason, reason.count) else {
      throw Failed(code: -1, description: "no client")
    }
    self.handle = handle
    isConsumer = type == RD_KAFKA_CONSUMER
    if isConsumer { rd_kafka_poll_set_consumer(handle) }
  }

  deinit {
    if isConsumer { rd_kafka_consumer_close(handle) }
    rd_kafka_destroy(handle)
  }

  static func transactional(_ brokers: String, _ id: String, _ more: [String: String] = [:]) throws -> Rdkafka
  {
    let settings = ["transactional.id": id, "linger.ms": "0"].merging(more) { $1 }
    let producer = try Rdkafka(RD_KAFKA_PRODUCER, brokers, settings)
    try producer.check(rd_kafka_init_transactions(producer.handle, 30_000))
    return producer
  }

  static func createTopic(_ name: String, _ partitions: Int32, _ brokers: String) throws {
    let client = try Rdkafka(RD_KAFKA_PRODUCER, brokers)
    var reason = [CChar](repeating: 0, count: 512)
    var topic = rd_kafka_NewTopic_new(name, partitions, 1, &reason, reason.count)
    defer { rd_kafka_NewTopic_destroy(topic) }
    let queue = rd_kafka_queue_new(client.handle)
    defer { rd_kafka_queue_destroy(queue) }
    rd_kafka_CreateTopics(client.handle, &topic, 1, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, 30_000) else {
      throw Failed(code: -1, description: "no answer")
    }
    defer { rd_kafka_event_destroy(event) }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw Failed(code: error.rawValue, description: "create topic")
    }
    var count = 0
    let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
    let code = count == 1 ? rd_kafka_topic_result_error(results?[0]) : RD_KAFKA_RESP_ERR__FAIL
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw Failed(code: code.rawValue, description: "create \(name)")
    }
  }

  /// Throws an error object's error, and destroys it.
  func check(_ error: OpaquePointer?) throws {
    guard let error else { return }
    defer { rd_kafka_error_destroy(error) }
    throw Failed(
      code: rd_kafka_error_code(error).rawValue, description: String(cString: rd_kafka_error_string(error)))
  }

  func begin() throws { try check(rd_kafka_begin_transaction(handle)) }
  func commit() throws { try check(rd_kafka_commit_transaction(handle, 30_000)) }
  func abort() throws { try check(rd_kafka_abort_transaction(handle, 30_000)) }

  /// Produces values and waits for their delivery reports; throws the first error among them.
  func produce(_ topic: String, _ values: [String], partition: Int32 = 0) throws {
    let topic = rd_kafka_topic_new(handle, topic, nil)
    defer { rd_kafka_topic_destroy(topic) }
    for value in values {
      var bytes = Array(value.utf8)
      guard rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, &bytes, bytes.count, nil, 0, nil) == 0
      else {
        let error = rd_kafka_last_error()
        throw Failed(code: error.rawValue, description: String(cString: rd_kafka_err2str(error)))
      }
    }
    let queue = rd_kafka_queue_get_main(handle)
    defer { rd_kafka_queue_destroy(queue) }
    var missing = values.count
    while missing > 0 {
      guard let event = rd_kafka_queue_poll(queue, 30_000) else {
        throw Failed(code: -1, description: "no delivery report")
      }
      defer { rd_kafka_event_destroy(event) }
      while let message = rd_kafka_event_message_next(event) {
        missing -= 1
        let error = message.pointee.err
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
          throw Failed(code: error.rawValue, description: String(cString: rd_kafka_err2str(error)))
        }
      }
    }
  }

  /// Sends one partition's offset with the transaction, for a consumer's group.
  func send(_ offset: Int64, of topic: String, for consumer: Rdkafka) throws {
    let list = rd_kafka_topic_partition_list_new(1)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    rd_kafka_topic_partition_list_add(list, topic, 0).pointee.offset = offset
    let group = rd_kafka_consumer_group_metadata(consumer.handle)
    defer { rd_kafka_consumer_group_metadata_destroy(group) }
    try check(rd_kafka_send_offsets_to_transaction(handle, list, group, 30_000))
  }

  func subscribe(_ topic: String) {
    let list = rd_kafka_topic_partition_list_new(1)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    rd_kafka_topic_partition_list_add(list, topic, -1)
    rd_kafka_subscribe(handle, list)
  }

  func assign(_ topic: String, at offset: Int64) {
    let list = rd_kafka_topic_partition_list_new(1)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    rd_kafka_topic_partition_list_add(list, topic, 0).pointee.offset = offset
    rd_kafka_assign(handle, list)
  }

  /// The committed offset of partition 0.
  func committed(_ topic: String) throws -> Int64 {
    let list = rd_kafka_topic_partition_list_new(1)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    let entry = rd_kafka_topic_partition_list_add(list, topic, 0)
    let error = rd_kafka_committed(handle, list, 30_000)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw Failed(code: error.rawValue, description: "committed")
    }
    return entry?.pointee.offset ?? -1
  }

  /// The values of the messages up to the end of the partition.
  func readToEnd() throws -> [String] {
    var values: [String] = []
    for _ in 0..<100_000 {
      guard let message = rd_kafka_consumer_poll(handle, 30_000) else { break }
      defer { rd_kafka_message_destroy(message) }
      switch message.pointee.err {
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        let bytes = UnsafeRawBufferPointer(start: message.pointee.payload, count: message.pointee.len)
        values.append(String(decoding: bytes, as: UTF8.self))
      case RD_KAFKA_RESP_ERR__PARTITION_EOF: return values
      default:
        throw Failed(
          code: message.pointee.err.rawValue, description: String(cString: rd_kafka_message_errstr(message)))
      }
    }
    throw Failed(code: -1, description: "no end after \(values)")
  }
}
