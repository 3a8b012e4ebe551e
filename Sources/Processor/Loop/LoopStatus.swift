public import FeatureCore

/// What a loop did.
public struct LoopCounts: Hashable, Sendable {
  /// Records read that were to be folded.
  public var records = 0
  /// Of these, folded again without sending anything.
  public var recovered = 0
  /// Of these, records that can't be used: their dead letters were sent before.
  public var unusable = 0
  /// Events folded into the states of a view, once for each view.
  public var folded = 0
  /// Of these, seen by no window but lifetime ones.
  public var late = 0
  /// Events that a view's filter left out, once for each view.
  public var filtered = 0
  /// Records that were not folded, since an earlier one had their event's id.
  public var duplicates = 0
  /// Records without an id although their source tells events apart by it; they are folded.
  public var withoutID = 0
  /// Events whose entity's state was in memory, once for each view.
  public var cacheHits = 0
  /// States that were asked of the store.
  public var cacheMisses = 0
  /// Records forwarded to repartition topics.
  public var forwarded = 0
  /// Records that joins have made.
  public var joined = 0
  /// Dead letters sent, by reason.
  public var deadLetters: [String: Int] = [:]
  /// Triggers fired.
  public var fired: [TriggerName: Int] = [:]
  /// Snapshots sent.
  public var snapshots = 0
  /// Commits of the log.
  public var commits = 0
  /// Transactions aborted.
  public var aborts = 0
  /// Errors of the log.
  public var logErrors = 0
  /// Errors of the store.
  public var storeErrors = 0
  /// Tasks that another owner has claimed.
  public var fenced = 0
  /// Tasks begun anew because the store had lost writes.
  public var recoveries = 0

  /// Nothing yet.
  public init() {}

  mutating func add(_ fold: FoldCounts, since before: FoldCounts) {
    folded += fold.folded - before.folded
    late += fold.late - before.late
    filtered += fold.filtered - before.filtered
  }

  /// Adds what another loop did.
  public mutating func add(_ other: LoopCounts) {
    for count in Self.numbers { self[keyPath: count] += other[keyPath: count] }
    deadLetters.merge(other.deadLetters, uniquingKeysWith: +)
    fired.merge(other.fired, uniquingKeysWith: +)
  }

  private static var numbers: [WritableKeyPath<Self, Int>] {
    [
      \.records, \.recovered, \.unusable, \.folded, \.late, \.filtered, \.duplicates, \.withoutID,
      \.cacheHits, \.cacheMisses, \.forwarded, \.joined,
      \.snapshots,
      \.commits, \.aborts, \.logErrors, \.storeErrors, \.fenced, \.recoveries,
    ]
  }
}

/// Where a loop is.
public struct LoopStatus: Hashable, Sendable {
  /// One task.
  public struct Task: Hashable, Sendable {
    /// The partition it reads.
    public var partition: TopicPartition
    /// The next offset to fold.
    public var position: Int64
    /// The largest event time that it has folded since it was assigned.
    public var latest: EventTime?
    /// Whether it folds again what the store lacks.
    public var isCatchingUp: Bool
    /// States in memory.
    public var cachedStates: Int
    /// Of a task that makes outcomes, how far they are behind the latest left event.
    public var outcomeLag: OutcomeLag?

    /// A task from its parts.
    public init(
      partition: TopicPartition, position: Int64, latest: EventTime?, isCatchingUp: Bool, cachedStates: Int
    ) {
      self.partition = partition
      self.position = position
      self.latest = latest
      self.isCatchingUp = isCatchingUp
      self.cachedStates = cachedStates
    }
  }

  /// How far the outcomes of a join are behind.
  public struct OutcomeLag: Hashable, Sendable {
    /// The join.
    public var join: String
    /// Event time between the latest left event and the join's clock; nil as long as one of its streams hasn't been heard of.
    public var microseconds: Int64?

    /// A lag from its parts.
    public init(join: String, microseconds: Int64?) {
      self.join = join
      self.microseconds = microseconds
    }
  }

  /// The tasks, by topic and partition.
  public var tasks: [Task]
  /// Partitions that were assigned but not begun: the log or the store is away.
  public var pending: [TopicPartition]
  /// Whether the last attempt at the log or the store failed, so that nothing is fetched.
  public var isHeld: Bool

  /// A status from its parts.
  public init(tasks: [Task], pending: [TopicPartition], isHeld: Bool) {
    self.tasks = tasks
    self.pending = pending
    self.isHeld = isHeld
  }

  /// How many partitions wait.
  public var waiting: Int { pending.count }

  /// Everything that was assigned.
  public var owned: [TopicPartition] { tasks.map(\.partition) + pending }

  /// Whether what is served from the store is only as old as the lag says: every task is at work, and none folds again.
  public var isCurrent: Bool { waiting == 0 && !isHeld && !tasks.contains(where: \.isCatchingUp) }
}

extension ProcessorLoop {
  /// Where the loop is.
  public var status: LoopStatus {
    LoopStatus(
      tasks: orderedTasks.map { task in
        var status = LoopStatus.Task(
          partition: task.partition, position: task.position,
          latest: task.views.compactMap(\.fold.latest).max(), isCatchingUp: task.isCatchingUp,
          cachedStates: task.views.reduce(0) { $0 + $1.cache.count })
        if let join = task.join, !join.isTable, let lag = join.progress.clock.lag {
          status.outcomeLag = LoopStatus.OutcomeLag(
            join: join.plan.name, microseconds: lag == .max ? nil : lag)
        }
        return status
      }, pending: pending + begun.map(\.partition), isHeld: held != nil || outage != nil)
  }
}
