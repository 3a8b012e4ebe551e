import DefinitionFiles
import FeatureCore
import Foundation
import TestSupport
import Testing

@testable import ModelMonitor

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What `plumb monitor` prints and draws.
@Suite struct ModelMonitorTests {
  private static let definitions = """
    name: shop
    sources:
      clicks:
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string, kind: string }
    models:
      ranker:
        predictions:
          topic: predictions
          key: user
          timestamp: { field: ts, unit: ms }
          fields: { user: string, model_version: string, country: string, price: double, score: double }
        outcome: { source: clicks, label: "kind = 'click'", on: user, within: 30m, wait: 2m }
        baseline: b.json
        monitor: { by: country, windows: [1h, 24h] }
    """

  private static func plan() throws -> Plan {
    let folder = try TemporaryFolder()
    let price = Baseline(.edges([5]), counts: [1, 1])
    let file = BaselineFile(rows: 2, columns: ["price": price, "score": price], measures: ["auc": 0.75])
    try folder.write(Array(file.text.utf8), to: "b.json")
    return try DefinitionFile.compile(path: folder.write(Array(definitions.utf8), to: "d.yaml"))
  }

  private static func shape() throws -> ModelShape {
    let plan = try plan()
    return ModelShape(try #require(plan.definitions.models.first), plan)
  }

  private static func time(_ seconds: Int64) -> EventTime { EventTime(microseconds: seconds * 1_000_000) }

  @Test func theShapeIsThatOfTheViews() throws {
    let plan = try Self.plan()
    let shape = try Self.shape()
    #expect(shape.windows == ["1h", "24h"])
    #expect(shape.measures.prefix(4) == ["predictions", "expected_auc", "labelled", "auc"])
    #expect(shape.drifts == ["price", "score"])
    #expect(shape.views(by: nil, plan)?.inputs.name == "ranker_inputs")
    #expect(shape.views(by: "country", plan)?.quality?.name == "ranker_quality_by_country")
    #expect(shape.views(by: "price", plan) == nil)
  }

  @Test func aReportHoldsMeasuresAgainstTheTrainingSetAndSortsDrift() throws {
    let shape = try Self.shape()
    let inputs = ModelReport.Stage(
      asOf: Self.time(10),
      columns: [
        "predictions_1h": 12, "predictions_24h": 345, "price_psi_excess_24h": -0.01,
        "score_psi_excess_24h": 0.25, "score_psi_excess_1h": 1.5, "baseline_auc": 0.75,
      ])
    let quality = ModelReport.Stage(
      asOf: Self.time(5),
      columns: ["auc_1h": 0.5, "auc_24h": 0.70004, "labelled_24h": 300, "baseline_auc": 0.75])
    let report = ModelReport(shape, inputs: inputs, quality: quality)
    let rows = report.table
    #expect(rows[0] == ["measure", "1h", "24h", "training", "difference"])
    #expect(rows[1] == ["predictions", "12", "345", "", ""])
    #expect(rows[4] == ["auc", "0.5000", "0.7000", "0.7500", "-0.0500"])
    #expect(
      rows.suffix(3) == [
        ["drift (psi_excess)", "1h", "24h", "", ""], ["score", "1.5000", "0.2500", "", ""],
        ["price", "-", "-0.0100", "", ""],
      ])
    let nothing = ModelReport(shape, inputs: nil, quality: nil)
    #expect(nothing.measures.allSatisfy { $0.values == [nil, nil] && $0.difference == nil })
    #expect(nothing.drifts.map(\.name) == ["price", "score"])
  }

  @Test(arguments: [
    (0.0, "0"), (1234567, "1234567"), (0.5, "0.5000"), (-0.00004, "-0.0000"), (1e300, "1e+300"),
    (12.34567, "12.3457"), (-3, "-3"),
  ])
  func numbersAreShort(_ value: Double, _ text: String) { #expect(ModelReport.text(value) == text) }

  /// Well-formed, with what was drawn in it and nothing of what can't be.
  @Test func aChartIsAnSVG() throws {
    var history = ModelHistory(try Self.shape(), window: "24h")
    for second in 0..<5_000 {
      let share = Double(second) / 5_000
      history.add(
        version: "7 <&\"\u{1}", at: Self.time(Int64(second) * 60),
        [
          "auc_24h": 0.8 - share / 5, "expected_auc_24h": 0.8, "psi_excess_max_24h": share,
          "baseline_auc": 0.75,
        ])
    }
    for version in 0..<10 {
      history.add(version: "v\(version)", at: Self.time(Int64(version)), ["auc_24h": 0.5, "auc_1h": 0.1])
    }
    history.add(trigger: "worse", version: "7", at: Self.time(200_000))
    let chart = history.chart
    #expect(chart.panels[0].level?.value == 0.75)
    let points = try #require(
      chart.panels[0].lines.first { $0.name.hasSuffix(" auc") && $0.name.hasPrefix("7") }?.points)
    #expect(points.count > 400 && points.count <= 1_000, "\(points.count)")
    #expect(points.last == CurveChart.Point(time: Self.time(4_999 * 60), value: 0.8 - 4_999 / 5_000.0 / 5))
    #expect(Set(chart.panels[0].lines.map(\.colour)).count == CurveChart.colourCount)
    let svg = chart.svg
    let parser = XMLParser(data: Data(svg.utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError)) \(svg.prefix(2_000))")
    #expect(svg.contains("worse (7)") && svg.contains("7 &lt;&amp;&quot;? expected_auc"))
    #expect(!svg.contains("nan") && !svg.contains("inf"))
    let empty = ModelHistory(try Self.shape(), window: "24h")
    #expect(empty.isEmpty)
    #expect(XMLParser(data: Data(empty.chart.svg.utf8)).parse())
  }

  @Test(arguments: [(0.0, 0.0), (0.7, 0.7), (-3, 8), (0, 1e-9), (1e12, 3e12), (0.701, 0.702)])
  func axesHoldTheirValues(_ least: Double, _ largest: Double) {
    let ticks = CurveChart.ticks(least, largest)
    #expect((2...12).contains(ticks.count), "\(ticks)")
    #expect((ticks.first ?? 0) <= least && (ticks.last ?? 0) >= largest, "\(ticks)")
    #expect(zip(ticks, ticks.dropFirst()).allSatisfy(<))
  }

  @Test func timesAreWhole() {
    let hour = CurveChart.timeTicks(1_700_000_000e6, 1_700_003_600e6)
    #expect(hour.map(\.label).first == "11-14 22:15")
    #expect(hour.count == 4)
    let year = CurveChart.timeTicks(1_600_000_000e6, 1_700_000_000e6)
    #expect((2...8).contains(year.count), "\(year)")
  }
}
