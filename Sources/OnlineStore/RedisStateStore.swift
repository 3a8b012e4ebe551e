import CallThread
public import Processor

/// The state store over two connections to Redis, or two to each node of a Redis Cluster: one for claims and loads, and one for
/// commits, which are made on a thread of their own.
///
/// A commit is one transaction of Redis that holds only if nobody has touched the task's epoch and position since
/// they were checked (WATCH). It is either there whole, position included, or not at all.
public final class RedisStateStore: StateStorePort {
  private let keys: StoreKeys
  private let nodes: RedisNodes
  private let metadata: StoreMetadata?
  private var commands = CommandBuffer()
  private let writer: RedisWriter
  private let writing = CallThread<StoreError>()
  /// Whether the commits' connections are to be made anew.
  private var isWriterStale = false

  /// A store that connects when it is first used. Every claim writes `metadata` for the readers. `nowMilliseconds`
  /// is a steady clock; it only spaces attempts to connect.
  public init(
    _ options: RedisOptions, keys: StoreKeys, metadata: StoreMetadata? = nil,
    nowMilliseconds: (() -> Int64)? = nil
  ) {
    self.keys = keys
    self.metadata = metadata
    let now = nowMilliseconds ?? RedisClient.steadyMilliseconds
    nodes = RedisNodes(options, nowMilliseconds: now)
    writer = RedisWriter(RedisNodes(options, nowMilliseconds: now), keys, nowMilliseconds: now)
  }

  /// Runs a step over the connections of claims and loads. Where one of the two kinds has failed, the other would, too: a server that
  /// has gone, or an address that has moved, is told once.
  private func perform<Result>(
    _ task: String, _ step: (RedisClient) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    do throws(StoreError) {
      return try nodes.perform(task, step)
    } catch {
      isWriterStale = isWriterStale || error.remedy == .retry
      throw error
    }
  }

  // MARK: Claim

  /// Claims a task for a new owner: increments its epoch, and reads its position, in one step.
  public func claim(_ task: String) throws(StoreError) -> TaskClaim {
    // With each claim: a Redis that has lost its writes, and so its tasks' epochs, is claimed anew. Before it: what
    // keeps the epoch keeps the metadata.
    if let metadata { try publish(metadata) }
    return try perform(task) { client throws(StoreError) in
      try client.connect()
      try refuseEviction(client)
      return try claim(task, client)
    }
  }

  /// Writes the metadata, without which no reader finds a state.
  public func publish(_ metadata: StoreMetadata) throws(StoreError) {
    commands.removeAll()
    commands.begin("SET", arguments: 3)
    commands.append(keys.metadata)
    commands.append(metadata.encoded)
    try perform(RedisNodes.metadataRoute) { client throws(StoreError) in
      try client.connect()
      try client.exchange(commands, doing: "write the metadata") { _, _ in }
    }
  }

  private func claim(_ task: String, _ client: RedisClient) throws(StoreError) -> TaskClaim {
    commands.removeAll()
    commands.begin("MULTI", arguments: 1)
    commands.begin("INCR", arguments: 2)
    commands.append(keys.epoch(task))
    commands.begin("GET", arguments: 2)
    commands.append(keys.position(task))
    commands.begin("EXEC", arguments: 1)
    var claim: TaskClaim?
    try client.exchange(commands, doing: "claim task \(task)") { index, reply throws(StoreError) in
      guard index == 3 else { return }
      guard reply.count == 2 else { throw StoreFailure.unexpected("claim task \(task)") }
      claim = TaskClaim(
        epoch: reply[0].integer, position: try StoreFailure.number(reply[1], "position of task \(task)"))
    }
    guard let claim else { throw StoreFailure.unexpected("claim task \(task)") }
    return claim
  }

  /// A Redis that evicts would lose states and say nothing.
  private func refuseEviction(_ client: RedisClient) throws(StoreError) {
    commands.removeAll()
    commands.begin("INFO", arguments: 2)
    commands.append("memory")
    var memory = ""
    do throws(StoreError) {
      try client.exchange(commands, doing: "read INFO memory") { _, reply in memory = reply.text }
    } catch  where error.remedy == .fatal {
      // An ACL user need not be allowed to ask.
      return try client.connect()
    }
    guard let policy = EvictionPolicy(info: memory), policy.losesStates else { return }
    throw StoreError(
      .fatal,
      "claim at \(client.place): maxmemory-policy is \(policy.name), which drops states when memory "
        + "is full: CONFIG SET maxmemory-policy noeviction")
  }

  // MARK: Load

