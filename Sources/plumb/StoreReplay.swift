import EventLog
import FeatureCore
import OnlineStore
import Processor
import ServiceConfiguration
import Synchronization

/// `plumb replay --into redis`: brings the online store to the offsets that the stopped service has committed, by folding
/// the log once more or from the snapshots.
struct StoreReplay {
  private let plan: Plan
  private let settings: ServiceSettings
  private let redis: RedisOptions
  private let keys: StoreKeys
  private let archive: TopicArchive?
  private let start = ContinuousClock.now

  /// A commit is a round trip and a pause of Redis: nobody waits for a replay's, so they are few and large.
  private static let commitIntervalMilliseconds: Int64 = 500
  private static let commitFoldsMax = 40_000

  init(_ plan: Plan, _ settings: ServiceSettings, archive: String?) throws {
    self.plan = plan
    self.archive = try archive.map(TopicArchive.init)
    self.settings = settings
    redis = try settings.redisOptions()
    keys = StoreKeys(name: plan.name, version: plan.version)
  }

  private var options: KafkaOptions {
    settings.kafkaOptions(plan, transactionalID: "\(plan.name).\(plan.version).replay")
  }

  /// Milliseconds since the start.
  private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }

  /// Folds again. Returns a summary; throws `interrupted` if a signal came first.
  func fold(fromBeginning: Bool) throws -> String {
    let (partitions, counts) = try prepare()
    if fromBeginning { try StoreCleaner(redis, keys: keys).clear(tasks: partitions.map(task)) }
    let progress = ReplayProgress("offsets")
    let group = WorkerGroup()
    let unfinished = Mutex(0)
    let shares = (0..<settings.workers).map { worker in
      partitions.enumerated().filter { $0.offset % settings.workers == worker }.map(\.element)
    }
    for share in shares where !share.isEmpty {
      group.start { (isStopping) throws(ProcessorError) in
        let (done, isComplete) = try work(share, counts, progress, isStopping)
        if !isComplete { unfinished.withLock { $0 += 1 } }
        return done
      }
    }
    let done = try group.wait()
    guard unfinished.withLock({ $0 }) == 0 else { throw Self.interrupted }
    let seconds = Double(now) / 1000
    return
      "\(counted(done.records, "record")) folded again in \(counted(partitions.count, "partition")), "
      + "\(Int(Double(done.records) / max(seconds, 0.001))) a second; Redis is at the service's offsets"
  }

  /// Takes the last snapshot of every entity.
  func restore() throws -> String {
    let partitions = try prepare().partitions
    let log = try ReplayLog(options, partitions: partitions, report: reportKafka)
    let tasks = partitions.compactMap { partition in
      log.offsets[partition].map { RestoredTask(name: task(partition), partition: partition, offset: $0) }
    }
    let restore = try SnapshotRestore(plan, tasks, RedisStateStore(redis, keys: keys))
    return try restore.run(try TopicReader(options, report: reportKafka))
  }

  static let interrupted = ProcessorError(
    remedy: .stop, description: "interrupted; the same command without --from beginning goes on from here")

  // MARK: Parts

  /// Sees that the service stands still, and tells readers where states are. Returns the partitions that it has committed.
  private func prepare() throws -> (partitions: [TopicPartition], counts: [String: Int32]) {
    let members = try TopicAdmin(options, report: reportKafka).members(of: options.group)
    guard members.isEmpty else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "the service runs: the consumer group '\(options.group)' has \(counted(members.count, "member")) "
          + "(\(members[0])). It restores by itself what the log still has; stop it to replay with this command"
      )
    }
    let counts = try TopicSurvey(plan, settings).inputPartitions()
    let metadata = StoreMetadata(fingerprint: plan.fingerprint, partitions: counts)
    if let conflict = try OnlineReader(redis, keys: keys).stored()?.conflict(with: metadata) {
      throw ProcessorError(remedy: .stop, description: conflict)
    }
    try RedisStateStore(redis, keys: keys).publish(metadata)
    let all = Routing(plan).inputs.flatMap { input in
      (0..<(counts[input.name] ?? 0)).map { TopicPartition(input.topic, $0) }
    }
    let known = try ReplayLog(options, partitions: all, report: reportKafka).offsets
    guard !known.isEmpty else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "the consumer group '\(options.group)' has no offsets: this version has never run, or they have "
          + "expired. A new version is filled by plumb run --until end")
    }
    return (all.filter { known[$0] != nil }, counts)
  }

  private func task(_ partition: TopicPartition) -> String {
    let input = Routing(plan).inputs.first { $0.topic == partition.topic }
    return StoreKeys.task(source: input?.name ?? partition.topic, partition: partition.partition)
  }

  private func work(
    _ partitions: [TopicPartition], _ counts: [String: Int32], _ progress: ReplayProgress,
    _ isStopping: () -> Bool
  ) throws(ProcessorError) -> (LoopCounts, Bool) {
    let log: ArchivedEventLog<ReplayLog>
    do throws(LogError) {
      let topics = try ReplayLog(options, partitions: partitions, report: reportKafka)
      log = ArchivedEventLog(topics, archive, ends: topics.offsets)
    } catch {
      throw ProcessorError(remedy: .stop, description: error.message)
    }
    var limits = WorkerLimits()
    limits.commitIntervalMilliseconds = Self.commitIntervalMilliseconds
    limits.commitFoldsMax = Self.commitFoldsMax
    limits.cachedStatesMax = settings.cachedStates
    let loop = ProcessorLoop(
      plan, log: log, store: RedisStateStore(redis, keys: keys), limits: limits, partitions: counts, now: now)
    let isComplete = try loop.catchUp(
      partitions.count, now: { now }, isStopping: isStopping
    ) {
      for task in loop.status.tasks {
        progress.report(
          task.partition, position: task.position, target: log.base.offsets[task.partition] ?? 0,
          isDone: !task.isCatchingUp)
      }
    }
    return (loop.counts, isComplete)
  }
}
