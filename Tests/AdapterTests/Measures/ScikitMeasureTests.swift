import Foundation
import Testing
import TestSupport

@testable import FeatureCore

/// Measures of one fixed data set, against scikit-learn and numpy.
@Suite struct ScikitMeasureTests {
  private static let hasScikit =
    Command.python.map { (try? Command.run($0, ["-c", "import sklearn"])) != nil } ?? false

  /// Reads scores, labels and a score that stands for each bin; `exact` is of the scores, `binned` of their bins.
  private static let script = #"""
    import json, sys, numpy as np
    from sklearn.metrics import roc_auc_score, average_precision_score, log_loss, brier_score_loss
    p, y, binned = [np.array(a) for a in json.load(open(sys.argv[1]))]
    logit = np.floor(np.log(p / (1 - p)))
    rate = y.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    pairs = np.searchsorted(np.sort(binned), binned, "left"), np.searchsorted(np.sort(binned), binned, "right")
    below = np.concatenate([[0], np.cumsum((1 - p)[np.argsort(binned, kind="stable")])])
    expected = (p * (below[pairs[0]] + below[pairs[1]]) / 2).sum() / (p.sum() * (1 - p).sum())
    print(json.dumps({
        "exact_auc": roc_auc_score(y, p), "auc": roc_auc_score(y, binned),
        "exact_pr_auc": average_precision_score(y, p), "pr_auc": average_precision_score(y, binned),
        "log_loss": log_loss(y, p), "normalized_entropy": log_loss(y, p) / entropy, "brier": brier_score_loss(y, p),
        "calibration": p.sum() / y.sum(), "expected_auc": expected,
        "ece": sum(abs((p - y)[logit == g].sum()) for g in set(logit)) / len(p)}))
    """#

  @Test(
    .enabled(if: hasScikit, "PLUMB_PYTHON names no Python that has scikit-learn"), arguments: [-7.0, -4, 0])
  func measuresEqualThoseOfScikitLearn(centre: Double) throws {
    var random = Draws(state: 7)
    var cell = Cell()
    var columns: [[Double]] = [[], [], []]
    for _ in 0..<20_000 {
      let logit = centre + (0..<12).reduce(-6) { sum, _ in sum + random.next() } * 1.5
      let score = 1 / (1 + exp(-logit))
      // Somewhat worse than it says, so that nothing is calibrated.
      let isTrue = random.next() < 1 / (1 + exp(-0.8 * logit - 0.3))
      ScoreSketch.insert(isTrue ? score : -score, into: &cell)
      columns[0].append(score)
      columns[1].append(isTrue ? 1 : 0)
      columns[2].append(Double(ScoreSketch.bin(score)) / 512)
    }
    let file = FileManager.default.temporaryDirectory.appending(
      path: "plumb-scores-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: file) }
    try JSONEncoder().encode(columns).write(to: file)
    let output = try Command.run(Command.python ?? "", ["-c", Self.script, file.path])
    let theirs = try JSONDecoder().decode([String: Double].self, from: Data(output))

    func ours(_ measure: ScoreMeasure) throws -> Double { try #require(ScoreSketch.value(measure, cell)) }
    for (name, value) in theirs where !name.hasPrefix("exact_") {
      let found = try ours(try #require(ScoreMeasure(rawValue: name)))
      #expect(abs(found - value) <= 1e-9, "\(name): \(found), scikit-learn \(value)")
    }
    let exact = try #require(theirs["exact_auc"])
    let bound = try ours(.aucBound)
    #expect(try abs(ours(.auc) - exact) <= bound + 1e-12, "\(exact) within \(bound)")
    // Much closer than what is guaranteed.
    #expect(try abs(ours(.auc) - exact) <= 5e-4)
    #expect(try abs(ours(.prAUC) - #require(theirs["exact_pr_auc"])) <= 5e-3)
  }

  /// Without a label, against NannyML 0.13.1's CBPE, which first learns to calibrate from 20,000 rows before these; and what came of it.
  @Test func expectedAUCIsThatOfNannyML() throws {
    var cell = Cell()
    for index in 20_000..<30_000 {
      let position = Double(index * 7_919 % 10_007) / 10_007
      let score = 1 / (1 + exp(4.3 - 6 * position * position))
      let isTrue = Double(index * 104_729 % 9_973) / 9_973 < score
      ScoreSketch.insert(isTrue ? score : -score, into: &cell)
    }
    let expected = try #require(ScoreSketch.value(.expectedAUC, cell))
    #expect(abs(expected - 0.889241) <= 1e-3, "\(expected)")
    #expect(try abs(#require(ScoreSketch.value(.auc, cell)) - 0.8895366349850782) <= 5e-4)
  }

  /// SplitMix64.
  private struct Draws {
    var state: UInt64

    mutating func next() -> Double {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return Double((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53
    }
  }
}
