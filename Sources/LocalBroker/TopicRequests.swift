import BrokerCore

// Metadata, CreateTopics, CreatePartitions, DeleteTopics, DeleteRecords, DescribeConfigs.
extension RequestHandler {
  func metadata(_ call: inout Call) throws -> Outcome {
    let names = try call.reader.nullableArray { reader in
      let name = try reader.string()
      try reader.tags()
      return name
    }
    let mayCreate = call.version >= 4 ? try call.reader.bool() : true
    let all = names == nil || (call.version == 0 && names == [])
    if mayCreate && configuration.autoCreateTopics {
      for name in names ?? [] where broker.topics[name] == nil {
        try? broker.createTopic(name, partitions: 1)
      }
    }
    var writer = call.reply(throttleFrom: 3)
    writer.array([Self.nodeId]) { writer, node in
      writer.int32(node)
      writer.string(configuration.advertisedHost ?? call.peer.localHost)
      writer.int32(Int32(call.peer.localPort))
      if call.version >= 1 { writer.string(nil) }
      writer.tags()
    }
    if call.version >= 2 { writer.string("plumb-local-broker") }
    if call.version >= 1 { writer.int32(Self.nodeId) }
    // Each topic once, however often it was asked for, as Kafka answers.
    writer.array(all ? broker.topics.keys.sorted() : Set(names ?? []).sorted()) { writer, name in
      describe(name, call.version, &writer)
    }
    // Which operations are allowed is not known without authorisation.
    if call.version >= 8 { writer.int32(.min) }
    writer.tags()
    return .reply(writer)
  }

  private func describe(_ name: String, _ version: Int16, _ writer: inout WireWriter) {
    let topic = broker.topics[name]
    writer.int16((topic == nil ? KafkaError.unknownTopicOrPartition : .none).rawValue)
    writer.string(name)
    if version >= 1 { writer.bool(false) }
    writer.array(0..<(topic?.partitions.count ?? 0)) { writer, partition in
      writer.int16(KafkaError.none.rawValue)
      writer.int32(Int32(partition))
      writer.int32(Self.nodeId)
      if version >= 7 { writer.int32(0) }
      writer.int32Array([Self.nodeId])
      writer.int32Array([Self.nodeId])
      if version >= 5 { writer.int32Array([]) }
      writer.tags()
    }
    if version >= 8 { writer.int32(.min) }
    writer.tags()
  }

  func createTopics(_ call: inout Call) throws -> Outcome {
    struct Wanted {
      var name: String, partitions: Int32, replicas: Int16
      var assignments: [(partition: Int32, nodes: [Int32])]
      var configs: [(name: String, value: String?)]
    }
    let wanted = try call.reader.array { reader in
      try Wanted(
        name: reader.string(), partitions: reader.int32(), replicas: reader.int16(),
        assignments: reader.array { try ($0.int32(), $0.array { try $0.int32() }) },
        configs: reader.array { try ($0.string(), $0.nullableString()) })
    }
    _ = try call.reader.int32()
    let validateOnly = call.version >= 1 ? try call.reader.bool() : false
    let results = wanted.map { topic in
      let error = outcome { () throws(KafkaError) in
        var count = topic.partitions
        if !topic.assignments.isEmpty {
          guard count == -1, topic.replicas == -1 else { throw .invalidRequest }
          guard topic.assignments.allSatisfy({ $0.nodes == [Self.nodeId] }) else {
            throw .invalidReplicaAssignment
          }
          count = Int32(topic.assignments.count)
        } else {
          guard topic.replicas == 1 || topic.replicas == -1 else { throw .invalidReplicationFactor }
          if count == -1 { count = 1 }
        }
        var configs: [String: String] = [:]
        for config in topic.configs { configs[config.name] = config.value }
        try broker.createTopic(topic.name, partitions: count, configs: configs, validateOnly: validateOnly)
      }
      return (topic.name, error)
    }
    var writer = call.reply(throttleFrom: 2)
    writer.array(results) { writer, result in
      writer.string(result.0)
      writer.int16(result.1.rawValue)
      if call.version >= 1 { writer.string(result.1 == .none ? nil : "\(result.1)") }
    }
    return .reply(writer)
  }

