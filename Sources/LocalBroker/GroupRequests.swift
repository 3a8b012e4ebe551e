import BrokerCore

// FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups, OffsetCommit,
// OffsetFetch.
extension RequestHandler {
  func findCoordinator(_ call: inout Call) throws -> Outcome {
    _ = try call.reader.string()
    let kind = call.version >= 1 ? try call.reader.int8() : 0
    // 0 is a group, 1 a transactional id: this broker coordinates all.
    let error: KafkaError = kind == 0 || kind == 1 ? .none : .invalidRequest
    var writer = call.reply(throttleFrom: 1)
    writer.int16(error.rawValue)
    if call.version >= 1 { writer.string(nil) }
    writer.int32(error == .none ? Self.nodeId : -1)
    writer.string(configuration.advertisedHost ?? call.peer.localHost)
    writer.int32(Int32(call.peer.localPort))
    writer.tags()
    return .reply(writer)
  }

  func joinGroup(_ call: inout Call) throws -> Outcome {
    let group = try call.reader.string()
    let session = try call.reader.int32()
    let rebalance = call.version >= 1 ? try call.reader.int32() : session
    let memberId = try call.reader.string()
    let instanceId = call.version >= 5 ? try call.reader.nullableString() : nil
    let type = try call.reader.string()
    let protocols = try call.reader.array { reader in
      let choice = try GroupProtocol(name: reader.string(), metadata: reader.bytes())
      try reader.tags()
      return choice
    }
    let request = JoinRequest(
      group: group, memberId: memberId, instanceId: instanceId, requiresKnownMember: call.version >= 4,
      clientId: call.clientId, clientHost: "/" + call.peer.remoteHost, sessionTimeout: session,
      rebalanceTimeout: rebalance, protocolType: type, protocols: protocols)
    broker.joinGroup(request, token: park(call), now: clock())
    return .later
  }

  static func encode(_ reply: JoinReply, _ call: Call) -> WireWriter {
    var writer = call.reply(throttleFrom: 2)
    writer.int16(reply.error.rawValue)
    writer.int32(reply.generation)
    if call.version >= 7 { writer.string(reply.protocolType) }
    writer.string(call.version >= 7 ? reply.protocolName : reply.protocolName ?? "")
    writer.string(reply.leader)
    writer.string(reply.memberId)
    writer.array(reply.members) { writer, member in
      writer.string(member.id)
      if call.version >= 5 { writer.string(member.instanceId) }
      writer.bytes(member.metadata)
      writer.tags()
    }
    writer.tags()
    return writer
  }

  func syncGroup(_ call: inout Call) throws -> Outcome {
    let group = try call.reader.string()
    let member = try member(&call, instanceFrom: 3)
    let type = call.version >= 5 ? try call.reader.nullableString() : nil
    let name = call.version >= 5 ? try call.reader.nullableString() : nil
    let assignments = try call.reader.array { reader in
      let assignment = try (reader.string(), reader.bytes())
      try reader.tags()
      return assignment
    }
    broker.syncGroup(
      group, member: member, protocolType: type, protocolName: name,
      assignments: Dictionary(assignments, uniquingKeysWith: { $1 }), token: park(call), now: clock())
    return .later
  }

  static func encode(_ reply: SyncReply, _ call: Call) -> WireWriter {
    var writer = call.reply(throttleFrom: 1)
    writer.int16(reply.error.rawValue)
    if call.version >= 5 {
      writer.string(reply.protocolType)
      writer.string(reply.protocolName)
    }
    writer.bytes(reply.assignment)
    writer.tags()
    return writer
  }

  func heartbeat(_ call: inout Call) throws -> Outcome {
    let group = try call.reader.string()
    let member = try member(&call, instanceFrom: 3)
    let error = outcome { () throws(KafkaError) in
      try broker.heartbeat(group, member: member, now: clock())
    }
    return call.answer(error, throttleFrom: 1)
  }

  func leaveGroup(_ call: inout Call) throws -> Outcome {
    let group = try call.reader.string()
    let isBatch = call.version >= 3
    let members =
      isBatch
      ? try call.reader.array { reader in
        let member = try GroupMember(id: reader.string(), instanceId: reader.nullableString())
        try reader.tags()
        return member
      } : [GroupMember(id: try call.reader.string())]
    let results = members.map { member in
      let error = outcome { () throws(KafkaError) in
        try broker.leaveGroup(group, member: member, now: clock())
      }
      return (member, error)
    }
    var writer = call.reply(throttleFrom: 1)
    writer.int16((isBatch ? .none : results[0].1).rawValue)
    if isBatch {
      writer.array(results) { writer, result in
        writer.string(result.0.id)
        writer.string(result.0.instanceId)
        writer.int16(result.1.rawValue)
        writer.tags()
      }
    }
    writer.tags()
    return .reply(writer)
  }

  func describeGroups(_ call: inout Call) throws -> Outcome {
    let names = try call.reader.array { try $0.string() }
    var writer = call.reply(throttleFrom: 1)
    writer.array(names) { writer, name in
      let group = broker.describeGroup(name)
      writer.int16(KafkaError.none.rawValue)
      writer.string(name)
      writer.string(group.state)
      writer.string(group.protocolType)
      writer.string(group.protocolName)
      writer.array(group.members) { writer, member in
        writer.string(member.id)
        if call.version >= 4 { writer.string(member.instanceId) }
        writer.string(member.clientId)
        writer.string(member.clientHost)
        writer.bytes(member.metadata)
        writer.bytes(member.assignment)
        writer.tags()
      }
      if call.version >= 3 { writer.int32(.min) }
      writer.tags()
    }
    writer.tags()
    return .reply(writer)
  }

