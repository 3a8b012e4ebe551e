import FeatureCore

/// The states of one view of one task that are in memory: bounded, and rarely used ones go first.
///
/// Two generations approximate least-recently-used: what is used moves to the young one, and when that has half of the
/// capacity it becomes the old one, whose unused rest is dropped. Only what the store has is ever dropped.
final class StateCache {
  private let generationMax: Int
  private let secret: UInt64
  /// Every changed state is in it.
  var young: StateTable
  private var old: StateTable
  /// Whether states were dropped: the store has some that are not in memory.
  private(set) var hasEvicted = false
  /// Changed states whose size was told.
  private var measured = 0

  /// A cache of about `capacity` states, between two commits more, looked up by a hash with a secret.
  init(capacity: Int, secret: UInt64) {
    precondition(capacity >= 2, "Cannot cache \(capacity) states")
    generationMax = capacity / 2
    self.secret = secret
    young = StateTable(secret: secret)
    old = StateTable(secret: secret)
  }

  /// States in memory.
  var count: Int { young.count + old.count }
  /// About the bytes that they take up.
  var bytes: Int { young.bytes + old.bytes }

  /// Moves a state from the old generation to the young one; false if it isn't there.
  func promote(_ key: [UInt8]) -> Bool {
    key.withUnsafeBytes { key in
      guard let state = old.remove(key) else { return false }
      young.insert(key, state)
      return true
    }
  }

  /// The size of the states that were first changed since the last call or commit, in bytes.
  func takeChangedBytes() -> Int {
    defer { measured = young.changedCount }
    return young.changedBytes(from: measured)
  }

  /// What has changed is on its way to the store. It stays in memory until the next call: the states that are dropped here are
  /// those that the store has, since it has everything that was sealed before. `bytesMax` is what the cache may take up.
  func seal(bytesMax: Int) {
    young.forgetChanges()
    measured = 0
    guard young.count >= generationMax || young.bytes >= bytesMax / 2 else { return }
    swap(&young, &old)
    hasEvicted = hasEvicted || young.count > 0
    young = StateTable(secret: secret)
  }
}
