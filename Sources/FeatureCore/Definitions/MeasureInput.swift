/// The value and the label of a measure as one expression, so that a measure folds one value like any aggregate.
enum MeasureInput {
  /// `score` with the label as its sign, for `ScoreSketch`: null outside of 0 to 1, or where either is null.
  static func score(_ score: Expression, label: Expression?) -> String {
    let text = "CAST((\(score.canonicalText)) AS DOUBLE)"
    // Of 0.0 and -0.0, only the label decides.
    let signed =
      label.map { label in
        let label = "(\(label.canonicalText))"
        return "CASE WHEN \(label) THEN ABS(\(text)) WHEN NOT \(label) THEN -ABS(\(text)) END"
      } ?? "-ABS(\(text))"
    return "CASE WHEN \(text) >= 0.0 AND \(text) <= 1.0 THEN \(signed) END"
  }

  /// How far a prediction is off, as the measure takes the mean of it.
  static func error(_ function: Aggregate.Function, _ value: Expression, label: Expression) -> String {
    let distance =
      "(CAST((\(value.canonicalText)) AS DOUBLE) - CAST((\(label.canonicalText)) AS DOUBLE))"
    switch function {
    case .mae: return "ABS\(distance)"
    case .rmse: return "\(distance) * \(distance)"
    default: return distance
    }
  }
}

extension Aggregate.Function {
  /// A measure of scores from 0 to 1.
  var scoreMeasure: ScoreMeasure? { ScoreMeasure(rawValue: rawValue) }
  /// A measure of predicted numbers.
  var isErrorMeasure: Bool { self == .mae || self == .rmse || self == .bias }
  /// A measure of drift.
  var driftMeasure: DriftMeasure? { DriftMeasure(rawValue: rawValue) }
  /// What was predicted is compared with what has come of it.
  var takesLabel: Bool { isErrorMeasure || (scoreMeasure != nil && self != .expectedAUC) }
}

extension ViewCompiler {
  /// The register of an aggregate's value, which a measure's label is part of; nil after mistakes, or without a value.
  mutating func compileValue(_ aggregate: Aggregate, at place: DefinitionPath) -> Register? {
    let function = aggregate.function
    let value = aggregate.value.flatMap { expression($0, at: place.child("value")) }
    if function.driftMeasure != nil, let value { return binned(value, aggregate, at: place.child("value")) }
    let isMeasure = function.scoreMeasure != nil || function.isErrorMeasure
    let label = aggregate.label.flatMap {
      expression($0, at: place.child("label"), expecting: function.scoreMeasure == nil ? nil : .bool)
    }
    guard let value, isMeasure else { return value }
    let numbers: [ValueType] = [.int64, .double]
    // What is no number is reported by the rule, as of any aggregate.
    guard numbers.contains(value.type) else { return value }
    if function.isErrorMeasure, let label, !numbers.contains(label.type) {
      report(
        place.child("label"), "\(function.rawValue) needs a number, the label is a \(label.type.rawValue)",
        "change the label, or CAST it")
    }
    guard label != nil || !function.takesLabel else { return value }
    guard let score = aggregate.value.flatMap({ try? Expression.parse($0) }) else { return value }
    let outcome = label == nil ? nil : aggregate.label.flatMap { try? Expression.parse($0) }
    guard function.isErrorMeasure, let outcome else {
      return expression(MeasureInput.score(score, label: outcome), at: place.child("value"))
    }
    return numbers.contains(label?.type ?? .string)
      ? expression(MeasureInput.error(function, score, label: outcome), at: place.child("value")) : value
  }

  /// A value as a baseline has it: a number is a double, and a bool is the text `true` or `false`.
  private mutating func binned(_ value: Register, _ aggregate: Aggregate, at place: DefinitionPath)
    -> Register?
  {
    let type: ValueType? = value.type == .int64 ? .double : value.type == .bool ? .string : nil
    guard aggregate.baseline != nil, let type, let text = aggregate.value,
      let parsed = try? Expression.parse(text)
    else { return value }
    return expression("CAST((\(parsed.canonicalText)) AS \(type.rawValue))", at: place)
  }
}
