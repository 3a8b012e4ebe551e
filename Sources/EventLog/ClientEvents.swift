import CRDKafka
import Processor
import Synchronization

/// What the callbacks of one client report. All but the log call back on the thread that polls the client.
final class ClientEvents {
  /// A change of the assignment that waits for the worker.
  enum Rebalance {
    case assigned([TopicPartition])
    case revoked([TopicPartition])
    case lost([TopicPartition])
    /// The group could not agree: everything is gone.
    case failed
  }

  private let log: @Sendable (KafkaSeverity, String) -> Void
  private let logsStatistics: Bool
  private let role: KafkaOptions.Role
  /// When a broker last answered, as far as the statistics tell; until the first of them, the client's start.
  private var heard = ContinuousClock.now
  private var tellsContact = false
  /// Since when the brokers have been away; nil if they are not. Log lines come from any thread.
  private let outage = Mutex<ContinuousClock.Instant?>(nil)
  /// When errors that don't pass were last told, by code.
  private var told: [Int32: ContinuousClock.Instant] = [:]
  /// Errors that the client reported, most of which it overcomes by itself.
  var errors: Int { errorCount.load(ordering: .relaxed) }
  private let errorCount = Atomic(0)
  /// Changes that were not taken yet.
  private(set) var rebalances: [Rebalance] = []
  /// The first record that could not be delivered since the last `takeFailure`.
  private var failure: LogError?
  /// That the brokers no longer know a topic that was assigned, since the last `takeUnknown`.
  private var unknown: String?
  /// What became of records that were sent with numbers.
  private var deliveries: [(number: Int, failure: LogError?)] = []
  /// Whether the group has told this member anything yet.
  private(set) var hasRebalanced = false
  /// Whether the group counts this member in, with or without partitions.
  private(set) var isMember = false
  /// Once set, changes are agreed to at once: the consumer is about to leave.
  var isClosing = false
  /// The queue that the worker waits on, to be woken when the assignment changes. Not owned.
  var waitingQueue: OpaquePointer?

  init(
    _ role: KafkaOptions.Role, _ options: KafkaOptions,
    log: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) {
    self.role = role
    self.log = log
    logsStatistics = options.properties.keys.contains { $0.hasSuffix("statistics.interval.ms") }
  }

  /// Milliseconds since a broker has last answered; nil if the statistics don't tell.
  var silenceMilliseconds: Int64? {
    tellsContact ? Int64((.now - heard) / Duration.milliseconds(1)) : nil
  }

  func takeRebalances() -> [Rebalance] {
    defer { rebalances.removeAll() }
    return rebalances
  }

  func takeFailure() -> LogError? {
    defer { failure = nil }
    return failure
  }

  func takeUnknown() -> String? {
    defer { unknown = nil }
    return unknown
  }

  func takeDeliveries() -> [(number: Int, failure: LogError?)] {
    defer { deliveries.removeAll() }
    return deliveries
  }

  func report(_ severity: KafkaSeverity, _ text: String) { log(severity, text) }

  // MARK: From the library

