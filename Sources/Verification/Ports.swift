public import Processor

/// The log as a verification reads it. It changes nothing.
public protocol VerifiedLog: AnyObject {
  /// The first offset of a partition that can be read.
  func firstOffset(_ partition: TopicPartition) throws -> Int64

  /// Calls with the committed records of a partition whose offsets are in a range, in order, some at a time. The
  /// records are borrowed.
  func read(
    _ partition: TopicPartition, _ offsets: Range<Int64>,
    _ body: (UnsafeBufferPointer<LogRecord>) throws -> Void
  ) throws

  /// The partitions of a topic, each with the offset behind its last committed record.
  func ends(of topic: String) throws -> [(partition: TopicPartition, offset: Int64)]
}

/// The online store as a verification reads it. It changes nothing.
public protocol VerifiedStore: AnyObject {
  /// The task's position; nil if it has none.
  func position(_ task: String) throws -> Int64?

  /// States by their `StateKey`s, and the position that they all have.
  func read(_ task: String, _ keys: [[UInt8]]) throws -> (position: Int64?, states: [[UInt8]?])

  /// Calls with the `StateKey`s of every state of a task, some at a time, each at least once.
  func scan(_ task: String, _ body: ([[UInt8]]) throws -> Void) throws
}
