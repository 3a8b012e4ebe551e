import Processor

/// Writes commits over connections of its own. Not thread-safe.
final class RedisWriter {
  private let nodes: RedisNodes
  private let keys: StoreKeys
  /// Reused, so that a commit allocates nothing once the largest one has been seen.
  private var commands = CommandBuffer()
  private let nowMilliseconds: () -> Int64
  private var lastUse = Int64.min

  /// A connection that was idle for longer is made anew: servers, and what is between, drop idle ones without a word.
  private static let idleMilliseconds: Int64 = 5_000

  init(_ nodes: RedisNodes, _ keys: StoreKeys, nowMilliseconds: @escaping () -> Int64) {
    self.nodes = nodes
    self.keys = keys
    self.nowMilliseconds = nowMilliseconds
  }

  /// Gives all connections up; the next commit makes new ones.
  func drop() { nodes.drop() }

  /// See `RedisStateStore.startCommit`.
  func commit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) {
    let now = nowMilliseconds()
    if lastUse < now - Self.idleMilliseconds { drop() }
    lastUse = now
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
      case .done: return try client.discard(&commands, task)
      case .refused(let error):
        try? client.discard(&commands, task)
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
      if index == 1 { storedEpoch = try StoreFailure.number(reply, "epoch of task \(task)") }
      if index == 2 { storedPosition = try StoreFailure.number(reply, "position of task \(task)") }
    }
    return verdict(
      "commit task \(task) at \(client.place)", epoch: (epoch, storedEpoch), from: from,
      position: (position, storedPosition))
  }

  private func verdict(
    _ place: String, epoch: (own: Int64, stored: Int64?), from: Int64?, position: (new: Int64, stored: Int64?)
  ) -> Verdict {
    if epoch.stored != epoch.own {
      return .refused(StoreFailure.fenced(place, own: epoch.own, stored: epoch.stored))
    }
    if position.stored == position.new { return .done }
    if position.stored != from {
      return .refused(StoreFailure.moved(place, own: from, stored: position.stored))
    }
    return .go
  }

  /// Fills the transaction that `check` opened, and ends it. False if a watched key has changed.
  private func write(
    _ client: RedisClient, _ task: String, to position: Int64, _ states: KeyedStates
  ) throws(StoreError) -> Bool {
    let prefix = keys.statePrefix(task)
    commands.removeAll()
    commands.reserve(states.byteCount + states.count * (prefix.count + 64 + StateEnvelope.headerBytes))
    let removed = (0..<states.count).count { states.isRemoved($0) }
    if removed > 0 {
      commands.begin("UNLINK", arguments: 1 + removed)
      for index in 0..<states.count where states.isRemoved(index) {
        states.withBytes(index) { key, _ in commands.append(prefix, key) }
      }
    }
    commands.begin("MSET", arguments: 3 + 2 * (states.count - removed))
    for index in 0..<states.count where !states.isRemoved(index) {
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
}

extension RedisClient {
  /// Ends a transaction without writing, and forgets the watched keys.
  func discard(_ commands: inout CommandBuffer, _ task: String) throws(StoreError) {
    commands.removeAll()
    commands.begin("DISCARD", arguments: 1)
    try exchange(commands, doing: "commit task \(task)") { _, _ in }
  }
}
