import FeatureCore
import Foundation
import Metrics
import Processor
import Telemetry
import Testing

@Suite struct RegistryTests {
  @Test func writesThePrometheusFormat() {
    let registry = PrometheusRegistry([
      MetricDescription("a_total", .counter, "Counts."), MetricDescription("b", .gauge, "Goes."),
      MetricDescription("c_seconds", .histogram([0.1, 1]), "Takes."),
    ])
    Counter(label: "a_total", dimensions: [("why", "say \"no\"\n")], factory: registry).increment(by: 3)
    Counter(label: "a_total", dimensions: [("why", "say \"no\"\n")], factory: registry).increment(by: 4)
    Meter(label: "b", dimensions: [], factory: registry).set(0.5)
    let timer = Timer(label: "c_seconds", dimensions: [("of", "x")], factory: registry)
    for seconds in [0.05, 0.1, 0.5, 30] { timer.recordSeconds(seconds) }
    #expect(
      registry.text == """
        # HELP a_total Counts.
        # TYPE a_total counter
        a_total{why="say \\"no\\"\\n"} 7
        # HELP b Goes.
        # TYPE b gauge
        b 0.5
        # HELP c_seconds Takes.
        # TYPE c_seconds histogram
        c_seconds_bucket{of="x",le="0.1"} 2
        c_seconds_bucket{of="x",le="1"} 3
        c_seconds_bucket{of="x",le="+Inf"} 4
        c_seconds_sum{of="x"} 30.65
        c_seconds_count{of="x"} 4

        """)
  }

  /// Two workers' counts add up; a partition that was given away is no longer reported.
  @Test func addsUpWorkers() {
    let registry = PrometheusRegistry(MetricDescription.service)
    let lags = LagMetrics(registry)
    let workers = [WorkerMetrics(registry, lags), WorkerMetrics(registry, lags)]
    let member = BrokerContact(isMember: true)
    var counts = LoopCounts()
    counts.records = 10
    counts.deadLetters = ["malformed_json": 2]
    counts.fired = [TriggerName(view: "v", trigger: "worse"): 3]
    let owned = status([0, 1])
    workers[0].update(counts, owned, member, now: EventTime(microseconds: 9_000_000)) { _ in 5 }
    workers[1].update(counts, status([2]), member, now: EventTime(microseconds: 9_000_000)) { _ in 0 }
    counts.records = 15
    workers[0].update(counts, status([0]), member, now: EventTime(microseconds: 9_000_000)) { _ in 5 }
    #expect(registry.value("plumb_records_consumed_total") == 25)
    #expect(registry.value("plumb_dead_letters_total", [("reason", "malformed_json")]) == 4)
    #expect(registry.value("plumb_trigger_fired_total", [("view", "v"), ("trigger", "worse")]) == 6)
    #expect(registry.value("plumb_tasks", [("state", "running")]) == 2)
    #expect(registry.value("plumb_cached_states") == 14)
    #expect(registry.value("plumb_partitions_owned") == 2)
    func lag(_ metric: String, _ partition: Int) -> Double? {
      registry.value(metric, [("topic", "clicks"), ("partition", "\(partition)")])
    }
    #expect(lag("plumb_lag_records", 0) == 5)
    #expect(lag("plumb_lag_event_time_seconds", 0) == 6)
    #expect(lag("plumb_lag_records", 1) == nil)
    #expect(lag("plumb_lag_event_time_seconds", 2) == 0)
  }

  /// An outage, as a worker sees it: the brokers fall silent, the group is lost, all comes back.
  @Test func lagGrowsWhileNothingIsConfirmed() {
    let registry = PrometheusRegistry(MetricDescription.service)
    let lags = LagMetrics(registry)
    let workers = [WorkerMetrics(registry, lags), WorkerMetrics(registry, lags)]
    func lag(_ metric: String = "plumb_lag_event_time_seconds") -> Double? {
      registry.value(metric, [("topic", "clicks"), ("partition", "0")])
    }
    func update(
      _ worker: Int, at seconds: Int64, _ status: LoopStatus, silent: Int64 = 0, isMember: Bool = true,
      records: Int64? = 0
    ) {
      let contact = BrokerContact(isMember: isMember, silentMilliseconds: silent * 1_000)
      workers[worker].update(
        LoopCounts(), status, contact, now: EventTime(microseconds: seconds * 1_000_000)
      ) { _ in records }
    }
    var waiting = LoopStatus(tasks: [], pending: [TopicPartition("clicks", 0)], isHeld: true)
    update(0, at: 100, status([0]))
    #expect(lag() == 0)
    update(0, at: 105, status([0]), silent: 5)
    #expect(lag() == 0)
    update(0, at: 120, status([0]), silent: 20)
    #expect(lag() == 20)
    // An abort that the brokers don't answer: the task is to be begun anew.
    update(0, at: 130, waiting, silent: 30)
    #expect(lag() == 30)
    #expect(registry.value("plumb_partitions_owned") == 1)
    // The session is over.
    waiting.pending = []
    update(0, at: 150, waiting, silent: 50, isMember: false, records: nil)
    #expect(lag() == 50)
    #expect(lag("plumb_lag_records") == 0)
    #expect(registry.value("plumb_partitions_owned") == 0)
    // The other worker of the process gets the partition: the first has no say any more.
    update(1, at: 160, status([0]), records: 5)
    update(0, at: 161, waiting, silent: 61, isMember: false, records: nil)
    update(0, at: 162, status([]))
    #expect(lag() == 157)
    #expect(lag("plumb_lag_records") == 5)
    update(1, at: 163, status([0]), records: 1)
    #expect(lag() == 0)
    // Held back by its store.
    var held = status([0])
    held.isHeld = true
    update(1, at: 173, held)
    #expect(lag() == 10)
    update(1, at: 174, status([]))
    #expect(lag() == nil)
  }

  /// Of each partition of a join's log, until the group has given it away.
  @Test func outcomesThatAreBehindAreTold() {
    let registry = PrometheusRegistry(MetricDescription.service)
    let worker = WorkerMetrics(registry, LagMetrics(registry))
    func lag(_ partition: Int) -> Double? {
      registry.value("plumb_outcome_lag_seconds", [("join", "outcomes"), ("partition", "\(partition)")])
    }
    func update(_ status: LoopStatus) {
      worker.update(
        LoopCounts(), status, BrokerContact(isMember: true), now: EventTime(microseconds: 9_000_000)
      ) { _ in 0 }
    }
    var both = status([0, 1])
    update(both)
    #expect(lag(0) == nil)
    both.tasks[0].outcomeLag = LoopStatus.OutcomeLag(join: "outcomes", microseconds: 2_500_000)
    both.tasks[1].outcomeLag = LoopStatus.OutcomeLag(join: "outcomes", microseconds: nil)
    update(both)
    #expect(lag(0) == 2.5)
    #expect(lag(1) == .infinity)
    #expect(registry.text.contains("plumb_outcome_lag_seconds{join=\"outcomes\",partition=\"1\"} +Inf"))
    update(status([1]))
    #expect(lag(0) == nil)
  }

  private func status(_ partitions: [Int32]) -> LoopStatus {
    LoopStatus(
      tasks: partitions.map {
        LoopStatus.Task(
          partition: TopicPartition("clicks", $0), position: 1, latest: EventTime(microseconds: 3_000_000),
          isCatchingUp: false, cachedStates: 7)
      }, pending: [], isHeld: false)
  }

  /// Who is paged finds every metric explained.
  @Test func everyMetricIsDocumented() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("docs/operations.md"), encoding: .utf8)
    for metric in MetricDescription.service { #expect(text.contains("`\(metric.name)"), "\(metric.name)") }
  }
}
