import CRDKafka
import CallThread
import Processor

/// The owner of a librdkafka client.
struct KafkaHandle: ~Copyable {
  let raw: OpaquePointer
  /// The client's callbacks hold it until the client is gone.
  private let events: Unmanaged<ClientEvents>
  private let role: KafkaOptions.Role
  /// A consumer that could not leave its group. librdkafka 2.0 would wait for that without end when it is destroyed, so
  /// it is left to the end of the process; the group notices when it isn't polled.
  var isStuck = false

  init(_ options: KafkaOptions, _ role: KafkaOptions.Role, _ events: ClientEvents) throws(LogError) {
    let settings = try options.settings(for: role)
    guard let configuration = rd_kafka_conf_new() else { throw LogError(.fatal, "Out of memory") }
    do throws(LogError) {
      for (name, value) in settings { try Self.set(configuration, name, value) }
    } catch {
      rd_kafka_conf_destroy(configuration)
      throw error
    }
    let retained = Unmanaged.passRetained(events)
    rd_kafka_conf_set_opaque(configuration, retained.toOpaque())
    ClientEvents.register(on: configuration, role)
    let type = role == .producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER
    let (client, reason) = explained { rd_kafka_new(type, configuration, $0, $1) }
    guard let client else {
      // The client takes the configuration over only if it comes to life.
      rd_kafka_conf_destroy(configuration)
      retained.release()
      throw LogError(.fatal, "Cannot start a Kafka \(role.rawValue) for \(options.brokers): \(reason)")
    }
    raw = client
    self.events = retained
    self.role = role
  }

  deinit {
    // librdkafka 2.0 aborts the process if a group's leader is destroyed before it has shared out partitions for the
    // first time (an assertion in its sticky assignor): such a client is left to the end of the process.
    if isStuck || role == .consumer && !events.takeUnretainedValue().hasRebalanced { return }
    // Leaving the group takes a broker's answer and is done by `close`; without it this is like a crash.
    let client = ClientEnd(client: raw, events: events)
    let isOver = Deadline.run(milliseconds: KafkaDefaults.destroyTimeoutMilliseconds) {
      rd_kafka_destroy_flags(client.client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
      client.events.release()
    }
    if !isOver {
      let seconds = KafkaDefaults.destroyTimeoutMilliseconds / 1_000
      events.takeUnretainedValue().report(
        .warning, "the client library did not end a \(role.rawValue) within \(seconds) s; it is left behind")
    }
  }

  /// Refuses a property as a client's creation would.
  static func check(_ name: String, _ value: String) throws(LogError) {
    guard let configuration = rd_kafka_conf_new() else { throw LogError(.fatal, "Out of memory") }
    defer { rd_kafka_conf_destroy(configuration) }
    try set(configuration, name, value)
  }

  private static func set(_ configuration: OpaquePointer, _ name: String, _ value: String) throws(LogError) {
    let (result, reason) = explained { rd_kafka_conf_set(configuration, name, value, $0, $1) }
    guard result != RD_KAFKA_CONF_OK else { return }
    guard result != RD_KAFKA_CONF_UNKNOWN else {
      // A misspelt one: its value may be a password.
      throw LogError(.fatal, "There is no Kafka property '\(name)': see librdkafka's CONFIGURATION.md")
    }
    let shown = KafkaOptions.isSecret(name) ? "***" : value
    // The library may quote the value.
    let why = KafkaOptions.isSecret(name) ? "the value was refused" : reason
    throw LogError(.fatal, "The Kafka property '\(name)' cannot be '\(shown)': \(why)")
  }
}

/// What is left to do of a client that nobody uses any more, on whatever thread.
private struct ClientEnd: @unchecked Sendable {
  let client: OpaquePointer
  let events: Unmanaged<ClientEvents>
}

/// The owner of a queue.
struct KafkaQueue: ~Copyable {
  let raw: OpaquePointer

  init(owning raw: OpaquePointer) { self.raw = raw }

  deinit { rd_kafka_queue_destroy(raw) }
}

/// The owner of a list of partitions, each with an offset and, after a call, an error.
struct PartitionList: ~Copyable {
  let raw: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  init(capacity: Int = 0) {
    raw = rd_kafka_topic_partition_list_new(Int32(capacity))
  }

  init(_ partitions: [TopicPartition]) {
    self.init(capacity: partitions.count)
    for partition in partitions { add(partition, Int64(RD_KAFKA_OFFSET_INVALID)) }
  }

  init(_ partitions: [(partition: TopicPartition, offset: Int64)]) {
    self.init(capacity: partitions.count)
    for (partition, offset) in partitions { add(partition, offset) }
  }

  deinit { rd_kafka_topic_partition_list_destroy(raw) }

  func add(_ partition: TopicPartition, _ offset: Int64) {
    rd_kafka_topic_partition_list_add(raw, partition.topic, partition.partition).pointee.offset = offset
  }

  var elements: UnsafeBufferPointer<rd_kafka_topic_partition_t> {
    UnsafeBufferPointer(start: raw.pointee.elems, count: Int(raw.pointee.cnt))
  }

  /// The first of the partitions' own errors.
  func check(_ attempt: String) throws(LogError) { try Self.check(raw, attempt) }

  /// The same of a list that another owns.
  static func check(
    _ list: UnsafePointer<rd_kafka_topic_partition_list_t>, _ attempt: String
  ) throws(LogError) {
    let elements = UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
    for element in elements where element.err != RD_KAFKA_RESP_ERR_NO_ERROR {
      throw LogError(element.err, "\(attempt) of \(TopicPartition(element))")
    }
  }
}

extension TopicPartition {
  init(_ element: rd_kafka_topic_partition_t) {
    self.init(String(cString: element.topic), element.partition)
  }

  init(handle topic: OpaquePointer, _ partition: Int32) {
    self.init(String(cString: rd_kafka_topic_name(topic)), partition)
  }

  static func all(_ list: UnsafePointer<rd_kafka_topic_partition_list_t>) -> [TopicPartition] {
    UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt)).map(TopicPartition.init)
  }
}

/// Calls a function that writes an explanation, and returns what it returns, with the explanation.
func explained<Result>(_ body: (UnsafeMutablePointer<CChar>, Int) -> Result) -> (Result, String) {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: KafkaDefaults.explanationBytes) { buffer in
    buffer.initialize(repeating: 0)
    guard let start = buffer.baseAddress else { preconditionFailure("An allocation without an address") }
    let result = body(start, buffer.count)
    return (result, String(cString: start))
  }
}
