import FeatureCore

/// A feature as a file has it, which may stand for several.
struct WindowedFeature {
  var feature: Feature
  /// The windows of a derived feature: it is one for each, over the columns of that window.
  var windows: [String] = []

  /// One of several quantiles of an aggregate: `latency` becomes `latency_q95`.
  func quantile(_ q: Double) -> WindowedFeature {
    var quantile = self
    guard case .aggregate(var aggregate) = feature.computation else { return self }
    aggregate.q = q
    let percent = (q * 100 * 1e9).rounded() / 1e9
    let text = percent == percent.rounded() && percent.magnitude < 1e6 ? "\(Int(percent))" : "\(percent)"
    quantile.feature.name += "_q" + text.replacing(".", with: "_")
    quantile.feature.computation = .aggregate(aggregate)
    return quantile
  }

  /// The features that all of a view stand for: `ctr: { derive: "clicks / views", windows: [1h, 24h] }` is `ctr_1h`, derived
  /// from `clicks_1h / views_1h`, and `ctr_24h`. A name that no column of the window has stays as it is.
  static func expanded(_ features: [WindowedFeature]) -> [Feature] {
    var columns: Set<String> = []
    for feature in features {
      if case .aggregate(let aggregate) = feature.feature.computation {
        columns.formUnion(aggregate.windows.map { "\(feature.feature.name)_\($0.name)" })
      }
      columns.formUnion(feature.windows.map { "\(feature.feature.name)_\($0)" })
    }
    return features.flatMap { feature -> [Feature] in
      // What can't be parsed is reported under its own name.
      guard !feature.windows.isEmpty, case .derive(let text) = feature.feature.computation,
        let expression = try? Expression.parse(text)
      else { return [feature.feature] }
      return feature.windows.map { window in
        var windowed = feature.feature
        windowed.name += "_\(window)"
        windowed.computation = .derive(
          expression.renamingColumns { columns.contains("\($0)_\(window)") ? "\($0)_\(window)" : $0 }
            .canonicalText)
        return windowed
      }
    }
  }
}
