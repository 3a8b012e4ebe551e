/// The measures of a whole set of predictions, by their aggregates' names and as those compute them: what later windows are
/// held against.
public enum ReferenceMeasures {
  /// Of scores from 0 to 1 and whether their labels are true; those that aren't defined for want of labels are left out.
  public static func ofScores(_ scores: [Double], _ labels: [Bool]) -> [String: Double] {
    guard !scores.isEmpty else { return [:] }
    var cell = Cell()
    for (score, label) in zip(scores, labels) { ScoreSketch.insert(label ? score : -score, into: &cell) }
    var values: [String: Double] = [:]
    for measure in ScoreMeasure.allCases {
      if let value = ScoreSketch.value(measure, cell), value.isFinite { values[measure.rawValue] = value }
    }
    return values
  }

  /// Of predicted numbers and what came of them.
  public static func ofNumbers(_ predictions: [Double], _ labels: [Double]) -> [String: Double] {
    guard !predictions.isEmpty else { return [:] }
    let errors = zip(predictions, labels).map { $0 - $1 }
    let count = Double(errors.count)
    let values = [
      "mae": errors.reduce(0) { $0 + $1.magnitude } / count,
      "rmse": (errors.reduce(0) { $0 + $1 * $1 } / count).squareRoot(), "bias": errors.reduce(0, +) / count,
    ]
    return values.filter(\.value.isFinite)
  }
}
