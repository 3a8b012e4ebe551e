import FeatureCore

extension ProcessorLoop {
  /// Takes on or gives up partitions.
  func handle(_ assignment: LogAssignment, now: Int64) throws(LoopFault) {
    switch assignment {
    case .assigned(let partitions): pending += partitions
    case .revoked(let partitions):
      // What was folded is committed while the partitions are still ours. If that fails now, the new owner folds it
      // again from the committed offset.
      do throws(LoopFault) { try commit(now: now) } catch { try giveUpTransaction() }
      try drop(partitions)
    case .lost(let partitions):
      // They may have a new owner already: nothing of theirs may be published.
      try giveUpTransaction()
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
        pending += partitions
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

  private func giveUpTransaction() throws(LoopFault) {
    do throws(ProcessorError) { try abort() } catch { throw .failed(error) }
  }

  private func drop(_ partitions: [TopicPartition]) throws(LoopFault) {
    for partition in partitions { tasks[partition] = nil }
    pending.removeAll(where: partitions.contains)
    fetched.subtract(partitions)
    begun.removeAll { partitions.contains($0.partition) }
    try onLog { () throws(LogError) in try log.unassign(partitions) }
  }

  /// Begins the tasks of the partitions that were assigned, then fetches them all. Interrupted, it goes on where it was.
  func beginPending() throws(LoopFault) {
    if pending.isEmpty && begun.isEmpty { return }
    while let partition = pending.last {
      begun.append(try begin(partition))
      pending.removeLast()
    }
    // A task that is begun anew is fetched already: it only goes back.
    let (back, new) = (
      begun.filter { fetched.contains($0.partition) }, begun.filter { !fetched.contains($0.partition) }
    )
    try onLog { () throws(LogError) in
      if !new.isEmpty { try log.assign(new.map { ($0.partition, $0.position) }) }
      for task in new { fetched.insert(task.partition) }
      for task in back { try log.seek(task.partition, to: task.position) }
    }
    for task in begun { tasks[task.partition] = task }
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
    let claim = try onStore(nil) { () throws(StoreError) in try store.claim(name) }
    let (committed, marks) = try onLog { () throws(LogError) in
      (try log.committed([partition])[0], try log.watermarks(partition))
    }
    // A repartition topic's records were placed by a task.
    let partitionCount = input.isRepartitioned ? nil : partitions[input.name]
    let decision = StartDecision.make(
      name, stored: claim.position, committed: committed, low: marks.low, high: marks.high)
    switch decision {
    case .stop(let message):
      // The offsets are younger than the claim: if another owner has come between the two, nothing is wrong.
      try onStore(partition) { () throws(StoreError) in
        try store.load(name, epoch: claim.epoch, position: claim.position, []) { _, _ in }
      }
      throw .stop(message)
    case .fold(let offset, let published):
      return WorkerTask(
        partition, input, plan, claim: claim, start: offset, published: published, limits: limits,
        partitionCount: partitionCount)
    case .new(let offset):
      let task = WorkerTask(
        partition, input, plan, claim: claim, start: offset, published: offset, limits: limits,
        partitionCount: partitionCount)
      try storeStates(of: task)
      return task
    }
  }
}
