public import FeatureCore

/// The features of one view for every row of a spine, and how old they are.
public struct ViewRows {
  /// The view.
  public let view: ViewPlan
  /// `view.features.count` values a row; null for rows whose entity has a null in it.
  public private(set) var values: [FeatureValue]
  /// The largest event time that a row's features have seen; nil without an event.
  public private(set) var asOf: [EventTime?]

  init(_ view: ViewPlan, count: Int) {
    self.view = view
    values = Array(repeating: .null, count: count * view.features.count)
    asOf = Array(repeating: nil, count: count)
  }

  /// The features of a row.
  public func features(_ row: Int) -> ArraySlice<FeatureValue> {
    values[(row * view.features.count)..<((row + 1) * view.features.count)]
  }

  /// Evaluates a row.
  mutating func set(_ row: Int, _ state: State?, at time: EventTime) {
    let width = view.features.count
    values.replaceSubrange((row * width)..<((row + 1) * width), with: view.evaluate(state, at: time))
    asOf[row] = state?.asOf
  }
}