  /// Reads states, in the order of the keys. Fails if epoch or position are not the task's,
  /// which every command reads together with its states.
  public func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    var start = 0
    // Without any key, too: epoch and position are checked then.
    repeat {
      let end = min(start + StoreLimits.loadKeysPerCommand, keys.count)
      let owned = Owned(task: task, epoch: epoch, position: position, next: next)
      try perform(task) { client throws(StoreError) in
        try client.connect()
        try load(client, owned, keys, start..<end, body)
      }
      start = end
    } while start < keys.count
  }

  /// What a caller believes of its task.
  private struct Owned {
    var task: String
    var epoch: Int64
    var position: Int64?
    var next: Int64?

    func isAt(_ stored: Int64?) -> Bool { stored == position || next != nil && stored == next }
  }

  private func load(
    _ client: RedisClient, _ owned: Owned, _ keys: ByteStrings, _ range: Range<Int>,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    let task = owned.task
    let prefix = self.keys.statePrefix(task)
    commands.removeAll()
    commands.begin("MULTI", arguments: 1)
    commands.begin("MGET", arguments: 3 + range.count)
    commands.append(self.keys.epoch(task))
    commands.append(self.keys.position(task))
    for index in range { keys.withBytes(index) { commands.append(prefix, $0) } }
    // MGET says nil for a key of another type, which must not pass for an entity that is new.
    commands.begin("EXISTS", arguments: 2 + range.count)
    commands.append(self.keys.position(task))
    for index in range { keys.withBytes(index) { commands.append(prefix, $0) } }
    commands.begin("EXEC", arguments: 1)
    let doing = "load states of task \(task)"
    let last = commands.count - 1
    try client.exchange(commands, doing: doing) { index, reply throws(StoreError) in
      guard index == last else { return }
      guard reply.count == 2, reply[0].count == 2 + range.count else { throw StoreFailure.unexpected(doing) }
      let values = reply[0]
      let epoch = try StoreFailure.number(values[0], "epoch of task \(task)")
      let position = try StoreFailure.number(values[1], "position of task \(task)")
      let place = "\(doing) at \(client.place)"
      if epoch != owned.epoch { throw StoreFailure.fenced(place, own: owned.epoch, stored: epoch) }
      if !owned.isAt(position) { throw StoreFailure.moved(place, own: owned.position, stored: position) }
      let found = (1..<values.count).count { !values[$0].isNull }
      let others = Int(reply[1].integer) - found
      if others > 0 {
        throw RedisFailure.error(
          reply: "WRONGTYPE \(others) of \(range.count) keys hold something other than a string",
          doing: doing, at: client.place)
      }
      for index in range {
        let value = values[2 + index - range.lowerBound]
        body(index, value.isNull ? .none : keys.withBytes(index) { StateEnvelope.open(value.bytes, key: $0) })
      }
    }
  }

  // MARK: Commit

  /// Begins to write states and the task's position in one atomic step, if the epoch is still the task's and its position
  /// is still `from`. At most `StoreLimits.commitStatesMax` states of `StoreLimits.commitBytesMax` bytes: a step
  /// can't be cut in two.
  public func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool {
    precondition(states.count <= StoreLimits.commitStatesMax, "Cannot commit \(states.count) states at once")
    precondition(
      from.map { $0 < position } ?? true || states.count == 0, "Cannot commit states without a new position")
    // The thread's own until the commit has ended.
    nonisolated(unsafe) let writer = writer
    let isStale = isWriterStale
    isWriterStale = false
    writing.start { () throws(StoreError) in
      if isStale { writer.drop() }
      try writer.commit(task, epoch: epoch, from: from, to: position, states: states)
    }
    return false
  }

  /// See `StateStorePort`.
  public func finishCommit(waiting: Bool) throws(StoreError) -> Bool {
    do throws(StoreError) {
      return try writing.finish(waiting: waiting)
    } catch {
      if error.remedy == .retry { nodes.drop() }
      throw error
    }
  }

  // MARK: Remove

  /// Removes keys of a task, some at a time, if the epoch is still the task's.
  func remove(_ keys: [[UInt8]], of task: String, epoch: Int64) throws(StoreError) {
    var start = 0
    while start < keys.count {
      let end = min(start + StoreLimits.loadKeysPerCommand, keys.count)
      try perform(task) { client throws(StoreError) in
        for _ in 0..<StoreLimits.commitAttemptsMax {
          if try remove(keys[start..<end], client, task, epoch) { return }
        }
        throw StoreError(.retry, "remove keys of task \(task): its epoch changed again and again")
      }
      start = end
    }
  }

  /// False if the epoch has changed in between.
  private func remove(
    _ keys: ArraySlice<[UInt8]>, _ client: RedisClient, _ task: String, _ epoch: Int64
  ) throws(StoreError) -> Bool {
    let epochKey = self.keys.epoch(task)
    commands.removeAll()
    commands.begin("WATCH", arguments: 2)
    commands.append(epochKey)
    commands.begin("GET", arguments: 2)
    commands.append(epochKey)
    commands.begin("MULTI", arguments: 1)
    var stored: Int64?
    try client.connect()
    try client.exchange(commands, doing: "remove keys of task \(task)") { index, reply throws(StoreError) in
      if index == 1 { stored = try StoreFailure.number(reply, "epoch of task \(task)") }
    }
    guard stored == epoch else {
      try? client.discard(&commands, task)
      throw StoreFailure.fenced("remove keys of task \(task) at \(client.place)", own: epoch, stored: stored)
    }
    commands.removeAll()
    commands.begin("UNLINK", arguments: 1 + keys.count)
    for key in keys { commands.append(key) }
    commands.begin("EXEC", arguments: 1)
    var isDone = false
    try client.exchange(commands, doing: "remove keys of task \(task)") { index, reply in
      if index == 1 { isDone = !reply.isNull }
    }
    return isDone
  }
}
