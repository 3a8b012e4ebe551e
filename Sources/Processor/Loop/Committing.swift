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
        try beginTransaction()
        for task in published { takeChanges(of: task, isSilent: false) }
        for task in marked { try sendMarks(of: task) }
        for task in published { try sendTurn(of: task) }
      } catch { throw aborting(error) }
    }
    for task in stored where task.sealed != task.position { takeChanges(of: task, isSilent: true) }
    let bytesMax = limits.cachedBytesMax
    for task in stored { task.seal(cacheBytesMax: bytesMax / max(1, tasks.count * max(1, task.views.count))) }
    flight = Flight(
      stage: phase == .sending ? .publishing : .storing,
      offsets: published.map { ($0.partition, $0.position) }, changes: published.map(\.changes),
      tasks: stored.reversed())
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
    if task.sealed != task.position { takeChanges(of: task, isSilent: true) }
    try onStore(task.partition) { () throws(StoreError) in
      try store.commit(
        task.name, epoch: task.epoch, from: task.stored, to: task.position, states: task.changes.states)
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

  /// Seals a task's changed states. Unless it is silent, their snapshots are the commit's, which encodes them once for the log
  /// and the store.
  private func takeChanges(of task: WorkerTask, isSilent: Bool) {
    task.changes.begin(at: task.position)
    for view in task.views { task.changes.take(view, isSent: !isSilent && view.fold.view.emit == .commit) }
    if let join = task.join { task.changes.take { encode(join, of: task, into: &$0) } }
    if isSilent { task.changes.encode() }
    task.sealed = task.position
  }
}
