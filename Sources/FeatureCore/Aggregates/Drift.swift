/// A measure of how far values have drifted from a baseline, named like its aggregate.
enum DriftMeasure: String, Hashable, Sendable {
  case psi
  case psiExcess = "psi_excess"
  case js
  case nullShare = "null_share"
}

/// How far the counts of a window are from those of a baseline, whose last bin is of nulls.
enum Drift {
  /// What a bin that holds nothing counts as, where the logarithm of its share is taken.
  private static let emptyCount = 0.5

  /// The measure; `counts` have the baseline's bins and at least one event. Bins that are empty on both sides are none.
  static func value(
    _ measure: DriftMeasure, _ counts: UnsafeBufferPointer<UInt64>, _ baseline: Baseline?
  ) -> Double {
    let total = Double(counts.reduce(0, +))
    guard let baseline, measure != .nullShare else { return Double(counts[counts.count - 1]) / total }
    let rows = Double(baseline.rowCount)
    var bins = 0.0
    var sum = 0.0
    for (index, count) in counts.enumerated() {
      let expected = index < baseline.counts.count ? baseline.counts[index] : baseline.nulls
      if count == 0, expected == 0 { continue }
      bins += 1
      sum +=
        measure == .js
        ? divergence(Double(count) / total, Double(expected) / rows)
        : stability(max(Double(count), emptyCount) / total, max(Double(expected), emptyCount) / rows)
    }
    switch measure {
    case .psi, .nullShare: return sum
    // What is expected of two samples of one distribution, to first order.
    case .psiExcess: return sum - (bins - 1) * (1 / total + 1 / rows)
    // Of equal shares, rounding can leave less than nothing.
    case .js: return max(0, sum / 2).squareRoot()
    }
  }

  private static func stability(_ share: Double, _ expected: Double) -> Double {
    (share - expected) * PortableMath.ln(share / expected)
  }

  private static func divergence(_ share: Double, _ expected: Double) -> Double {
    let middle = (share + expected) / 2
    let ours = share > 0 ? share * PortableMath.ln(share / middle) : 0
    return ours + (expected > 0 ? expected * PortableMath.ln(expected / middle) : 0)
  }
}
