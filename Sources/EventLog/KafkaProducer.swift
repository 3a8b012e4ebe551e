import CRDKafka
import Processor

/// The producer of a worker, with or without transactions. Not thread-safe.
final class KafkaProducer {
  private let handle: KafkaHandle
  private let events: ClientEvents
  private var topics: TopicHandles
  private let sendTimeout: Duration
  private let requestTimeout: Int32
  private let takeoverTimeout: Duration
  /// How long what ends a transaction is waited for: what is later than that, the brokers have aborted.
  private let transactionTimeout: Int32
  private(set) var recordsSent = 0
  /// How often the queue was full.
  private(set) var waits = 0

  var errors: Int { events.errors }

  init(_ options: KafkaOptions, events: ClientEvents) throws(LogError) {
    handle = try KafkaHandle(options, .producer, events)
    self.events = events
    topics = TopicHandles()
    sendTimeout = .milliseconds(options.sendTimeoutMilliseconds)
    requestTimeout = Int32(clamping: options.requestTimeoutMilliseconds)
    takeoverTimeout = .milliseconds(options.takeoverTimeoutMilliseconds)
    transactionTimeout = Int32(clamping: try options.transactionTimeoutMilliseconds())
  }

  deinit {
    topics.removeAll()
  }

  /// Whether the client can't go on.
  var hasDied: Bool { rd_kafka_fatal_error(handle.raw, nil, 0) != RD_KAFKA_RESP_ERR_NO_ERROR }

  /// Runs the callbacks that are due.
  func serve() { rd_kafka_poll(handle.raw, 0) }

  // MARK: Records

