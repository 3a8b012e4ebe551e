import FeatureCore

extension ProcessorLoop {
  /// Folds the records of a poll, a run of one partition's after the other, and goes over what holds none.
  func fold(_ poll: LogPoll, now: Int64) throws(LoopFault) {
    var start = 0
    while start < poll.records.count {
      let partition = poll.records[start].partition
      var end = start + 1
      while end < poll.records.count, poll.records[end].partition == partition { end += 1 }
      // Records of a partition that was given up may still come; they are not ours.
      if let task = tasks[poll.partitions[partition]], !task.mustSeek {
        try fold(UnsafeBufferPointer(rebasing: poll.records[start..<end]), task, now: now)
      }
      start = end
    }
    for end in poll.ends {
      guard let task = tasks[end.partition], !task.mustSeek else { continue }
      // Who reads ids again stands before its position, and isn't told that a log that is another one now ends there.
      guard end.offset >= task.position || task.remembering == .done else {
        throw .log(
          LogError(
            .outOfRange(end.partition),
            "\(end.partition) ends at offset \(end.offset), before the task's position \(task.position)"))
      }
      guard try remember(.init(start: nil, count: 0), hasAll: end.offset >= task.position, task)
      else { continue }
      try pass(end.offset, task)
    }
  }

  /// Takes a task to an offset below which no record is left. Else its committed offset would stay in front of the marks
  /// of transactions, and once retention has removed those, it would look as if records had been lost.
  private func pass(_ end: Int64, _ task: WorkerTask) throws(LoopFault) {
    if task.isCatchingUp {
      guard end >= task.published else { return }
      try concludeCatchingUp(task)
    }
    task.position = max(task.position, end)
    task.marks.reachedEnd(at: task.position, now)
  }

  /// Nothing is left of what was published before: below that offset may be marks and records that were compacted away.
  private func concludeCatchingUp(_ task: WorkerTask) throws(LoopFault) {
    task.position = max(task.position, task.published)
    try settle()
    try storeStates(of: task)
  }

  private func fold(
    _ records: UnsafeBufferPointer<LogRecord>, _ task: WorkerTask, now: Int64
  ) throws(LoopFault) {
    // So that a commit is never larger than twice `commitFoldsMax`, however many views there are.
    let batchMax = max(1, min(task.batch.recordsMax, limits.commitFoldsMax / max(1, task.views.count)))
    var next = records.startIndex
    // A fetch that was under way when the loop went back may deliver what has been folded, or leave a gap.
    while next < records.endIndex, records[next].offset < task.position { next += 1 }
    let before = UnsafeBufferPointer(rebasing: records[..<next])
    guard try remember(before, hasAll: next < records.endIndex, task) else { return }
    while next < records.endIndex {
      if task.isCatchingUp, records[next].offset >= task.published { try concludeCatchingUp(task) }
      var end = next
      while end < records.endIndex, end - next < batchMax,
        !task.isCatchingUp || records[end].offset < task.published
      { end += 1 }
      let batch = UnsafeBufferPointer(rebasing: records[next..<end])
      if let join = task.join {
        next += try fold(batch, task, join)
      } else {
        try foldBatch(batch, task, now: now)
        next = end
      }
      if isFull { try commit(now: now) }
    }
  }

  /// Whether folding a batch could make the next commit larger than what is due at once, by as much as is due at once. One
  /// record is folded whole, whatever its elements are.
  private func isTooLarge(_ task: WorkerTask, records: Int) -> Bool {
    let batch = task.batch
    if records <= 1 { return false }
    let most = task.views.reduce(0) { $0 + $1.fold.view.stateBytesMax }
    if batch.count <= 1 || batch.count * most <= limits.commitBytesMax { return false }
    let bytes = task.views.reduce(0) {
      let isEmitting = isEmitting($1, task)
      // Were all events of one entity, each snapshot would hold what the events before it have added.
      let growth = isEmitting ? batch.count * (batch.count - 1) / 2 * $1.fold.view.growthUsual : 0
      return $0 + growth + $1.fold.bytes(of: batch, in: $1.cache.young, emitting: isEmitting)
    }
    return bytes > limits.commitBytesMax
  }

