import FeatureCore

/// How far a task is that must know the ids of what lies before its position: nothing of them is stored, so it reads that part
/// of the log again.
enum Remembering: Equatable {
  /// It knows every id that matters.
  case done
  /// It reads the last records before its position, from an offset on, for the latest time: that says how far back ids matter.
  case looking(from: Int64, latest: Int64?)
  /// It reads ids up to its position.
  case reading
}

extension WorkerTask {
  /// Where the task is fetched from.
  var fetchOffset: Int64 {
    switch remembering {
    case .done: position
    case .looking(let from, _): from
    case .reading: filter?.seen ?? position
    }
  }
}

extension ProcessorLoop {
  /// Shows a task records from before its position; `hasAll` says that there are no more of them. Returns whether the task
  /// may go on with what follows.
  func remember(
    _ records: UnsafeBufferPointer<LogRecord>, hasAll: Bool, _ task: WorkerTask
  ) throws(LoopFault) -> Bool {
    switch task.remembering {
    case .done: return true
    case .looking(let from, var latest):
      for record in records {
        if let time = record.timestampMilliseconds { latest = max(latest ?? .min, time) }
      }
      task.remembering = .looking(from: from, latest: latest)
      if hasAll { try look(from: from, latest, task) }
    case .reading:
      learn(records, task)
      if hasAll { task.remembering = .done }
    }
    return task.remembering == .done
  }

  /// The task has seen everything from an offset to its position.
  private func look(from: Int64, _ latest: Int64?, _ task: WorkerTask) throws(LoopFault) {
    guard let filter = task.filter else { preconditionFailure("Cannot remember ids without a rule") }
    guard let latest else {
      // Marks of transactions, or records that were compacted away.
      guard from > task.low else { return task.remembering = .done }
      let further = max(task.low, from - 16 * (task.position - from))
      task.remembering = .looking(from: further, latest: nil)
      return task.mustSeek = true
    }
    let start = filter.start(of: latest)
    let found = try onLog { () throws(LogError) in try log.firstOffset(of: task.partition, since: start) }
    let first = max(task.low, min(found ?? task.position, task.position))
    if first == task.low, first > 0, !task.hasReportedShortLog {
      task.hasReportedShortLog = true
      report(
        "\(task.partition) begins at offset \(first), in the middle of the time for which ids are known: a duplicate of a record "
          + "before it is folded; keep the topic's retention above 'within'")
    }
    note("\(task.partition) reads ids again from \(first) to \(task.position)")
    filter.restart(from: first, to: task.position)
    task.remembering = .reading
    task.mustSeek = true
  }

  private func learn(_ records: UnsafeBufferPointer<LogRecord>, _ task: WorkerTask) {
    guard let filter = task.filter else { return }
    let judge = RecordJudge(plan, task.input)
    var start = 0
    while start < records.count, records[start].offset < filter.seen { start += 1 }
    while start < records.count {
      let end = min(records.count, start + task.batch.recordsMax)
      let part = UnsafeBufferPointer(rebasing: records[start..<end])
      _ = judge.decode(part, into: task.batch)
      filter.learn(part, task.batch)
      start = end
    }
  }

  /// Counts what a task's filter has found.
  func countDuplicates(_ task: WorkerTask) {
    guard let found = task.filter?.takeCounts() else { return }
    counts.duplicates += found.duplicates
    counts.withoutID += found.withoutID
  }
}
