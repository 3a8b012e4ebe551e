public import EventLog
public import Processor

/// What a replay works with.
public struct ReplayEnvironment: Sendable {
  /// How the brokers are reached, and the group whose offsets are the service's.
  public var kafka: KafkaOptions
  /// Where topics begin that have forgotten their beginning.
  public var archive: TopicArchive?
  /// Threads that fold, each some of the partitions.
  public var workers: Int
  /// States of one view of one partition in memory.
  public var cachedStatesMax: Int
  /// Bytes that the states in memory of one worker take up, about.
  public var cachedBytesMax: Int
  /// Makes the group of those threads: who makes it says what ends them.
  public var makeGroup: @Sendable () -> WorkerGroup
  /// Hears what the client library of Kafka says, from any thread.
  public var report: @Sendable (KafkaSeverity, String) -> Void
  /// Hears lines on the progress, from any thread.
  public var tell: @Sendable (String) -> Void

  /// An environment from its parts.
  public init(
    kafka: KafkaOptions, archive: TopicArchive?, workers: Int, cachedStatesMax: Int, cachedBytesMax: Int,
    makeGroup: @escaping @Sendable () -> WorkerGroup,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void, tell: @escaping @Sendable (String) -> Void
  ) {
    self.kafka = kafka
    self.archive = archive
    self.workers = workers
    self.cachedStatesMax = cachedStatesMax
    self.cachedBytesMax = cachedBytesMax
    self.makeGroup = makeGroup
    self.report = report
    self.tell = tell
  }
}

/// Places, times or views that a replay can't be of.
public struct ReplayError: Error, Sendable, CustomStringConvertible {
  /// What is asked for, why that can't be, and what can.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// What was folded.
public struct FoldedRange: Sendable {
  /// What the workers counted.
  public let counts: LoopCounts
  /// Partitions that were read.
  public let partitions: Int
  /// How long it took.
  public let milliseconds: Int64

  /// Records a second.
  public var rate: Int { Int(Double(counts.records) / max(Double(milliseconds) / 1000, 0.001)) }
}