  /// Whether a snapshot is sent after every event.
  private func isEmitting(_ view: WorkerTask.TaskView, _ task: WorkerTask) -> Bool {
    view.fold.view.emit == .event && !task.isCatchingUp
  }

  /// Decodes, loads, folds. Until the states are loaded nothing has changed and nothing was sent.
  private func foldBatch(
    _ records: UnsafeBufferPointer<LogRecord>, _ task: WorkerTask, now: Int64
  ) throws(LoopFault) {
    let batch = task.batch
    let judge = RecordJudge(plan, task.input)
    var letters = judge.decode(records, into: batch)
    if let filter = task.filter { letters += filter.sift(records, batch) }
    if try !load(task), let count = task.partitionCount {
      let misplaced = judge.misplaced(batch, records, in: task.partition, of: count, task.views.map(\.fold))
      reportOnce(misplaced, task, records)
      letters = misplaced + judge.decode(records, into: batch, leavingOut: Set(misplaced.map(\.record)))
      if let filter = task.filter { letters += filter.sift(records, batch) }
      _ = try load(task)
    }
    if isTooLarge(task, records: records.count) {
      let middle = records.count / 2
      try foldBatch(UnsafeBufferPointer(rebasing: records[..<middle]), task, now: now)
      if isFull { try commit(now: now) }
      return try foldBatch(UnsafeBufferPointer(rebasing: records[middle...]), task, now: now)
    }
    let isSilent = task.isCatchingUp
    let position = records[records.count - 1].offset + 1
    do throws(LoopFault) {
      try foldViews(task, records, &letters)
      if !isSilent { try send(letters, records, task) }
    } catch {
      throw aborting(error)
    }
    counts.records += records.count
    countDuplicates(task)
    if isSilent {
      counts.recovered += records.count
      counts.unusable += Set(letters.map(\.record)).count
    }
    // Recovered ones too: what is bounded is the write to the store.
    foldsSinceCommit += max(records.count, batch.count) * max(1, task.views.count)
    for view in task.views {
      bytesSinceCommit += view.cache.takeChangedBytes() + batch.count * view.fold.view.growthUsual
    }
    task.marks.note(batch, upTo: position)
    task.position = position
  }

  /// A send that failed for whatever reason leaves a transaction that is not whole.
  func aborting(_ fault: LoopFault) -> LoopFault {
    if case .log(let error) = fault, error.remedy == .retry { return .log(LogError(.abort, error.message)) }
    return fault
  }

  /// Says that there are records in the wrong partition, once: each of them is told by its dead letter.
  private func reportOnce(
    _ misplaced: [(record: Int, letter: DeadLetter)], _ task: WorkerTask,
    _ records: UnsafeBufferPointer<LogRecord>
  ) {
    guard let first = misplaced.first, !task.hasReportedMisplaced else { return }
    task.hasReportedMisplaced = true
    report(
      "\(task.partition) at offset \(records[first.record].offset): \(first.letter.message); such records go to "
        + "'\(routing.deadLetterTopic)'")
  }

  /// Has all states of the batch's entities in memory; false if one of them belongs in another partition.
  private func load(_ task: WorkerTask) throws(LoopFault) -> Bool {
    for view in task.views {
      if try !load(view, task) { return false }
    }
    return true
  }

  /// Reads the states of the batch's entities that are not in memory, in one round trip. What is in memory has been
  /// found to belong in this partition.
  private func load(_ view: WorkerTask.TaskView, _ task: WorkerTask) throws(LoopFault) -> Bool {
    let keys = view.fold.missing(task.batch, in: view.cache.young).filter { !view.cache.promote($0) }
    if let count = task.partitionCount, keys.contains(where: { !task.isPlace(of: $0, count) }) {
      return false
    }
    counts.cacheHits += task.batch.count - keys.count
    try load(keys, of: view, task)
    return true
  }

