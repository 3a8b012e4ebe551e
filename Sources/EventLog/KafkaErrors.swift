import CRDKafka
import Processor

extension LogError {
  /// From a code that a call returned.
  init(_ code: rd_kafka_resp_err_t, _ attempt: String, detail: String? = nil) {
    self.init(code.remedy, "\(attempt): \(detail ?? code.text) (\(code.name))")
  }

  /// From an error object, which is destroyed.
  init(consuming error: OpaquePointer, _ attempt: String, client: OpaquePointer) {
    defer { rd_kafka_error_destroy(error) }
    var code = rd_kafka_error_code(error)
    var detail = String(cString: rd_kafka_error_string(error))
    if rd_kafka_error_is_fatal(error) != 0 {
      // What the client died of, perhaps in an earlier call.
      let (cause, reason) = explained { rd_kafka_fatal_error(client, $0, $1) }
      if cause != RD_KAFKA_RESP_ERR_NO_ERROR { (code, detail) = (cause, reason) }
      let remedy: Remedy = code.isFenced ? .fenced : .fatal
      self.init(remedy, "\(attempt): \(detail) (\(code.name)); the client cannot go on")
    } else if code.isFenced {
      self.init(.fenced, "\(attempt): \(detail) (\(code.name))")
    } else if rd_kafka_error_txn_requires_abort(error) != 0 {
      self.init(.abort, "\(attempt): \(detail) (\(code.name))")
    } else if rd_kafka_error_is_retriable(error) != 0 {
      self.init(.retry, "\(attempt): \(detail) (\(code.name))")
    } else {
      self.init(code, attempt, detail: detail)
    }
  }

  /// From a message that came instead of a record; `next` is the offset that was to be read.
  init(
    reading message: UnsafeMutablePointer<rd_kafka_message_t>, _ partition: TopicPartition?, next: Int64?
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

extension rd_kafka_resp_err_t {
  /// What it means, in the library's words.
  var text: String { String(cString: rd_kafka_err2str(self)) }
  /// What Kafka calls it.
  var name: String { String(cString: rd_kafka_err2name(self)) }

  /// Whether it says that another producer or member has taken over.
  var isFenced: Bool {
    switch self {
    case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
      RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
      RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      true
    default: false
    }
  }

  /// Whether it passes by itself: the network, a broker that restarts, a leader or coordinator that moves.
  var isPassing: Bool {
    switch self {
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__TIMED_OUT,
      RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
      RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
      RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__WAIT_CACHE, RD_KAFKA_RESP_ERR__IN_PROGRESS,
      RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, RD_KAFKA_RESP_ERR__QUEUE_FULL,
      RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
      RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
      RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
      RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
      true
    default: false
    }
  }

  /// What a code alone tells of a remedy.
  var remedy: LogError.Remedy {
    // The group has rebalanced and this member is still in it: what it owns now, the next poll tells. Joining anew
    // would only make the group rebalance again.
    if self == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION { return .abort }
    return isFenced ? .fenced : isPassing ? .retry : .fatal
  }
}
