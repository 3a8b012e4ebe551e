/// A commit that is under way. What it takes is sealed, so that more can be folded meanwhile; the next one waits until it is over.
struct Flight {
  enum Stage {
    /// The log has its transaction, and hasn't said that it is committed.
    case publishing
    /// The log has it; the store gets the states of one task after the other.
    case storing
  }

  var stage: Stage
  /// Behind what the log's readers get to see.
  let offsets: [(partition: TopicPartition, offset: Int64)]
  /// What the log's part of it makes and sends.
  let changes: [SealedChanges]
  /// The tasks that the store doesn't have yet, the one that it gets first at the end.
  var tasks: [WorkerTask]
  /// Whether the port of this stage has begun, and its answer is to come.
  var isAsked = false
}

extension ProcessorLoop {
  /// Goes on with the commit that is under way until it waits for an answer, or if it is to wait for the answers, until it is over.
  /// Returns whether none is under way. After an error every step may be repeated.
  func advance(waiting: Bool) throws(LoopFault) -> Bool {
    try completeAbort()
    guard try publish(waiting: waiting) else { return false }
    return try write(waiting: waiting)
  }

  /// Waits until no commit is under way.
  func settle() throws(LoopFault) { _ = try advance(waiting: true) }

  /// Waits for the answer about the transaction of the commit that is under way; returns whether none is open.
  func settleLog() -> Bool {
    guard let flight, flight.stage == .publishing else { return true }
    guard flight.isAsked else { return false }
    do throws(LoopFault) { return try publish(waiting: true) } catch { return false }
  }

  /// Waits until nothing is under way, whatever comes of it, and forgets the commit. Returns whether its transaction is still open.
  func abandonFlight() -> Bool {
    let isOpen = !settleLog()
    if flight?.isAsked == true { _ = try? store.finishCommit(waiting: true) }
    flight = nil
    return isOpen
  }

  /// The first half of `advance`.
  func publish(waiting: Bool) throws(LoopFault) -> Bool {
    guard let flight, flight.stage == .publishing else { return true }
    let isDone = try ask(
      { () throws(LoopFault) in
        try onLog { () throws(LogError) in try log.startCommit(flight.offsets, flight.changes) }
      },
      { () throws(LoopFault) in try onLog { () throws(LogError) in try log.finishCommit(waiting: waiting) } })
    guard isDone else { return false }
    counts.commits += 1
    for changes in flight.changes { counts.snapshots += changes.takeSnapshotCount() }
    for (partition, offset) in flight.offsets { tasks[partition]?.published = offset }
    self.flight?.stage = .storing
    return true
  }

  private func write(waiting: Bool) throws(LoopFault) -> Bool {
    while let flight, let task = flight.tasks.last {
      // Who begins a task anew claims it, so that this write is refused from then on.
      let isOurs = tasks[task.partition] === task
      if isOurs || flight.isAsked {
        do throws(LoopFault) {
          guard try write(task, waiting: waiting) else { return false }
          if isOurs { didStore(task) }
        } catch { if isOurs { throw error } }
      }
      self.flight?.tasks.removeLast()
    }
    flight = nil
    return true
  }

  private func write(_ task: WorkerTask, waiting: Bool) throws(LoopFault) -> Bool {
    try ask(
      { () throws(LoopFault) in
        try onStore(task.partition) { () throws(StoreError) in
          try store.startCommit(
            task.name, epoch: task.epoch, from: task.stored, to: task.sealed ?? task.position,
            states: task.changes.states)
        }
      },
      { () throws(LoopFault) in
        try onStore(task.partition) { () throws(StoreError) in try store.finishCommit(waiting: waiting) }
      })
  }

  /// Has a port begin, unless it has, and asks it for its answer.
  private func ask(
    _ start: () throws(LoopFault) -> Bool, _ finish: () throws(LoopFault) -> Bool
  ) throws(LoopFault) -> Bool {
    if flight?.isAsked == false {
      if try start() { return true }
      flight?.isAsked = true
    }
    do throws(LoopFault) {
      guard try finish() else { return false }
    } catch {
      flight?.isAsked = false
      throw error
    }
    flight?.isAsked = false
    return true
  }
}
