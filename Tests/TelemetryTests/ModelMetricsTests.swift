import FeatureCore
import Processor
import Telemetry
import Testing

/// Measures of models as gauges.
@Suite struct ModelMetricsTests {
  private static func plan() throws -> Plan {
    func count(_ windows: [Window]) -> Feature.Computation { .aggregate(Aggregate(.count, windows: windows)) }
    let view = View(
      "m_inputs", source: "p", entity: ["model_version"],
      features: [
        Feature("predictions", count([.last("1h"), .last("24h")])),
        Feature(
          "expected_auc",
          .aggregate(Aggregate(.expectedAUC, value: "score", windows: [.last("1h"), .last("24h")]))),
        Feature("baseline_expected_auc", .derive("0.75")),
      ])
    let other = View("others", source: "p", entity: ["user"], features: [Feature("n", count([.lifetime]))])
    var definitions = Definitions(
      name: "shop",
      sources: [
        Source(
          "p", topic: "predictions", key: "user", timestamp: .init(field: "ts", unit: .seconds),
          fields: [.init("user", .string), .init("model_version", .string), .init("score", .double)])
      ], views: [other, view])
    definitions.models = [
      Model("m", predictions: "p", outcomes: nil, inputs: ["m_inputs"], quality: [], predictsNumbers: false)
    ]
    return try Plan(definitions)
  }

  private static let start: Int64 = 1_700_000_000

  /// A version's state after some predictions, under its key.
  private func states(_ plan: Plan, _ version: String, count: Int = 2, view name: String = "m_inputs") throws
    -> KeyedStates
  {
    let view = try #require(plan.view(name))
    let batch = EventBatch(plan.sources[0].schema, capacity: 16)
    for index in 0..<count {
      let text =
        "{\"ts\":\(Self.start),\"user\":\"u\",\"model_version\":\"\(version)\",\"score\":0.\(index + 1)}"
      try Array(text.utf8).withUnsafeBytes { try batch.append($0, sequence: Int64(index)) }
    }
    let fold = ViewFold(view)
    var table = StateTable()
    for row in 0..<batch.count { _ = try fold.fold(batch, row: row, into: &table) }
    var states = KeyedStates()
    table.forEachSorted { key, state in
      states.append(StateKey.make(view: name, []), key) { view.encode(state, into: &$0) }
    }
    return states
  }

  private func value(_ registry: PrometheusRegistry, _ version: String, _ measure: String, _ window: String)
    -> Double?
  {
    registry.value(
      "plumb_model_measure",
      [("model", "m"), ("model_version", version), ("measure", measure), ("window", window)])
  }

  @Test func theyAreEvaluatedWhenTheyAreAskedFor() throws {
    let plan = try Self.plan()
    let registry = PrometheusRegistry(MetricDescription.service)
    let metrics = ModelMetrics(plan, registry)
    let input = Routing(plan).input(of: try #require(plan.view("m_inputs")), plan)
    metrics.take("\(input).3", worker: 0, try states(plan, "7"))
    #expect(value(registry, "7", "predictions", "1h") == nil)
    let now = EventTime(microseconds: Self.start * 1_000_000)
    metrics.refresh(at: now)
    #expect(value(registry, "7", "predictions", "1h") == 2)
    #expect(value(registry, "7", "expected_auc", "24h").map { $0 > 0.5 } == true)
    let training = [("model", "m"), ("model_version", "7"), ("measure", "expected_auc")]
    #expect(registry.value("plumb_model_training_measure", training) == 0.75)
    // In silence windows empty by themselves; a measure without a value has no series.
    metrics.refresh(at: EventTime(microseconds: now.microseconds + 7_200_000_000))
    #expect(value(registry, "7", "predictions", "1h") == 0)
    #expect(value(registry, "7", "predictions", "24h") == 2)
    #expect(value(registry, "7", "expected_auc", "1h") == nil)
    // Other views, and inputs that no model has, are none of theirs.
    metrics.take("p.0", worker: 0, try states(plan, "7", view: "others"))
    metrics.take("nonsense", worker: 0, try states(plan, "8"))
    metrics.refresh(at: now)
    #expect(!registry.text.contains("model_version=\"8\""))
    #expect(registry.text.split(separator: "\n").filter { $0.hasPrefix("plumb_model_measure{") }.count == 4)
  }

  @Test func theLatestVersionsAreToldOfAsLongAsTheyAreOwned() throws {
    let plan = try Self.plan()
    let registry = PrometheusRegistry(MetricDescription.service)
    let metrics = ModelMetrics(plan, registry)
    let input = Routing(plan).inputs.first { input in
      input.views.contains { plan.views[$0].name == "m_inputs" }
    }
    let name = try #require(input?.name)
    let topic = try #require(input?.topic)
    for version in 0..<9 {
      metrics.take("\(name).\(version % 2)", worker: version % 2, try states(plan, "v\(version)"))
    }
    let now = EventTime(microseconds: Self.start * 1_000_000)
    func versions() -> [Int] {
      metrics.refresh(at: now)
      return (0..<9).filter { value(registry, "v\($0)", "predictions", "1h") != nil }
    }
    #expect(versions() == [4, 5, 6, 7, 8])
    metrics.keep([TopicPartition(topic, 0), TopicPartition("other", 1)], worker: 0)
    #expect(versions() == [4, 5, 6, 7, 8])
    metrics.keep([], worker: 1)
    #expect(versions() == [4, 6, 8])
  }
}
