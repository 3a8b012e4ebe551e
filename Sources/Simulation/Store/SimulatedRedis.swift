import Processor

/// The server: what it holds of each task, and the writes that it could lose.
final class SimulatedRedis {
  struct Task {
    var epoch: Int64?
    var position: Int64?
    var states: [[UInt8]: [UInt8]] = [:]
  }

  /// What undoes a write.
  private struct Undo {
    var task: String
    var epoch: Int64?
    var position: Int64?
    var states: [(key: [UInt8], value: [UInt8]?)]
  }

  private let world: World
  private(set) var tasks: [String: Task] = [:]
  private var history: [Undo] = []
  /// Tasks that have changed since they were last looked at.
  var changed: Set<String> = []
  private(set) var isFull = false

  init(_ world: World) { self.world = world }

  func claim(_ task: String) -> TaskClaim {
    let epoch = (tasks[task]?.epoch ?? 0) + 1
    record(task, [])
    tasks[task, default: Task()].epoch = epoch
    return TaskClaim(epoch: epoch, position: tasks[task]?.position)
  }

  func write(_ task: String, position: Int64?, _ states: [(key: [UInt8], value: [UInt8])]) {
    record(task, states.map(\.key))
    for (key, value) in states { tasks[task, default: Task()].states[key] = value }
    if let position { tasks[task, default: Task()].position = position }
    changed.insert(task)
  }

  private func record(_ task: String, _ keys: [[UInt8]]) {
    let old = tasks[task]
    history.append(
      Undo(
        task: task, epoch: old?.epoch, position: old?.position,
        states: keys.map { ($0, old?.states[$0]) }))
  }

  // MARK: Faults

  /// Comes back without its last writes.
  func loseTail(_ count: Int) {
    world.trace("redis  loses its last \(min(count, history.count)) writes")
    for _ in 0..<count {
      guard let undo = history.popLast() else { return }
      tasks[undo.task, default: Task()].epoch = undo.epoch
      tasks[undo.task, default: Task()].position = undo.position
      for (key, value) in undo.states { tasks[undo.task, default: Task()].states[key] = value }
      changed.insert(undo.task)
    }
  }

  func loseEverything() {
    world.trace("redis  loses everything")
    changed.formUnion(tasks.keys)
    tasks = [:]
    history = []
  }

  func setFull(_ isFull: Bool) {
    if self.isFull != isFull { world.trace("redis  \(isFull ? "is out of memory" : "has memory again")") }
    self.isFull = isFull
  }

  // MARK: The operator

  /// Restores a task from a backup.
  func restore(_ task: String, position: Int64, _ states: [[UInt8]: [UInt8]]) {
    let epoch = (tasks[task]?.epoch ?? 0) + 1000
    tasks[task] = Task(epoch: epoch, position: position, states: states)
    // The backup is on disk.
    history.removeAll { $0.task == task }
    changed.insert(task)
  }
}
