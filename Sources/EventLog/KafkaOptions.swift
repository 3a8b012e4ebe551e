import CRDKafka
public import Processor

/// What the records of a commit promise to their readers.
public enum KafkaDelivery: String, Sendable, CaseIterable {
  /// Records and offsets in one transaction.
  case exactlyOnce = "exactly_once"
  /// Records first, then the offsets: a crash in between repeats records.
  case atLeastOnce = "at_least_once"
}

/// How grave a message of the client library is.
public enum KafkaSeverity: Int, Sendable, Comparable {
  /// For those who debug the client.
  case debug
  /// The ordinary course of things.
  case info
  /// The client helps itself, but somebody should know.
  case warning
  /// Something failed.
  case error

  /// By gravity.
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Where the log is and how a worker takes part in it.
public struct KafkaOptions: Sendable {
  /// Host and port of some brokers, separated by commas.
  public var brokers: String
  /// The consumer group.
  public var group: String
  /// What brokers call this client in their logs and quotas.
  public var clientID: String
  /// Names this worker's producer from one run to the next; unique among the workers that run. A new producer of
  /// the same name fences the old one.
  public var transactionalID: String
  /// Names this member of the group from one run to the next: it keeps its partitions over a restart. nil: a member
  /// without a name, whose partitions others get when it leaves.
  public var groupInstance: String?
  /// What the records of a commit promise.
  public var delivery: KafkaDelivery
  /// Properties of librdkafka that replace the defaults. `consumer.` or `producer.` in front of a name gives it to
  /// that client alone.
  public var properties: [String: String]
  /// Whether the headers of records are read.
  public var readsHeaders = false
  /// The longest wait for an answer to a request that isn't part of a transaction.
  public var requestTimeoutMilliseconds = KafkaDefaults.requestTimeoutMilliseconds
  /// The longest wait for room in the producer's queue.
  public var sendTimeoutMilliseconds = KafkaDefaults.sendTimeoutMilliseconds

  /// The longest wait of a new producer for the end of its predecessor's transaction.
  public var takeoverTimeoutMilliseconds = KafkaDefaults.takeoverTimeoutMilliseconds

  /// Options with the defaults for the rest.
  public init(
    brokers: String, group: String, clientID: String = "plumb", transactionalID: String,
    delivery: KafkaDelivery = .exactlyOnce, properties: [String: String] = [:]
  ) {
    self.brokers = brokers
    self.group = group
    self.clientID = clientID
    self.transactionalID = transactionalID
    self.delivery = delivery
    self.properties = properties
  }
}

extension KafkaOptions: CustomStringConvertible, CustomDebugStringConvertible {
  /// All that was chosen, one `name=value` after the other; secrets are masked.
  public var description: String {
    let own = [
      ("bootstrap.servers", brokers), ("group.id", group), ("client.id", clientID),
      ("transactional.id", transactionalID), ("delivery", delivery.rawValue),
    ]
    let more = properties.sorted { $0.key < $1.key }.map {
      ($0.key, Self.isSecret($0.key) ? "***" : $0.value)
    }
    return (own + more).map { "\($0)=\($1)" }.joined(separator: " ")
  }

  /// The same: a debugger's log is read by as many people.
  public var debugDescription: String { description }

  /// Whether a property's value must not be shown. What librdkafka doesn't know is a misspelt one: of whichever.
  public static func isSecret(_ name: String) -> Bool {
    let telling = [
      "password", "secret", "token", "pem", "sasl.oauthbearer.config", "sasl.kerberos.kinit.cmd",
      // Of clients in Java, and known here only to be refused; and what programs set that hand keys over as they are in memory.
      "jaas", "ssl_",
    ]
    let lowercased = name.lowercased()
    if telling.contains(where: { lowercased.contains($0) }) { return true }
    var own = Substring(name)
    for prefix in [Role.consumer, .producer] where name.hasPrefix("\(prefix.rawValue).") {
      own = name.dropFirst(prefix.rawValue.count + 1)
    }
    return !isKnown(String(own))
  }