  /// Adds a record; `timestamp`, in milliseconds since the epoch, goes with any partition. What becomes of one with a
  /// number, which is not 0 and has no timestamp, `takeDeliveries` tells.
  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    timestamp: Int64? = nil, number: Int = 0
  ) throws(LogError) {
    let handleOfTopic = try topics.find(topic, client: handle.raw)
    var deadline: ContinuousClock.Instant?
    while true {
      let code = enqueue(handleOfTopic, partition, key, value, timestamp, number)
      if code == RD_KAFKA_RESP_ERR_NO_ERROR {
        recordsSent += 1
        return
      }
      guard code == RD_KAFKA_RESP_ERR__QUEUE_FULL else { throw refusal(code, topic, partition) }
      if deadline == nil {
        waits += 1
        deadline = .now + sendTimeout
      }
      if let deadline, ContinuousClock.now >= deadline {
        let message = "The producer's queue stayed full for \(sendTimeout): the brokers take nothing"
        throw LogError(.retry, "Writing to '\(topic)': \(message) (\(code.name))")
      }
      // Delivered records make room; waiting serves the callbacks as well.
      rd_kafka_poll(handle.raw, 10)
    }
  }

  /// Adds the snapshots of a commit.
  func send(_ changes: [SealedChanges]) throws(LogError) {
    for changes in changes {
      try changes.send { (topic, key, value) throws(LogError) in
        try send(topic: topic, partition: nil, key: key, value: value)
      }
    }
  }

  private func enqueue(
    _ topic: OpaquePointer, _ partition: Int32?, _ key: UnsafeRawBufferPointer?,
    _ value: UnsafeRawBufferPointer?, _ timestamp: Int64?, _ number: Int
  ) -> rd_kafka_resp_err_t {
    // A pointer tells what is empty from what is null, and Swift's empty buffers have none.
    withUnsafeBytes(of: 0 as UInt8) { something in
      let keyBytes = key.flatMap { $0.baseAddress ?? something.baseAddress }
      let valueBytes = value.flatMap { $0.baseAddress ?? something.baseAddress }
      if let timestamp {
        return plumb_produce_at(
          handle.raw, topic, timestamp, keyBytes, key?.count ?? 0, valueBytes, value?.count ?? 0)
      }
      return plumb_produce(
        topic, partition ?? RD_KAFKA_PARTITION_UA, keyBytes, key?.count ?? 0, valueBytes, value?.count ?? 0,
        UnsafeMutableRawPointer(bitPattern: number))
    }
  }

  private func refusal(_ code: rd_kafka_resp_err_t, _ topic: String, _ partition: Int32?) -> LogError {
    let attempt = "Writing to \(partition.map { "\(topic)-\($0)" } ?? "'\(topic)'")"
    // A transaction that has failed takes no more records; and a client that has died says of what.
    if code == RD_KAFKA_RESP_ERR__STATE {
      return takeFailure() ?? LogError(.abort, "\(attempt): \(code.text)")
    }
    if code == RD_KAFKA_RESP_ERR__FATAL || code.decision == .renew { return fatal(attempt, code) }
    return LogError(code, attempt)
  }

  private func fatal(_ attempt: String, _ code: rd_kafka_resp_err_t) -> LogError {
    let (cause, reason) = explained { rd_kafka_fatal_error(handle.raw, $0, $1) }
    guard cause != RD_KAFKA_RESP_ERR_NO_ERROR else { return LogError(code, attempt) }
    var error = LogError(cause, attempt, detail: reason)
    error.remedy = cause.remedy(isFatal: true, requiresAbort: false, isRetriable: false)
    return error
  }

  /// The first record since the last call that could not be delivered.
  func takeFailure() -> LogError? {
    guard var failure = events.takeFailure() else { return nil }
    // What was refused for a passing reason is sent again in the next transaction.
    if failure.remedy == .retry { failure.remedy = .abort }
    return failure
  }

  /// What became of records with numbers since the last call.
  func takeDeliveries() -> [(number: Int, failure: LogError?)] { events.takeDeliveries() }

  /// Waits until every record is delivered or has failed. Cut short by the deadline, it may be called again.
  func flush() throws(LogError) {
    try LogError.check(rd_kafka_flush(handle.raw, requestTimeout), "Waiting for the delivery of records")
  }

  // MARK: Transactions

  /// Waits until the predecessor's transaction has ended, and fences it.
  func initTransactions() throws(LogError) {
    let deadline = ContinuousClock.now + takeoverTimeout
    while true {
      do {
        let left = (deadline - .now) / .milliseconds(1)
        let timeout = min(requestTimeout, max(1, Int32(clamping: Int64(left))))
        return try check(rd_kafka_init_transactions(handle.raw, timeout), "Preparing transactions")
      } catch {
        guard error.remedy == .retry, ContinuousClock.now < deadline else { throw error }
        events.report(.warning, error.message)
      }
    }
  }

  func begin() throws(LogError) {
    _ = events.takeFailure()
    try check(rd_kafka_begin_transaction(handle.raw), "Beginning a transaction")
  }

  func send(_ offsets: borrowing PartitionList, of membership: GroupMembership) throws(LogError) {
    // The library has what it needs of the membership once it returns, and not before.
    let error = withExtendedLifetime(membership) {
      rd_kafka_send_offsets_to_transaction(handle.raw, offsets.raw, membership.metadata, transactionTimeout)
    }
    try check(error, "Adding offsets to the transaction")
  }

  /// What was sent has to be flushed before.
  func commit() throws(LogError) {
    // Shorter than the transaction's time, a commit that the brokers have made could pass for a failed one here.
    try check(rd_kafka_commit_transaction(handle.raw, transactionTimeout), "Committing the transaction")
  }

  /// Cut short by the deadline, it may be called again: the library goes on meanwhile.
  func abort(timeoutMilliseconds: Int32? = nil) throws(LogError) {
    let timeout = min(requestTimeout, timeoutMilliseconds ?? .max)
    try check(rd_kafka_abort_transaction(handle.raw, timeout), "Aborting the transaction")
    _ = events.takeFailure()
  }

  private func check(_ error: OpaquePointer?, _ attempt: String) throws(LogError) {
    guard let error else { return }
    var found = LogError(consuming: error, attempt, client: handle.raw)
    if found.remedy == .abort, let failure = takeFailure() {
      // The library counts the records that failed; why they did decides whether a second attempt makes sense.
      found.message += "; \(failure.message)"
      if failure.remedy != .abort { found.remedy = failure.remedy }
    }
    throw found
  }
}
