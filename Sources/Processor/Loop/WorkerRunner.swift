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
  private let note: (String) -> Void
  private let observe: (LoopCounts, LoopStatus, Log?) -> Void
  /// Long ago, but not so long that the distance overflows.
  private var lastObservation = Int64.min / 2
  /// What is passed on when a loop is replaced.
  private var past = LoopCounts()
  private var current: (log: Log, loop: ProcessorLoop<Log, Store>)?
  /// Whether it was told that there is no log yet.
  private var isWaitingForLog = false
  /// When a log was given up because another had taken its place, the latest last.
  private var restarts: [Int64] = []
  private let restartsMax: Int
  /// When it was first seen that the worker is to stop.
  private var stopSeen: Int64?

  /// How long a stopping worker tries to complete its last commit: what is left is folded again by the next owner.
  public static var finishMilliseconds: Int64 { 6_000 }
  /// How long it tries to leave the group, too; from the signal on both take less than 10 s.
  public static var leaveMilliseconds: Int64 { 3_000 }

  /// The time in which more than `restartsMax` restarts mean that somebody else answers each with one.
  private static var restartsMilliseconds: Int64 { 30_000 }

  /// Between two observations.
  private static var observationMilliseconds: Int64 { 500 }

  /// A runner. `partitions` is as for `ProcessorLoop`. `now` is a monotonic time in milliseconds; `isStopping` is asked
  /// between two steps. `observe` is told a few times a second what was done since the start and where the loop is, without
  /// a log while none can be had. More than `restartsMax` new logs within half a minute are an error: two workers of one name
  /// would take turns for ever. `makeLog` may fail as often as the brokers don't answer, and then takes some seconds.
  public init(
    _ plan: Plan, store: Store, limits: WorkerLimits, partitions: [String: Int32], restartsMax: Int = .max,
    now: @escaping () -> Int64, isStopping: @escaping () -> Bool, report: @escaping (String) -> Void,
    note: @escaping (String) -> Void = { _ in },
    observe: @escaping (LoopCounts, LoopStatus, Log?) -> Void = { _, _, _ in },
    makeLog: @escaping () throws(LogError) -> Log
  ) {
    self.plan = plan
    self.store = store
    self.limits = limits
    self.partitions = partitions
    self.restartsMax = restartsMax
    self.now = now
    self.isStopping = isStopping
    self.report = report
    self.note = note
    self.observe = observe
    self.makeLog = makeLog
  }

  /// Runs until `isStopping`. Returns what was done; throws what only a person can help with.
  public func run() throws(ProcessorError) -> LoopCounts {
    while try turn() {}
    return counts
  }

  /// What was done so far.
  public var counts: LoopCounts {
    var counts = past
    if let current { counts.add(current.loop.counts) }
    return counts
  }

  /// The states in memory of the view and task that has most.
  public var cachedStates: Int { current?.loop.cachedStates ?? 0 }

  /// One step of the loop, or of its beginning or its end. Returns whether there is another; throws as `run`.
  public func turn() throws(ProcessorError) -> Bool {
    guard let (log, loop) = current else {
      if isStopping() { return false }
      try begin()
      return true
    }
    do throws(ProcessorError) {
      guard try step(log, loop) else {
        close(log, loop)
        return false
      }
    } catch {
      close(log, loop)
      guard error.remedy == .restart else { throw error }
      try refuseTurns(error)
      report("joining the group anew: \(error)")
    }
    return true
  }

  private func refuseTurns(_ error: ProcessorError) throws(ProcessorError) {
    let now = now()
    restarts.removeAll { $0 < now - Self.restartsMilliseconds }
    restarts.append(now)
    guard restarts.count > restartsMax else { return }
    throw ProcessorError(
      remedy: .stop,
      description:
        "taken over \(restarts.count) times within \(Self.restartsMilliseconds / 1_000) s: another live process has the same "
        + "instance name; give each its own (--instance). The last time: \(error)")
  }

  private func begin() throws(ProcessorError) {
    do throws(LogError) {
      let log = try makeLog()
      let loop = ProcessorLoop(
        plan, log: log, store: store, limits: limits, partitions: partitions, now: now(), report: report,
        note: note)
      current = (log, loop)
      if isWaitingForLog { report("the brokers answer: joining the group") }
      isWaitingForLog = false
    } catch {
      guard error.remedy == .retry else { throw ProcessorError(remedy: .stop, description: error.message) }
      if !isWaitingForLog { report("\(error.message); trying again until the brokers answer") }
      isWaitingForLog = true
      tell(nil, nil, now())
    }
  }

  private func close(_ log: Log, _ loop: ProcessorLoop<Log, Store>) {
    loop.abandon()
    log.close(timeoutMilliseconds: Int(Self.leaveMilliseconds))
    past.add(loop.counts)
    current = nil
  }

  /// Returns whether there is anything left to do.
  private func step(_ log: Log, _ loop: ProcessorLoop<Log, Store>) throws(ProcessorError) -> Bool {
    let now = now()
    if isStopping() { return try !finish(loop, now) }
    try loop.step(now: now)
    tell(loop, log, now)
    return true
  }

  private func tell(_ loop: ProcessorLoop<Log, Store>?, _ log: Log?, _ now: Int64) {
    guard now >= lastObservation + Self.observationMilliseconds else { return }
    lastObservation = now
    observe(counts, loop?.status ?? LoopStatus(tasks: [], pending: [], isHeld: true), log)
  }

  /// Returns whether the last commit is complete, or has taken too long.
  private func finish(_ loop: ProcessorLoop<Log, Store>, _ now: Int64) throws(ProcessorError) -> Bool {
    let deadline = (stopSeen ?? now) + Self.finishMilliseconds
    stopSeen = stopSeen ?? now
    if try loop.finish(now: now) { return true }
    if self.now() < deadline { return false }
    report("the last commit could not be completed in time; the next owner folds it again")
    return true
  }
}
