public import FeatureCore

/// A feature of a row that differs.
struct RowDifference {
  /// Its index.
  var feature: Int
  var cause: DifferenceCause
  var happened: FeatureValue
  var served: FeatureValue
}

/// How features as served differ from features as happened, over the rows of a spine.
public struct ComparisonReport: Sendable {
  /// Numbers that are far apart.
  public struct Distances: Hashable, Sendable {
    /// How many.
    public private(set) var count = 0
    /// Mean of the absolute differences; 0 without any.
    public var mean: Double { count == 0 ? 0 : sum / Double(count) }
    /// The largest.
    public private(set) var max = 0.0
    private var sum = 0.0

    mutating func add(_ distance: Double) {
      count += 1
      sum += distance
      max = Swift.max(max, distance)
    }
  }

  /// One feature.
  public struct Feature: Hashable, Sendable {
    /// Its name and type.
    public let column: FeatureColumn
    /// Rows whose values differ.
    public private(set) var differing = 0
    /// Those of them where one value is null.
    public private(set) var nulls = 0
    /// Those of them whose main cause it is.
    public private(set) var causes: [DifferenceCause: Int] = [:]
    /// Of two numbers that differ; of times in seconds.
    public private(set) var absolute = Distances()
    /// The same, divided by the larger magnitude of the two.
    public private(set) var relative = Distances()

    init(_ column: FeatureColumn) { self.column = column }

    mutating func add(_ happened: FeatureValue, _ served: FeatureValue, _ cause: DifferenceCause) {
      differing += 1
      causes[cause, default: 0] += 1
      if happened == .null || served == .null { nulls += 1 }
      guard let distance = ValueDistance(happened, served) else { return }
      absolute.add(distance.absolute)
      relative.add(distance.relative)
    }
  }

  /// One view.
  public struct ViewReport: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// Rows that were compared.
    public private(set) var rows = 0
    /// Those of them of which some feature differs.
    public private(set) var differing = 0
    /// Rows that are left out: before the first snapshot of the view was committed, nothing was served.
    public private(set) var beforeFirstSnapshot = 0
    /// The features, in the order of the definitions.
    public private(set) var features: [Feature]

    init(_ view: ViewPlan) {
      name = view.name
      features = view.features.map(Feature.init)
    }

    mutating func addUnserved() { beforeFirstSnapshot += 1 }

    /// Adds a row with the features of it that differ.
    mutating func add(_ differences: [RowDifference]) {
      rows += 1
      if !differences.isEmpty { differing += 1 }
      for difference in differences {
        features[difference.feature].add(difference.happened, difference.served, difference.cause)
      }
    }

    /// A number of rows as a share of those that were compared.
    public func share(_ count: Int) -> Double { rows == 0 ? 0 : Double(count) / Double(rows) }
  }

  /// The rows of the spine. Those whose entity has a null in it are not compared.
  public var rows: Int
  /// The views.
  public var views: [ViewReport]
}

extension ComparisonReport {
  /// One JSON object, as bytes without a line's end.
  public var json: [UInt8] {
    let views = views.map { view in
      JSONText.object([
        ("view", JSONText.string(view.name)), ("rows", "\(view.rows)"), ("differing", "\(view.differing)"),
        ("share", JSONText.number(view.share(view.differing))),
        ("before_first_snapshot", "\(view.beforeFirstSnapshot)"),
        ("features", JSONText.list(view.features.map { Self.json($0, view) })),
      ])
    }
    return Array(JSONText.object([("rows", "\(rows)"), ("views", JSONText.list(views))]).utf8)
  }

  private static func json(_ feature: Feature, _ view: ViewReport) -> String {
    let causes = DifferenceCause.allCases.map { ($0.rawValue, "\(feature.causes[$0] ?? 0)") }
    return JSONText.object([
      ("feature", JSONText.string(feature.column.name)), ("differing", "\(feature.differing)"),
      ("share", JSONText.number(view.share(feature.differing))), ("null_on_one_side", "\(feature.nulls)"),
      ("causes", JSONText.object(causes)), ("absolute", json(feature.absolute)),
      ("relative", json(feature.relative)),
    ])
  }

  private static func json(_ distances: Distances) -> String {
    guard distances.count > 0 else { return "null" }
    return JSONText.object([
      ("mean", JSONText.number(distances.mean)), ("max", JSONText.number(distances.max)),
    ])
  }

  /// Lines for people.
  public var text: String {
    var lines: [String] = []
    for view in views {
      let left =
        view.beforeFirstSnapshot == 0
        ? "" : "; \(view.beforeFirstSnapshot) more are before the first snapshot and not compared"
      lines.append(
        "\(view.name): of \(view.rows) rows \(view.differing) differ (\(Self.percent(view.share(view.differing))))\(left)"
      )
      let features = view.features.filter { $0.differing > 0 }
      guard !features.isEmpty else { continue }
      var table = [["feature", "rows", "share", "mean", "max", "mean %", "max %", "causes"]]
      table += features.map { Self.cells($0, view) }
      lines += Self.aligned(table)
    }
    return lines.map { "\($0)\n" }.joined()
  }

  private static func cells(_ feature: Feature, _ view: ViewReport) -> [String] {
    let hasNumbers = feature.absolute.count > 0
    let numbers =
      hasNumbers
      ? [
        short(feature.absolute.mean), short(feature.absolute.max), percent(feature.relative.mean),
        percent(feature.relative.max),
      ] : ["-", "-", "-", "-"]
    let causes = DifferenceCause.allCases.compactMap { cause in
      feature.causes[cause].map { "\(cause.text) \(percent(Double($0) / Double(feature.differing)))" }
    }
    return [feature.column.name, "\(feature.differing)", percent(view.share(feature.differing))] + numbers
      + [causes.joined(separator: ", ")]
  }

  private static func aligned(_ table: [[String]]) -> [String] {
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    return table.map { row in
      let cells = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        // Names and causes begin at the left, numbers end at the right.
        return column == 0 ? cell + padding : column == row.count - 1 ? cell : padding + cell
      }
      return "  " + cells.joined(separator: "  ")
    }
  }

  /// With one digit behind the point.
  private static func percent(_ share: Double) -> String {
    let tenths = Int((share * 1_000).rounded())
    return "\(tenths / 10).\(tenths % 10) %"
  }

  /// With at most four digits that tell something.
  private static func short(_ number: Double) -> String {
    guard number != 0, number < 1e15 else { return "\(number)" }
    var scale = 1.0
    while number * scale < 1_000, scale < 1e12 { scale *= 10 }
    let rounded = (number * scale).rounded() / scale
    return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
  }
}

private enum JSONText {
  static func object(_ fields: [(String, String)]) -> String {
    "{\(fields.map { "\(string($0.0)):\($0.1)" }.joined(separator: ","))}"
  }

  static func list(_ items: [String]) -> String { "[\(items.joined(separator: ","))]" }

  static func string(_ text: String) -> String {
    var bytes: [UInt8] = []
    ValueText.appendJSONString(Array(text.utf8), to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  static func number(_ value: Double) -> String {
    var bytes: [UInt8] = []
    ValueText.appendJSON(.double(value), to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
