public import Processor

/// Removes what a version keeps in Redis, without ever keeping Redis busy for long.
public final class StoreCleaner {
  private let options: RedisOptions
  private let keys: StoreKeys

  /// A cleaner of one version's keys.
  public init(_ options: RedisOptions, keys: StoreKeys) {
    self.options = options
    self.keys = keys
  }

  /// Removes the states of some tasks, so that they can be folded anew from the beginning. Epochs stay, and fence whoever
  /// owned the tasks. Interrupted, it leaves tasks that no worker takes for whole.
  public func clear(tasks: [String]) throws(StoreError) {
    let store = RedisStateStore(options, keys: keys)
    var claims: [(task: String, claim: TaskClaim)] = []
    for task in tasks {
      let claim = try store.claim(task)
      // First: states must not be missing under a position that a worker believes.
      if claim.position.map({ $0 >= 0 }) ?? true {
        try store.commit(
          task, epoch: claim.epoch, from: claim.position, to: RestoringPosition.first, states: [])
      }
      claims.append((task, claim))
    }
    let wanted = Set(tasks)
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { client, found throws(StoreError) in
      try client.unlink(found.filter { keys.state($0).map { wanted.contains($0.task) } ?? false })
    }
    let positions = Set(tasks.map(keys.position))
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { client, found throws(StoreError) in
      try client.unlink(found.filter(positions.contains))
    }
  }

  /// Removes everything of the version. Returns how many states that were. Positions and epochs go last: until then a worker
  /// that was forgotten is refused.
  public func removeAll() throws(StoreError) -> Int {
    var count = 0
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { client, found throws(StoreError) in
      let states = found.filter { keys.state($0) != nil }
      try client.unlink(states)
      count += states.count
    }
    try StoreScan(options).forEachSlice(of: keys.versionPrefix) { client, found throws(StoreError) in
      try client.unlink(found)
    }
    return count
  }
}
