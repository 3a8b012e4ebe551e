import CRDKafka
import Processor

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
  /// Errors that the client reported, most of which it overcomes by itself.
  private(set) var errors = 0
  /// Changes that were not taken yet.
  private(set) var rebalances: [Rebalance] = []
  /// The first record that could not be delivered since the last `takeFailure`.
  private var failure: LogError?
  /// Whether the group has told this member anything yet.
  private(set) var hasRebalanced = false
  /// Whether the group counts this member in, with or without partitions.
  private(set) var isMember = false
  /// Once set, changes are agreed to at once: the consumer is about to leave.
  var isClosing = false
  /// The queue that the worker waits on, to be woken when the assignment changes. Not owned.
  var waitingQueue: OpaquePointer?

  init(log: @escaping @Sendable (KafkaSeverity, String) -> Void) {
    self.log = log
  }

  func takeRebalances() -> [Rebalance] {
    defer { rebalances.removeAll() }
    return rebalances
  }

  func takeFailure() -> LogError? {
    defer { failure = nil }
    return failure
  }

  func report(_ severity: KafkaSeverity, _ text: String) { log(severity, text) }

  // MARK: From the library

  static func register(on configuration: OpaquePointer, _ role: KafkaOptions.Role) {
    rd_kafka_conf_set_log_cb(configuration) { client, level, facility, text in
      guard let client, let events = ClientEvents.of(rd_kafka_opaque(client)) else { return }
      let place = facility.map { String(cString: $0) } ?? ""
      events.log(KafkaSeverity(syslog: level), "\(place): \(text.map { String(cString: $0) } ?? "")")
    }
    rd_kafka_conf_set_error_cb(configuration) { _, code, reason, opaque in
      ClientEvents.of(opaque)?.onError(
        rd_kafka_resp_err_t(rawValue: code), reason.map { String(cString: $0) } ?? "")
    }
    rd_kafka_conf_set_stats_cb(configuration) { _, json, length, opaque in
      // Asked for with statistics.interval.ms; the library frees the text.
      guard let json else { return 0 }
      let text = String(decoding: UnsafeRawBufferPointer(start: json, count: length), as: UTF8.self)
      ClientEvents.of(opaque)?.log(.info, "STATISTICS: \(text)")
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

  private func onError(_ code: rd_kafka_resp_err_t, _ reason: String) {
    errors += 1
    log(code == RD_KAFKA_RESP_ERR__FATAL ? .error : .warning, "\(reason) (\(code.name))")
  }

  private func onDelivery(_ message: UnsafePointer<rd_kafka_message_t>) {
    let code = message.pointee.err
    // Purged records belong to a transaction that is being aborted: nobody waits for them.
    let isPurged = code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR, !isPurged, failure == nil else { return }
    let topic = message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? "?"
    let partition = message.pointee.partition
    let place = partition < 0 ? "the topic '\(topic)'" : "\(TopicPartition(topic, partition))"
    failure = LogError(code, "A record could not be written to \(place)")
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
      rebalances.append(.assigned(partitions))
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      if partitions.isEmpty || isClosing { return agree(client, .unassign, PartitionList(partitions)) }
      let isLost = rd_kafka_assignment_lost(client) != 0
      rebalances.append(isLost ? .lost(partitions) : .revoked(partitions))
    default:
      errors += 1
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
