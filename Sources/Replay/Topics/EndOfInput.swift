import EventFiles
public import EventLog
public import FeatureCore
public import OnlineStore
import Processor

/// Whether a group has processed everything that the sources held when this began, and what was repartitioned and joined of it;
/// asked of the brokers alone, so that it does not matter which process did the work.
public final class EndOfInput {
  private let options: KafkaOptions
  private let log: ReplayLog
  private let archive: TopicArchive?
  private let admin: TopicAdmin
  private let routing: Routing
  private let plan: Plan
  private let store: StoreInspector
  private let partitions: [TopicPartition]
  /// The topics in the order in which they are written: the sources, then what is made of them.
  private let stages: [Set<String>]
  /// The offsets behind the last records, by stage: of the sources as they were, of each other not known before the one
  /// before is done.
  private var ends: [[TopicPartition: Int64]] = []

  /// Between two looks.
  public static let intervalMilliseconds = 500

  /// Notes where the sources end now. `report` hears what the client library says, from any thread.
  public init(
    _ plan: Plan, _ options: KafkaOptions, _ redis: RedisOptions, _ archive: TopicArchive?,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws {
    self.archive = archive
    var options = options
    // Between two looks it is seen whether the service is to end.
    options.requestTimeoutMilliseconds = 5_000
    self.options = options
    self.plan = plan
    routing = Routing(plan)
    stages = routing.stages(plan)
    store = StoreInspector(redis, keys: StoreKeys(name: plan.name, version: plan.version))
    admin = try TopicAdmin(options, report: report)
    let counts = try TopicSurvey(plan, options, report: report).inputPartitions()
    partitions = routing.inputs.flatMap { input in
      (0..<(counts[input.name] ?? 0)).map { TopicPartition(input.topic, $0) }
    }
    log = try ReplayLog(options, ends: [:], report: report)
    ends = [try lastOffsets(of: stages[0])]
  }

  /// Whether there is nothing left to do. While Kafka or Redis is away nobody can tell.
  public func isReached() throws -> Bool {
    do {
      return try look()
    } catch let error as LogError where error.remedy == .retry {
      return false
    } catch let error as StoreError where error.remedy == .retry {
      return false
    }
  }

  private func look() throws -> Bool {
    let committed = try log.groupOffsets(partitions)
    let offsets = Dictionary(
      zip(partitions, committed).compactMap { partition, offset in offset.map { (partition, $0) } }
    ) { first, _ in first }
    for (index, topics) in stages.enumerated() {
      // Transactions that are ending hold what was forwarded: the ends are those behind them.
      if ends.count == index { ends.append(try lastOffsets(of: topics)) }
      guard try isProcessed(to: ends[index], offsets), try noneIsBehind(of: topics) else { return false }
    }
    return try allAreBegun()
  }

  /// Whether the cursors of joins have taken all that is due: else turns in their logs let them go on, behind the ends.
  private func noneIsBehind(of topics: Set<String>) throws -> Bool {
    for partition in partitions where topics.contains(partition.topic) {
      guard let input = routing.inputs.first(where: { $0.topic == partition.topic }), let join = input.join
      else { continue }
      let task = StoreKeys.task(source: input.name, partition: partition.partition)
      let found = try store.read(task, [StateKey.progress(of: plan.joins[join].name)]).states[0]
      let progress = try found.map { bytes in
        try bytes.withUnsafeBytes { (bytes) throws(StateError) in try JoinProgress(bytes, plan.joins[join]) }
      }
      if progress?.isBehind == true { return false }
    }
    return true
  }

  /// A partition without records has a position too, once its task was begun.
  private func allAreBegun() throws -> Bool {
    for partition in partitions {
      guard let input = routing.inputs.first(where: { $0.topic == partition.topic }) else { continue }
      let task = StoreKeys.task(source: input.name, partition: partition.partition)
      guard try store.position(task) != nil else { return false }
    }
    return true
  }

  private func lastOffsets(of topics: Set<String>) throws -> [TopicPartition: Int64] {
    let wanted = partitions.filter { topics.contains($0.topic) }
    return Dictionary(uniqueKeysWithValues: zip(wanted, try admin.ends(of: wanted)))
  }

  private func isProcessed(
    to ends: [TopicPartition: Int64], _ offsets: [TopicPartition: Int64]
  ) throws -> Bool {
    try ends.allSatisfy { partition, end in
      // A partition that was never committed holds nothing, or has not been begun.
      if let offset = offsets[partition] { return offset >= end }
      return try min(log.watermarks(partition).low, archive?.partition(partition)?.first ?? .max) >= end
    }
  }
}
