import CRDKafka
import Processor

/// The topics that a client writes or reads, each with the handle that librdkafka wants for it.
struct TopicHandles: ~Copyable {
  private var handles: [String: OpaquePointer] = [:]
  private var last: (name: String, handle: OpaquePointer)?

  /// Frees all of them, which has to be done before their client goes.
  mutating func removeAll() {
    for handle in handles.values { rd_kafka_topic_destroy(handle) }
    handles.removeAll()
    last = nil
  }

  /// The handle of a topic, made when it is first asked for.
  mutating func find(_ name: String, client: OpaquePointer) throws(LogError) -> OpaquePointer {
    // Records come in runs of one topic.
    if let last, last.name == name { return last.handle }
    let handle: OpaquePointer
    if let known = handles[name] {
      handle = known
    } else {
      guard let new = rd_kafka_topic_new(client, name, nil) else {
        throw LogError(rd_kafka_last_error(), "Opening the topic '\(name)'")
      }
      handles[name] = new
      handle = new
    }
    last = (name, handle)
    return handle
  }

  /// Reads a partition no more.
  func stop(_ partition: TopicPartition) {
    guard let topic = handles[partition.topic] else { return }
    rd_kafka_consume_stop(topic, partition.partition)
  }
}
