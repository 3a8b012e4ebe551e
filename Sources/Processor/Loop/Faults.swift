/// What the loop does about errors of its log and its store.
extension ProcessorLoop {
  /// Does what a fault asks for. Throws if the loop can't go on.
  func handle(_ fault: LoopFault) throws(ProcessorError) {
    switch fault {
    case .failed(let error): throw error
    case .log(let error): try handle(error)
    case .store(let error, let task): try handle(error, task)
    case .setBack(let partition):
      counts.recoveries += 1
      report(
        "\(partition): the store has states that are ahead of the task's position there, which somebody has set back: "
          + "the task is folded anew from its beginning")
      setBack.insert(partition)
      try beginAnew(partition, because: "\(partition) begins anew")
    }
  }

  private func handle(_ error: LogError) throws(ProcessorError) {
    counts.logErrors += 1
    switch error.remedy {
    case .retry:
      noteOutage(.log, error.message, answer: nil)
      try wait()
    case .abort: try abort(because: error.message, isOrdinary: error.isOrdinary)
    case .fenced:
      tasks = [:]
      throw ProcessorError(remedy: .restart, description: error.message)
    case .outOfRange(let partition):
      // Another owner may have gone on long ago; if nobody has, the task's beginning says what to do.
      try beginAnew(partition, because: error.message)
    case .fatal: throw ProcessorError(remedy: .stop, description: error.message)
    }
  }

  private func handle(_ error: StoreError, _ task: TopicPartition?) throws(ProcessorError) {
    counts.storeErrors += 1
    switch error.remedy {
    case .retry:
      noteOutage(.store, error.message, answer: error.answer)
      try wait()
    case .fenced:
      // A new owner, or an old one whose claim came back with a store that lost writes. The group decides who it is: the
      // next poll says if the partition is not ours any more, before the task is claimed again.
      counts.fenced += 1
      report(
        "\(error.message): another owner has claimed it, or the store has lost the claim; the task begins anew"
      )
      try beginAnew(task, because: error.message)
    case .moved:
      // The store has lost its last writes: what it lacks is folded again.
      counts.recoveries += 1
      report("\(error.message): the store has lost writes; the task begins anew")
      try beginAnew(task, because: error.message)
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
  private func beginAnew(_ task: TopicPartition?, because cause: String) throws(ProcessorError) {
    if !settleLog() || phase != .folding { return try abort(because: cause) }
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
  func abort(because cause: String, isOrdinary: Bool = false) throws(ProcessorError) {
    counts.aborts += 1
    let isOpen = abandonFlight() || phase != .folding
    if isOpen { noteAbort(cause, isOrdinary) }
    phase = isOpen ? .aborting : .folding
    foldsSinceCommit = 0
    bytesSinceCommit = 0
    beginAnew(orderedTasks.map(\.partition))
    do throws(LoopFault) {
      try completeAbort()
    } catch {
      // While the brokers don't answer the next step tries again: the group keeps this member meanwhile.
      guard case .log = error else { return try handle(error) }
    }
  }

  /// Goes on with an abort that was not answered.
  func completeAbort() throws(LoopFault) {
    guard phase == .aborting else { return }
    do throws(LogError) {
      try log.abort()
    } catch {
      if error.remedy == .retry { throw .log(error) }
      // Whatever it was: the transaction may still be open, and no other can begin. A new producer ends it.
      throw .failed(ProcessorError(remedy: .restart, description: error.message))
    }
    phase = .folding
  }

  /// Fetches again from where each task stands: records of the last poll may not have been folded.
  func refetch() {
    for task in orderedTasks { task.mustSeek = true }
  }

  /// Goes back where `refetch` asked for it. Until that has succeeded nothing of the task is folded.
  func seekBack() throws(LoopFault) {
    for task in orderedTasks where task.mustSeek {
      try onLog { () throws(LogError) in try log.seek(task.partition, to: task.fetchOffset) }
      task.mustSeek = false
    }
  }
}
