/// What a store knows of a task.
public struct TaskClaim: Hashable, Sendable {
  /// The fence: writes with a smaller epoch are refused from now on.
  public var epoch: Int64
  /// The position of the states in the store: the next offset to fold. nil if the task has never committed.
  public var position: Int64?

  /// A claim from its parts.
  public init(epoch: Int64, position: Int64?) {
    self.epoch = epoch
    self.position = position
  }
}

/// What a caller can do about an error of the store.
public struct StoreError: Error, Sendable, CustomStringConvertible {
  /// What to do.
  public enum Remedy: Hashable, Sendable {
    /// The store is away or busy; whether a write took effect is unknown. Claim or read again before writing.
    case retry
    /// Another owner has claimed the task: drop its states.
    case fenced
    /// The store's position is not the one that the write builds on: it has lost or gained writes. Recover.
    case moved
    /// Only a person can help.
    case fatal
  }

  /// What to do.
  public var remedy: Remedy
  /// What was attempted, where, and what the store says.
  public var message: String

  /// The code of the store's answer; nil if there was none.
  public var answer: String?

  /// An error from its parts.
  public init(_ remedy: Remedy, _ message: String, answer: String? = nil) {
    self.answer = answer
    self.remedy = remedy
    self.message = message
  }

  /// The message.
  public var description: String { message }
}

/// What a store has under the key of a state.
public enum StoredState {
  case none
  /// A state, and the task's position that it was written with.
  case state(UnsafeRawBufferPointer, position: Int64)
  /// Something that no commit wrote; why that is known.
  case damaged(String)
}

/// The online store as one worker uses it. One thread.
///
/// All keys of a task carry its hash tag, so that one commit touches one slot.
public protocol StateStorePort: AnyObject {
  /// Claims a task for a new owner: increments its epoch, and reads its position, in one step.
  func claim(_ task: String) throws(StoreError) -> TaskClaim

  /// Reads states, in the order of the keys. The bytes are valid during the call of `body`.
  ///
  /// Fails like a commit if the epoch or the position is not the task's any more: a state of a store that has lost
  /// its last writes must not be folded, and then published, as if it were the current one. A commit that is under way may
  /// have taken the task to `next` already.
  func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError)

  /// Begins to write states, each with `states.position` or else `position`, to remove those without bytes, and to write the task's
  /// position, all in one atomic step, if the epoch is still the task's and its position is still `from`. A write that finds its own position already there has succeeded
  /// before. Returns whether that is done; if not, `finishCommit` tells, and until it has, the only calls are loads.
  func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool

  /// Whether the write that was started is done; throws why it isn't. Waits for that, or returns false at once. After an error
  /// it may be started again.
  func finishCommit(waiting: Bool) throws(StoreError) -> Bool
}

extension StateStorePort {
  /// Reads states while no commit is under way.
  public func load(
    _ task: String, epoch: Int64, position: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    try load(task, epoch: epoch, position: position, next: nil, keys, body)
  }

  /// Writes states, and waits until that is done.
  public func commit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) {
    if try !startCommit(task, epoch: epoch, from: from, to: position, states: states) {
      _ = try finishCommit(waiting: true)
    }
  }
}
