public import Processor

/// Removes what a version keeps in Redis, without ever keeping Redis busy for long.
///
/// Every task is claimed first, and nothing of it is removed by who has lost that claim: another command or a worker that has
/// come since would find states missing under a position that it believes.
public final class StoreCleaner {
  private let options: RedisOptions
  private let keys: StoreKeys
  private let store: RedisStateStore
  /// The epochs of the claimed tasks.
  private var epochs: [String: Int64] = [:]

  /// A cleaner of one version's keys.
  public init(_ options: RedisOptions, keys: StoreKeys) {
    self.options = options
    self.keys = keys
    store = RedisStateStore(options, keys: keys)
  }

  /// Removes the states of some tasks, so that they can be folded anew from the beginning. Epochs stay, and fence whoever
  /// owned the tasks. Interrupted, it leaves tasks that no worker takes for whole. Throws `fenced` if another one has claimed
  /// a task meanwhile.
  public func clear(tasks: [String]) throws(StoreError) {
    for task in tasks { try claim(task) }
    _ = try removeStates()
    for (task, epoch) in epochs { try store.remove([keys.position(task)], of: task, epoch: epoch) }
  }

  /// Removes everything of the version. Returns how many states that were. Positions and epochs go last: until then a worker
  /// that was forgotten is refused.
  public func removeAll() throws(StoreError) -> Int {
    try forEachTask { task, _ throws(StoreError) in
      if epochs[task] == nil { try claim(task) }
    }
    let count = try removeStates()
    for (task, epoch) in epochs {
      try store.remove([keys.position(task), keys.epoch(task)], of: task, epoch: epoch)
    }
    let metadata = keys.metadata
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { client, found throws(StoreError) in
      try client.unlink(found.filter { $0 == metadata })
    }
    return count
  }

  /// Claims a task, and takes its position away from whoever believes it: from here on no worker takes its states for whole.
  private func claim(_ task: String) throws(StoreError) {
    let claim = try store.claim(task)
    if claim.position.map({ $0 >= 0 }) ?? true {
      try store.commit(
        task, epoch: claim.epoch, from: claim.position, to: RestoringPosition.first, states: [])
    }
    epochs[task] = claim.epoch
  }

  /// Removes the states of the claimed tasks; returns how many there were.
  private func removeStates() throws(StoreError) -> Int {
    var count = 0
    try forEachTask { task, found throws(StoreError) in
      guard let epoch = epochs[task] else { return }
      let states = found.filter { keys.state($0) != nil }
      if !states.isEmpty { try store.remove(states, of: task, epoch: epoch) }
      count += states.count
    }
    return count
  }

  /// Calls with some keys of a task at a time.
  private func forEachTask(_ body: (String, [[UInt8]]) throws(StoreError) -> Void) throws(StoreError) {
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { _, found throws(StoreError) in
      let tasks = Dictionary(grouping: found) { keys.task($0) }
      for (task, found) in tasks {
        if let task { try body(task, found) }
      }
    }
  }
}
