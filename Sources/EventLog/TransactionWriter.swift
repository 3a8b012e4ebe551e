public import Processor

/// Writes records in transactions, without a consumer group: whoever has the same transactional id is fenced. One thread.
public final class TransactionWriter {
  private let producer: KafkaProducer
  private var isOpen = false
  /// Records sent since callbacks were last served.
  private var unserved = 0

  /// Records between two looks at what was delivered.
  private static let serveInterval = 1_000

  /// Takes the transactional id over, and waits until its last owner's transaction has ended. `report` may be called from
  /// any thread.
  public init(
    _ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    var options = options
    options.delivery = .exactlyOnce
    let producer = try KafkaProducer(options, events: ClientEvents(.producer, options, log: report))
    try producer.initTransactions()
    self.producer = producer
  }

  /// Begins a transaction.
  public func begin() throws(LogError) {
    precondition(!isOpen, "Cannot begin when a transaction is open")
    try producer.begin()
    isOpen = true
  }

  /// Adds a record to the open transaction; copies its bytes. `timestampMilliseconds` since the epoch, or the clock's.
  public func send(
    topic: String, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    timestampMilliseconds: Int64? = nil
  ) throws(LogError) {
    precondition(isOpen, "Cannot send when no transaction is open")
    unserved += 1
    if unserved >= Self.serveInterval {
      unserved = 0
      producer.serve()
    }
    try producer.send(topic: topic, partition: nil, key: key, value: value, timestamp: timestampMilliseconds)
  }

  /// Commits. After `.retry` it may be called again; after any other error the writer is of no further use, and only the
  /// topics tell whether the commit took effect.
  public func commit() throws(LogError) {
    precondition(isOpen, "Cannot commit when no transaction is open")
    try producer.commit()
    isOpen = false
  }
}