  /// Whether librdkafka has a property of that name.
  static func isKnown(_ name: String) -> Bool {
    let configuration = rd_kafka_conf_new()
    defer { rd_kafka_conf_destroy(configuration) }
    // Asking for its value would not do: one that is unset counts as unknown.
    return rd_kafka_conf_set(configuration, name, nil, nil, 0) != RD_KAFKA_CONF_UNKNOWN
  }
}

extension KafkaOptions {
  /// One of the clients that the options are for.
  enum Role: String { case consumer, producer, admin, reader, replay }

  /// The properties of one client: what the role needs, the defaults, and over them the user's.
  func settings(for role: Role) throws(LogError) -> [(name: String, value: String)] {
    var chosen = ["bootstrap.servers": brokers, "client.id": clientID]
    let defaults: [String: String]
    var fixed: [String: String] = [:]
    switch role {
    case .consumer:
      defaults = KafkaDefaults.consumer
      fixed = KafkaDefaults.consumerFixed
      fixed["group.id"] = group
      if let groupInstance { fixed["group.instance.id"] = groupInstance }
    case .producer:
      defaults = KafkaDefaults.producer
      fixed = KafkaDefaults.producerFixed
      if delivery == .exactlyOnce {
        chosen["transaction.timeout.ms"] = KafkaDefaults.transactionTimeoutMilliseconds
        fixed["transactional.id"] = transactionalID
      }
    case .admin: defaults = KafkaDefaults.admin
    case .reader:
      defaults = KafkaDefaults.consumer
      fixed = KafkaDefaults.consumerFixed
    case .replay:
      defaults = KafkaDefaults.consumer
      fixed = KafkaDefaults.consumerFixed
      // To ask for its offsets: it takes a subscription to join it.
      fixed["group.id"] = group
    }
    chosen.merge(defaults) { $1 }
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
      guard let own = try Self.property(name, for: role) else { continue }
      chosen[own] = value
    }
    chosen.merge(fixed) { $1 }
    return chosen.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Milliseconds after which brokers abort a transaction that has not ended.
  func transactionTimeoutMilliseconds() throws(LogError) -> Int {
    let settings = try settings(for: .producer)
    let text = settings.first { $0.name == "transaction.timeout.ms" }?.value
    return text.flatMap(Int.init) ?? Int(KafkaDefaults.transactionTimeoutMilliseconds) ?? 0
  }

  /// The name that a role knows a user's property by; nil if the property is for another role.
  private static func property(_ name: String, for role: Role) throws(LogError) -> String? {
    var own = Substring(name)
    for prefix in [Role.consumer, .producer] where name.hasPrefix("\(prefix.rawValue).") {
      own = name.dropFirst(prefix.rawValue.count + 1)
      if let remedy = KafkaDefaults.reserved[String(own)] { throw refused(name, remedy) }
      return prefix == role || prefix == .consumer && (role == .reader || role == .replay) ? String(own) : nil
    }
    if let remedy = KafkaDefaults.reserved[name] { throw refused(name, remedy) }
    // An administrator neither consumes nor produces: what is special to those would only draw warnings.
    if role == .admin && !KafkaDefaults.adminPrefixes.contains(where: name.hasPrefix) { return nil }
    return String(own)
  }

  /// Refuses properties that are not for users to set, that the client library doesn't know, or not with these values, before
  /// anything is connected.
  public func check() throws(LogError) {
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
      for role in [Role.consumer, .producer] {
        if let own = try Self.property(name, for: role) { try KafkaHandle.check(own, value) }
      }
    }
  }

  private static func refused(_ name: String, _ remedy: String) -> LogError {
    LogError(.fatal, "The Kafka property '\(name)' cannot be set: \(remedy)")
  }
}
