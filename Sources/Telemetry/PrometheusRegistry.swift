public import Metrics
import Synchronization

/// Keeps what is measured and writes it in Prometheus' text format, version 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/).
///
/// Counters, meters and recorders without aggregation are counters and gauges; recorders with it, and timers (in
/// seconds), are histograms. Only metrics with a description can be made. Any thread.
public final class PrometheusRegistry: MetricsFactory {
  /// One time series.
  struct Series: Sendable {
    /// The counter, the gauge, or the sum of a histogram's observations.
    var value = 0.0
    var count = 0
    /// Observations of each bucket by itself; what is above the last bound is only in `count`.
    var buckets: [Int] = []
  }

  private let descriptions: [String: MetricDescription]
  private let families: Mutex<[String: [String: Series]]>

  /// A registry of some metrics.
  public init(_ descriptions: [MetricDescription]) {
    self.descriptions = Dictionary(uniqueKeysWithValues: descriptions.map { ($0.name, $0) })
    families = Mutex(descriptions.reduce(into: [:]) { $0[$1.name] = [:] })
  }

  /// The value of a counter or gauge, or how often a histogram has observed; nil if there is no such series.
  public func value(_ name: String, _ dimensions: [(String, String)] = []) -> Double? {
    let series = families.withLock { $0[name]?[Self.labels(dimensions)] }
    guard let series, let description = descriptions[name] else { return nil }
    if case .histogram = description.kind { return Double(series.count) }
    return series.value
  }

  // MARK: Text

  /// Everything that was measured, families and series by name.
  public var text: String {
    var lines: [String] = []
    for (name, family) in families.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      guard let description = descriptions[name] else { continue }
      lines.append("# HELP \(name) \(description.help)")
      lines.append("# TYPE \(name) \(description.kind.name)")
      for (labels, series) in family.sorted(by: { $0.key < $1.key }) {
        if case .histogram(let bounds) = description.kind {
          lines += Self.histogram(name, labels, series, bounds)
        } else {
          lines.append("\(name)\(Self.braced(labels)) \(Self.number(series.value))")
        }
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func histogram(
    _ name: String, _ labels: String, _ series: Series, _ bounds: [Double]
  ) -> [String] {
    var below = 0
    let prefix = labels.isEmpty ? "" : "\(labels),"
    let buckets = zip(bounds, series.buckets).map { bound, count in
      below += count
      return "\(name)_bucket{\(prefix)le=\"\(number(bound))\"} \(below)"
    }
    return buckets + [
      "\(name)_bucket{\(prefix)le=\"+Inf\"} \(series.count)",
      "\(name)_sum\(braced(labels)) \(number(series.value))",
      "\(name)_count\(braced(labels)) \(series.count)",
    ]
  }

  private static func braced(_ labels: String) -> String { labels.isEmpty ? "" : "{\(labels)}" }

  private static func number(_ value: Double) -> String {
    Int64(exactly: value).map(String.init) ?? (value == .infinity ? "+Inf" : "\(value)")
  }

  private static func labels(_ dimensions: [(String, String)]) -> String {
    dimensions.map { name, value in
      var escaped = ""
      for character in value.unicodeScalars {
        switch character {
        case "\\": escaped += "\\\\"
        case "\"": escaped += "\\\""
        case "\n": escaped += "\\n"
        default: escaped.unicodeScalars.append(character)
        }
      }
      return "\(name)=\"\(escaped)\""
    }.joined(separator: ",")
  }

  // MARK: Series

  private func make(_ label: String, _ dimensions: [(String, String)]) -> SeriesHandler {
    guard let description = descriptions[label] else {
      preconditionFailure("Cannot measure '\(label)' without a description")
    }
    var bounds: [Double] = []
    if case .histogram(let upper) = description.kind { bounds = upper }
    let handler = SeriesHandler(registry: self, name: label, labels: Self.labels(dimensions), bounds: bounds)
    handler.update { _ in }
    return handler
  }

  fileprivate func update(_ handler: SeriesHandler, _ body: (inout Series) -> Void) {
    families.withLock { families in
      body(
        &families[handler.name, default: [:]][
          handler.labels, default: Series(buckets: [Int](repeating: 0, count: handler.bounds.count))])
    }
  }

  private func remove(_ handler: AnyObject) {
    guard let handler = handler as? SeriesHandler else { return }
    families.withLock { _ = $0[handler.name]?.removeValue(forKey: handler.labels) }
  }

  // MARK: MetricsFactory

  /// See `MetricsFactory`.
  public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    make(label, dimensions)
  }

  /// See `MetricsFactory`.
  public func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler { make(label, dimensions) }

  /// See `MetricsFactory`.
  public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    make(label, dimensions)
  }

  /// See `MetricsFactory`.
  public func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler { make(label, dimensions) }

  /// See `MetricsFactory`.
  public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    make(label, dimensions)
  }

  /// Forgets the series.
  public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
  /// Forgets the series.
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
  /// Forgets the series.
  public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
  /// Forgets the series.
  public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
  /// Forgets the series.
  public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }
}

/// One series of a registry, whatever kind of metric writes it.
private final class SeriesHandler: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler,
  TimerHandler
{
  let registry: PrometheusRegistry
  let name: String
  let labels: String
  let bounds: [Double]

  init(registry: PrometheusRegistry, name: String, labels: String, bounds: [Double]) {
    self.registry = registry
    self.name = name
    self.labels = labels
    self.bounds = bounds
  }

  func update(_ body: (inout PrometheusRegistry.Series) -> Void) { registry.update(self, body) }

  func increment(by amount: Int64) { update { $0.value += Double(amount) } }
  func increment(by amount: Double) { update { $0.value += amount } }
  func decrement(by amount: Double) { update { $0.value -= amount } }
  func reset() { update { $0.value = 0 } }
  func set(_ value: Int64) { set(Double(value)) }
  func set(_ value: Double) { update { $0.value = value } }
  func record(_ value: Int64) { record(Double(value)) }
  func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  func record(_ value: Double) {
    if bounds.isEmpty { return set(value) }
    update { series in
      series.value += value
      series.count += 1
      if let bucket = bounds.firstIndex(where: { value <= $0 }) { series.buckets[bucket] += 1 }
    }
  }
}
