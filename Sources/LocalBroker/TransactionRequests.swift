import BrokerCore

// InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
extension RequestHandler {
  func initProducerId(_ call: inout Call) throws -> Outcome {
    let id = try call.reader.nullableString()
    let timeout = try call.reader.int32()
    var expected: ProducerIdentity?
    if call.version >= 3 {
      let identity = try ProducerIdentity(id: call.reader.int64(), epoch: call.reader.int16())
      if identity.id != -1 { expected = identity }
    }
    var identity = ProducerIdentity(id: -1, epoch: -1)
    let error = outcome { () throws(KafkaError) in
      identity = try broker.initProducer(
        transactionalId: id, timeout: timeout, expected: expected, now: clock())
    }
    var writer = call.reply(throttleFrom: 0)
    writer.int16(Self.fencing(error, call, newFrom: 4).rawValue)
    writer.int64(identity.id)
    writer.int16(identity.epoch)
    writer.tags()
    return .reply(writer)
  }

  func addPartitionsToTxn(_ call: inout Call) throws -> Outcome {
    let (id, producer) = try transaction(&call)
    let topics = try call.reader.topics { try $0.int32() }
    let places = topics.flatMap { topic in topic.partitions.map { TopicPartition(topic.name, $0) } }
    let unknown = Set(places.filter { broker.partition($0) == nil })
    let error = outcome { () throws(KafkaError) in
      guard unknown.isEmpty else { throw .operationNotAttempted }
      try broker.addPartitions(places, transactionalId: id, producer: producer, now: clock())
    }
    var writer = call.reply(throttleFrom: 0)
    writer.array(topics) { writer, topic in
      writer.string(topic.name)
      writer.array(topic.partitions) { writer, partition in
        let isUnknown = unknown.contains(TopicPartition(topic.name, partition))
        writer.int32(partition)
        writer.int16((isUnknown ? .unknownTopicOrPartition : Self.fencing(error, call, newFrom: 2)).rawValue)
        writer.tags()
      }
      writer.tags()
    }
    writer.tags()
    return .reply(writer)
  }

  func addOffsetsToTxn(_ call: inout Call) throws -> Outcome {
    let (id, producer) = try transaction(&call)
    let group = try call.reader.string()
    return answer(call) { () throws(KafkaError) in
      try broker.addOffsets(group: group, transactionalId: id, producer: producer, now: clock())
    }
  }

  func endTxn(_ call: inout Call) throws -> Outcome {
    let (id, producer) = try transaction(&call)
    let commit = try call.reader.bool()
    return answer(call) { () throws(KafkaError) in
      try broker.endTransaction(transactionalId: id, producer: producer, commit: commit, now: clock())
    }
  }

  func txnOffsetCommit(_ call: inout Call) throws -> Outcome {
    _ = try call.reader.string()
    let group = try call.reader.string()
    let producer = try ProducerIdentity(id: call.reader.int64(), epoch: call.reader.int16())
    let member = call.version >= 3 ? try member(&call, instanceFrom: 3) : GroupMember()
    let topics = try offsets(&call, epochFrom: 2)
    return commit(topics, call, throttleFrom: 0) { (offsets) throws(KafkaError) in
      try broker.commitOffsets(group, member: member, producer: producer, offsets, now: clock())
    }
  }

  private func transaction(_ call: inout Call) throws -> (id: String, producer: ProducerIdentity) {
    let id = try call.reader.string()
    return (id, try ProducerIdentity(id: call.reader.int64(), epoch: call.reader.int16()))
  }

  private func answer(_ call: Call, _ body: () throws(KafkaError) -> Void) -> Outcome {
    let error = outcome(body)
    var writer = call.reply(throttleFrom: 0)
    writer.int16(Self.fencing(error, call, newFrom: 2).rawValue)
    writer.tags()
    return .reply(writer)
  }

  /// Older versions of a request know only one error for a fenced producer.
  private static func fencing(_ error: KafkaError, _ call: Call, newFrom: Int16) -> KafkaError {
    error == .producerFenced && call.version < newFrom ? .invalidProducerEpoch : error
  }
}
