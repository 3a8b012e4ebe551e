import FeatureCore

/// One partition of an input: the single writer of all its states. It folds records into its operators, which are the views of the
/// input or a join (`TaskOperator`).
final class WorkerTask {
  let partition: TopicPartition
  let input: Routing.Input
  /// The name of the task in the store.
  let name: String
  let views: [TaskView]
  let forwards: [TaskForward]
  let batch: EventBatch
  /// How many partitions keys are spread over by murmur2; nil if the task need not look whether they belong here.
  let partitionCount: Int32?
  /// Whether it was said that there are records in the wrong partition.
  var hasReportedMisplaced = false

  /// Whether it began with nothing although the store may have states of it: those that its position doesn't cover are
  /// of a past that is folded again from its beginning.
  let beginsAnew: Bool
  /// Entities that were reported because their state is damaged or full.
  var reportedEntities: Set<[UInt8]> = []

  /// What it does with a join's log; nil: it folds into views.
  let join: JoinFold?
  /// How far its partition has come, as the logs of joins are told.
  var marks: JoinMarks

  /// Where it began, and when, in milliseconds.
  let start: Int64
  var began: Int64 = 0

  /// The fence of this ownership.
  var epoch: Int64
  /// The store's position: what its states have folded, exclusive. nil before the first commit.
  var stored: Int64?
  /// The group's committed offset: what the log's readers have seen the effects of, exclusive.
  var published: Int64
  /// The next offset to fold.
  var position: Int64
  /// The changed states as they are published and stored, at the position `sealed`.
  let changes: SealedChanges
  /// What the store has when it has these; nil: they have been stored.
  var sealed: Int64?
  /// What takes out the events that have come before; nil if the source has no such rule, or its task has done it.
  let filter: DuplicateFilter?
  /// Whether the ids of what lies before are known.
  var remembering = Remembering.done
  /// The log's first offset when the task began.
  let low: Int64
  /// Whether it was said that the log has lost ids that matter.
  var hasReportedShortLog = false
  /// Whether the fetch has to go back to `fetchOffset` before anything is folded.
  var mustSeek = false

  /// One view of the task.
  struct TaskView {
    let index: Int
    let fold: ViewFold
    let cache: StateCache
    /// What the keys of its states begin with.
    let keyPrefix: [UInt8]

    init(_ index: Int, _ plan: ViewPlan, _ limits: WorkerLimits) {
      self.index = index
      fold = ViewFold(plan)
      cache = StateCache(capacity: limits.cachedStatesMax, secret: limits.hashSecret)
      keyPrefix = StateKey.prefix(view: plan.name)
    }
  }

  /// A repartition topic, and the filters that decide what is forwarded to it.
  struct TaskForward {
    let topic: String
    let folds: [ViewFold]
    let side: JoinPlan.Side?
  }

  init(
    _ partition: TopicPartition, _ input: Routing.Input, _ plan: Plan, claim: TaskClaim, beginsAnew: Bool,
    start: Int64, published: Int64, low: Int64, limits: WorkerLimits, partitionCount: Int32?,
    snapshotTopic: String
  ) {
    self.partition = partition
    self.input = input
    name = "\(input.name).\(partition.partition)"
    views = input.views.map { TaskView($0, plan.views[$0], limits) }
    forwards = input.forwards.map { forward in
      TaskForward(
        topic: forward.topic, folds: forward.plans(plan).map(ViewFold.init), side: forward.side?.side)
    }
    join = input.join.map { JoinFold(plan, join: $0, limits, isStored: true) }
    marks = JoinMarks(input, plan)
    changes = SealedChanges(partition, plan, snapshotTopic: snapshotTopic)
    batch = EventBatch(plan.sources[input.source].schema, capacity: limits.batchRecords)
    self.partitionCount = partitionCount
    self.beginsAnew = beginsAnew
    epoch = claim.epoch
    stored = claim.position
    self.start = start
    position = start
    self.published = published
    isCatchingUp = start < published
    self.low = low
    filter =
      input.isRepartitioned
      ? nil : DuplicateFilter(plan.sources[input.source], from: start, hashSecret: limits.hashSecret)
    if filter != nil, start > low {
      remembering = .looking(from: max(low, start - limits.lookBackRecords), latest: nil)
    }
  }

  /// Whether an entity's records belong in this partition.
  func isPlace(of key: [UInt8], _ count: Int32) -> Bool {
    key.withUnsafeBytes { Murmur2.partition($0, count: count) } == partition.partition
  }

  /// Entities of a task that are reported by name; more of them are a broken store, and no news.
  static let reportedEntitiesMax = 100

  /// Whether a state that the store has is one of the task's present, by the position that it was written with.
  func covers(_ position: Int64) -> Bool { stored.map { position <= $0 } ?? false }

  /// Whether something was folded that the log's readers have not seen.
  var hasNews: Bool { !isCatchingUp && position > published }

  /// Counts changes anew from here on: those before are on their way to the store.
  func seal(cacheBytesMax: Int) {
    for view in views { view.seal(bytesMax: cacheBytesMax) }
    join?.seal(bytesMax: cacheBytesMax)
  }

  /// The store has the states and the position that were sealed.
  func didStore() {
    guard let sealed else { preconditionFailure("Cannot store what is not sealed") }
    stored = sealed
    self.sealed = nil
    if sealed >= published { isCatchingUp = false }
  }

  /// Whether what is folded now has been published before: the store is behind the log, after a crash between the two
  /// commits or a loss of the store's last writes. Such records are folded again without sending anything, and the
  /// store has them before anything new is folded, so that what is new can be told from it.
  private(set) var isCatchingUp: Bool
}

/// Bounds of a worker.
public struct WorkerLimits: Sendable {
  /// Records of one poll: at 1,000 the round trips to Redis no longer matter.
  public var pollRecordsMax = 1000
  /// Records of a decoded batch: a whole poll, since each batch with entities that are not in memory waits for Redis
  /// once or twice; their rows still fit the level 2 cache.
  public var batchRecords = 1000
  /// Records times views between two commits, the batch that reaches it not counted: bounds a transaction and the
  /// atomic write to the store. A worker that catches up commits about every 100 ms then: each commit costs round trips
  /// to the brokers and the store, and an entity is written once a commit.
  public var commitFoldsMax = 32_000
  /// Bytes of changed states between two commits: large sketches would fill a write long before `commitFoldsMax` does.
  public var commitBytesMax = 64 << 20
  /// Milliseconds between two commits: bounds how old what is served can be.
  public var commitIntervalMilliseconds: Int64 = 100
  /// Milliseconds between two looks whether the store is still where the tasks left it: bounds how long an idle
  /// entity is served from a store that has lost its last writes.
  public var checkIntervalMilliseconds: Int64 = 1000
  /// States of one view of one task in memory.
  public var cachedStatesMax = 100_000
  /// Bytes that the states of all views and tasks take up in memory, about; between two commits more.
  public var cachedBytesMax = 1 << 30
  /// Offsets before its position that a task reads to learn the time, where ids are known for a while: more than a
  /// transaction's marks take up.
  public var lookBackRecords: Int64 = 1_000
  /// What makes the hash of the index in memory one that nobody can choose colliding keys for. No result depends on it.
  public var hashSecret: UInt64 = 0

  /// The defaults.
  public init() {}
}