  private func foldViews(
    _ task: WorkerTask, _ records: UnsafeBufferPointer<LogRecord>,
    _ letters: inout [(record: Int, letter: DeadLetter)]
  ) throws(LoopFault) {
    for view in task.views {
      let before = view.fold.counts
      defer { counts.add(view.fold.counts, since: before) }
      if isEmitting(view, task) {
        try foldEmitting(view, task, records, &letters)
        try sendFirings(of: view, task, records)
        continue
      }
      var full: [Int] = []
      view.fold.fold(task.batch, into: &view.cache.young, isLookedUp: true) { row, failure in
        if failure.reason == .stateTooLarge { full.append(row) }
        // The source's task has sent this one.
        if task.input.isRepartitioned && !failure.isOfState { return }
        let record = Int(task.batch.sequence(row))
        letters.append((record, DeadLetter(failure, records[record].payload, sequence: Int64(record))))
      }
      for row in full { tellFull(row, view, task) }
      try sendFirings(of: view, task, records)
    }
  }

  /// Names an entity whose state has no room left, once: each event is told by its dead letter.
  private func tellFull(_ row: Int, _ view: WorkerTask.TaskView, _ task: WorkerTask) {
    guard task.reportedEntities.count < WorkerTask.reportedEntitiesMax,
      let key = try? view.fold.key(of: task.batch.row(row)),
      task.reportedEntities.insert(view.keyPrefix + key).inserted
    else { return }
    report(
      "task \(task.name): the state of entity '\(Text(key))' in view '\(view.fold.view.name)' is as large as one may be: its "
        + "events go to '\(routing.deadLetterTopic)' until its windows have left enough behind")
  }

  /// Folds with a snapshot after every event.
  private func foldEmitting(
    _ view: WorkerTask.TaskView, _ task: WorkerTask, _ records: UnsafeBufferPointer<LogRecord>,
    _ letters: inout [(record: Int, letter: DeadLetter)]
  ) throws(LoopFault) {
    // Of a record with elements, the entities that it has changed: a position has one snapshot of each.
    var changed: [[UInt8]] = []
    for row in 0..<task.batch.count {
      let record = Int(task.batch.sequence(row))
      let position = RecordPosition(partition: task.partition, offset: records[record].offset + 1)
      var key: UnsafeRawBufferPointer?
      do throws(ViewFailure) {
        key = try view.fold.fold(task.batch, row: row, into: &view.cache.young)
      } catch {
        if error.reason == .stateTooLarge { tellFull(row, view, task) }
        if !task.input.isRepartitioned || error.isOfState {
          letters.append((record, DeadLetter(error, records[record].payload, sequence: Int64(record))))
        }
      }
      guard task.batch.schema.each != nil else {
        if let key { try emit(view, key, at: position) }
        continue
      }
      if let key, !changed.contains(where: { $0.elementsEqual(key) }) { changed.append(Array(key)) }
      if row + 1 < task.batch.count, Int(task.batch.sequence(row + 1)) == record { continue }
      for key in changed {
        try key.span.bytes.withUnsafeBytes { (key) throws(LoopFault) in try emit(view, key, at: position) }
      }
      changed.removeAll()
    }
  }

  private func emit(
    _ view: WorkerTask.TaskView, _ key: UnsafeRawBufferPointer, at position: RecordPosition
  ) throws(LoopFault) {
    guard let state = view.cache.young.state(key) else { return }
    // Not among the states to be stored: only the last one of an entity is.
    emitted.removeAll()
    emitted.append(view.keyPrefix, key) { view.fold.view.encode(state, into: &$0) }
    // A transaction holds all of them, though the store gets only the last.
    bytesSinceCommit += emitted.byteCount
    try emitted.withBytes(0) { (recordKey, bytes) throws(LoopFault) in
      try snapshot.write(view.fold.view, key: key, state, bytes, at: position) { (value) throws(LoopFault) in
        try send(topic: routing.snapshotTopic, key: recordKey, value: value)
      }
    }
    counts.snapshots += 1
  }

