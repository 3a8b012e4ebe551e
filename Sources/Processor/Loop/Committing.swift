import FeatureCore

extension ProcessorLoop {
  /// Begins to publish what was folded since the last commit, and then to store it. The log first: if the loop dies between the
  /// two, the store is behind and catches up by folding again; the other way round it would hold what no reader of
  /// the log will ever see.
  func commit(now: Int64) throws(LoopFault) {
    try settle()
    foldsSinceCommit = 0
    bytesSinceCommit = 0
    let published = orderedTasks.filter(\.hasNews)
    let marked = orderedTasks.filter(owesMarks)
    if isCommitPending || !marked.isEmpty { try seal(published, marked, now: now) }
    _ = try advance(waiting: false)
    if now - lastCheck >= limits.checkIntervalMilliseconds { try checkStore() }
  }

  /// Takes what was folded for a commit, and sends what belongs to it.
  private func seal(
    _ published: [WorkerTask], _ marked: [WorkerTask], now: Int64
  ) throws(LoopFault) {
    // The interval counts from a commit of something: what comes after a silence is committed at once.
    if isCommitPending { lastCommit = now }
    let stored = orderedTasks.filter { $0.stored != $0.position || $0.isCatchingUp }
    if !published.isEmpty || !marked.isEmpty {
      do throws(LoopFault) {
        for task in published { try encodeStates(of: task, isSilent: false) }
        try beginTransaction()
        for task in marked { try sendMarks(of: task) }
        for task in published { try sendTurn(of: task) }
      } catch { throw aborting(error) }
    }
    for task in stored where task.sealed != task.position { try encodeStates(of: task, isSilent: true) }
    let bytesMax = limits.cachedBytesMax
    for task in stored { task.seal(cacheBytesMax: bytesMax / max(1, tasks.count * max(1, task.views.count))) }
    flight = Flight(
      stage: phase == .sending ? .publishing : .storing,
      offsets: published.map { ($0.partition, $0.position) }, tasks: stored.reversed())
    phase = .folding
  }

  /// Notices that the store has lost writes although there is nothing to load or store.
  func checkStore() throws(LoopFault) {
    lastCheck = now
    for task in orderedTasks {
      try onStore(task.partition) { () throws(StoreError) in
        try store.load(task.name, epoch: task.epoch, position: task.stored, next: task.sealed, []) { _, _ in }
      }
    }
  }

  /// Writes a task's changed states and its position while no commit is under way.
  func storeStates(of task: WorkerTask) throws(LoopFault) {
    if task.stored == task.position && !task.isCatchingUp { return }
    if task.sealed != task.position { try encodeStates(of: task, isSilent: true) }
    try onStore(task.partition) { () throws(StoreError) in
      try store.commit(
        task.name, epoch: task.epoch, from: task.stored, to: task.position, states: task.states)
    }
    task.seal(cacheBytesMax: limits.cachedBytesMax / max(1, tasks.count * max(1, task.views.count)))
    didStore(task)
  }

  /// The store has what was sealed of a task.
  func didStore(_ task: WorkerTask) {
    let wasCatchingUp = task.isCatchingUp
    task.didStore()
    if wasCatchingUp, !task.isCatchingUp { noteRecovery(of: task) }
  }

  /// Encodes a task's changed states, once for the log and the store, and unless it is silent sends their snapshots.
  private func encodeStates(of task: WorkerTask, isSilent: Bool) throws(LoopFault) {
    // Taken out while it changes: an object's variable would be retained and checked for every state.
    var states = KeyedStates()
    swap(&states, &task.states)
    defer { swap(&states, &task.states) }
    states.removeAll()
    let position = RecordPosition(partition: task.partition, offset: task.position)
    for view in task.views {
      let plan = view.fold.view
      let isSent = !isSilent && plan.emit == .commit
      try view.cache.young.forEachChanged { (key, state) throws(LoopFault) in
        states.append(view.keyPrefix, key) { plan.encode(state, into: &$0) }
        if isSent { try sendSnapshot(plan, key, state, states, at: position) }
      }
    }
    if let join = task.join { encode(join, of: task, into: &states) }
    task.sealed = task.position
  }

  /// Sends a snapshot of the state that was encoded last.
  func sendSnapshot(
    _ plan: ViewPlan, _ key: UnsafeRawBufferPointer, _ state: State, _ encoded: borrowing KeyedStates,
    at position: RecordPosition
  ) throws(LoopFault) {
    if plan.snapshotsHaveValues { plan.evaluate(state, at: state.asOf, into: &values) }
    try encoded.withBytes(encoded.count - 1) { (recordKey, bytes) throws(LoopFault) in
      writer.snapshot(
        plan, version: self.plan.version, key: key, at: position, asOf: state.asOf, state: bytes,
        values: plan.snapshotsHaveValues ? values : nil)
      try send(topic: routing.snapshotTopic, key: recordKey)
    }
    counts.snapshots += 1
  }
}
