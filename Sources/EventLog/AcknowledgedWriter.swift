import CRDKafka
public import Processor

/// Writes records and tells which of them the brokers have: all replicas in sync, once each, at the partition that murmur2 of
/// the key names. What they don't acknowledge in time is given up. One thread.
public final class AcknowledgedWriter {
  /// A record of a topic.
  public struct Record {
    /// The topic; it has to exist.
    public var topic: String
    /// The key; nil: any partition.
    public var key: [UInt8]?
    /// The value.
    public var value: [UInt8]

    /// A record from its parts.
    public init(topic: String, key: [UInt8]?, value: [UInt8]) {
      (self.topic, self.key, self.value) = (topic, key, value)
    }
  }

  private let producer: KafkaProducer
  private let patience: Duration
  /// The number of the next record. None is 0: that is a record without one.
  private var next = 1
  /// Whether the client has met something that it can't overcome: another one is needed.
  public var hasDied: Bool { producer.hasDied }

  /// How long the client may take beyond the records' time to say that it has given them up.
  private static let graceMilliseconds = 5_000
  /// Between two looks at what was delivered.
  private static let sliceMilliseconds = 100

  /// Connects to nobody yet. Records wait so many milliseconds for the brokers. `report` may be called from any thread.
  public init(
    _ options: KafkaOptions, timeoutMilliseconds: Int,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws(LogError) {
    var options = options
    options.delivery = .atLeastOnce
    options.properties["producer.message.timeout.ms"] = "\(timeoutMilliseconds)"
    // Who asks decides what becomes of a record that has no room.
    options.sendTimeoutMilliseconds = 0
    options.requestTimeoutMilliseconds = Self.sliceMilliseconds
    patience = .milliseconds(timeoutMilliseconds + Self.graceMilliseconds)
    producer = try KafkaProducer(options, events: ClientEvents(.producer, options, log: report))
  }

  /// Writes records, and waits until the brokers have them or time is over. Returns for each why it was not acknowledged;
  /// nil if it was. One that was not may have been written all the same.
  public func write(_ records: [Record]) -> [LogError?] {
    let first = next
    next += records.count
    var outcomes = [LogError?](
      repeating: LogError(.retry, "the brokers have not acknowledged the record in time"),
      count: records.count)
    var waiting = 0
    for (index, record) in records.enumerated() {
      do throws(LogError) {
        try send(record, number: first + index)
        waiting += 1
      } catch {
        outcomes[index] = error
      }
    }
    let deadline = ContinuousClock.now + patience
    while waiting > 0, ContinuousClock.now < deadline {
      // Cut short it is called again.
      try? producer.flush()
      for delivery in producer.takeDeliveries() where delivery.number >= first {
        outcomes[delivery.number - first] = delivery.failure
        waiting -= 1
      }
    }
    return outcomes
  }

  private func send(_ record: Record, number: Int) throws(LogError) {
    try record.value.span.bytes.withUnsafeBytes { (value: UnsafeRawBufferPointer) throws(LogError) in
      guard let key = record.key else {
        return try producer.send(topic: record.topic, partition: nil, key: nil, value: value, number: number)
      }
      try key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(LogError) in
        try producer.send(topic: record.topic, partition: nil, key: key, value: value, number: number)
      }
    }
  }
}
