/// A model whose predictions are followed. A definitions file says it in one block, which stands for a source, a join, views
/// and triggers; this names them. It changes no state and no fingerprint.
public struct Model: Sendable, Hashable {
  /// Its name.
  public var name: String
  /// The service that its features come from, if one is named.
  public var service: String?
  /// The source of its predictions.
  public var predictions: String
  /// The join that gives each prediction its outcome, if outcomes are known.
  public var outcomes: String?
  /// The views by model version, of what is known when a prediction is made: by nothing else, and by each further column.
  public var inputs: [String]
  /// The same, of what is known with the outcomes.
  public var quality: [String]
  /// Whether it predicts numbers, and not whether something happens.
  public var predictsNumbers: Bool

  /// A model from its parts.
  public init(
    _ name: String, service: String? = nil, predictions: String, outcomes: String?, inputs: [String],
    quality: [String], predictsNumbers: Bool
  ) {
    self.name = name
    self.service = service
    self.predictions = predictions
    self.outcomes = outcomes
    self.inputs = inputs
    self.quality = quality
    self.predictsNumbers = predictsNumbers
  }

  /// The field that says which version of a model has made a prediction.
  public static let versionField = "model_version"
  /// The field of what was predicted: a probability, or a number.
  public static let scoreField = "score"
  /// What a column begins with that holds a measure of the training set.
  public static let baselinePrefix = "baseline_"
  /// What the name of a feature ends with that measures the drift of a field.
  public static let driftSuffix = "_psi_excess"
  /// The feature that is the largest drift of all fields.
  public static let largestDrift = "psi_excess_max"
}
