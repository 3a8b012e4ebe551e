public import FeatureCore

/// The loop: poll, load, fold, publish, store. One thread, one log, one store, any number of tasks.
///
/// Every effect goes through the two ports and time is a parameter, so that the loop in production is the loop
/// under simulation. A step never leaves half of a record behind: a batch is folded whole after everything that
/// can fail for lack of the store has been done, and a failure of the log's producer aborts the transaction
/// and forgets what was folded in it.
public final class ProcessorLoop<Log: EventLogPort, Store: StateStorePort> {
  let plan: Plan
  let routing: Routing
  let log: Log
  let store: Store
  let limits: WorkerLimits
  let inputs: [String: Routing.Input]

  var tasks: [TopicPartition: WorkerTask] = [:]
  /// Assigned by the group, but not begun: the log or the store was away.
  var pending: [TopicPartition] = []
  /// Begun, but not fetched yet.
  var begun: [WorkerTask] = []
  /// Assigned in the log.
  var fetched: Set<TopicPartition> = []
  var phase = Phase.folding
  /// Whether fetching is paused because a commit can't be completed.
  var isHolding = false
  var isInTransaction = false
  var recordsSinceCommit = 0
  var lastCommit: Int64
  var writer = ProtobufWriter()
  /// What was done so far.
  public internal(set) var counts = LoopCounts()

  /// What has to be completed before anything else is folded.
  enum Phase: Equatable {
    case folding
    /// The transaction is complete but for its commit.
    case publishing
    /// The log has it, the store not yet.
    case storing
  }

  /// A loop without tasks; `now` is a monotonic time in milliseconds.
  public init(_ plan: Plan, log: Log, store: Store, limits: WorkerLimits = WorkerLimits(), now: Int64) {
    self.plan = plan
    self.log = log
    self.store = store
    self.limits = limits
    routing = Routing(plan)
    inputs = Dictionary(uniqueKeysWithValues: routing.inputs.map { ($0.topic, $0) })
    lastCommit = now
  }

  /// One turn:
  /// 1. completes a commit that could not be completed before,
  /// 2. polls, waiting until the next commit is due,
  /// 3. takes on and gives up partitions,
  /// 4. loads the states of the records' entities and folds the records,
  /// 5. commits, if it is time: first the log, then the store.
  public func step(now: Int64) throws(ProcessorError) {
    do throws(LoopFault) {
      try completeCommit(now: now)
      try release()
      let wait = max(0, lastCommit + limits.commitIntervalMilliseconds - now)
      let poll = try onLog { () throws(LogError) in
        try log.poll(recordsMax: limits.pollRecordsMax, timeoutMilliseconds: Int(wait))
      }
      for assignment in poll.assignments { try handle(assignment, now: now) }
      try beginPending(now: now)
      try fold(poll)
      if isCommitDue(now) { try commit(now: now) }
    } catch {
      try handle(error)
    }
  }

  /// Commits what was folded. The owner calls it until it returns true, or its patience ends, and then leaves the group.
  public func finish(now: Int64) throws(ProcessorError) -> Bool {
    do throws(LoopFault) {
      try commit(now: now)
    } catch {
      try handle(error)
    }
    return phase == .folding && tasks.values.allSatisfy { $0.stored == $0.position }
  }

  private func isCommitDue(_ now: Int64) -> Bool {
    recordsSinceCommit >= limits.commitRecordsMax || now - lastCommit >= limits.commitIntervalMilliseconds
  }

  // MARK: Faults

  /// Does what a fault asks for. Throws if the loop can't go on.
  private func handle(_ fault: LoopFault) throws(ProcessorError) {
    switch fault {
    case .stop(let message): throw ProcessorError(remedy: .stop, description: message)
    case .log(let error): try handle(error)
    case .store(let error, let task): try handle(error, task)
    }
  }

  private func handle(_ error: LogError) throws(ProcessorError) {
    switch error.remedy {
    case .retry: try wait()
    case .abort: try abort()
    case .fenced:
      tasks = [:]
      throw ProcessorError(remedy: .restart, description: error.message)
    case .outOfRange, .fatal: throw ProcessorError(remedy: .stop, description: error.message)
    }
  }

  private func handle(_ error: StoreError, _ task: TopicPartition?) throws(ProcessorError) {
    counts.storeErrors += 1
    switch error.remedy {
    case .retry: try wait()
    case .fenced:
      // Its new owner goes on from the log's offset. If the group still thinks that it is ours, it will say so anew.
      counts.fenced += 1
      if let task { tasks[task] = nil }
      refetch()
    case .moved:
      // The store has lost its last writes: begin the task anew from what it still has.
      counts.recoveries += 1
      if let task {
        tasks[task] = nil
        pending.append(task)
      }
      refetch()
    case .fatal: throw ProcessorError(remedy: .stop, description: error.message)
    }
  }

  /// After a fault that may pass: fetches again what was not folded, or holds until the commit is complete.
  private func wait() throws(ProcessorError) {
    if phase == .folding { return refetch() }
    do throws(LoopFault) {
      try hold()
    } catch {
      // The next step tries again; what can't be waited for stops it.
      if case .stop(let message) = error { throw ProcessorError(remedy: .stop, description: message) }
      if case .log(let error) = error, error.remedy != .retry { try handle(error) }
    }
  }

  /// Forgets the transaction and what was folded in it.
  func abort() throws(ProcessorError) {
    counts.aborts += 1
    do throws(LogError) {
      if isInTransaction { try log.abort() }
    } catch {
      if error.remedy != .retry { throw ProcessorError(remedy: .restart, description: error.message) }
    }
    isInTransaction = false
    phase = .folding
    recordsSinceCommit = 0
    for task in tasks.values { task.rewind() }
    refetch()
  }

  /// Fetches again from where each task stands: records of the last poll may not have been folded.
  func refetch() {
    for task in tasks.values {
      // If this fails too, the next step's records show the gap and are fetched again.
      try? log.seek(task.partition, to: task.position)
    }
  }

  // MARK: Ports

  func onLog<Result>(_ body: () throws(LogError) -> Result) throws(LoopFault) -> Result {
    do throws(LogError) { return try body() } catch { throw .log(error) }
  }

  func onStore<Result>(
    _ task: TopicPartition?, _ body: () throws(StoreError) -> Result
  ) throws(LoopFault) -> Result {
    do throws(StoreError) { return try body() } catch { throw .store(error, task) }
  }
}

/// What a loop did.
public struct LoopCounts: Hashable, Sendable {
  /// Records read that were to be folded.
  public var records = 0
  /// Of these, folded again without sending anything.
  public var recovered = 0
  /// Records forwarded to repartition topics.
  public var forwarded = 0
  /// Dead letters sent.
  public var deadLetters = 0
  /// Snapshots sent.
  public var snapshots = 0
  /// Commits of the log.
  public var commits = 0
  /// Transactions aborted.
  public var aborts = 0
  /// Errors of the store.
  public var storeErrors = 0
  /// Tasks that another owner has claimed.
  public var fenced = 0
  /// Tasks begun anew because the store had lost writes.
  public var recoveries = 0

  /// Nothing yet.
  public init() {}
}
