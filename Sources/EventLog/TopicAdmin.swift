import CRDKafka
public import Processor

/// What a topic is or should be like.
public struct TopicDescription: Hashable, Sendable {
  /// Its name.
  public var name: String
  /// How many partitions it has.
  public var partitions: Int
  /// On how many brokers each of them is kept.
  public var replication: Int
  /// As many as the brokers give a topic (`default.replication.factor`).
  public static let defaultReplication = -1
  /// Its configuration. To create a topic: what differs from the brokers' defaults. As described: all of it.
  public var configuration: [String: String]

  /// A description from its parts.
  public init(name: String, partitions: Int, replication: Int, configuration: [String: String] = [:]) {
    self.name = name
    self.partitions = partitions
    self.replication = replication
    self.configuration = configuration
  }

  /// As many as the topics that exist have, whichever has the most; without any, the brokers' own default.
  public static func usualReplication(among topics: [TopicDescription]) -> Int {
    topics.map(\.replication).max() ?? defaultReplication
  }
}

/// Creates topics and tells what they are like.
public final class TopicAdmin {
  /// What became of a topic that was to be created.
  public enum Outcome: Hashable, Sendable {
    /// It is there now, and wasn't before.
    case created
    /// It was there already, not necessarily like this.
    case existed
    /// The brokers refused it, with their reason.
    case refused(String)
  }

  let handle: KafkaHandle
  let timeout: Int32
  /// How long a silent member of the group that the options name stays in it.
  public let sessionMilliseconds: Int

  /// Reaches the brokers of some options.
  public init(
    _ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    handle = try KafkaHandle(options, .admin, ClientEvents(.admin, options, log: report))
    timeout = Int32(clamping: options.requestTimeoutMilliseconds)
    let session = try options.settings(for: .consumer).first { $0.name == "session.timeout.ms" }?.value
    sessionMilliseconds = session.flatMap(Int.init) ?? 0
  }

  /// Creates topics; the outcomes are in the same order.
  public func create(_ topics: [TopicDescription]) throws(LogError) -> [Outcome] {
    guard !topics.isEmpty else { return [] }
    var requests: [OpaquePointer?] = []
    defer { for request in requests { rd_kafka_NewTopic_destroy(request) } }
    for topic in topics { requests.append(try Self.request(topic)) }
    let queue = try newQueue()
    rd_kafka_CreateTopics(handle.raw, &requests, requests.count, nil, queue.raw)
    let names = topics.map(\.name).joined(separator: ", ")
    let event = try AdminEvent(polling: queue, timeout, "Creating the topics \(names)")
    var count = 0
    let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.raw), &count)
    var outcomes: [String: Outcome] = [:]
    for result in UnsafeBufferPointer(start: results, count: count) {
      outcomes[String(cString: rd_kafka_topic_result_name(result))] = Self.outcome(result)
    }
    return topics.map { outcomes[$0.name] ?? .refused("the brokers did not answer for it") }
  }

  /// What topics are like, nil for those that don't exist; in the same order.
  public func describe(_ names: [String]) throws(LogError) -> [TopicDescription?] {
    var descriptions: [TopicDescription?] = []
    for name in names { descriptions.append(try handle.description(of: name, timeout: timeout)) }
    let configurations = try self.configurations(descriptions.compactMap { $0?.name })
    return descriptions.map { description in
      guard var description else { return nil }
      description.configuration = configurations[description.name] ?? [:]
      return description
    }
  }

  // MARK: Creating

  private static func request(_ topic: TopicDescription) throws(LogError) -> OpaquePointer {
    let (request, reason) = explained {
      rd_kafka_NewTopic_new(
        topic.name, Int32(clamping: topic.partitions), Int32(clamping: topic.replication), $0, $1)
    }
    guard let request else {
      throw LogError(.fatal, "The topic '\(topic.name)' cannot be created: \(reason)")
    }
    for (name, value) in topic.configuration.sorted(by: { $0.key < $1.key }) {
      let code = rd_kafka_NewTopic_set_config(request, name, value)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
        rd_kafka_NewTopic_destroy(request)
        throw LogError(code, "The topic '\(topic.name)' cannot have \(name)=\(value)")
      }
    }
    return request
  }

  private static func outcome(_ result: OpaquePointer?) -> Outcome {
    let code = rd_kafka_topic_result_error(result)
    switch code {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return .created
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: return .existed
    default:
      let text = rd_kafka_topic_result_error_string(result).map { String(cString: $0) } ?? code.text
      return .refused("\(text) (\(code.name))")
    }
  }

  // MARK: Describing

  private func configurations(_ names: [String]) throws(LogError) -> [String: [String: String]] {
    guard !names.isEmpty else { return [:] }
    var resources: [OpaquePointer?] = names.map { rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, $0) }
    defer { for resource in resources { rd_kafka_ConfigResource_destroy(resource) } }
    let queue = try newQueue()
    rd_kafka_DescribeConfigs(handle.raw, &resources, resources.count, nil, queue.raw)
    let attempt = "Reading the configuration of \(names.joined(separator: ", "))"
    let event = try AdminEvent(polling: queue, timeout, attempt)
    var count = 0
    let results = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event.raw), &count)
    var configurations: [String: [String: String]] = [:]
    for resource in UnsafeBufferPointer(start: results, count: count) {
      let name = String(cString: rd_kafka_ConfigResource_name(resource))
      try LogError.check(rd_kafka_ConfigResource_error(resource), "Reading the configuration of '\(name)'")
      configurations[name] = Self.entries(resource)
    }
    return configurations
  }

  private static func entries(_ resource: OpaquePointer?) -> [String: String] {
    var count = 0
    let entries = rd_kafka_ConfigResource_configs(resource, &count)
    var values: [String: String] = [:]
    for entry in UnsafeBufferPointer(start: entries, count: count) {
      guard let name = rd_kafka_ConfigEntry_name(entry), let value = rd_kafka_ConfigEntry_value(entry) else {
        continue
      }
      values[String(cString: name)] = String(cString: value)
    }
    return values
  }

  func newQueue() throws(LogError) -> KafkaQueue {
    guard let raw = rd_kafka_queue_new(handle.raw) else { throw LogError(.fatal, "Out of memory") }
    return KafkaQueue(owning: raw)
  }
}

/// The owner of the answer to an administrator's request.
struct AdminEvent: ~Copyable {
  let raw: OpaquePointer

  init(polling queue: borrowing KafkaQueue, _ timeout: Int32, _ attempt: String) throws(LogError) {
    guard let event = rd_kafka_queue_poll(queue.raw, timeout) else {
      throw LogError(.retry, "\(attempt): no answer within \(timeout) ms")
    }
    let code = rd_kafka_event_error(event)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
      let text = rd_kafka_event_error_string(event).map { String(cString: $0) }
      rd_kafka_event_destroy(event)
      throw LogError(code, attempt, detail: text)
    }
    raw = event
  }

  deinit { rd_kafka_event_destroy(raw) }
}
