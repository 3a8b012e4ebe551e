public import Processor

/// The state store over one connection to Redis, or one to each node of a Redis Cluster.
///
/// A commit is one transaction of Redis that holds only if nobody has touched the task's epoch and position since
/// they were checked (WATCH). It is either there whole, position included, or not at all.
public final class RedisStateStore: StateStorePort {
  private let keys: StoreKeys
  private let nodes: RedisNodes
  private let metadata: StoreMetadata?
  /// Reused, so that a commit allocates nothing once the largest one has been seen.
  private var commands = CommandBuffer()

  /// A store that connects when it is first used. Every claim writes `metadata` for the readers. `nowMilliseconds`
  /// is a steady clock; it only spaces attempts to connect.
  public init(
    _ options: RedisOptions, keys: StoreKeys, metadata: StoreMetadata? = nil,
    nowMilliseconds: (() -> Int64)? = nil
  ) {
    self.keys = keys
    self.metadata = metadata
    nodes = RedisNodes(options, nowMilliseconds: nowMilliseconds ?? RedisClient.steadyMilliseconds)
  }

  // MARK: Claim

  /// Claims a task for a new owner: increments its epoch, and reads its position, in one step.
  public func claim(_ task: String) throws(StoreError) -> TaskClaim {
    // With each claim: a Redis that has lost its writes, and so its tasks' epochs, is claimed anew. Before it: what
    // keeps the epoch keeps the metadata.
    if let metadata { try publish(metadata) }
    return try nodes.perform(task) { client throws(StoreError) in
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
    try nodes.perform(RedisNodes.metadataRoute) { client throws(StoreError) in
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
      guard reply.count == 2 else { throw Self.unexpected("claim task \(task)") }
      claim = TaskClaim(epoch: reply[0].integer, position: try number(reply[1], "position of task \(task)"))
    }
    guard let claim else { throw Self.unexpected("claim task \(task)") }
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
    _ task: String, epoch: Int64, position: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    var start = 0
    // Without any key, too: epoch and position are checked then.
    repeat {
      let end = min(start + StoreLimits.loadKeysPerCommand, keys.count)
      let owned = Owned(task: task, epoch: epoch, position: position)
      try nodes.perform(task) { client throws(StoreError) in
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
      guard reply.count == 2, reply[0].count == 2 + range.count else { throw Self.unexpected(doing) }
      let values = reply[0]
      let epoch = try number(values[0], "epoch of task \(task)")
      let position = try number(values[1], "position of task \(task)")
      let place = "\(doing) at \(client.place)"
      if epoch != owned.epoch { throw fenced(place, own: owned.epoch, stored: epoch) }
      if position != owned.position { throw moved(place, own: owned.position, stored: position) }
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

  /// Writes states and the task's position in one atomic step, if the epoch is still the task's and its position
  /// is still `from`. At most `StoreLimits.commitStatesMax` states of `StoreLimits.commitBytesMax` bytes: a step
  /// can't be cut in two.
  public func commit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) {
    precondition(states.count <= StoreLimits.commitStatesMax, "Cannot commit \(states.count) states at once")
    precondition(
      from.map { $0 < position } ?? true || states.count == 0, "Cannot commit states without a new position")
    try nodes.perform(task) { client throws(StoreError) in
      try commit(
        client, task, epoch: epoch, from: from, to: position, states: states)
    }
  }

  private func commit(
    _ client: RedisClient, _ task: String, epoch: Int64, from: Int64?, to position: Int64,
    states: KeyedStates
  ) throws(StoreError) {
    for _ in 0..<StoreLimits.commitAttemptsMax {
      try client.connect()
      switch try check(client, task, epoch: epoch, from: from, to: position) {
      case .done: return try discard(client, task)
      case .refused(let error):
        try? discard(client, task)
        throw error
      case .go: break
      }
      if try write(client, task, to: position, states) { return }
    }
    throw StoreError(
      .retry, "commit task \(task): its keys changed under \(StoreLimits.commitAttemptsMax) attempts in a row"
    )
  }

  private enum Verdict {
    /// A transaction is open: write.
    case go
    case done
    case refused(StoreError)
  }

  /// Watches and reads epoch and position, and opens the transaction. The states are not sent before the server has
  /// said that there is one: outside, they would be written unfenced.
  private func check(
    _ client: RedisClient, _ task: String, epoch: Int64, from: Int64?, to position: Int64
  ) throws(StoreError) -> Verdict {
    let (epochKey, positionKey) = (keys.epoch(task), keys.position(task))
    commands.removeAll()
    commands.begin("WATCH", arguments: 3)
    commands.append(epochKey)
    commands.append(positionKey)
    commands.begin("GET", arguments: 2)
    commands.append(epochKey)
    commands.begin("GET", arguments: 2)
    commands.append(positionKey)
    commands.begin("MULTI", arguments: 1)
    var storedEpoch: Int64?
    var storedPosition: Int64?
    try client.exchange(commands, doing: "commit task \(task)") { index, reply throws(StoreError) in
      if index == 1 { storedEpoch = try number(reply, "epoch of task \(task)") }
      if index == 2 { storedPosition = try number(reply, "position of task \(task)") }
    }
    return verdict(
      "commit task \(task) at \(client.place)", epoch: (epoch, storedEpoch), from: from,
      position: (position, storedPosition))
  }

  private func verdict(
    _ place: String, epoch: (own: Int64, stored: Int64?), from: Int64?, position: (new: Int64, stored: Int64?)
  ) -> Verdict {
    if epoch.stored != epoch.own {
      return .refused(fenced(place, own: epoch.own, stored: epoch.stored))
    }
    if position.stored == position.new { return .done }
    if position.stored != from { return .refused(moved(place, own: from, stored: position.stored)) }
    return .go
  }

  /// Fills the transaction that `check` opened, and ends it. False if a watched key has changed.
  private func write(
    _ client: RedisClient, _ task: String, to position: Int64, _ states: KeyedStates
  ) throws(StoreError) -> Bool {
    let prefix = keys.statePrefix(task)
    commands.removeAll()
    commands.reserve(states.byteCount + states.count * (prefix.count + 64 + StateEnvelope.headerBytes))
    commands.begin("MSET", arguments: 3 + 2 * states.count)
    for index in 0..<states.count {
      states.withBytes(index) { key, value in
        commands.append(prefix, key)
        commands.append(state: value, key: key, position: states.position ?? position)
      }
    }
    commands.append(keys.position(task))
    commands.append(position)
    commands.begin("EXEC", arguments: 1)
    precondition(
      commands.bytes.count <= StoreLimits.commitBytesMax,
      "Cannot commit \(commands.bytes.count) bytes at once")
    let last = commands.count - 1
    var isWritten = false
    try client.exchange(commands, doing: "commit task \(task)") { index, reply in
      if index == last { isWritten = !reply.isNull }
    }
    return isWritten
  }

  /// Ends a transaction without writing, and forgets the watched keys.
  private func discard(_ client: RedisClient, _ task: String) throws(StoreError) {
    commands.removeAll()
    commands.begin("DISCARD", arguments: 1)
    try client.exchange(commands, doing: "commit task \(task)") { _, _ in }
  }

  // MARK: Remove

  /// Removes keys of a task, some at a time, if the epoch is still the task's.
  func remove(_ keys: [[UInt8]], of task: String, epoch: Int64) throws(StoreError) {
    var start = 0
    while start < keys.count {
      let end = min(start + StoreLimits.loadKeysPerCommand, keys.count)
      try nodes.perform(task) { client throws(StoreError) in
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
      if index == 1 { stored = try number(reply, "epoch of task \(task)") }
    }
    guard stored == epoch else {
      try? discard(client, task)
      throw fenced("remove keys of task \(task) at \(client.place)", own: epoch, stored: stored)
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

  // MARK: Replies

  private func number(_ value: RedisValue, _ name: String) throws(StoreError) -> Int64? {
    if value.isNull { return nil }
    guard value.kind == .string, let number = Int64(value.text) else {
      throw StoreError(
        .fatal,
        "\(name) is no number: another program has written it; restore it, or "
          + "delete all keys of the task to fold it anew")
    }
    return number
  }

  private func fenced(_ place: String, own: Int64, stored: Int64?) -> StoreError {
    StoreError(.fenced, "\(place): epoch \(own) is over, the task's is \(text(stored))")
  }

  private func moved(_ place: String, own: Int64?, stored: Int64?) -> StoreError {
    StoreError(.moved, "\(place): built on position \(text(own)), but the store's is \(text(stored))")
  }

  private static func unexpected(_ doing: String) -> StoreError {
    StoreError(.fatal, "\(doing): Redis gave a reply of another shape than documented")
  }

  private func text(_ number: Int64?) -> String { number.map(String.init) ?? "none" }
}
