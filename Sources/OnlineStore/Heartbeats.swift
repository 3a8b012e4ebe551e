public import Processor

/// Writes up to when tasks have caught up with their partitions: what a reader calls their lag is the time since then.
///
/// A claim is about the log and the store alone: everything that the partition held at that time is in the store. So it
/// stays true whoever owns the task by now, and is written without a fence. One thread.
public final class Heartbeats<Base: StateStorePort>: StateStorePort {
  private let base: Base
  private let nodes: RedisNodes
  private let keys: StoreKeys
  /// The positions that the store has.
  private var positions: [String: Int64] = [:]
  /// What is being committed.
  private var underWay: (task: String, position: Int64)?
  /// Where partitions ended at a time; until the store has come so far, nothing is claimed.
  private var ends: [String: (offset: Int64, microseconds: Int64)] = [:]

  /// A store that notes what is committed to `base`.
  public init(_ base: Base, _ options: RedisOptions, keys: StoreKeys) {
    self.base = base
    self.keys = keys
    var options = options
    // It must not hold up what it tells of.
    options.commandTimeoutMilliseconds = min(options.commandTimeoutMilliseconds, 500)
    nodes = RedisNodes(options, nowMilliseconds: RedisClient.steadyMilliseconds)
  }

  /// See `StateStorePort`.
  public func claim(_ task: String) throws(StoreError) -> TaskClaim {
    positions[task] = nil
    ends[task] = nil
    let claim = try base.claim(task)
    positions[task] = claim.position
    return claim
  }

  /// See `StateStorePort`.
  public func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    try base.load(task, epoch: epoch, position: position, next: next, keys, body)
  }

  /// See `StateStorePort`.
  public func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool {
    underWay = (task, position)
    return note(try base.startCommit(task, epoch: epoch, from: from, to: position, states: states))
  }

  /// See `StateStorePort`.
  public func finishCommit(waiting: Bool) throws(StoreError) -> Bool {
    note(try base.finishCommit(waiting: waiting))
  }

  private func note(_ isDone: Bool) -> Bool {
    guard isDone, let (task, position) = underWay else { return isDone }
    underWay = nil
    positions[task] = position
    return true
  }

  /// The tasks whose end at a new time is wanted.
  public func unobserved(_ tasks: [String]) -> [String] { tasks.filter { ends[$0] == nil } }

  /// Takes where a task's partition ended at a time, in microseconds since the epoch.
  public func observe(_ task: String, end: Int64, at microseconds: Int64) {
    ends[task] = (end, microseconds)
  }

  /// Writes the claims that have come true. A store that is away gets the next ones.
  public func beat() throws(StoreError) {
    for (task, end) in ends {
      // A partition that never held a record has no position.
      guard let position = positions[task] ?? (end.offset == 0 ? 0 : nil), position >= end.offset else {
        continue
      }
      ends[task] = nil
      var commands = CommandBuffer()
      commands.begin("SET", arguments: 3)
      commands.append(keys.heartbeat(task))
      commands.append(end.microseconds)
      try nodes.perform(task) { client throws(StoreError) in
        try client.connect()
        try client.exchange(commands, doing: "write the heartbeat of task \(task)") { _, _ in }
      }
    }
  }
}
