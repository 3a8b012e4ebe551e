public import FeatureCore

/// Runs the loop of one worker until it is told to stop: makes a new log when another member has taken over this
/// one's place, and on the way out commits what was folded and leaves the group. One thread.
public final class WorkerRunner<Log: EventLogPort, Store: StateStorePort> {
  private let plan: Plan
  private let store: Store
  private let limits: WorkerLimits
  private let makeLog: () throws(LogError) -> Log
  private let now: () -> Int64
  private let isStopping: () -> Bool
  private let report: (String) -> Void
  /// What is passed on when a loop is replaced.
  private var past = LoopCounts()

  /// How long a stopping worker tries to complete its last commit: what is left is folded again by the next owner.
  public static var finishMilliseconds: Int64 { 10_000 }

  /// A runner. `now` is a monotonic time in milliseconds; `isStopping` is asked between two steps.
  public init(
    _ plan: Plan, store: Store, limits: WorkerLimits, now: @escaping () -> Int64,
    isStopping: @escaping () -> Bool, report: @escaping (String) -> Void,
    makeLog: @escaping () throws(LogError) -> Log
  ) {
    self.plan = plan
    self.store = store
    self.limits = limits
    self.now = now
    self.isStopping = isStopping
    self.report = report
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
      let loop = ProcessorLoop(plan, log: log, store: store, limits: limits, now: now())
      defer { past.add(loop.counts) }
      do throws(ProcessorError) {
        while !isStopping() { try loop.step(now: now()) }
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

  private func finish(_ loop: ProcessorLoop<Log, Store>) throws(ProcessorError) {
    let deadline = now() + Self.finishMilliseconds
    while try !loop.finish(now: now()) {
      guard now() < deadline else {
        return report("the last commit could not be completed in time; the next owner folds it again")
      }
    }
  }
}

extension LoopCounts {
  mutating func add(_ other: LoopCounts) {
    records += other.records
    recovered += other.recovered
    forwarded += other.forwarded
    deadLetters += other.deadLetters
    snapshots += other.snapshots
    commits += other.commits
    aborts += other.aborts
    storeErrors += other.storeErrors
    fenced += other.fenced
    recoveries += other.recoveries
  }
}
