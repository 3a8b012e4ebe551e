public import FeatureCore

/// How a model's measures came to be, from its snapshots: what `CurveChart` draws. Bounded, whatever comes.
public struct ModelHistory: Sendable {
  private let shape: ModelShape
  private let window: String
  /// By version and column.
  private var lines: [String: [String: ThinnedLine]] = [:]
  private var levels: [String: Double] = [:]
  private var marks: Set<CurveChart.Mark> = []

  /// Triggers that are marked: more are a blur.
  private static let marksMax = 200
  /// Versions that are remembered.
  private static let versionsMax = 1_000

  /// The history of a model by one of its windows.
  public init(_ shape: ModelShape, window: String) {
    self.shape = shape
    self.window = window
  }

  /// The columns that curves are made of.
  private var columns: [(column: String, panel: Int, isDashed: Bool)] {
    let own: [(column: String, panel: Int, isDashed: Bool)] =
      shape.model.predictsNumbers
      ? [("mae", 0, false), ("rmse", 1, false), ("bias", 2, false)]
      : [("auc", 0, false), ("expected_auc", 0, true), ("log_loss", 1, false), ("calibration", 2, false)]
    return own + [(Model.largestDrift, 3, false), ("labelled", 4, false), ("predictions", 4, true)]
  }

  /// Takes over what a state of a version said at a time.
  public mutating func add(version: String, at time: EventTime, _ values: [String: Double]) {
    for (column, _, _) in columns {
      if let level = values[Model.baselinePrefix + column] { levels[column] = level }
      guard let value = values["\(column)_\(window)"], value.isFinite,
        lines[version] != nil || lines.count < Self.versionsMax
      else { continue }
      lines[version, default: [:]][column, default: ThinnedLine()].add(time, value)
    }
  }

  /// Takes over that a trigger has fired.
  public mutating func add(trigger: String, version: String, at time: EventTime) {
    if marks.count < Self.marksMax { marks.insert(.init(time: time, name: "\(trigger) (\(version))")) }
  }

  /// Whether nothing has been taken over.
  public var isEmpty: Bool { lines.isEmpty }

  /// The curves of the versions that came last, as many as have a colour.
  public var chart: CurveChart {
    let latest = lines.mapValues { columns in columns.values.compactMap(\.last).max() ?? .min }
    let versions = latest.sorted { ($0.value, $0.key) > ($1.value, $1.key) }
      .prefix(CurveChart.colourCount).map(\.key).reversed()
    let titles =
      (shape.model.predictsNumbers ? ["mae", "rmse", "bias"] : ["auc", "log_loss", "calibration"])
      + [Model.largestDrift, "predictions, and those with an outcome"]
    let panels = titles.enumerated().map { index, title in
      let own = columns.filter { $0.panel == index }
      let curves = versions.enumerated().flatMap { colour, version in
        own.compactMap { column in
          lines[version]?[column.column].map {
            CurveChart.Line(
              name: own.count > 1 ? "\(version) \(column.column)" : version, colour: colour,
              isDashed: column.isDashed, points: $0.points)
          }
        }
      }
      let level = index < 3 ? levels[title].map { (name: "training", value: $0) } : nil
      return CurveChart.Panel(title: "\(title), \(window)", lines: curves, level: level)
    }
    return CurveChart(
      title: "\(shape.model.name), by \(Model.versionField)", panels: panels,
      marks: marks.sorted { ($0.time, $0.name) < ($1.time, $1.name) })
  }
}

/// Points of a curve, of which the last in each slice of time is kept; slices become twice as wide when there are too many.
struct ThinnedLine: Sendable {
  private var width: Int64 = 1_000_000
  private var slices: [Int64: CurveChart.Point] = [:]

  private static let pointsMax = 1_000

  mutating func add(_ time: EventTime, _ value: Double) {
    insert(CurveChart.Point(time: time, value: value))
    while slices.count > Self.pointsMax {
      width *= 2
      let points = points
      slices.removeAll(keepingCapacity: true)
      for point in points { insert(point) }
    }
  }

  private mutating func insert(_ point: CurveChart.Point) {
    let time = point.time.microseconds
    let slice = (time - (time % width + width) % width) / width
    // Snapshots of a state come in the order of its times; what stands still is told again.
    if let known = slices[slice], known.time > point.time { return }
    slices[slice] = point
  }

  var points: [CurveChart.Point] { slices.values.sorted { $0.time < $1.time } }
  var last: Int64? { slices.values.map(\.time.microseconds).max() }
}
