public import FeatureCore
public import Processor

/// Tells readers, a few times a minute a task, up to when a worker has caught up. One thread: the worker's.
public final class Pulse {
  private let names: [String: String]
  private var next = Int64.min

  /// Between two questions to the brokers: what readers see as lag is too large by up to that.
  private static let intervalMilliseconds: Int64 = 1_000
  /// The worker folds nothing meanwhile.
  private static let timeoutMilliseconds = 500

  /// Of the tasks of a plan's inputs.
  public init(_ plan: Plan) {
    let inputs = Routing(plan).inputs
    names = Dictionary(inputs.map { ($0.topic, $0.name) }) { first, _ in first }
  }

  /// Writes what has come true, and asks where the other partitions end, within some milliseconds. What fails is tried again: a
  /// lag that grows is what readers have to see then. `now` is monotonic, in milliseconds; `time` the wall clock.
  public func beat<Base>(
    _ status: LoopStatus, _ store: Heartbeats<Base>, now: Int64, time: () -> EventTime,
    ends: (_ partitions: [TopicPartition], _ timeoutMilliseconds: Int) throws(LogError) -> [Int64?]
  ) {
    guard !status.isHeld, now >= next else { return }
    next = now + Self.intervalMilliseconds
    try? store.beat()
    var tasks: [String: TopicPartition] = [:]
    for task in status.tasks where !task.isCatchingUp {
      guard let name = names[task.partition.topic] else { continue }
      tasks[StoreKeys.task(source: name, partition: task.partition.partition)] = task.partition
    }
    let wanted = store.unobserved(tasks.keys.sorted())
    // Before it is asked: whatever was there by then is before the end.
    let time = time().microseconds
    let partitions = wanted.compactMap { tasks[$0] }
    guard let ends = try? ends(partitions, Self.timeoutMilliseconds) else { return }
    for (task, end) in zip(wanted, ends) {
      if let end { store.observe(task, end: end, at: time) }
    }
    // What needs no folding is true at once.
    try? store.beat()
  }
}
