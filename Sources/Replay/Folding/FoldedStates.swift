public import FeatureCore
public import Processor
import Synchronization

/// States in memory: the store of a replay into a file, for all of its workers. Tasks begin at given positions with
/// nothing.
public final class FoldedStates: StateStorePort, Sendable {
  private struct Task {
    var position: Int64
    var states: [[UInt8]: [UInt8]] = [:]
  }

  private let tasks: Mutex<[String: Task]>
  /// Told of each commit: the task, its position, and what has changed.
  private let observe: @Sendable (String, Int64, KeyedStates) throws(StoreError) -> Void

  /// A store whose tasks begin at these positions.
  public init(
    starts: [String: Int64],
    observe: @escaping @Sendable (String, Int64, KeyedStates) throws(StoreError) -> Void
  ) {
    tasks = Mutex(starts.mapValues { Task(position: $0) })
    self.observe = observe
  }

  /// The states of a view by their entities, in the order of the entities' keys.
  public func states(of view: ViewPlan) -> [(entity: [UInt8], state: [UInt8])] {
    let prefix = StateKey.make(view: view.name, [])
    let found = tasks.withLock { tasks in
      tasks.values.flatMap { task in
        task.states.filter { $0.key.starts(with: prefix) }
          .map { (entity: Array($0.key.dropFirst(prefix.count)), state: $0.value) }
      }
    }
    return found.sorted { $0.entity.lexicographicallyPrecedes($1.entity) }
  }

  /// See `StateStorePort`.
  public func claim(_ task: String) throws(StoreError) -> TaskClaim {
    TaskClaim(epoch: 1, position: tasks.withLock { $0[task]?.position })
  }

  /// See `StateStorePort`.
  public func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    let found = tasks.withLock { tasks in
      (0..<keys.count).map { index in keys.withBytes(index) { tasks[task]?.states[Array($0)] } }
    }
    for (index, state) in found.enumerated() {
      if let state {
        state.withUnsafeBytes { body(index, .state($0, position: position ?? 0)) }
      } else {
        body(index, .none)
      }
    }
  }

  /// See `StateStorePort`.
  public func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool {
    tasks.withLock { tasks in
      for index in 0..<states.count {
        states.withBytes(index) { tasks[task]?.states[Array($0)] = $1.isEmpty ? nil : Array($1) }
      }
      tasks[task]?.position = position
    }
    try observe(task, position, states)
    return true
  }

  /// Never waited for: a write is done at once.
  public func finishCommit(waiting: Bool) throws(StoreError) -> Bool { true }
}
