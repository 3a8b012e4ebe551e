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
  let note: (String) -> Void

  var tasks: [TopicPartition: WorkerTask] = [:]
  /// Assigned by the group, but not begun: the log or the store was away.
  var pending: [TopicPartition] = []
  /// Of these, tasks whose position in the store has been set back: nothing that the store has of them is used.
  var setBack: Set<TopicPartition> = []
  /// Begun, but not fetched yet.
  var begun: [WorkerTask] = []
  /// Assigned in the log.
  var fetched: Set<TopicPartition> = []
  var phase = Phase.folding
  /// The commit that is under way; nil if none is.
  var flight: Flight?
  /// The partitions that are not fetched because the store or the log is away; nil if all are.
  var held: [TopicPartition]?
  var foldsSinceCommit = 0
  /// The size of the states that were changed.
  var bytesSinceCommit = 0
  var lastCommit: Int64
  var lastCheck: Int64
  var writer = ProtobufWriter()
  let triggers: TriggerWriter
  /// Writes the snapshots of single events.
  var snapshot: SnapshotWriter
  /// The state of the latest snapshot of one event.
  var emitted = KeyedStates()
  /// The time of the step, in milliseconds.
  var now: Int64
  /// What the log or the store refuses, if the last attempt failed.
  var outage: Outage?
  var lastAbort: ToldAbort?
  var toldFirings = ToldFirings()
  /// What was done so far.
  public internal(set) var counts = LoopCounts()

  /// How far what was folded since the last commit is on its way to the next: folding → sending, and with the next, which is
  /// another flight, folding again. An abort leads by aborting back to folding.
  enum Phase {
    /// Nothing of it was sent.
    case folding
    /// A transaction is open, and more may be folded and sent.
    case sending
    /// What was folded is forgotten, and the brokers have not said yet that the transaction is, too: nothing else is begun
    /// before that.
    case aborting
  }

  /// A loop without tasks; `now` is a monotonic time in milliseconds. `partitions` says how many an input has, by its
  /// name: a record of a source that lies where its key doesn't belong then becomes a dead letter. `report` is told
  /// what a person should know and the loop goes on with, `note` what is in order.
  public init(
    _ plan: Plan, log: Log, store: Store, limits: WorkerLimits = WorkerLimits(),
    partitions: [String: Int32] = [:], now: Int64, report: @escaping (String) -> Void = { _ in },
    note: @escaping (String) -> Void = { _ in }
  ) {
    self.note = note
    self.now = now
    self.partitions = partitions
    self.report = report
    self.plan = plan
    self.log = log
    self.store = store
    self.limits = limits
    routing = Routing(plan)
    triggers = TriggerWriter(plan)
    snapshot = SnapshotWriter(version: plan.version)
    inputs = Dictionary(uniqueKeysWithValues: routing.inputs.map { ($0.topic, $0) })
    lastCommit = now
    lastCheck = now
  }

  /// One turn:
  /// 1. goes on with the commit that is under way, and waits for it if the log or the store was away,
  /// 2. begins the tasks of partitions that were assigned,
  /// 3. polls, waiting until the next commit is due,
  /// 4. takes on and gives up partitions,
  /// 5. loads the states of the records' entities and folds the records; if there are none, waits for the commit,
  /// 6. begins another commit, if it is time: first the log, then the store.
  public func step(now: Int64) throws(ProcessorError) {
    self.now = now
    do throws(LoopFault) {
      _ = try advance(waiting: held != nil || outage != nil)
      // The one before has failed when this was due.
      if isFull { try commit(now: now) }
      try probe()
      try release()
      try seekBack()
      // Before the poll: a task that begins anew goes back, and a poll from before that has a gap.
      try beginPending()
      let interval = limits.commitIntervalMilliseconds
      let wait = isCommitPending ? max(0, lastCommit + interval - now) : interval
      let poll = try onLog { () throws(LogError) in
        try log.poll(recordsMax: limits.pollRecordsMax, timeoutMilliseconds: flight == nil ? Int(wait) : 0)
      }
      endOutage()
      for assignment in poll.assignments { try handle(assignment, now: now) }
      try fold(poll, now: now)
      if poll.records.isEmpty { try settle() }
      if now - lastCommit >= limits.commitIntervalMilliseconds, try advance(waiting: false) {
        try commit(now: now)
      }
    } catch {
      try handle(error)
    }
  }

  /// Commits what was folded. The owner calls it until it returns true, or its patience ends, and then leaves the group.
  public func finish(now: Int64) throws(ProcessorError) -> Bool {
    self.now = now
    do throws(LoopFault) {
      try commit(now: now)
      try settle()
    } catch {
      try handle(error)
    }
    return phase == .folding && flight == nil && tasks.values.allSatisfy { $0.stored == $0.position }
  }

  /// Waits until nothing is under way in the log and the store, for an owner that leaves the group without a last commit.
  public func abandon() { _ = abandonFlight() }

  /// Whether a task is further than the store or the log's readers know.
  var isCommitPending: Bool { tasks.values.contains { $0.stored != $0.position || $0.hasNews } }

  /// Whether a commit would be as large as it may become.
  var isFull: Bool {
    foldsSinceCommit >= limits.commitFoldsMax || bytesSinceCommit >= limits.commitBytesMax
  }

  /// The states in memory of the view and task that has most.
  var cachedStates: Int { tasks.values.flatMap(\.views).map(\.cache.count).max() ?? 0 }

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