  func listGroups(_ call: inout Call) throws -> Outcome {
    let states = call.version >= 4 ? try call.reader.array { try $0.string().lowercased() } : []
    let groups = broker.groupNames.map { ($0, broker.describeGroup($0)) }
      .filter { states.isEmpty || states.contains($0.1.state.lowercased()) }
    var writer = call.reply(throttleFrom: 1)
    writer.int16(KafkaError.none.rawValue)
    writer.array(groups) { writer, group in
      writer.string(group.0)
      writer.string(group.1.protocolType)
      if call.version >= 4 { writer.string(group.1.state) }
      writer.tags()
    }
    writer.tags()
    return .reply(writer)
  }

  func deleteGroups(_ call: inout Call) throws -> Outcome {
    let results = try call.reader.array { try $0.string() }.map { name in
      (name, outcome { () throws(KafkaError) in try broker.deleteGroup(name) })
    }
    var writer = call.reply(throttleFrom: 0)
    writer.array(results) { writer, result in
      writer.string(result.0)
      writer.int16(result.1.rawValue)
    }
    return .reply(writer)
  }

  // MARK: Offsets

  func offsetCommit(_ call: inout Call) throws -> Outcome {
    let group = try call.reader.string()
    let member = try member(&call, instanceFrom: 7)
    if call.version <= 4 { _ = try call.reader.int64() }
    let topics = try offsets(&call, epochFrom: 6)
    return commit(topics, call, throttleFrom: 3) { (offsets) throws(KafkaError) in
      try broker.commitOffsets(group, member: member, offsets, now: clock())
    }
  }

  func offsetFetch(_ call: inout Call) throws -> Outcome {
    let group = try call.reader.string()
    let wanted = try call.reader.nullableArray { reader in
      let topic = try (name: reader.string(), partitions: reader.array { try $0.int32() })
      try reader.tags()
      return topic
    }
    let requireStable = call.version >= 7 ? try call.reader.bool() : false
    let topics =
      wanted
      ?? Dictionary(grouping: broker.committedPartitions(group), by: \.topic)
      .sorted { $0.key < $1.key }.map { ($0.key, $0.value.map(\.partition)) }
    let version = call.version
    var writer = call.reply(throttleFrom: 3)
    writer.topics(topics) { writer, topic, partition in
      var committed: CommittedOffset?
      let error = outcome { () throws(KafkaError) in
        let place = TopicPartition(topic, partition)
        committed = try broker.committedOffset(group, place, requireStable: requireStable)
      }
      writer.int32(partition)
      writer.int64(committed?.offset ?? -1)
      if version >= 5 { writer.int32(committed?.leaderEpoch ?? -1) }
      writer.string(committed?.metadata ?? "")
      writer.int16(error.rawValue)
    }
    if version >= 2 { writer.int16(KafkaError.none.rawValue) }
    writer.tags()
    return .reply(writer)
  }

  /// Commits the offsets of partitions that exist, and answers for each partition.
  func commit(
    _ topics: [(name: String, partitions: [(index: Int32, offset: CommittedOffset)])], _ call: Call,
    throttleFrom: Int16, _ commit: ([TopicPartition: CommittedOffset]) throws(KafkaError) -> Void
  ) -> Outcome {
    var good: [TopicPartition: CommittedOffset] = [:]
    var errors: [TopicPartition: KafkaError] = [:]
    for topic in topics {
      for partition in topic.partitions {
        let place = TopicPartition(topic.name, partition.index)
        if broker.partition(place) == nil {
          errors[place] = .unknownTopicOrPartition
        } else if partition.offset.metadata.utf8.count > broker.limits.offsetMetadataMax {
          errors[place] = .offsetMetadataTooLarge
        } else {
          good[place] = partition.offset
        }
      }
    }
    let error = outcome { () throws(KafkaError) in try commit(good) }
    var writer = call.reply(throttleFrom: throttleFrom)
    writer.topics(topics) { writer, topic, partition in
      writer.int32(partition.index)
      writer.int16((errors[TopicPartition(topic, partition.index)] ?? error).rawValue)
    }
    writer.tags()
    return .reply(writer)
  }

  func offsets(
    _ call: inout Call, epochFrom: Int16
  ) throws -> [(name: String, partitions: [(index: Int32, offset: CommittedOffset)])] {
    let version = call.version
    return try call.reader.topics { reader in
      let index = try reader.int32()
      let offset = try reader.int64()
      let epoch = version >= epochFrom ? try reader.int32() : -1
      let metadata = try reader.nullableString() ?? ""
      try reader.tags()
      return (index, CommittedOffset(offset: offset, leaderEpoch: epoch, metadata: metadata))
    }
  }

  func member(_ call: inout Call, instanceFrom: Int16) throws -> GroupMember {
    let generation = try call.reader.int32()
    let id = try call.reader.string()
    let instanceId = call.version >= instanceFrom ? try call.reader.nullableString() : nil
    return GroupMember(id: id, instanceId: instanceId, generation: generation)
  }
}
