import FeatureCore
import Foundation

/// One small function an aggregate, over samples that are grouped by tile.
extension WindowOracle {
  func value(of aggregate: Aggregate, _ tiles: [[Sample]], at time: Int64) -> Answer {
    let all = tiles.flatMap(\.self)
    if all.isEmpty {
      return .exactly([.count, .countDistinct].contains(aggregate.function) ? .int64(0) : .null)
    }
    var inOrder: [FeatureValue] {
      all.sorted { ($0.time, $0.order) < ($1.time, $1.order) }.map { Self.cut($0.value) }
    }
    switch aggregate.function {
    case .count: return .exactly(.int64(Int64(all.count)))
    case .sum: return .exactly(sum(all, tiles))
    case .product: return .exactly(Self.finite(product(tiles)))
    case .mean: return .exactly(mean(all, tiles))
    case .variance: return .exactly(Self.finite(variance(tiles)))
    case .stddev: return .exactly(Self.finite(variance(tiles).map { $0.squareRoot() }))
    case .min: return .exactly(extreme(all) { $0 < $1 })
    case .max: return .exactly(extreme(all) { $1 < $0 })
    case .first: return .exactly(inOrder.first!)
    case .last: return .exactly(inOrder.last!)
    case .firstK: return .exactly(.list(Array(inOrder.prefix(aggregate.k!))))
    case .lastK: return .exactly(.list(Array(inOrder.suffix(aggregate.k!))))
    case .lastDistinctK:
      var latest: [FeatureValue] = []
      for value in inOrder.reversed() where !latest.contains(value) { latest.append(value) }
      return .exactly(.list(latest.prefix(aggregate.k!).reversed()))
    case .countDistinct: return distinct(all)
    case .approxQuantile: return quantile(aggregate.q!, all)
    case .topK: return top(aggregate.k!, all)
    // Exact as long as there are counters enough: the streams have fewer values.
    case .topKCounts: return .exactly(.list(counts(all).prefix(aggregate.k!).map { .int64(Int64($0)) }))
    case .topKErrors: return .exactly(.list(counts(all).prefix(aggregate.k!).map { _ in .int64(0) }))
    case .topKCertain: return .exactly(.int64(Int64(min(aggregate.k!, counts(all).count))))
    case .countBy: return .countMap(counted(all), k: aggregate.k!)
    case .histogram: return .exactly(histogram(aggregate.buckets!, all))
    case .decayedSum, .decayedCount:
      return .exactly(decayed(tiles, Double(aggregate.halfLife!), at: time))
    case .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier:
      return ScoreOracle(all).value(of: aggregate.function).map { .within($0, 1e-9) } ?? .exactly(.null)
    case .psi, .psiExcess, .js, .nullShare:
      return .within(DriftOracle.value(of: aggregate, all.map(\.value)), 1e-12)
    case .mae, .rmse, .bias: return .exactly(errorMeasure(aggregate.function, all.count, tiles))
    case .secondsSinceLast: return .exactly(.double(Double(time - all.map(\.time).max()!) / 1e6))
    }
  }

  private func errorMeasure(
    _ function: Aggregate.Function, _ count: Int, _ tiles: [[Sample]]
  ) -> FeatureValue {
    let errors = tiles.map { tile in
      tile.map { sample in
        var error = sample
        let label = Sample(time: 0, order: 0, value: sample.label).number
        let distance = sample.number - label
        error.value = .double(
          function == .mae ? abs(distance) : function == .rmse ? distance * distance : distance)
        return error
      }
    }
    let mean = doubleSum(errors) / Double(count)
    return Self.finite(function == .rmse ? mean.squareRoot() : mean)
  }

  /// Tile by tile, as sums are.
  private func product(_ tiles: [[Sample]]) -> Double? {
    tiles.map { $0.dropFirst().reduce($0[0].number) { $0 * $1.number } }.reduce(nil) { product, tile in
      product.map { $0 * tile } ?? tile
    }
  }

  private static func finite(_ value: Double?) -> FeatureValue {
    value.map { $0.isFinite ? .double($0) : .null } ?? .null
  }

  /// Texts inside a state have at most 256 bytes of whole characters.
  static func cut(_ value: FeatureValue) -> FeatureValue {
    guard case .string(let text) = value, text.utf8.count > 256 else { return value }
    var kept: [UInt8] = []
    for scalar in text.description.unicodeScalars {
      let bytes = Array(String(scalar).utf8)
      if kept.count + bytes.count > 256 { break }
      kept += bytes
    }
    return .string(Text(utf8: kept))
  }

  private func exactSum(_ all: [Sample]) -> Int128? {
    var sum: Int128 = 0
    for sample in all {
      guard case .int64(let value) = sample.value else { return nil }
      sum += Int128(value)
    }
    return sum
  }

  private func doubleSum(_ tiles: [[Sample]]) -> Double {
    let sums = tiles.map { tile in tile.dropFirst().reduce(tile[0].number) { $0 + $1.number } }
    return sums.dropFirst().reduce(sums[0], +)
  }

