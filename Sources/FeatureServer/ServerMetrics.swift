public import Telemetry
import Metrics
import Synchronization

extension MetricDescription {
  /// From a tenth of a millisecond: an answer takes less than one.
  private static let answerBuckets = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
  ]

  /// Everything that the feature server measures.
  public static let featureServer = [
    Self(
      "plumb_request_seconds", .histogram(answerBuckets),
      "Duration of requests, from their last byte to the answer, by endpoint and status."),
    Self("plumb_request_rows_total", .counter, "Rows of features answered."),
    Self("plumb_states_read_total", .counter, "States asked of Redis."),
    Self("plumb_round_trips_total", .counter, "Exchanges with Redis nodes: less than requests under load."),
    Self("plumb_requests_read_total", .counter, "Requests whose states were asked of Redis."),
    Self("plumb_store_failures_total", .counter, "Reads of Redis that failed."),
    Self("plumb_damaged_states_total", .counter, "States that could not be read; their values were null."),
    Self("plumb_stale_answers_total", .counter, "Answers with features that lag by more than max_lag."),
    Self(
      "plumb_predictions_total", .counter,
      "Rows of predictions accepted, refused, and not acknowledged by Kafka."),
    Self("plumb_connections", .gauge, "Connections of clients."),
    Self("plumb_served_records_total", .counter, "Records of answers that were logged."),
    Self("plumb_served_dropped_total", .counter, "Records of answers that could not be logged in time."),
  ]
}

/// What the server measures as it goes. Any thread.
final class ServerMetrics: Sendable {
  let registry: PrometheusRegistry
  private let rows: Counter
  private let states: Counter
  private let trips: Counter
  private let requests: Counter
  private let failures: Counter
  private let damaged: Counter
  private let stale: Counter
  private let connections: Meter
  /// By endpoint and status: few, and made once.
  private let timers = Mutex<[String: [Int: Metrics.Timer]]>([:])

  init(_ registry: PrometheusRegistry) {
    self.registry = registry
    func counter(_ name: String) -> Counter { Counter(label: name, dimensions: [], factory: registry) }
    rows = counter("plumb_request_rows_total")
    states = counter("plumb_states_read_total")
    trips = counter("plumb_round_trips_total")
    requests = counter("plumb_requests_read_total")
    failures = counter("plumb_store_failures_total")
    damaged = counter("plumb_damaged_states_total")
    stale = counter("plumb_stale_answers_total")
    connections = Meter(label: "plumb_connections", dimensions: [], factory: registry)
  }

  func answered(_ endpoint: String, _ status: Int, since start: ContinuousClock.Instant) {
    let timer = timers.withLock { timers in
      if let known = timers[endpoint]?[status] { return known }
      let made = Metrics.Timer(
        label: "plumb_request_seconds", dimensions: [("endpoint", endpoint), ("status", "\(status)")],
        factory: registry)
      timers[endpoint, default: [:]][status] = made
      return made
    }
    timer.recordNanoseconds(Int64(start.duration(to: .now) / .nanoseconds(1)))
  }

  func readTogether(requests: Int, states: Int, trips: Int) {
    self.requests.increment(by: requests)
    self.states.increment(by: states)
    self.trips.increment(by: trips)
  }

  func storeFailed() { failures.increment() }

  func answered(_ evaluation: Evaluation) {
    rows.increment(by: evaluation.query.rows.count)
    let damages = evaluation.states.count { $0.damage != nil }
    if damages > 0 { damaged.increment(by: damages) }
    if evaluation.states.contains(where: \.isStale) { stale.increment() }
  }

  func predicted(_ source: String, accepted: Int = 0, refused: Int = 0, failed: Int = 0) {
    for (outcome, count) in [("accepted", accepted), ("refused", refused), ("failed", failed)] where count > 0
    {
      let dimensions = [("source", source), ("outcome", outcome)]
      Counter(label: "plumb_predictions_total", dimensions: dimensions, factory: registry).increment(
        by: count)
    }
  }

  func connected(_ count: Int) { connections.set(count) }
}
