import CRDKafka
import Processor

extension LogError {
  /// From a code that a call returned.
  init(_ code: rd_kafka_resp_err_t, _ attempt: String, detail: String? = nil) {
    self.init(code.remedy, "\(attempt): \(detail ?? code.text) (\(code.name))\(code.advice)")
  }

  /// From an error object, which is destroyed.
  init(consuming error: OpaquePointer, _ attempt: String, client: OpaquePointer) {
    defer { rd_kafka_error_destroy(error) }
    var code = rd_kafka_error_code(error)
    var detail = String(cString: rd_kafka_error_string(error))
    let isFatal = rd_kafka_error_is_fatal(error) != 0
    if isFatal {
      // What the client died of, perhaps in an earlier call.
      let (cause, reason) = explained { rd_kafka_fatal_error(client, $0, $1) }
      if cause != RD_KAFKA_RESP_ERR_NO_ERROR { (code, detail) = (cause, reason) }
      detail += "; the client cannot go on"
    }
    self.init(code, attempt, detail: detail)
    isOrdinary = code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
    remedy = code.remedy(
      isFatal: isFatal, requiresAbort: rd_kafka_error_txn_requires_abort(error) != 0,
      isRetriable: rd_kafka_error_is_retriable(error) != 0)
  }

  /// From a message that came instead of a record; `next` is the offset that was to be read.
  init(
    reading message: UnsafeMutablePointer<rd_kafka_message_t>, _ partition: TopicPartition?, next: Int64?,
    client: OpaquePointer
  ) {
    let code = message.pointee.err
    let text = message.errorText
    switch (code, partition) {
    case (RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, let partition?),
      (RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, let partition?):
      let message = "Reading \(partition) at offset \(next ?? -1): \(text) (\(code.name))"
      self.init(.outOfRange(partition), message)
    case (RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, _), (RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, _),
      (RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, _):
      // A topic that was just created is unknown to some brokers for a moment.
      self.init(.retry, "\(text) (\(code.name)): create the topic if it doesn't exist")
    case (RD_KAFKA_RESP_ERR__FATAL, _):
      let (cause, reason) = explained { rd_kafka_fatal_error(client, $0, $1) }
      self.init(cause, "Reading", detail: "\(reason); the client cannot go on")
      remedy = cause.remedy(isFatal: true, requiresAbort: false, isRetriable: false)
    default:
      let place = partition.map { $0.partition < 0 ? " '\($0.topic)'" : " \($0)" } ?? ""
      self.init(code, "Reading\(place)", detail: text)
    }
  }

  /// Throws an error object, if there is one.
  static func check(_ error: OpaquePointer?, _ attempt: String, client: OpaquePointer) throws(LogError) {
    if let error { throw LogError(consuming: error, attempt, client: client) }
  }

  /// Throws a code, if it is an error.
  static func check(_ code: rd_kafka_resp_err_t, _ attempt: String) throws(LogError) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw LogError(code, attempt) }
  }
}

extension UnsafeMutablePointer<rd_kafka_message_t> {
  /// What a message that is an error says.
  var errorText: String {
    rd_kafka_message_errstr(self).map { String(cString: $0) } ?? pointee.err.text
  }
}

/// What is done about an error, by what it says.
enum KafkaDecisions {
  /// Every code that is decided, once.
  static let table: [(decision: Decision, codes: [rd_kafka_resp_err_t])] = [
    (.pass, passing), (.abort, aborting), (.renew, renewing), (.stop, stopping),
  ]

  /// What to do about a code.
  enum Decision {
    /// It passes by itself: try again. If the client library says that the transaction can't be saved, abort it.
    case pass
    /// The transaction is lost, this member and this producer are not.
    case abort
    /// This producer or member is of no more use, and a new one is.
    case renew
    /// Only a person can help, whatever the client library thinks of trying again.
    case stop
  }

