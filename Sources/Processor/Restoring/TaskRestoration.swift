/// A task and the offset that the group has committed.
public struct RestoredTask: Sendable {
  /// Its name in the store.
  public var name: String
  /// What it folds.
  public var partition: TopicPartition
  /// What the group has committed.
  public var offset: Int64

  /// A task from its parts.
  public init(name: String, partition: TopicPartition, offset: Int64) {
    self.name = name
    self.partition = partition
    self.offset = offset
  }
}

extension Routing {
  /// The tasks that snapshots restore, in order, from what the group has committed. A join's is none of them: how far its
  /// cursors are is in no snapshot, so it goes on from what the store has of it, or folds its log again.
  public func restoredTasks(_ committed: [TopicPartition: Int64]) -> [RestoredTask] {
    inputs.filter { $0.join == nil }.flatMap { input in
      committed.filter { $0.key.topic == input.topic }.map { partition, offset in
        RestoredTask(name: "\(input.name).\(partition.partition)", partition: partition, offset: offset)
      }
    }.sorted { $0.name < $1.name }
  }
}

/// Writes the states of tasks anew, of each entity the last that it is given. Memory is bounded by a batch: a later state is
/// simply written over an earlier one, and only the last write gives a task a position that a worker accepts.
public final class TaskRestoration<Store: StateStorePort> {
  private let store: Store
  private let statesMax: Int
  /// In the order in which they are written.
  private let order: [TopicPartition]
  private var tasks: [TopicPartition: Progress] = [:]
  private var held = 0
  private var heldBytes = 0
  private var restored = 0

  private struct Progress {
    let task: RestoredTask
    let epoch: Int64
    var position: Int64?
    /// The latest states that are not written yet, by their key.
    var states: [[UInt8]: [UInt8]] = [:]
  }

  /// Claims the tasks, and sees to it that from here on no worker takes their states for whole. Throws if the store is ahead of
  /// what the group has committed, and then has changed nothing but the claims. Up to `statesMax` states are kept before they
  /// are written.
  public init(_ tasks: [RestoredTask], into store: Store, statesMax: Int = RestoreLimits.states) throws {
    self.store = store
    self.statesMax = statesMax
    order = tasks.map(\.partition)
    for task in tasks {
      let claim = try store.claim(task.name)
      self.tasks[task.partition] = Progress(task: task, epoch: claim.epoch, position: claim.position)
    }
    for partition in order { if let task = self.tasks[partition] { try Self.refuseAhead(task) } }
    for partition in order { try invalidate(partition) }
  }

  private static func refuseAhead(_ task: Progress) throws {
    if let position = task.position, position > task.task.offset {
      throw ProcessorError(
        remedy: .stop,
        description:
          "task \(task.task.name): the store is at offset \(position), ahead of the consumer group's "
          + "\(task.task.offset): plumb offsets --set-to-store puts that right")
    }
  }

  private func invalidate(_ partition: TopicPartition) throws {
    if tasks[partition]?.position.map({ $0 >= 0 }) ?? true {
      try write(partition, to: RestoringPosition.first)
    }
  }

  /// Takes a state of an entity of one of the tasks, a later one than those before.
  public func take(_ state: [UInt8], of key: [UInt8], _ partition: TopicPartition) throws {
    if tasks[partition]?.states.updateValue(state, forKey: key) == nil {
      held += 1
      heldBytes += key.count
    }
    heldBytes += state.count
    if held >= statesMax || heldBytes >= RestoreLimits.bytes { try flush() }
  }

  /// Writes what is left, and lets workers go on from there. Returns how many states were written.
  public func complete() throws -> Int {
    for partition in order {
      if let offset = tasks[partition]?.task.offset { try write(partition, to: offset) }
    }
    return restored
  }

  private func flush() throws {
    for partition in order {
      guard let task = tasks[partition], !task.states.isEmpty else { continue }
      try write(partition, to: (task.position ?? RestoringPosition.first) + 1)
    }
    held = 0
    heldBytes = 0
  }

  private func write(_ partition: TopicPartition, to position: Int64) throws {
    guard var task = tasks[partition] else { return }
    var states = KeyedStates(task.states.map { (key: $0.key, value: $0.value) })
    // A position that is set back later has to be behind them.
    states.position = task.task.offset
    try store.commit(task.task.name, epoch: task.epoch, from: task.position, to: position, states: states)
    restored += task.states.count
    task.states.removeAll(keepingCapacity: true)
    task.position = position
    tasks[partition] = task
  }
}

/// What of a restoration is in memory before it is written.
public enum RestoreLimits {
  /// Well below what one commit may hold.
  public static let states = 20_000
  static let bytes = 32 << 20
}