  /// Sends what the batch's records cause besides states: forwarded records and dead letters.
  private func send(
    _ letters: [(record: Int, letter: DeadLetter)], _ records: UnsafeBufferPointer<LogRecord>,
    _ task: WorkerTask
  ) throws(LoopFault) {
    var letters = letters
    for forward in task.forwards { try send(forward, records, task, &letters) }
    for (index, letter) in letters.sorted(by: { $0.record < $1.record }) {
      try send(letter, of: records[index], task.batch.schema, task)
    }
  }

  /// Sends a letter of a record, with the headers that a schema declares.
  func send(
    _ letter: DeadLetter, of record: LogRecord, _ schema: EventSchema, _ task: WorkerTask
  ) throws(LoopFault) {
    // A key may be as large as a record: the letter has to fit into one.
    let key = record.key.map { UnsafeRawBufferPointer(rebasing: $0.prefix(Limits.entityKeyBytesMax)) }
    writer.deadLetter(
      letter, version: plan.version, at: RecordPosition(partition: task.partition, offset: record.offset),
      key: key, schema, headers: record.headers)
    try send(topic: routing.deadLetterTopic, key: key)
    counts.deadLetters[letter.reason, default: 0] += 1
  }

  private func send(
    _ forward: WorkerTask.TaskForward, _ records: UnsafeBufferPointer<LogRecord>, _ task: WorkerTask,
    _ letters: inout [(record: Int, letter: DeadLetter)]
  ) throws(LoopFault) {
    let schema = task.batch.schema
    // Of a record with elements, the entities that it has been sent for.
    var sent = (record: -1, keys: Set<Text>())
    for row in 0..<task.batch.count {
      let record = Int(task.batch.sequence(row))
      var key: UnsafeRawBufferPointer?
      for fold in forward.folds {
        do throws(ViewFailure) {
          if try fold.takes(task.batch.row(row)) { key = try fold.key(of: task.batch.row(row)) }
        } catch {
          letters.append((record, DeadLetter(error, records[record].payload, sequence: Int64(record))))
        }
      }
      guard let key else { continue }
      if schema.each != nil {
        if sent.record != record { sent = (record, []) }
        guard sent.keys.insert(Text(key)).inserted else { continue }
      }
      try beginTransaction()
      if let side = forward.side {
        writer.event(records[record], schema, of: side)
        try send(topic: forward.topic, key: key)
      } else if schema.forwardsRecord {
        writer.forwarded(records[record], schema)
        try send(topic: forward.topic, key: key)
      } else {
        try send(topic: forward.topic, key: key, value: records[record].value)
      }
      counts.forwarded += 1
    }
  }

  /// Sends what the writer holds.
  func send(topic: String, key: UnsafeRawBufferPointer?) throws(LoopFault) {
    try beginTransaction()
    try onLog { () throws(LogError) in
      try writer.withBytes { (bytes) throws(LogError) in
        try log.send(topic: topic, partition: nil, key: key, value: bytes)
      }
    }
  }

  /// Sends a record in the transaction that is open, or in the next.
  func send(
    topic: String, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LoopFault) {
    try beginTransaction()
    try onLog { () throws(LogError) in try log.send(topic: topic, partition: nil, key: key, value: value) }
  }

  func beginTransaction() throws(LoopFault) {
    if phase == .sending { return }
    precondition(phase == .folding, "Cannot begin a transaction while \(phase)")
    // The one before is decided first.
    _ = try publish(waiting: true)
    try onLog { () throws(LogError) in try log.begin() }
    phase = .sending
  }
}

extension LogRecord {
  /// The event's bytes: none for a tombstone.
  public var payload: UnsafeRawBufferPointer { value ?? UnsafeRawBufferPointer(start: nil, count: 0) }
}
