import BrokerCore
import NIOCore

// Produce and ListOffsets.
extension RequestHandler {
  private typealias Produced = (partition: Int32, appended: Appended?, error: KafkaError, start: Int64)

  func produce(_ call: inout Call) throws -> Outcome {
    if call.version >= 3 { _ = try call.reader.nullableString() }
    let acks = try call.reader.int16()
    _ = try call.reader.int32()
    let version = call.version
    let now = clock()
    // Decoded whole before anything is appended: a malformed request changes nothing.
    var topics = try call.reader.topics { try (index: $0.int32(), batch: $0.bytes()) }
    var results: [(name: String, partitions: [Produced])] = []
    for topic in topics.indices {
      var partitions: [Produced] = []
      for index in topics[topic].partitions.indices {
        let place = TopicPartition(topics[topic].name, topics[topic].partitions[index].index)
        var appended: Appended?
        let error = outcome { () throws(KafkaError) in
          guard version >= 3 else { throw .unsupportedVersion }
          guard (-1...1).contains(acks) else { throw .invalidRequiredAcks }
          let batch = topics[topic].partitions[index].batch
          if version < 7, batch.count > 22, batch[22] & 7 == 4 { throw .unsupportedCompressionType }
          appended = try broker.produce(place, batch: &topics[topic].partitions[index].batch, now: now)
        }
        partitions.append((place.partition, appended, error, broker.partition(place)?.logStartOffset ?? -1))
      }
      results.append((topics[topic].name, partitions))
    }
    if acks == 0 {
      // Kafka closes the connection too: it is the only way to tell.
      if let failed = results.flatMap(\.partitions).first(where: { $0.error != .none }) {
        throw Malformed(reason: "producing with acks=0 failed: \(failed.error)")
      }
      return .silent
    }
    var writer = call.reply()
    writer.topics(results) { Self.write($1, version, &$0) }
    if version >= 1 { writer.int32(0) }
    return .reply(writer)
  }

  private static func write(_ result: Produced, _ version: Int16, _ writer: inout WireWriter) {
    writer.int32(result.partition)
    writer.int16(result.error.rawValue)
    writer.int64(result.appended?.baseOffset ?? -1)
    if version >= 2 { writer.int64(result.appended?.logAppendTime ?? -1) }
    if version >= 5 { writer.int64(result.start) }
    guard version >= 8 else { return }
    writer.array([Int]()) { _, _ in }
    let message: String? =
      switch result.error {
      case .none: nil
      case .policyViolation:
        "The broker's memory limit is reached: delete records or topics, or raise the limit."
      default: "\(result.error)"
      }
    writer.string(message)
  }

  func listOffsets(_ call: inout Call) throws -> Outcome {
    _ = try call.reader.int32()
    let version = call.version
    let isolation: Isolation =
      version >= 2 ? try Isolation(rawValue: call.reader.int8()) ?? .readUncommitted : .readUncommitted
    let topics = try call.reader.topics { reader in
      let index = try reader.int32()
      let epoch = version >= 4 ? try reader.int32() : -1
      let wanted = try (index: index, epoch: epoch, time: reader.int64())
      try reader.tags()
      return wanted
    }
    var writer = call.reply(throttleFrom: 2)
    writer.array(topics) { writer, topic in
      writer.string(topic.name)
      writer.array(topic.partitions) { writer, wanted in
        var found: (timestamp: Int64, offset: Int64) = (-1, -1)
        let error = outcome { () throws(KafkaError) in
          let partition = try partition(TopicPartition(topic.name, wanted.index), leaderEpoch: wanted.epoch)
          found = Self.find(wanted.time, in: partition, isolation)
        }
        writer.int32(wanted.index)
        writer.int16(error.rawValue)
        writer.int64(found.timestamp)
        writer.int64(found.offset)
        if version >= 4 { writer.int32(error == .none ? 0 : -1) }
        writer.tags()
      }
      writer.tags()
    }
    writer.tags()
    return .reply(writer)
  }

  private static func find(
    _ time: Int64, in partition: Partition, _ isolation: Isolation
  ) -> (timestamp: Int64, offset: Int64) {
    switch time {
    case -1: (-1, isolation == .readCommitted ? partition.lastStableOffset : partition.nextOffset)
    case -2: (-1, partition.logStartOffset)
    case -3: partition.latestRecord() ?? (-1, -1)
    default: partition.firstRecord(atOrAfter: time, isolation: isolation) ?? (-1, -1)
    }
  }

  /// A partition, if the client's idea of its leader is right: there has only ever been epoch 0.
  func partition(_ place: TopicPartition, leaderEpoch: Int32) throws(KafkaError) -> Partition {
    guard let partition = broker.partition(place) else { throw .unknownTopicOrPartition }
    guard leaderEpoch <= 0 else { throw .unknownLeaderEpoch }
    return partition
  }
}
