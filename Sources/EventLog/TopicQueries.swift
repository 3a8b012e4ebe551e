import CRDKafka
import Processor

/// Questions about topics that any client can ask.
extension KafkaHandle {
  /// What a topic is like, without its configuration; nil if it doesn't exist.
  func description(of name: String, timeout: Int32) throws(LogError) -> TopicDescription? {
    let attempt = "Describing the topic '\(name)'"
    guard let topic = rd_kafka_topic_new(raw, name, nil) else {
      throw LogError(rd_kafka_last_error(), attempt)
    }
    defer { rd_kafka_topic_destroy(topic) }
    var metadata: UnsafePointer<rd_kafka_metadata>?
    try LogError.check(rd_kafka_metadata(raw, 0, topic, &metadata, timeout), attempt)
    defer { rd_kafka_metadata_destroy(metadata) }
    guard let found = metadata?.pointee, found.topic_cnt == 1 else {
      throw LogError(.retry, "\(attempt): the brokers did not answer for it")
    }
    let description = found.topics[0]
    let isMissing =
      description.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
      || description.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
    if isMissing { return nil }
    try LogError.check(description.err, attempt)
    let replication = description.partition_cnt > 0 ? Int(description.partitions[0].replica_cnt) : 0
    return TopicDescription(name: name, partitions: Int(description.partition_cnt), replication: replication)
  }

  /// Asks the brokers for partitions that this client has not heard of: they may have been added, or be gone.
  private func learn(
    _ partitions: [TopicPartition], _ attempt: String, _ timeout: Int32
  ) throws(LogError) {
    for partition in partitions {
      guard let topic = try description(of: partition.topic, timeout: timeout) else {
        throw LogError(
          .fatal,
          "\(attempt): the topic '\(partition.topic)' doesn't exist any more: create it, or restore it")
      }
      guard partition.partition < topic.partitions else {
        throw LogError(.fatal, "\(attempt): '\(partition.topic)' has only \(topic.partitions) partitions")
      }
    }
    throw LogError(.retry, "\(attempt): the client has just learnt of them")
  }

  /// The offsets of the first records of a time or a later one, in milliseconds since the epoch; or, for
  /// RD_KAFKA_OFFSET_BEGINNING and RD_KAFKA_OFFSET_END, the first and the one that a reader of committed records sees
  /// last, exclusive. nil where the brokers name none.
  func offsets(
    of partitions: [TopicPartition], at time: Int64, timeout: Int32
  ) throws(LogError) -> [Int64?] {
    if partitions.isEmpty { return [] }
    let list = PartitionList(partitions.map { ($0, time) })
    let attempt = "Asking for offsets of \(partitions[0])\(partitions.count > 1 ? " and others" : "")"
    // Not rd_kafka_query_watermark_offsets: in librdkafka 2.0 it waits for a broker that is down without end.
    let code = rd_kafka_offsets_for_times(raw, list.raw, timeout)
    if code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC {
      try learn(partitions, attempt, timeout)
    }
    try LogError.check(code, attempt)
    try list.check(attempt)
    return list.elements.map { $0.offset < 0 ? nil : $0.offset }
  }
}
