import EventLog
import FeatureCore
import Processor
import Synchronization

/// The loop over ranges of partitions, on some threads, with any stores: it sends nothing.
struct ReplayWorkers {
  let plan: Plan
  let environment: ReplayEnvironment
  /// Partitions of every input, by its name.
  let counts: [String: Int32]
  /// Where each partition that is read ends.
  let ends: [TopicPartition: Int64]
  var limits = WorkerLimits()
  private let start = ContinuousClock.now

  init(
    _ plan: Plan, _ environment: ReplayEnvironment, counts: [String: Int32], ends: [TopicPartition: Int64]
  ) {
    self.plan = plan
    self.environment = environment
    self.counts = counts
    self.ends = ends
    limits.cachedStatesMax = environment.cachedStatesMax
    limits.cachedBytesMax = environment.cachedBytesMax
    limits.hashSecret = .random(in: .min ... .max)
  }

  /// Milliseconds since the start.
  private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }

  /// Folds every partition to its end, each worker into a store of its own. Returns what was done, nil if it was told to
  /// end first.
  func run<Store: StateStorePort & SendableMetatype>(
    _ makeStore: @escaping @Sendable () -> Store
  ) throws -> FoldedRange? {
    let partitions = ends.keys.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    let progress = ReplayProgress("offsets", tell: environment.tell)
    let group = environment.makeGroup()
    let unfinished = Mutex(0)
    let shares = (0..<environment.workers).map { worker in
      partitions.enumerated().filter { $0.offset % environment.workers == worker }.map(\.element)
    }
    for share in shares where !share.isEmpty {
      group.start { (isStopping) throws(ProcessorError) in
        let (done, isComplete) = try work(share, makeStore(), progress, isStopping)
        if !isComplete { unfinished.withLock { $0 += 1 } }
        return done
      }
    }
    let (done, isWhole) = try group.wait()
    guard isWhole, unfinished.withLock({ $0 }) == 0 else { return nil }
    return FoldedRange(counts: done, partitions: ends.count, milliseconds: now)
  }

  private func work(
    _ share: [TopicPartition], _ store: some StateStorePort, _ progress: ReplayProgress,
    _ isStopping: () -> Bool
  ) throws(ProcessorError) -> (LoopCounts, Bool) {
    let ends = ends.filter { share.contains($0.key) }
    let log: ArchivedEventLog<ReplayLog>
    do throws(LogError) {
      log = ArchivedEventLog(
        try ReplayLog(environment.kafka, ends: ends, report: environment.report), environment.archive,
        ends: ends)
    } catch {
      throw ProcessorError(remedy: .stop, description: error.message)
    }
    let loop = ProcessorLoop(plan, log: log, store: store, limits: limits, partitions: counts, now: now)
    let isComplete = try loop.catchUp(share.count, now: { now }, isStopping: isStopping) {
      for task in loop.status.tasks {
        progress.report(
          task.partition, position: task.position, target: ends[task.partition] ?? 0,
          isDone: !task.isCatchingUp)
      }
    }
    return (loop.counts, isComplete)
  }
}
