public import FeatureCore
import Metrics
public import Processor

/// The metrics of one worker, which add up to those of the process. One thread.
public final class WorkerMetrics {
  private let registry: PrometheusRegistry
  private var last = LoopCounts()
  private let counters: [(count: KeyPath<LoopCounts, Int>, counter: Counter)]
  private let cachedStates: Meter
  private let tasks: [(state: KeyPath<TaskStates, Int>, meter: Meter)]
  private var lastTasks = TaskStates()
  private var lastCached = 0
  private let lags: LagMetrics
  private let ownedPartitions: Meter
  private var lastOwned = 0

  /// How many tasks are in which state.
  private struct TaskStates {
    var running = 0
    var recovering = 0
    var waiting = 0
  }

  /// The metrics of a worker, in a registry of `MetricDescription.service`; `lags` are those of the process.
  public init(_ registry: PrometheusRegistry, _ lags: LagMetrics) {
    self.registry = registry
    self.lags = lags
    func counter(_ name: String, _ dimensions: [(String, String)] = []) -> Counter {
      Counter(label: name, dimensions: dimensions, factory: registry)
    }
    counters = [
      (\.records, counter("plumb_records_consumed_total")),
      (\.recovered, counter("plumb_records_recovered_total")),
      (\.folded, counter("plumb_events_folded_total")), (\.late, counter("plumb_events_late_total")),
      (\.filtered, counter("plumb_events_filtered_total")),
      (\.duplicates, counter("plumb_events_duplicate_total")),
      (\.withoutID, counter("plumb_events_without_id_total")),
      (\.forwarded, counter("plumb_records_forwarded_total")),
      (\.joined, counter("plumb_records_joined_total")),
      (\.snapshots, counter("plumb_snapshots_total")), (\.commits, counter("plumb_commits_total")),
      (\.aborts, counter("plumb_aborts_total")),
      (\.fenced, counter("plumb_refused_writes_total", [("reason", "fenced")])),
      (\.recoveries, counter("plumb_refused_writes_total", [("reason", "moved")])),
      (\.logErrors, counter("plumb_errors_total", [("of", "kafka")])),
      (\.storeErrors, counter("plumb_errors_total", [("of", "redis")])),
      (\.cacheHits, counter("plumb_cache_hits_total")), (\.cacheMisses, counter("plumb_cache_misses_total")),
    ]
    cachedStates = Meter(label: "plumb_cached_states", dimensions: [], factory: registry)
    ownedPartitions = Meter(label: "plumb_partitions_owned", dimensions: [], factory: registry)
    func tasks(_ state: String) -> Meter {
      Meter(label: "plumb_tasks", dimensions: [("state", state)], factory: registry)
    }
    self.tasks = [
      (\.running, tasks("running")), (\.recovering, tasks("recovering")), (\.waiting, tasks("waiting")),
    ]
  }

  /// Takes over what the worker did since the start and where it is. `lag` tells how many offsets of a partition are
  /// not read yet; `now` is the wall clock.
  public func update(
    _ counts: LoopCounts, _ status: LoopStatus, _ contact: BrokerContact, now: EventTime,
    lag: (TopicPartition) -> Int64?
  ) {
    for (count, counter) in counters { counter.increment(by: counts[keyPath: count] - last[keyPath: count]) }
    for (reason, count) in counts.deadLetters {
      Counter(label: "plumb_dead_letters_total", dimensions: [("reason", reason)], factory: registry)
        .increment(by: count - last.deadLetters[reason, default: 0])
    }
    for (name, count) in counts.fired {
      Counter(
        label: "plumb_trigger_fired_total", dimensions: [("view", name.view), ("trigger", name.trigger)],
        factory: registry
      ).increment(by: count - last.fired[name, default: 0])
    }
    last = counts
    let cached = status.tasks.reduce(0) { $0 + $1.cachedStates }
    cachedStates.increment(by: Double(cached - lastCached))
    lastCached = cached
    update(tasksOf: status)
    let owned = contact.isMember ? status.owned.count : 0
    ownedPartitions.increment(by: Double(owned - lastOwned))
    lastOwned = owned
    let records = Dictionary(
      status.tasks.compactMap { task in lag(task.partition).map { (task.partition, $0) } }
    ) { first, _ in first }
    lags.update(of: ObjectIdentifier(self), status, contact, records: records, now: now)
  }

  private func update(tasksOf status: LoopStatus) {
    var states = TaskStates()
    states.waiting = status.waiting
    for task in status.tasks {
      if status.isHeld {
        states.waiting += 1
      } else if task.isCatchingUp {
        states.recovering += 1
      } else {
        states.running += 1
      }
    }
    // Several workers share the gauge: each adds its own change.
    for (state, meter) in tasks {
      meter.increment(by: Double(states[keyPath: state] - lastTasks[keyPath: state]))
    }
    lastTasks = states
  }
}