  func createPartitions(_ call: inout Call) throws -> Outcome {
    let wanted = try call.reader.array { reader in
      try (
        name: reader.string(), count: reader.int32(),
        assignments: reader.nullableArray { try $0.array { try $0.int32() } }
      )
    }
    _ = try call.reader.int32()
    let validateOnly = try call.reader.bool()
    var named: [String: Int] = [:]
    for topic in wanted { named[topic.name, default: 0] += 1 }
    let results = wanted.map { topic in
      let error = outcome { () throws(KafkaError) in
        guard named[topic.name] == 1 else { throw .invalidRequest }
        try broker.createPartitions(topic.name, partitions: topic.count, validateOnly: true)
        let present = broker.topics[topic.name]?.partitions.count ?? 0
        if let assignments = topic.assignments {
          guard assignments.count == Int(topic.count) - present,
            assignments.allSatisfy({ $0 == [Self.nodeId] })
          else { throw .invalidReplicaAssignment }
        }
        if !validateOnly { try broker.createPartitions(topic.name, partitions: topic.count) }
      }
      return (topic.name, error)
    }
    var writer = call.reply(throttleFrom: 0)
    writer.array(results) { writer, result in
      writer.string(result.0)
      writer.int16(result.1.rawValue)
      writer.string(result.1 == .none ? nil : "\(result.1)")
    }
    return .reply(writer)
  }

  func deleteTopics(_ call: inout Call) throws -> Outcome {
    let names = try call.reader.array { try $0.string() }
    let results = names.map { name in
      (name, outcome { () throws(KafkaError) in try broker.deleteTopic(name) })
    }
    fetches.wakeAll()
    var writer = call.reply(throttleFrom: 1)
    writer.array(results) { writer, result in
      writer.string(result.0)
      writer.int16(result.1.rawValue)
    }
    return .reply(writer)
  }

  func deleteRecords(_ call: inout Call) throws -> Outcome {
    let topics = try call.reader.topics { reader in
      let place = try (reader.int32(), reader.int64())
      try reader.tags()
      return place
    }
    var writer = call.reply(throttleFrom: 0)
    writer.topics(topics) { writer, topic, wanted in
      var start: Int64 = -1
      let error = outcome { () throws(KafkaError) in
        start = try broker.deleteRecords(TopicPartition(topic, wanted.0), before: wanted.1)
      }
      writer.int32(wanted.0)
      writer.int64(start)
      writer.int16(error.rawValue)
    }
    writer.tags()
    return .reply(writer)
  }

  func describeConfigs(_ call: inout Call) throws -> Outcome {
    let resources = try call.reader.array { reader in
      try (
        kind: reader.int8(), name: reader.string(),
        keys: reader.nullableArray { try $0.string() }.map { Set($0) }
      )
    }
    var writer = call.reply(throttleFrom: 0)
    let topicKind: Int8 = 2
    let brokerKind: Int8 = 4
    writer.array(resources) { writer, resource in
      let topic = resource.kind == topicKind ? broker.topics[resource.name] : nil
      let error: KafkaError =
        switch resource.kind {
        case topicKind: topic == nil ? .unknownTopicOrPartition : .none
        case brokerKind: .none
        default: .invalidRequest
        }
      writer.int16(error.rawValue)
      writer.string(error == .none ? nil : "\(error)")
      writer.int8(resource.kind)
      writer.string(resource.name)
      let settings = topic == nil ? [:] : TopicSettings.defaults
      let names = settings.keys.filter { resource.keys?.contains($0) ?? true }.sorted()
      writer.array(names) { writer, name in
        let override = topic?.settings.overrides[name]
        writer.string(name)
        writer.string(override ?? settings[name])
        writer.bool(false)
        // The source: 1 the topic's own, 5 the default.
        if call.version == 0 { writer.bool(override == nil) } else { writer.int8(override == nil ? 5 : 1) }
        writer.bool(false)
        if call.version >= 1 { writer.array([Int]()) { _, _ in } }
      }
    }
    return .reply(writer)
  }
}
