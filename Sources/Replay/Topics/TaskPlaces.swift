public import EventLog
public import FeatureCore
public import OnlineStore
public import Processor

/// Where the tasks of a version are: in the store, in the consumer group, and in the topics that they fold.
public struct TaskPlaces {
  /// One partition of an input.
  public struct Place: Sendable {
    /// The partition.
    public let partition: TopicPartition
    /// The position in the store; nil if it has none.
    public let stored: Int64?
    /// The group's offset; nil if it has none.
    public let committed: Int64?
    /// The first offset of the log, and the one behind the last record.
    public let low, high: Int64

    /// What to do about the group's offset.
    public var repair: OffsetRepair {
      OffsetRepair.make(stored: stored, committed: committed, low: low, high: high)
    }
  }

  private let plan: Plan
  private let options: KafkaOptions
  private let store: OnlineReader
  private let report: @Sendable (KafkaSeverity, String) -> Void

  /// The places of a version's tasks. `report` hears what the client library says, from any thread.
  public init(
    _ plan: Plan, _ options: KafkaOptions, _ redis: RedisOptions,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) {
    self.plan = plan
    self.options = options
    self.report = report
    store = OnlineReader(redis, keys: StoreKeys(name: plan.name, version: plan.version))
  }

  /// Of every partition of every input.
  public func all() throws -> [Place] {
    let counts = try TopicSurvey(plan, options, report: report).inputPartitions()
    let log = try ReplayLog(options, ends: [:], report: report)
    return try Routing(plan).inputs.flatMap { input in
      let partitions = (0..<(counts[input.name] ?? 0)).map { TopicPartition(input.topic, $0) }
      let committed = try log.groupOffsets(partitions)
      return try zip(partitions, committed).map { partition, committed in
        let marks = try log.watermarks(partition)
        let task = StoreKeys.task(source: input.name, partition: partition.partition)
        return Place(
          partition: partition, stored: try store.position(of: task), committed: committed, low: marks.low,
          high: marks.high)
      }
    }
  }

  /// Offsets that the states lack of the topics, all partitions together. Throws if a task was never filled.
  public func lag() throws -> Int64 {
    let topics = try TopicReader(options, report: report)
    var lag: Int64 = 0
    for input in Routing(plan).inputs {
      for range in try topics.ranges(of: [input.topic], from: .beginning) {
        let task = StoreKeys.task(source: input.name, partition: range.partition.partition)
        guard let position = try store.position(of: task), position >= 0 else {
          throw ProcessorError(
            remedy: .stop,
            description:
              "version \(plan.version) has nothing of \(range.partition): fill it with plumb run --until end")
        }
        lag += max(0, (range.to ?? position) - position)
      }
    }
    return lag
  }
}
