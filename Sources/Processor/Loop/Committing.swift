import FeatureCore

extension ProcessorLoop {
  /// Publishes what was folded since the last commit, then stores it. The log first: if the loop dies between the two,
  /// the store is behind and catches up by folding again; the other way round it would hold what no reader of
  /// the log will ever see.
  func commit(now: Int64) throws(LoopFault) {
    try completeCommit(now: now)
    lastCommit = now
    foldsSinceCommit = 0
    let published = orderedTasks.filter(\.hasNews)
    if !published.isEmpty {
      do throws(LoopFault) {
        for task in published { try sendSnapshots(of: task) }
        try beginTransaction()
      } catch {
        if case .log(let error) = error { throw .log(LogError(.abort, error.message)) }
        throw error
      }
      phase = .publishing
    } else if tasks.values.contains(where: { $0.stored != $0.position }) {
      phase = .storing
    }
    try completeCommit(now: now)
    if now - lastCheck >= limits.checkIntervalMilliseconds { try checkStore(now: now) }
  }

  /// Notices that the store has lost writes although there is nothing to load or store.
  private func checkStore(now: Int64) throws(LoopFault) {
    lastCheck = now
    for task in orderedTasks {
      try onStore(task.partition) { () throws(StoreError) in
        try store.load(task.name, epoch: task.epoch, position: task.stored, []) { _, _ in }
      }
    }
  }

  /// Goes on with a commit that was interrupted. Every step may be repeated.
  func completeCommit(now: Int64) throws(LoopFault) {
    if phase == .publishing {
      let offsets = orderedTasks.filter(\.hasNews).map { ($0.partition, $0.position) }
      try onLog { () throws(LogError) in try log.commit(offsets) }
      isInTransaction = false
      counts.commits += 1
      for task in orderedTasks where task.hasNews { task.published = task.position }
      phase = .storing
    }
    if phase == .storing {
      for task in orderedTasks { try storeStates(of: task) }
      phase = .folding
    }
  }

  /// Writes a task's changed states and its position in one atomic step.
  func storeStates(of task: WorkerTask) throws(LoopFault) {
    if task.stored == task.position && !task.isCatchingUp { return }
    var states: [(key: [UInt8], value: [UInt8])] = []
    for view in task.views {
      let plan = view.fold.view
      view.cache.young.forEachChanged { key, state in
        states.append((StateKey.make(view: plan.name, key), plan.encode(state)))
      }
    }
    try onStore(task.partition) { () throws(StoreError) in
      try store.commit(
        task.name, epoch: task.epoch, from: task.stored, to: task.position, states: states,
        timeToLiveMilliseconds: nil)
    }
    task.didStore()
  }

  private func sendSnapshots(of task: WorkerTask) throws(LoopFault) {
    let position = RecordPosition(partition: task.partition, offset: task.position)
    for view in task.views where view.fold.view.emit == .commit {
      try view.cache.young.forEachChanged { (key, state) throws(LoopFault) in
        try sendSnapshot(view.fold.view, key, state, at: position)
      }
    }
  }

  func sendSnapshot(
    _ view: ViewPlan, _ key: UnsafeRawBufferPointer, _ state: State, at position: RecordPosition
  ) throws(LoopFault) {
    writer.snapshot(
      view, key: key, at: position, asOf: state.asOf, state: view.encode(state),
      values: view.evaluate(state, at: state.asOf))
    let recordKey = StateKey.make(view: view.name, key)
    try recordKey.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(LoopFault) -> Void in
      try send(topic: routing.snapshotTopic, key: bytes)
    }
    counts.snapshots += 1
  }
}
