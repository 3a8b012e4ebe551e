public import EventLog
public import Processor
public import Verification

/// The topics of a cluster, read without a group.
public final class TopicLog: VerifiedLog {
  private let options: KafkaOptions
  private var firsts: [TopicPartition: Int64] = [:]

  private let report: @Sendable (KafkaSeverity, String) -> Void

  /// Reaches the brokers of some options; `report` hears what the client library says, from any thread.
  public init(_ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void) {
    self.options = options
    self.report = report
  }

  /// See `VerifiedLog`.
  public func firstOffset(_ partition: TopicPartition) throws -> Int64 {
    if let known = firsts[partition] { return known }
    for range in try TopicReader(options, report: report).ranges(of: [partition.topic], from: .beginning) {
      firsts[range.partition] = range.from
    }
    return firsts[partition] ?? 0
  }

  /// See `VerifiedLog`.
  public func ends(of topic: String) throws -> [(partition: TopicPartition, offset: Int64)] {
    let partitions = try TopicReader(options, report: report).ranges(of: [topic], from: .end)
      .map(\.partition)
    // Of open transactions too, which are then waited for: what a killed worker has left open hides what others have
    // committed behind it.
    return Array(zip(partitions, try TopicAdmin(options, report: report).ends(of: partitions)))
  }

  /// Whether no record is left between a position and the end, only marks of transactions.
  public func isFolded(_ partition: TopicPartition, from position: Int64, to end: Int64) throws -> Bool {
    let first = max(position, try firstOffset(partition))
    guard first < end else { return true }
    var isLeft = false
    try read(partition, first..<end) { isLeft = isLeft || !$0.isEmpty }
    return !isLeft
  }

  /// See `VerifiedLog`.
  public func read(
    _ partition: TopicPartition, _ offsets: Range<Int64>,
    _ body: (UnsafeBufferPointer<LogRecord>) throws -> Void
  ) throws {
    let reader = try TopicReader(options, report: report)
    try reader.open([ReadRange(partition, from: offsets.lowerBound, to: offsets.upperBound)])
    while let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) { try body(poll.records) }
  }
}
