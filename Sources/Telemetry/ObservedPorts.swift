import Metrics
public import Processor

/// A log whose commits are timed.
public final class ObservedLog<Base: EventLogPort>: EventLogPort {
  /// The log itself.
  public let base: Base
  private var commitTimer: CommitTimer

  /// Times the commits of a log.
  public init(_ base: Base, _ registry: PrometheusRegistry) {
    self.base = base
    commitTimer = CommitTimer("log", registry)
  }

  /// See `EventLogPort`. Timed until its end is known, refused or not.
  public func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool {
    commitTimer.start()
    return try commitTimer.observe { () throws(LogError) in try base.startCommit(offsets, changes) }
  }

  /// See `EventLogPort`.
  public func finishCommit(waiting: Bool) throws(LogError) -> Bool {
    try commitTimer.observe { () throws(LogError) in try base.finishCommit(waiting: waiting) }
  }

  /// See `EventLogPort`.
  public func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    try base.poll(recordsMax: recordsMax, timeoutMilliseconds: timeoutMilliseconds)
  }

  /// See `EventLogPort`.
  public func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    try base.assign(partitions)
  }

  /// See `EventLogPort`.
  public func unassign(_ partitions: [TopicPartition]) throws(LogError) { try base.unassign(partitions) }
  /// See `EventLogPort`.
  public func pause(_ partitions: [TopicPartition]) throws(LogError) { try base.pause(partitions) }
  /// See `EventLogPort`.
  public func resume(_ partitions: [TopicPartition]) throws(LogError) { try base.resume(partitions) }

  /// See `EventLogPort`.
  public func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) {
    try base.seek(partition, to: offset)
  }

  /// See `EventLogPort`.
  public func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    try base.read(partition, cursor: cursor, from: offset, recordsMax: recordsMax)
  }

  /// See `EventLogPort`.
  public func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    try base.committed(partitions)
  }

  /// See `EventLogPort`.
  public func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    try base.watermarks(partition)
  }

  /// See `EventLogPort`.
  public func firstOffset(
    of partition: TopicPartition, since milliseconds: Int64
  ) throws(LogError) -> Int64? {
    try base.firstOffset(of: partition, since: milliseconds)
  }

  /// See `EventLogPort`.
  public func begin() throws(LogError) { try base.begin() }

  /// See `EventLogPort`.
  public func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {
    try base.send(topic: topic, partition: partition, key: key, value: value)
  }

  /// See `EventLogPort`.
  public func abort() throws(LogError) { try base.abort() }

  /// See `EventLogPort`.
  @discardableResult
  public func close(timeoutMilliseconds: Int) -> Bool { base.close(timeoutMilliseconds: timeoutMilliseconds) }
}

/// A store whose loads and commits are timed.
public final class ObservedStore<Base: StateStorePort>: StateStorePort {
  private let base: Base
  private let loadTimer: Metrics.Timer
  private var commitTimer: CommitTimer
  private let onCommit: (_ task: String, _ states: KeyedStates) -> Void
  /// What is being committed.
  private var underWay: (task: String, states: KeyedStates)?

  /// Times the loads and commits of a store; `onCommit` is told of what was committed.
  public init(
    _ base: Base, _ registry: PrometheusRegistry,
    onCommit: @escaping (_ task: String, _ states: KeyedStates) -> Void = { _, _ in }
  ) {
    self.base = base
    self.onCommit = onCommit
    loadTimer = Timer(label: "plumb_load_seconds", dimensions: [], factory: registry)
    commitTimer = CommitTimer("store", registry)
  }

  /// See `StateStorePort`.
  public func claim(_ task: String) throws(StoreError) -> TaskClaim { try base.claim(task) }

  /// See `StateStorePort`. Timed, refused or not.
  public func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    let start = ContinuousClock.now
    defer { if keys.count > 0 { loadTimer.recordNanoseconds(since: start) } }
    try base.load(task, epoch: epoch, position: position, next: next, keys, body)
  }

  /// See `StateStorePort`. Timed until its end is known, refused or not.
  public func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool {
    commitTimer.start()
    underWay = (task, states)
    return tell(
      try commitTimer.observe { () throws(StoreError) in
        try base.startCommit(task, epoch: epoch, from: from, to: position, states: states)
      })
  }

  /// See `StateStorePort`.
  public func finishCommit(waiting: Bool) throws(StoreError) -> Bool {
    tell(try commitTimer.observe { () throws(StoreError) in try base.finishCommit(waiting: waiting) })
  }

  private func tell(_ isDone: Bool) -> Bool {
    guard isDone, let (task, states) = underWay else { return isDone }
    underWay = nil
    onCommit(task, states)
    return true
  }
}

/// Times commits from their start until their end is known.
private struct CommitTimer {
  private let timer: Metrics.Timer
  private var began = ContinuousClock.now

  init(_ phase: String, _ registry: PrometheusRegistry) {
    timer = Timer(label: "plumb_commit_seconds", dimensions: [("phase", phase)], factory: registry)
  }

  mutating func start() { began = .now }

  /// Asks whether a commit is done, and records it if it is, or has failed.
  func observe<Failure>(_ ask: () throws(Failure) -> Bool) throws(Failure) -> Bool {
    do throws(Failure) {
      let isDone = try ask()
      if isDone { timer.recordNanoseconds(since: began) }
      return isDone
    } catch {
      timer.recordNanoseconds(since: began)
      throw error
    }
  }
}

extension Metrics.Timer {
  fileprivate func recordNanoseconds(since start: ContinuousClock.Instant) {
    recordNanoseconds(Int64(start.duration(to: .now) / .nanoseconds(1)))
  }
}