  /// The network, a broker that restarts, a leader or coordinator that moves.
  private static let passing = [
    RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__TIMED_OUT,
    RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
    RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__WAIT_CACHE, RD_KAFKA_RESP_ERR__IN_PROGRESS,
    RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, RD_KAFKA_RESP_ERR__QUEUE_FULL, RD_KAFKA_RESP_ERR__RETRY,
    RD_KAFKA_RESP_ERR__UNKNOWN_BROKER, RD_KAFKA_RESP_ERR__NODE_UPDATE, RD_KAFKA_RESP_ERR__OUTDATED,
    RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
    RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
    RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
    RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
  ]

  private static let aborting = [
    // The group has rebalanced and this member is still in it: what it owns now, the next poll tells. Joining anew would
    // only make the group rebalance again.
    RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
    // Some records were not delivered; why, their reports say.
    RD_KAFKA_RESP_ERR__INCONSISTENT, RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
    RD_KAFKA_RESP_ERR_OPERATION_NOT_ATTEMPTED, RD_KAFKA_RESP_ERR__NO_OFFSET,
    // An earlier record of the transaction is missing.
    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,
  ]

  private static let renewing = [
    // Another has taken over, or the brokers have ended the transaction because its time was over.
    RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    // The group has removed this member.
    RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
    // Another has this member's name, or it has it itself: when brokers were silent for longer than its session, librdkafka 2.0
    // gives up its id before it joins again, and brokers that have not put it out yet take it for somebody else. Two live
    // processes of one name take turns, which whoever joins anew counts.
    RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
    // The brokers have forgotten the producer: transactional.id.expiration.ms is over, or its records have all been
    // deleted. As often as it may try, it stays unknown.
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    // The client and the brokers disagree about where the transaction is.
    RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, RD_KAFKA_RESP_ERR__STATE, RD_KAFKA_RESP_ERR__FATAL,
    RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, RD_KAFKA_RESP_ERR__CONFLICT, RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED,
  ]

  private static let stopping = [
    RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
    RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL,
    RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
    RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
    RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED,
    RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
    RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR__NOT_CONFIGURED,
    RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, RD_KAFKA_RESP_ERR__INVALID_ARG,
    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
    RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_RECORD, RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
    RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS,
    RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE,
    RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_SECURITY_DISABLED,
  ]

  static let byCode = Dictionary(
    uniqueKeysWithValues: table.flatMap { row in row.codes.map { ($0.rawValue, row.decision) } })
}

extension rd_kafka_resp_err_t {
  /// What it means, in the library's words.
  var text: String { String(cString: rd_kafka_err2str(self)) }
  /// What Kafka calls it.
  var name: String { String(cString: rd_kafka_err2name(self)) }

  /// What is decided of it; nil if nothing is.
  var decision: KafkaDecisions.Decision? { KafkaDecisions.byCode[rawValue] }

  /// Whether it passes by itself.
  var isPassing: Bool { decision == .pass }

  /// What a code alone tells of a remedy.
  var remedy: LogError.Remedy {
    switch decision {
    case .pass: .retry
    case .abort: .abort
    case .renew: .fenced
    case .stop, nil: .fatal
    }
  }

  /// The remedy of a call's error: what the table says of the code, and then what the library says of the transaction.
  func remedy(isFatal: Bool, requiresAbort: Bool, isRetriable: Bool) -> LogError.Remedy {
    switch decision {
    case .stop: return .fatal
    // Between two epochs of a producer there is none for a moment.
    case .renew: return isRetriable ? .retry : .fenced
    case .abort, .pass, nil: break
    }
    // A client that has died of something that is no person's fault: another one goes on.
    if isFatal { return .fenced }
    if requiresAbort { return .abort }
    return isRetriable ? .retry : remedy
  }

  /// What a person can do about it, where the message alone doesn't tell.
  var advice: String {
    switch self {
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      ": the instance name was taken over by another process, or the brokers were away for longer than a session"
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
      ": the group has shared out its partitions anew meanwhile"
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
      ": lower transaction.timeout.ms, or raise the brokers' transaction.max.timeout.ms"
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
      ": the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms bound session.timeout.ms"
    default: ""
    }
  }
}
