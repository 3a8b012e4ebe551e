import FeatureCore
import Foundation

/// Measures of scores as they are defined: every pair compared, every threshold tried, over scores in bins.
struct ScoreOracle {
  private let scores: [(score: Double, bin: Int, isTrue: Bool)]

  init(_ scores: [(score: Double, isTrue: Bool)]) {
    self.scores = scores.map { ($0.score, Self.bin($0.score), $0.isTrue) }
  }

  init(_ samples: [Sample]) { self.init(samples.map { (abs($0.number), $0.label == .bool(true)) }) }

  static func bin(_ score: Double) -> Int {
    score == 0
      ? 0 : score == 1 ? 511 : min(511, max(0, Int(((log(score / (1 - score)) + 16) * 16).rounded(.down))))
  }

  func value(of function: Aggregate.Function) -> Double? {
    let count = Double(scores.count)
    let trues = scores.filter(\.isTrue)
    let falses = scores.filter { !$0.isTrue }
    let rate = Double(trues.count) / count
    let logLoss =
      scores.reduce(0) { sum, score in
        let clipped = min(max(score.score, 0x1p-52), 1 - 0x1p-52)
        return sum - log(score.isTrue ? clipped : 1 - clipped)
      } / count
    switch function {
    case .auc, .aucBound:
      if trues.isEmpty || falses.isEmpty { return nil }
      var (right, tied) = (0.0, 0.0)
      for isTrue in trues {
        for isFalse in falses {
          if isTrue.bin == isFalse.bin { tied += 0.5 } else if isTrue.bin > isFalse.bin { right += 1 }
        }
      }
      return (function == .auc ? right + tied : tied) / Double(trues.count * falses.count)
    case .prAUC:
      if trues.isEmpty { return nil }
      return trues.reduce(0) { sum, isTrue in
        let above = scores.filter { $0.bin >= isTrue.bin }
        return sum + Double(above.count { $0.isTrue }) / Double(above.count)
      } / Double(trues.count)
    case .expectedAUC:
      var (right, pairs) = (0.0, 0.0)
      for a in scores {
        for b in scores {
          let weight = a.score * (1 - b.score)
          pairs += weight
          right += a.bin == b.bin ? weight / 2 : a.bin > b.bin ? weight : 0
        }
      }
      return pairs < 0x1p-1022 ? nil : right / pairs
    case .logLoss: return logLoss
    case .normalizedEntropy:
      if trues.isEmpty || falses.isEmpty { return nil }
      return logLoss / -(rate * log(rate) + (1 - rate) * log(1 - rate))
    case .calibration: return trues.isEmpty ? nil : scores.reduce(0) { $0 + $1.score } / Double(trues.count)
    case .ece:
      return Dictionary(grouping: scores) { $0.bin / 16 }.values.reduce(0) { sum, group in
        sum + abs(group.reduce(0) { $0 + $1.score - ($1.isTrue ? 1 : 0) })
      } / count
    case .brier:
      return scores.reduce(0) { $0 + pow($1.score - ($1.isTrue ? 1 : 0), 2) } / count
    default: preconditionFailure("Cannot measure \(function)")
    }
  }
}
