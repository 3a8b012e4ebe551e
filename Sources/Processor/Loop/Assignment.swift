import FeatureCore

extension ProcessorLoop {
  /// Takes on or gives up partitions.
  func handle(_ assignment: LogAssignment, now: Int64) throws(LoopFault) {
    switch assignment {
    case .assigned(let partitions): take(partitions)
    case .revoked(let partitions):
      note("giving up \(names(partitions.map(\.description))): the group has asked for them")
      // What was folded is committed while the partitions are still ours. If that fails now, the new owner folds it
      // again from the committed offset.
      do throws(LoopFault) {
        try commit(now: now)
        try settle()
      } catch { try giveUpTransaction(because: error.message, isOrdinary: error.isOrdinary) }
      try drop(partitions)
    case .lost(let partitions):
      // They may have a new owner already: nothing of theirs may be published.
      let cause =
        "the group has given \(names(partitions.map(\.description))) away: this member was silent for too long"
      report(cause)
      try giveUpTransaction(because: cause)
      try drop(partitions)
    }
  }

  /// Keeps the place in the group while the store or the log is away: polls, but fetches nothing.
  func hold() throws(LoopFault) {
    if held == nil {
      let partitions = orderedTasks.map(\.partition)
      try onLog { () throws(LogError) in try log.pause(partitions) }
      held = partitions
    }
    let poll = try onLog { () throws(LogError) in
      try log.poll(recordsMax: 1, timeoutMilliseconds: Int(limits.commitIntervalMilliseconds))
    }
    for assignment in poll.assignments {
      if case .assigned(let partitions) = assignment {
        take(partitions)
      } else {
        try handle(assignment, now: lastCommit)
      }
    }
  }

  /// Fetches again after a hold.
  func release() throws(LoopFault) {
    guard let partitions = held?.filter(fetched.contains) else { return }
    try onLog { () throws(LogError) in try log.resume(partitions) }
    held = nil
    // A record that a holding poll returned was not folded.
    refetch()
  }

  private func take(_ partitions: [TopicPartition]) {
    note("assigned \(names(partitions.map(\.description)))")
    pending += partitions
  }

  private func giveUpTransaction(because cause: String, isOrdinary: Bool = false) throws(LoopFault) {
    do throws(ProcessorError) {
      try abort(because: cause, isOrdinary: isOrdinary)
    } catch { throw .failed(error) }
  }

  private func drop(_ partitions: [TopicPartition]) throws(LoopFault) {
    for partition in partitions { tasks[partition] = nil }
    pending.removeAll(where: partitions.contains)
    setBack.subtract(partitions)
    fetched.subtract(partitions)
    begun.removeAll { partitions.contains($0.partition) }
    try onLog { () throws(LogError) in try log.unassign(partitions) }
  }

  /// Begins the tasks of the partitions that were assigned, then fetches them all. Interrupted, it goes on where it was.
  func beginPending() throws(LoopFault) {
    if pending.isEmpty && begun.isEmpty { return }
    try settle()
    while let partition = pending.last {
      begun.append(try begin(partition))
      setBack.remove(partition)
      pending.removeLast()
    }
    // A task that is begun anew is fetched already: it only goes back.
    let (back, new) = (
      begun.filter { fetched.contains($0.partition) }, begun.filter { !fetched.contains($0.partition) }
    )
    try onLog { () throws(LogError) in
      if !new.isEmpty { try log.assign(new.map { ($0.partition, $0.fetchOffset) }) }
      for task in new { fetched.insert(task.partition) }
      for task in back { try log.seek(task.partition, to: task.fetchOffset) }
    }
    for task in begun {
      task.began = now
      tasks[task.partition] = task
    }
    noteBegins(begun)
    begun = []
  }

  /// Claims the task, so that no older owner's write is taken any more, then looks where it begins.
  private func begin(_ partition: TopicPartition) throws(LoopFault) -> WorkerTask {
    guard let input = inputs[partition.topic] else {
      throw .stop("the group assigned \(partition), which no source of '\(plan.name)' reads")
    }
    if let count = partitions[input.name], partition.partition >= count, !input.views.isEmpty {
      throw .stop(
        "the topic '\(partition.topic)' had \(count) partitions when this service started, and the group has assigned "
          + "\(partition): with more partitions keys are in other ones than their states; raise 'version:' and fill that with "
          + "plumb run --until end, then plumb promote")
    }
    let name = "\(input.name).\(partition.partition)"
    var claim = try onStore(nil) { () throws(StoreError) in try store.claim(name) }
    let (committed, marks) = try onLog { () throws(LogError) in
      (try log.committed([partition])[0], try log.watermarks(partition))
    }
    // A repartition topic's records were placed by a task.
    let partitionCount = input.isRepartitioned ? nil : partitions[input.name]
    let isSetBack = setBack.contains(partition) && claim.position ?? -1 >= 0
    let decision = StartDecision.make(
      name, stored: isSetBack ? nil : claim.position, committed: committed, low: marks.low, high: marks.high)
    // Whatever the store has of a task that begins from nothing is of a past that its position has lost.
    let beginsAnew = isSetBack || claim.position == nil
    if isSetBack { try rewind(name, &claim, to: decision, partition) }
    switch decision {
    case .stop(let message):
      // The offsets are younger than the claim: if another owner has come between the two, nothing is wrong.
      try onStore(partition) { () throws(StoreError) in
        try store.load(name, epoch: claim.epoch, position: claim.position, []) { _, _ in }
      }
      throw .stop(message)
    case .fold(let offset, let published):
      let task = WorkerTask(
        partition, input, plan, claim: claim, beginsAnew: beginsAnew, start: offset, published: published,
        low: marks.low, limits: limits, partitionCount: partitionCount, snapshotTopic: routing.snapshotTopic)
      if let join = task.join { try resume(task, join) }
      return task
    case .new(let offset):
      let task = WorkerTask(
        partition, input, plan, claim: claim, beginsAnew: beginsAnew, start: offset, published: offset,
        low: marks.low, limits: limits, partitionCount: partitionCount, snapshotTopic: routing.snapshotTopic)
      try storeStates(of: task)
      return task
    }
  }
  /// Takes a task's position in the store to where it begins from nothing: what is written next is behind it.
  private func rewind(
    _ name: String, _ claim: inout TaskClaim, to decision: StartDecision, _ partition: TopicPartition
  ) throws(LoopFault) {
    let start: Int64
    switch decision {
    case .stop: return
    case .new(let offset): start = offset
    case .fold(let from, _): start = from
    }
    let (epoch, position) = (claim.epoch, claim.position)
    try onStore(partition) { () throws(StoreError) in
      try store.commit(name, epoch: epoch, from: position, to: start, states: [])
    }
    claim.position = start
  }
}
