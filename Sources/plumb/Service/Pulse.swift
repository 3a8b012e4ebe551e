import EventLog
import FeatureCore
import OnlineStore
import Processor

/// Tells readers, a few times a minute a task, up to when a worker has caught up. One thread: the worker's.
final class Pulse {
  private let names: [String: String]
  private var next = Int64.min

  /// Between two questions to the brokers: what readers see as lag is too large by up to that.
  private static let intervalMilliseconds: Int64 = 1_000
  /// The worker folds nothing meanwhile.
  private static let timeoutMilliseconds = 500

  init(_ plan: Plan) {
    let inputs = Routing(plan).inputs
    names = Dictionary(inputs.map { ($0.topic, $0.name) }) { first, _ in first }
  }

  /// Writes what has come true, and asks where the other partitions end. What fails is tried again: a lag that grows is
  /// what readers have to see then.
  func beat<Base>(_ status: LoopStatus, _ log: KafkaLog, _ store: Heartbeats<Base>, now: Int64) {
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
    let time = EventTime.now.microseconds
    let partitions = wanted.compactMap { tasks[$0] }
    guard let ends = try? log.ends(of: partitions, timeoutMilliseconds: Self.timeoutMilliseconds) else {
      return
    }
    for (task, end) in zip(wanted, ends) {
      if let end { store.observe(task, end: end, at: time) }
    }
    // What needs no folding is true at once.
    try? store.beat()
  }
}