  static func register(on configuration: OpaquePointer, _ role: KafkaOptions.Role) {
    rd_kafka_conf_set_log_cb(configuration) { client, level, facility, text in
      guard let client, let events = ClientEvents.of(rd_kafka_opaque(client)) else { return }
      let place = facility.map { String(cString: $0) } ?? ""
      events.onLine(KafkaSeverity(syslog: level), place, text.map { String(cString: $0) } ?? "")
    }
    rd_kafka_conf_set_error_cb(configuration) { _, code, reason, opaque in
      ClientEvents.of(opaque)?.onError(
        rd_kafka_resp_err_t(rawValue: code), reason.map { String(cString: $0) } ?? "")
    }
    rd_kafka_conf_set_stats_cb(configuration) { _, json, length, opaque in
      // Asked for with statistics.interval.ms; the library frees the text.
      guard let json else { return 0 }
      ClientEvents.of(opaque)?.onStatistics(UnsafeRawBufferPointer(start: json, count: length))
      return 0
    }
    switch role {
    case .consumer:
      rd_kafka_conf_set_rebalance_cb(configuration) { client, code, partitions, opaque in
        guard let client, let partitions else { return }
        ClientEvents.of(opaque)?.onRebalance(client, code, partitions)
      }
    case .producer:
      rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
        guard let message else { return }
        ClientEvents.of(opaque)?.onDelivery(message)
      }
    case .admin, .reader, .replay: break
    }
  }

  private static func of(_ opaque: UnsafeMutableRawPointer?) -> ClientEvents? {
    opaque.map { Unmanaged<ClientEvents>.fromOpaque($0).takeUnretainedValue() }
  }

  /// A line of the library's log.
  private func onLine(_ severity: KafkaSeverity, _ facility: String, _ text: String) {
    let line = "\(facility): \(text)"
    guard severity >= .warning else { return log(severity, line) }
    switch facility {
    // What failed there, a call returns or the error callback tells, too.
    case "TXNERR", "ADDPARTS", "ADDOFFSETS", "TXNCOMMIT", "TXNABORT", "GETPID", "FATAL", "TERMINATE":
      log(.debug, line)
    case "FAIL", "ERROR":
      // An error callback is only called in clients that are polled.
      if role == .admin || role == .reader { onPassing(line) } else { log(.debug, line) }
    default: log(severity, line)
    }
  }

  private func onError(_ code: rd_kafka_resp_err_t, _ reason: String) {
    errorCount.add(1, ordering: .relaxed)
    let line = "\(reason) (\(code.name))"
    // The call that meets it says what follows.
    if code == RD_KAFKA_RESP_ERR__FATAL { return log(.warning, line) }
    if code.isPassing { return onPassing(line) }
    if code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION {
      unknown = line
    }
    // Refused over and over, a connection would fill the log.
    let now = ContinuousClock.now
    if let last = told[code.rawValue], now - last < KafkaDefaults.repetitionInterval {
      return log(.debug, line)
    }
    told[code.rawValue] = now
    log(.warning, line)
  }

  /// The brokers are away, or some are: told once, until one has answered again.
  private func onPassing(_ line: String) {
    let isFirst = outage.withLock { since in
      defer { since = since ?? .now }
      return since == nil
    }
    log(isFirst ? .warning : .debug, isFirst ? "\(line); the client goes on trying" : line)
  }

  private func onStatistics(_ json: UnsafeRawBufferPointer) {
    if logsStatistics { log(.info, "STATISTICS: \(String(decoding: json, as: UTF8.self))") }
    tellsContact = true
    guard let idle = BrokerStatistics.idleMicroseconds(json) else { return }
    heard = max(heard, .now - .microseconds(idle))
    let since = outage.withLock { since -> ContinuousClock.Instant? in
      // An answer from before the outage doesn't end it.
      guard let start = since, heard > start else { return nil }
      since = nil
      return start
    }
    if let since { log(.info, "the brokers answer again, after \(Int((heard - since) / .seconds(1))) s") }
  }

  private func onDelivery(_ message: UnsafePointer<rd_kafka_message_t>) {
    let code = message.pointee.err
    // Purged records belong to a transaction that is being aborted: nobody waits for them.
    let isPurged = code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
    let number = Int(bitPattern: message.pointee._private)
    if number != 0 {
      let isDelivered = code == RD_KAFKA_RESP_ERR_NO_ERROR
      return deliveries.append((number, isDelivered ? nil : Self.failure(of: message)))
    }
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR, !isPurged, failure == nil else { return }
    failure = Self.failure(of: message)
  }

  private static func failure(of message: UnsafePointer<rd_kafka_message_t>) -> LogError {
    let topic = message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? "?"
    let partition = message.pointee.partition
    let place = partition < 0 ? "the topic '\(topic)'" : "\(TopicPartition(topic, partition))"
    return LogError(message.pointee.err, "A record could not be written to \(place)")
  }

  private func onRebalance(
    _ client: OpaquePointer, _ code: rd_kafka_resp_err_t,
    _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
  ) {
    let partitions = TopicPartition.all(list)
    hasRebalanced = true
    isMember =
      code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
      || code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && rd_kafka_assignment_lost(client) == 0
    switch code {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
      // With nothing new there is nothing to wait for; and who is leaving takes nothing on.
      if partitions.isEmpty || isClosing { return agree(client, .assign, PartitionList()) }
      unknown = nil
      rebalances.append(.assigned(partitions))
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      if partitions.isEmpty || isClosing { return agree(client, .unassign, PartitionList(partitions)) }
      let isLost = rd_kafka_assignment_lost(client) != 0
      rebalances.append(isLost ? .lost(partitions) : .revoked(partitions))
    default:
      errorCount.add(1, ordering: .relaxed)
      log(.error, "The group could not share out its partitions: \(code.text) (\(code.name))")
      rd_kafka_assign(client, nil)
      rebalances.append(.failed)
    }
    if let waitingQueue { rd_kafka_queue_yield(waitingQueue) }
  }

  private func agree(
    _ client: OpaquePointer, _ change: AssignmentChange, _ partitions: consuming PartitionList
  ) {
    do throws(LogError) { try change.perform(client, partitions) } catch { log(.error, error.message) }
  }
}

/// The two ways of telling librdkafka what is fetched, each for both rebalance protocols.
enum AssignmentChange {
  case assign, unassign

  func perform(_ client: OpaquePointer, _ partitions: borrowing PartitionList) throws(LogError) {
    let protocolName = rd_kafka_rebalance_protocol(client).map { String(cString: $0) }
    switch (self, protocolName == "EAGER") {
    case (.assign, false):
      try LogError.check(
        rd_kafka_incremental_assign(client, partitions.raw), "Taking on partitions", client: client)
    case (.unassign, false):
      try LogError.check(
        rd_kafka_incremental_unassign(client, partitions.raw), "Giving partitions up", client: client)
    case (.assign, true): try LogError.check(rd_kafka_assign(client, partitions.raw), "Taking on partitions")
    case (.unassign, true): try LogError.check(rd_kafka_assign(client, nil), "Giving partitions up")
    }
  }
}

extension KafkaSeverity {
  /// From a level of syslog.
  init(syslog level: Int32) {
    self = level <= 3 ? .error : level == 4 ? .warning : level <= 6 ? .info : .debug
  }
}
