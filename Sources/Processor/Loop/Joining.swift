import FeatureCore

// The tasks of joins.
extension ProcessorLoop {
  /// Folds records of a join's log; returns how many, fewer if what they make is enough for a commit.
  func fold(
    _ records: UnsafeBufferPointer<LogRecord>, _ task: WorkerTask, _ join: JoinFold
  ) throws(LoopFault) -> Int {
    try load(join.keys(of: records), task, join)
    let isSilent = task.isCatchingUp
    let ports = JoinFold.Ports<LoopFault>(
      read: { (reader, offset) throws(LoopFault) in
        try self.onLog { () throws(LogError) in
          try self.log.read(
            task.partition, cursor: reader, from: offset, recordsMax: JoinFold.readMax)
        }
      },
      load: { (keys) throws(LoopFault) in try self.load(keys, task, join) },
      make: { (output) throws(LoopFault) in try self.send(output, task, join) })
    var done = 0
    for record in records {
      do throws(LoopFault) {
        try join.fold(record, isSilent: isSilent, ports)
      } catch { throw givingUp(error) }
      task.position = record.offset + 1
      counts.records += 1
      if isSilent { counts.recovered += 1 }
      foldsSinceCommit += 1 + join.forgotten.keys
      bytesSinceCommit += 64 + join.forgotten.bytes
      done += 1
      if isFull { break }
    }
    return done
  }

  /// A record of the head has changed what a cursor that failed has not followed: all of it has to be read again.
  private func givingUp(_ fault: LoopFault) -> LoopFault {
    if case .store(let error, _) = fault, error.remedy == .retry {
      return .log(LogError(.abort, error.message))
    }
    return aborting(fault)
  }

  private func send(_ output: JoinFold.Output, _ task: WorkerTask, _ join: JoinFold) throws(LoopFault) {
    switch output {
    case .record(let key, let value):
      try send(topic: join.topic, key: key, value: value)
      counts.joined += 1
      foldsSinceCommit += 1
      bytesSinceCommit += value.count
    case .letter(let record, let schema, let letter): try send(letter, of: record, schema, task)
    }
  }

  /// Has the right events, or the rows, of keys in memory.
  private func load(_ keys: [Text], _ task: WorkerTask, _ join: JoinFold) throws(LoopFault) {
    try load(keys.filter { !join.hasInMemory($0) }.map(\.utf8), of: join, task)
  }

  /// Reads how far a join's task has come, unless it begins with nothing.
  func resume(_ task: WorkerTask, _ join: JoinFold) throws(LoopFault) {
    if task.beginsAnew { return }
    var stop: String?
    var isMissing = false
    try onStore(task.partition) { () throws(StoreError) in
      try store.load(
        task.name, epoch: task.epoch, position: task.stored, [StateKey.progress(of: join.plan.name)]
      ) { _, stored in
        switch stored {
        case .state(let bytes, let position) where task.covers(position):
          do throws(StateError) {
            join.resume(try JoinProgress(bytes, join.plan))
          } catch { stop = "\(error)" }
        case .state, .none: isMissing = true
        case .damaged(let reason): stop = reason
        }
      }
    }
    if let stop {
      throw .stop(
        "task \(task.name): what the store has of its progress is damaged: \(stop); raise 'version:'")
    }
    if isMissing { throw .setBack(task.partition) }
  }

  /// Adds what has changed of a join's task to what is stored.
  func encode(_ join: JoinFold, of task: WorkerTask, into states: inout KeyedStates) {
    let prefix = join.keyPrefix
    join.forEachChanged { key, write in states.append(prefix, key, write) }
    guard join.hasProgressed, task.stored != task.position else { return }
    states.append(StateKey.progress(of: join.plan.name), UnsafeRawBufferPointer(start: nil, count: 0)) {
      join.progress.encode(join.plan, into: &$0)
    }
  }

  // MARK: Marks

  /// Whether the log of a join has to be told how far a task has come.
  func owesMarks(_ task: WorkerTask) -> Bool { !task.isCatchingUp && task.marks.due(now) != nil }

  /// Tells every partition of the joins' logs how far a source's task has come.
  func sendMarks(of task: WorkerTask) throws(LoopFault) {
    guard let (time, isIdle) = task.marks.due(now) else { return }
    guard let count = partitions[task.input.name] else {
      throw .stop("how many partitions '\(task.partition.topic)' has is not known, and joins need it")
    }
    for (side, topic) in zip(task.marks.sides, task.marks.topics) {
      // A topic that is only forwarded may have got partitions since the service started.
      let partition = Int(task.partition.partition)
      let mark = JoinMark(
        side: side.side, partition: partition, count: max(Int(count), partition + 1), time: time,
        isIdle: isIdle, offset: task.position)
      guard let targets = partitions[TopicNames.sides(plan.joins[side.join].name)] else {
        throw .stop("how many partitions '\(topic)' has is not known, and the join needs it")
      }
      writer.mark(mark)
      for target in 0..<targets {
        try onLog { () throws(LogError) in
          try writer.withBytes { (bytes) throws(LogError) in
            try log.send(topic: topic, partition: target, key: nil, value: bytes)
          }
        }
      }
    }
    task.marks.told(isIdle: isIdle, at: now)
  }

  /// Gives the cursors of a join's task another turn, whatever else comes into its log.
  func sendTurn(of task: WorkerTask) throws(LoopFault) {
    guard !task.isCatchingUp, let join = task.join, join.progress.isBehind else { return }
    writer.turn()
    try onLog { () throws(LogError) in
      try writer.withBytes { (bytes) throws(LogError) in
        try log.send(topic: task.partition.topic, partition: task.partition.partition, key: nil, value: bytes)
      }
    }
  }
}

extension StateKey {
  /// Under which a join's task keeps how far it has come. A view's or a join's name has no dot.
  public static func progress(of join: String) -> [UInt8] { Array("\(join).progress:".utf8) }
}
