@testable import FeatureCore
import Foundation

/// Measures of drift as they are defined, bin by bin over values themselves.
enum DriftOracle {
  static func value(of aggregate: Aggregate, _ values: [FeatureValue]) -> Double {
    let nulls = values.count(where: \.isNull)
    guard let baseline = aggregate.baseline, aggregate.function != .nullShare else {
      return Double(nulls) / Double(values.count)
    }
    let held = values.filter { !$0.isNull }
    let counts: [Int]
    switch baseline.bins {
    case .edges(let edges):
      let borders = [-Double.infinity] + edges + [.infinity]
      counts = zip(borders, borders.dropFirst()).map { low, high in
        held.count { low <= number($0) && number($0) < high }
      }
    case .categories(let categories):
      let each = categories.map { category in held.count { text($0) == Text(category) } }
      counts = each + [held.count - each.reduce(0, +)]
    }
    let pairs = zip(counts + [nulls], baseline.counts + [baseline.nulls]).filter { $0 != 0 || $1 != 0 }
    let (n, m) = (Double(values.count), Double(baseline.counts.reduce(baseline.nulls, +)))
    if aggregate.function == .js {
      let halves = pairs.map { count, expected in
        let (p, q) = (Double(count) / n, Double(expected) / m)
        return (p == 0 ? 0 : p * log(2 * p / (p + q))) + (q == 0 ? 0 : q * log(2 * q / (p + q)))
      }
      return max(0, halves.reduce(0, +) / 2).squareRoot()
    }
    let psi = pairs.map { count, expected in
      let p = count == 0 ? 0.5 / n : Double(count) / n
      let q = expected == 0 ? 0.5 / m : Double(expected) / m
      return (p - q) * (log(p) - log(q))
    }
    let chance = Double(pairs.count - 1) * (1 / n + 1 / m)
    return psi.reduce(0, +) - (aggregate.function == .psiExcess ? chance : 0)
  }

  private static func number(_ value: FeatureValue) -> Double {
    Sample(time: 0, order: 0, value: value).number
  }

  private static func text(_ value: FeatureValue) -> Text {
    switch value {
    case .string(let text): text
    case .bool(let value): value ? "true" : "false"
    default: preconditionFailure("Cannot have a category of \(value)")
    }
  }
}
