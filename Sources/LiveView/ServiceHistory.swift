/// What the instances of a service said of themselves over the last minute, added up. Times are seconds of a steady
/// clock.
public struct ServiceHistory: Sendable {
  /// One look at all instances.
  private struct Look: Sendable {
    var seconds: Double
    /// Counters since the first look at them, an instance's restarts bridged.
    var totals: [MetricSamples.Identity: Double]
  }

  /// How long looks are kept.
  static let keptSeconds = 64.0
  /// Counters that stand still for so long do so because nothing happens.
  static let pauseSeconds = 1.0

  private var looks: [Look] = []
  private var totals: [MetricSamples.Identity: Double] = [:]
  private var last: [[MetricSamples.Identity: Double]]
  /// The latest answer of each instance; nil if it gave none.
  public private(set) var answers: [MetricSamples?]

  /// Nothing yet, of some instances.
  public init(instances: Int) {
    last = Array(repeating: [:], count: instances)
    answers = Array(repeating: nil, count: instances)
  }

  /// Adds a look at all instances.
  public mutating func add(_ answers: [MetricSamples?], at seconds: Double) {
    precondition(answers.count == last.count, "Cannot look at other instances than before")
    self.answers = answers
    for (index, answer) in answers.enumerated() {
      guard let answer else { continue }
      for (identity, value) in answer.values where Self.isCounter(identity.name) {
        // An instance that was restarted counts from 0 again.
        let before = last[index][identity] ?? 0
        totals[identity, default: 0] += value < before ? value : value - before
      }
      last[index] = answer.values
    }
    // Instances count anew a few times a second: a look in between would tell of a pause that there was not.
    if let last = looks.last, last.totals == totals, seconds - last.seconds < Self.pauseSeconds { return }
    looks.append(Look(seconds: seconds, totals: totals))
    looks.removeAll { $0.seconds < seconds - Self.keptSeconds }
  }

  private static func isCounter(_ name: String) -> Bool {
    name.hasSuffix("_total") || name.hasSuffix("_bucket")
  }

  /// A counter over all instances.
  public func total(_ name: String) -> Double { Self.sum(totals, name) }

  /// A counter's growth a second over the last `window` seconds; nil with less than two looks.
  public func rate(_ name: String, window: Double = 3) -> Double? {
    guard let end = looks.last, looks.count > 1 else { return nil }
    let start = looks.last { $0.seconds <= end.seconds - window } ?? looks[0]
    guard end.seconds > start.seconds else { return nil }
    return (Self.sum(end.totals, name) - Self.sum(start.totals, name)) / (end.seconds - start.seconds)
  }

  /// Rates over each of the last `count` spans of a length, oldest first; fewer at the beginning.
  public func rates(_ name: String, count: Int, span: Double) -> [Double] {
    guard let end = looks.last else { return [] }
    var rates: [Double] = []
    var right = end
    for _ in 0..<count {
      guard let left = looks.last(where: { $0.seconds <= right.seconds - span }) else { break }
      rates.append(
        (Self.sum(right.totals, name) - Self.sum(left.totals, name)) / (right.seconds - left.seconds))
      right = left
    }
    return rates.reversed()
  }

  /// The value that a share of a histogram's observations of the last `window` seconds did not exceed, interpolated in its
  /// bucket; nil without observations.
  public func quantile(
    _ share: Double, _ name: String, _ label: String? = nil, _ value: String = "", window: Double = 10
  ) -> Double? {
    guard let end = looks.last else { return nil }
    let start = looks.last { $0.seconds <= end.seconds - window } ?? looks[0]
    var counts: [Double: Double] = [:]
    for (identity, total) in end.totals
    where MetricSamples.matches(identity, "\(name)_bucket", label, value) {
      guard let text = identity.labels["le"] else { continue }
      let bound = text == "+Inf" ? Double.infinity : Double(text) ?? .infinity
      counts[bound, default: 0] += total - (start.totals[identity] ?? 0)
    }
    let buckets = counts.sorted { $0.key < $1.key }
    guard let all = buckets.last?.value, all > 0 else { return nil }
    var lower = (bound: 0.0, count: 0.0)
    for (bound, count) in buckets {
      if count >= share * all {
        // Nothing is known of how far beyond the last bound they lie.
        if bound == .infinity { return lower.bound }
        return lower.bound + (bound - lower.bound) * (share * all - lower.count) / max(count - lower.count, 1)
      }
      lower = (bound, count)
    }
    return nil
  }

  private static func sum(_ totals: [MetricSamples.Identity: Double], _ name: String) -> Double {
    totals.reduce(0) { $0 + ($1.key.name == name ? $1.value : 0) }
  }
}
