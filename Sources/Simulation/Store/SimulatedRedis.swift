import Processor

/// The server: what it holds of each task, and the writes that it could lose.
final class SimulatedRedis {
  struct Task {
    var epoch: Int64?
    var position: Int64?
    /// And what was removed, without bytes: a server knows nothing of it, the audit does.
    var states: [[UInt8]: Stored] = [:]

    /// The states that the task's position covers.
    var covered: [[UInt8]: [UInt8]] {
      states.filter { $0.value.position <= position ?? .min && !$0.value.bytes.isEmpty }.mapValues(\.bytes)
    }
    /// Whether there are others.
    var hasUncovered: Bool { covered.count < states.count { !$0.value.bytes.isEmpty } }
  }

  /// A state, and the position that it was written or removed with.
  struct Stored {
    var bytes: [UInt8]
    var position: Int64
  }

  /// What undoes a write.
  private struct Undo {
    var task: String
    var epoch: Int64?
    var position: Int64?
    var states: [(key: [UInt8], value: Stored?)]
  }

  private let world: World
  private(set) var tasks: [String: Task] = [:]
  private var history: [Undo] = []
  /// Tasks that have changed since they were last looked at.
  var changed: Set<String> = []
  private(set) var isFull = false
  /// Tasks whose position somebody has deleted or set back: they may have states that are ahead of it.
  private(set) var setBack: Set<String> = []

  init(_ world: World) { self.world = world }

  /// Another server that holds the same now.
  init(copy other: SimulatedRedis) {
    world = other.world
    tasks = other.tasks
    setBack = other.setBack
  }

  func claim(_ task: String) -> TaskClaim {
    let epoch = (tasks[task]?.epoch ?? 0) + 1
    record(task, [])
    tasks[task, default: Task()].epoch = epoch
    return TaskClaim(epoch: epoch, position: tasks[task]?.position)
  }

  /// Writes states of a commit at `position`, or removes those without bytes, which have folded what lies before `folded`; the position itself only if asked for.
  func write(
    _ task: String, at position: Int64, _ states: [(key: [UInt8], value: [UInt8])], folded: Int64? = nil,
    movesPosition: Bool = true
  ) {
    record(task, states.map(\.key))
    for (key, value) in states {
      if value.isEmpty, tasks[task]?.states[key]?.bytes.isEmpty == false { world.coverage.hit(.removed) }
      tasks[task, default: Task()].states[key] = Stored(bytes: value, position: folded ?? position)
    }
    if movesPosition { tasks[task, default: Task()].position = position }
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

  /// Somebody deletes a task's position, or sets it back; its states stay.
  func setBack(_ task: String, to position: Int64?) {
    world.trace("redis  position of \(task) is now \(position.map(String.init) ?? "none")")
    record(task, [])
    tasks[task, default: Task()].position = position
    changed.insert(task)
    setBack.insert(task)
  }

  func setFull(_ isFull: Bool) {
    if self.isFull != isFull { world.trace("redis  \(isFull ? "is out of memory" : "has memory again")") }
    self.isFull = isFull
  }
}