  private func sum(_ all: [Sample], _ tiles: [[Sample]]) -> FeatureValue {
    if let sum = exactSum(all) { return Int64(exactly: sum).map { .int64($0) } ?? .null }
    return Self.finite(doubleSum(tiles))
  }

  private func mean(_ all: [Sample], _ tiles: [[Sample]]) -> FeatureValue {
    let sum = exactSum(all).map { Double("\($0)")! } ?? doubleSum(tiles)
    return Self.finite(sum / Double(all.count))
  }

  private func variance(_ tiles: [[Sample]]) -> Double? {
    typealias Moments = (count: Double, mean: Double, squares: Double)
    let moments = tiles.map { tile in
      tile.reduce(into: (0, 0, 0) as Moments) { moments, sample in
        let delta = sample.number - moments.mean
        moments.count += 1
        moments.mean += delta / moments.count
        moments.squares += delta * (sample.number - moments.mean)
      }
    }
    let total = moments.dropFirst().reduce(moments[0]) { a, b in
      let count = a.count + b.count
      let delta = b.mean - a.mean
      return (
        count, a.mean + delta * b.count / count,
        (a.squares + b.squares) + delta * delta * a.count * b.count / count
      )
    }
    return total.count < 2 ? nil : total.squares / (total.count - 1)
  }

  private func extreme(_ all: [Sample], _ isBetter: (FeatureValue, FeatureValue) -> Bool) -> FeatureValue {
    all.dropFirst().reduce(Self.cut(all[0].value)) { best, sample in
      isBetter(Self.cut(sample.value), best) ? Self.cut(sample.value) : best
    }
  }

  private func distinct(_ all: [Sample]) -> Answer {
    let count = Set(all.map(\.value)).count
    return count <= 128 ? .exactly(.int64(Int64(count))) : .near(Double(count), relative: 5 * 0.01625)
  }

  private func quantile(_ q: Double, _ all: [Sample]) -> Answer {
    let sorted = all.map(\.number).sorted()
    return .near(sorted[Int(q * Double(sorted.count - 1))], relative: 0.004)
  }

  private func top(_ k: Int, _ all: [Sample]) -> Answer {
    var counts: [FeatureValue: Int] = [:]
    for sample in all { counts[Self.cut(sample.value), default: 0] += 1 }
    let counters = max(64, 4 * k)
    if counts.count > counters { return .top(k, of: counts, high: Double(all.count) / Double(counters)) }
    let ranked = counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    return .exactly(.list(ranked.prefix(k).map(\.key)))
  }

  /// How often each value occurs, named as in JSON.
  private func counted(_ all: [Sample]) -> [Text: Int64] {
    all.reduce(into: [:]) { counts, sample in
      var name: [UInt8] = []
      ValueText.appendPlain(Self.cut(sample.value), to: &name)
      counts[Text(utf8: name), default: 0] += 1
    }
  }

  private func counts(_ all: [Sample]) -> [Int] {
    Dictionary(grouping: all) { Self.cut($0.value) }.map(\.value.count).sorted(by: >)
  }

  private func histogram(_ buckets: [Literal], _ all: [Sample]) -> FeatureValue {
    var counts = [Int64](repeating: 0, count: buckets.count + 1)
    for sample in all {
      let bucket = buckets.firstIndex { literal in
        switch (literal, sample.value) {
        case (.string(let text), .string(let value)): Text(text) == value
        case (.int64(let edge), .int64(let value)): value < edge
        case (.int64(let edge), .double(let value)): value < Double(edge)
        case (.double(let edge), .double(let value)): value < edge
        default: false
        }
      }
      counts[bucket ?? buckets.count] += 1
    }
    return .list(counts.map { .int64($0) })
  }

  /// (time, sum as of then): joined, the earlier one decays until the later one's time.
  private func decayed(_ tiles: [[Sample]], _ halfLife: Double, at time: Int64) -> FeatureValue {
    func decay(_ distance: Int64) -> Double { PortableMath.exp2(-Double(distance) / halfLife) }
    typealias Decayed = (time: Int64, sum: Double)
    func join(_ a: Decayed, _ b: Decayed) -> Decayed {
      b.time >= a.time
        ? (b.time, a.sum * decay(b.time - a.time) + b.sum) : (a.time, a.sum + b.sum * decay(a.time - b.time))
    }
    let sums = tiles.map { tile in
      tile.dropFirst().reduce((tile[0].time, tile[0].number) as Decayed) { join($0, ($1.time, $1.number)) }
    }
    let total = sums.dropFirst().reduce(sums[0], join)
    return Self.finite(total.sum * decay(time - total.time))
  }
}

extension FeatureValue {
  /// The order of min, max and top_k: by value, texts by bytes.
  static func < (lhs: FeatureValue, rhs: FeatureValue) -> Bool {
    switch (lhs, rhs) {
    case (.int64(let lhs), .int64(let rhs)): lhs < rhs
    case (.double(let lhs), .double(let rhs)): lhs < rhs
    case (.bool(let lhs), .bool(let rhs)): !lhs && rhs
    case (.string(let lhs), .string(let rhs)): lhs < rhs
    case (.timestamp(let lhs), .timestamp(let rhs)): lhs < rhs
    default: false
    }
  }
}
