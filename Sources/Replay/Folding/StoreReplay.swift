import EventLog
public import FeatureCore
public import OnlineStore
import Processor

/// Brings the online store to the offsets that the stopped service has committed, or to some
/// before them, by folding the log once more or from the snapshots.
public struct StoreReplay {
  private let plan: Plan
  private let environment: ReplayEnvironment
  private let redis: RedisOptions
  private let keys: StoreKeys

  /// A commit is a round trip and a pause of Redis: nobody waits for a replay's, so they are few and large.
  private static let commitIntervalMilliseconds: Int64 = 500
  private static let commitFoldsMax = 32_000

  /// A replay of the version of some definitions.
  public init(_ plan: Plan, _ environment: ReplayEnvironment, _ redis: RedisOptions) {
    self.plan = plan
    self.environment = environment
    self.redis = redis
    keys = StoreKeys(name: plan.name, version: plan.version)
  }

  private var options: KafkaOptions { environment.kafka }

  /// Folds again, up to a place that is not behind the service's offsets. Returns what was folded, and whether that is all
  /// that the service has committed; throws `interrupted` if it was told to end first.
  public func fold(
    fromBeginning: Bool, until: ReplayPlace
  ) throws -> (folded: FoldedRange, isAtOffsets: Bool) {
    let (committed, counts) = try prepare()
    try RedisStateStore(redis, keys: keys).publish(
      StoreMetadata(fingerprint: plan.fingerprint, partitions: counts))
    let ends = try self.ends(until, committed)
    if fromBeginning {
      try StoreCleaner(redis, keys: keys).clear(tasks: ends.keys.map(task))
    } else {
      try refuseStates(beyond: ends)
    }
    var workers = ReplayWorkers(plan, environment, counts: counts, ends: ends)
    workers.limits.commitIntervalMilliseconds = Self.commitIntervalMilliseconds
    workers.limits.commitFoldsMax = Self.commitFoldsMax
    let (redis, keys) = (redis, keys)
    guard let done = try workers.run({ RedisStateStore(redis, keys: keys) }) else { throw Self.interrupted }
    return (done, ends == committed)
  }

  /// Takes the last snapshot of every entity. Returns what the topic holds, the snapshots that were restored, and the tasks
  /// that they are of.
  public func restore() throws -> (survey: SnapshotSurvey, restored: Int, tasks: Int) {
    let (committed, counts) = try prepare()
    let tasks = Routing(plan).restoredTasks(committed)
    let admin = try TopicAdmin(options, report: environment.report)
    let restore = SnapshotRestore(plan, tasks, admin, tell: environment.tell)
    let survey = try restore.survey(reader())
    let store = RedisStateStore(redis, keys: keys)
    try store.publish(StoreMetadata(fingerprint: plan.fingerprint, partitions: counts))
    let restored = try restore.run(reader(), into: store)
    return (survey, restored, tasks.count)
  }

  private func reader() throws -> TopicReader { try TopicReader(options, report: environment.report) }

  private static let interrupted = ProcessorError(
    remedy: .stop, description: "interrupted; the same command without --from beginning goes on from here")

  // MARK: Parts

  /// Sees that the service stands still, and that Redis has no states of other definitions. Returns what it has committed, and the
  /// partitions of every input.
  private func prepare() throws -> (committed: [TopicPartition: Int64], counts: [String: Int32]) {
    let members = try TopicAdmin(options, report: environment.report).lastingMembers(of: options.group)
    guard members.isEmpty else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "the service runs: the consumer group '\(options.group)' has \(members.count == 1 ? "1 member" : "\(members.count) members") "
          + "(\(members[0])). It restores by itself what the log still has; stop it to replay with this command"
      )
    }
    let counts = try TopicSurvey(plan, options, report: environment.report).inputPartitions()
    let metadata = StoreMetadata(fingerprint: plan.fingerprint, partitions: counts)
    if let conflict = try OnlineReader(redis, keys: keys).stored()?.conflict(
      with: metadata, zones: plan.fingerprintZones)
    {
      throw ProcessorError(remedy: .stop, description: conflict)
    }
    let all = Routing(plan).inputs.flatMap { input in
      (0..<(counts[input.name] ?? 0)).map { TopicPartition(input.topic, $0) }
    }
    let offsets = try ReplayLog(options, ends: [:], report: environment.report).groupOffsets(all)
    let known = zip(all, offsets).compactMap { partition, offset in offset.map { (partition, $0) } }
    guard !known.isEmpty else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "the consumer group '\(options.group)' has no offsets: this version has never run, or they have "
          + "expired. A new version is filled by plumb run --until end")
    }
    return (Dictionary(uniqueKeysWithValues: known), counts)
  }

  private func task(_ partition: TopicPartition) -> String {
    let input = Routing(plan).inputs.first { $0.topic == partition.topic }
    return StoreKeys.task(source: input?.name ?? partition.topic, partition: partition.partition)
  }

  /// Where folding ends: the service's offsets, or before them.
  private func ends(
    _ until: ReplayPlace, _ committed: [TopicPartition: Int64]
  ) throws -> [TopicPartition: Int64] {
    if until == .offsets { return committed }
    let topics = try ReplayTopics(environment, Set(committed.keys.map(\.topic)).sorted())
    let wanted = try topics.offsets(until)
    return try Dictionary(
      uniqueKeysWithValues: committed.map { partition, offset in
        let end = wanted[partition] ?? offset
        if case .named = until, end > offset {
          throw ReplayError(
            "The service has folded \(partition) to offset \(offset), not to \(end): what lies between has to be sent as "
              + "well, which it does once it runs.")
        }
        return (partition, min(end, offset))
      })
  }

  /// A fold only goes on.
  private func refuseStates(beyond ends: [TopicPartition: Int64]) throws {
    let reader = OnlineReader(redis, keys: keys)
    for (partition, end) in ends {
      guard let position = try reader.position(of: task(partition)), position > end else { continue }
      throw ProcessorError(
        remedy: .stop,
        description:
          "the states of \(partition) are at offset \(position), and folding is to end at \(end): --from beginning "
          + "removes them first, or set the group's offset to \(position) if it was reset")
    }
  }
}
