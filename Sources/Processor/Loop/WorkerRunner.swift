public import FeatureCore

/// Runs the loop of one worker until it is told to stop: makes a new log when another member has taken over this
/// one's place, and on the way out commits what was folded and leaves the group. One thread.
public final class WorkerRunner<Log: EventLogPort, Store: StateStorePort> {
  private let plan: Plan
  private let store: Store
  private let limits: WorkerLimits
  private let partitions: [String: Int32]
  private let makeLog: () throws(LogError) -> Log
  private let now: () -> Int64
  private let isStopping: () -> Bool
  private let report: (String) -> Void
  private let observe: (LoopCounts, LoopStatus, Log) -> Void
  /// Long ago, but not so long that the distance overflows.
  private var lastObservation = Int64.min / 2
  /// What is passed on when a loop is replaced.
  private var past = LoopCounts()

  /// How long a stopping worker tries to complete its last commit: what is left is folded again by the next owner.
  public static var finishMilliseconds: Int64 { 10_000 }

  /// Between two observations.
  private static var observationMilliseconds: Int64 { 500 }

  /// A runner. `partitions` is as for `ProcessorLoop`. `now` is a monotonic time in milliseconds; `isStopping` is asked between two steps. `observe` is told a
  /// few times a second what was done since the start and where the loop is.
  public init(
    _ plan: Plan, store: Store, limits: WorkerLimits, partitions: [String: Int32], now: @escaping () -> Int64,
    isStopping: @escaping () -> Bool, report: @escaping (String) -> Void,
    observe: @escaping (LoopCounts, LoopStatus, Log) -> Void = { _, _, _ in },
    makeLog: @escaping () throws(LogError) -> Log
  ) {
    self.plan = plan
    self.store = store
    self.limits = limits
    self.partitions = partitions
    self.now = now
    self.isStopping = isStopping
    self.report = report
    self.observe = observe
    self.makeLog = makeLog
  }

  /// Runs until `isStopping`. Returns what was done; throws what only a person can help with.
  public func run() throws(ProcessorError) -> LoopCounts {
    while !isStopping() {
      let log: Log
      do throws(LogError) {
        log = try makeLog()
      } catch {
        guard error.remedy == .retry else { throw ProcessorError(remedy: .stop, description: error.message) }
        report(error.message)
        continue
      }
      let loop = ProcessorLoop(
        plan, log: log, store: store, limits: limits, partitions: partitions, now: now(), report: report)
      defer { past.add(loop.counts) }
      do throws(ProcessorError) {
        while !isStopping() {
          let now = now()
          try loop.step(now: now)
          tell(loop, log, now)
        }
        try finish(loop)
        log.close(timeoutMilliseconds: Int(Self.finishMilliseconds))
      } catch {
        log.close(timeoutMilliseconds: Int(Self.finishMilliseconds))
        guard error.remedy == .restart else { throw error }
        report("joining the group anew: \(error)")
      }
    }
    return past
  }

  private func tell(_ loop: ProcessorLoop<Log, Store>, _ log: Log, _ now: Int64) {
    guard now >= lastObservation + Self.observationMilliseconds else { return }
    lastObservation = now
    var counts = past
    counts.add(loop.counts)
    observe(counts, loop.status, log)
  }

  private func finish(_ loop: ProcessorLoop<Log, Store>) throws(ProcessorError) {
    let deadline = now() + Self.finishMilliseconds
    while try !loop.finish(now: now()) {
      guard now() < deadline else {
        return report("the last commit could not be completed in time; the next owner folds it again")
      }
    }
  }
}
