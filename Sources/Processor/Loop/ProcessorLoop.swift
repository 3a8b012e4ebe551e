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
  let partitions: [String: Int32]
  let report: (String) -> Void

  var tasks: [TopicPartition: WorkerTask] = [:]
  /// Assigned by the group, but not begun: the log or the store was away.
  var pending: [TopicPartition] = []
  /// Begun, but not fetched yet.
  var begun: [WorkerTask] = []
  /// Assigned in the log.
  var fetched: Set<TopicPartition> = []
  var phase = Phase.folding
  /// The partitions that are not fetched because the store or the log is away; nil if all are.
  var held: [TopicPartition]?
  var isInTransaction = false
  var foldsSinceCommit = 0
  /// The size of the states that were changed.
  var bytesSinceCommit = 0
  var lastCommit: Int64
  var lastCheck: Int64
  var writer = ProtobufWriter()
  /// The values of the latest snapshot.
  var values: [FeatureValue] = []
  /// The state of the latest snapshot of one event.
  var emitted = KeyedStates()
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

  /// A loop without tasks; `now` is a monotonic time in milliseconds. `partitions` says how many an input has, by its
  /// name: a record of a source that lies where its key doesn't belong then becomes a dead letter. `report` is told
  /// what a person should know and the loop goes on with.
  public init(
    _ plan: Plan, log: Log, store: Store, limits: WorkerLimits = WorkerLimits(),
    partitions: [String: Int32] = [:], now: Int64, report: @escaping (String) -> Void = { _ in }
  ) {
    self.partitions = partitions
    self.report = report
    self.plan = plan
    self.log = log
    self.store = store
    self.limits = limits
    routing = Routing(plan)
    inputs = Dictionary(uniqueKeysWithValues: routing.inputs.map { ($0.topic, $0) })
    lastCommit = now
    lastCheck = now
  }

  /// One turn:
  /// 1. completes a commit that could not be completed before,
  /// 2. begins the tasks of partitions that were assigned,
  /// 3. polls, waiting until the next commit is due,
  /// 4. takes on and gives up partitions,
  /// 5. loads the states of the records' entities and folds the records,
  /// 6. commits, if it is time: first the log, then the store.
  public func step(now: Int64) throws(ProcessorError) {
    do throws(LoopFault) {
      try completeCommit(now: now)
      try release()
      try seekBack()
      // Before the poll: a task that begins anew goes back, and a poll from before that has a gap.
      try beginPending()
      let wait = max(0, lastCommit + limits.commitIntervalMilliseconds - now)
      let poll = try onLog { () throws(LogError) in
        try log.poll(recordsMax: limits.pollRecordsMax, timeoutMilliseconds: Int(wait))
      }
      for assignment in poll.assignments { try handle(assignment, now: now) }
      try fold(poll, now: now)
      if now - lastCommit >= limits.commitIntervalMilliseconds { try commit(now: now) }
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

  /// Whether a commit would be as large as it may become.
  var isFull: Bool {
    foldsSinceCommit >= limits.commitFoldsMax || bytesSinceCommit >= limits.commitBytesMax
  }

  // MARK: Faults

  /// Does what a fault asks for. Throws if the loop can't go on.
  func handle(_ fault: LoopFault) throws(ProcessorError) {
    switch fault {
    case .failed(let error): throw error
    case .log(let error): try handle(error)
    case .store(let error, let task): try handle(error, task)
    }
  }

  private func handle(_ error: LogError) throws(ProcessorError) {
    counts.logErrors += 1
    switch error.remedy {
    case .retry: try wait()
    case .abort: try abort()
    case .fenced:
      tasks = [:]
      throw ProcessorError(remedy: .restart, description: error.message)
    case .outOfRange(let partition):
      // Another owner may have gone on long ago; if nobody has, the task's beginning says what to do.
      try beginAnew(partition)
    case .fatal: throw ProcessorError(remedy: .stop, description: error.message)
    }
  }

  private func handle(_ error: StoreError, _ task: TopicPartition?) throws(ProcessorError) {
    counts.storeErrors += 1
    switch error.remedy {
    case .retry: try wait()
    case .fenced:
      // A new owner, or an old one whose claim came back with a store that lost writes. The group decides who it is: the
      // next poll says if the partition is not ours any more, before the task is claimed again.
      counts.fenced += 1
      try beginAnew(task)
    case .moved:
      // The store has lost its last writes: what it lacks is folded again.
      counts.recoveries += 1
      try beginAnew(task)
    case .fatal: throw ProcessorError(remedy: .stop, description: error.message)
    }
  }

  /// After a fault that may pass: keeps the place in the group, and fetches again later what was not folded.
  private func wait() throws(ProcessorError) {
    refetch()
    do throws(LoopFault) {
      try hold()
    } catch {
      // The next step tries again; what can't be waited for stops it.
      if case .failed(let error) = error { throw error }
      if case .log(let error) = error, error.remedy != .retry { try handle(error) }
    }
  }

  /// Begins one task anew. What it has sent in an open transaction it will send again, so that has to go.
  private func beginAnew(_ task: TopicPartition?) throws(ProcessorError) {
    if isInTransaction { return try abort() }
    beginAnew(task.map { [$0] } ?? [])
  }

  /// Forgets what some tasks have folded; they begin again from what the log and the store have.
  private func beginAnew(_ partitions: [TopicPartition]) {
    for partition in partitions where tasks.removeValue(forKey: partition) != nil {
      pending.append(partition)
    }
    refetch()
  }

  /// Forgets the transaction and what was folded in it. Whether a commit that was not answered took effect, only the
  /// committed offsets tell, so every task begins anew.
  func abort() throws(ProcessorError) {
    counts.aborts += 1
    do throws(LogError) {
      if isInTransaction { try log.abort() }
    } catch {
      // Whatever it was: the transaction may still be open, and no other can begin. A new producer ends it.
      throw ProcessorError(remedy: .restart, description: error.message)
    }
    isInTransaction = false
    phase = .folding
    foldsSinceCommit = 0
    bytesSinceCommit = 0
    beginAnew(orderedTasks.map(\.partition))
  }

  /// Fetches again from where each task stands: records of the last poll may not have been folded.
  func refetch() {
    for task in orderedTasks { task.mustSeek = true }
  }

  /// Goes back where `refetch` asked for it. Until that has succeeded nothing of the task is folded.
  private func seekBack() throws(LoopFault) {
    for task in orderedTasks where task.mustSeek {
      try onLog { () throws(LogError) in try log.seek(task.partition, to: task.position) }
      task.mustSeek = false
    }
  }

  /// The tasks in an order that does not depend on the process, so that a seed of the simulator gives one run.
  var orderedTasks: [WorkerTask] {
    tasks.values.sorted {
      ($0.partition.topic, $0.partition.partition) < ($1.partition.topic, $1.partition.partition)
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
