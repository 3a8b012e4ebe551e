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
    let workers = [WorkerMetrics(registry), WorkerMetrics(registry)]
    var counts = LoopCounts()
    counts.records = 10
    counts.deadLetters = ["malformed_json": 2]
    let owned = status([0, 1])
    workers[0].update(counts, owned, isReady: false, now: EventTime(microseconds: 9_000_000)) { _ in 5 }
    workers[1].update(counts, status([2]), isReady: false, now: EventTime(microseconds: 9_000_000)) { _ in 0 }
    counts.records = 15
    workers[0].update(counts, status([0]), isReady: true, now: EventTime(microseconds: 9_000_000)) { _ in 5 }
    #expect(registry.value("plumb_records_consumed_total") == 25)
    #expect(registry.value("plumb_dead_letters_total", [("reason", "malformed_json")]) == 4)
    #expect(registry.value("plumb_tasks", [("state", "running")]) == 2)
    #expect(registry.value("plumb_cached_states") == 14)
    #expect(registry.value("plumb_ready") == 1)
    func lag(_ metric: String, _ partition: Int) -> Double? {
      registry.value(metric, [("topic", "clicks"), ("partition", "\(partition)")])
    }
    #expect(lag("plumb_lag_records", 0) == 5)
    #expect(lag("plumb_lag_event_time_seconds", 0) == 6)
    #expect(lag("plumb_lag_records", 1) == nil)
    #expect(lag("plumb_lag_event_time_seconds", 2) == 0)
  }

  private func status(_ partitions: [Int32]) -> LoopStatus {
    LoopStatus(
      tasks: partitions.map {
        LoopStatus.Task(
          partition: TopicPartition("clicks", $0), position: 1, latest: EventTime(microseconds: 3_000_000),
          isCatchingUp: false, cachedStates: 7)
      }, waiting: 0, isHeld: false)
  }

  /// Who is paged finds every metric explained.
  @Test func everyMetricIsDocumented() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("docs/operations.md"), encoding: .utf8)
    for metric in MetricDescription.service { #expect(text.contains("`\(metric.name)"), "\(metric.name)") }
  }
}
