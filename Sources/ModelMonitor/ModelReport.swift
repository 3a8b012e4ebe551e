public import FeatureCore

/// What the states of one version of a model say at a time: its measures beside those of the training set, and the drift of its
/// fields, the largest first.
public struct ModelReport: Sendable {
  /// One of its two states.
  public struct Stage: Sendable {
    /// The time of the latest prediction in it.
    public var asOf: EventTime
    /// Columns that have a value, at the time of the report.
    public var columns: [String: Double]

    /// A stage from its parts.
    public init(asOf: EventTime, columns: [String: Double]) {
      self.asOf = asOf
      self.columns = columns
    }
  }

  /// A measure, or the drift of a field.
  public struct Row: Sendable, Hashable {
    /// Which.
    public var name: String
    /// By window; nil is no value.
    public var values: [Double?]
    /// What the training set has of it.
    public var training: Double?

    /// By how much the last window differs from the training set.
    public var difference: Double? {
      guard let last = values.last ?? nil, let training else { return nil }
      return last - training
    }
  }

  /// The names of the windows.
  public let windows: [String]
  /// Everything but drift.
  public let measures: [Row]
  /// By field: those that drift most in the last window come first, and those without a value last.
  public let drifts: [Row]

  /// The report of a version's states; nil is none.
  public init(_ shape: ModelShape, inputs: Stage?, quality: Stage?) {
    // Where both have a column, it is a constant.
    let columns = (inputs?.columns ?? [:]).merging(quality?.columns ?? [:]) { first, _ in first }
    windows = shape.windows
    func row(_ name: String, _ column: String) -> Row {
      Row(
        name: name, values: shape.windows.map { columns["\(column)_\($0)"] },
        training: columns[Model.baselinePrefix + column])
    }
    measures = shape.measures.map { row($0, $0) }
    drifts = shape.drifts.map { row($0, $0 + Model.driftSuffix) }.sorted { left, right in
      let (one, other) = ((left.values.last ?? nil) ?? -.infinity, (right.values.last ?? nil) ?? -.infinity)
      return one != other ? one > other : left.name < right.name
    }
  }

  /// The rows of a table, a heading first; without drift if none is measured.
  public var table: [[String]] {
    let rows = measures.map { row in
      [row.name] + row.values.map { Self.text($0) }
        + [Self.text(row.training, none: ""), Self.text(row.difference, none: "", isSigned: true)]
    }
    let head = [["measure"] + windows + ["training", "difference"]]
    if drifts.isEmpty { return head + rows }
    let drift = [["drift (psi_excess)"] + windows + ["", ""]]
    return head + rows + drift + drifts.map { [$0.name] + $0.values.map { Self.text($0) } + ["", ""] }
  }

  /// A count as it is, another number with four digits behind the point.
  static func text(_ value: Double?, none: String = "-", isSigned: Bool = false) -> String {
    guard let value else { return none }
    let sign = value < 0 ? "-" : isSigned ? "+" : ""
    if !isSigned, let whole = Int64(exactly: value) { return "\(whole)" }
    let scaled = (value.magnitude * 10_000).rounded()
    guard scaled < 1e15 else { return value.description }
    let (whole, rest) = Int64(scaled).quotientAndRemainder(dividingBy: 10_000)
    return "\(sign)\(whole).\(String(repeating: "0", count: 4 - "\(rest)".count))\(rest)"
  }
}
