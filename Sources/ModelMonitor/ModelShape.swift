public import FeatureCore

/// Which columns a model's states have: what is the same for all of its versions.
public struct ModelShape: Sendable, Hashable {
  /// The model.
  public let model: Model
  /// The names of the windows, in the file's order.
  public let windows: [String]
  /// What is measured when a prediction is made, and with its outcome, in the order of the views.
  public let measures: [String]
  /// The fields whose drift is measured, as columns name them.
  public let drifts: [String]

  /// The shape of a model of some definitions.
  public init(_ model: Model, _ plan: Plan) {
    self.model = model
    var windows: [String] = []
    var measures: [String] = []
    var drifts: [String] = []
    for name in [model.inputs.first, model.quality.first].compactMap(\.self) {
      guard let view = plan.definitions.views.first(where: { $0.name == name }) else { continue }
      for feature in view.features {
        guard case .aggregate(let aggregate) = feature.computation else { continue }
        for window in aggregate.windows where !windows.contains(window.name) { windows.append(window.name) }
        if feature.name.hasSuffix(Model.driftSuffix) {
          drifts.append(String(feature.name.dropLast(Model.driftSuffix.count)))
        } else {
          measures.append(feature.name)
        }
      }
    }
    self.windows = windows
    self.measures = measures
    self.drifts = drifts
  }

  /// The views by the same columns beside `model_version`: none, or the one of a name; nil if there are no such views.
  public func views(by column: String?, _ plan: Plan) -> (inputs: ViewPlan, quality: ViewPlan?)? {
    let columns = [Model.versionField] + (column.map { [$0] } ?? [])
    func view(_ names: [String]) -> ViewPlan? {
      names.lazy.compactMap { plan.view($0) }.first { $0.entity.map(\.name) == columns }
    }
    return view(model.inputs).map { ($0, view(model.quality)) }
  }
}

extension ViewPlan {
  /// Values of the view's features that are numbers, by name.
  public func numbers(_ values: [FeatureValue]) -> [String: Double] {
    var numbers: [String: Double] = [:]
    for (feature, value) in zip(features, values) {
      switch value {
      case .int64(let number): numbers[feature.name] = Double(number)
      case .double(let number): numbers[feature.name] = number
      default: break
      }
    }
    return numbers
  }
}
