import DefinitionFiles
import FeatureCore
import Testing

/// Services and annotations as files write them.
@Suite struct ServicesFileTests {
  private static let head = """
    name: n
    sources:
      s:
        owner: data@example.com
        timestamp: { field: ts, unit: ms }
        fields: { a: string }
    views:
      v:
        source: s
        entity: a
        description: what users do
        tags: { tier: 1, pii: no }
        features:
          n: { aggregate: count, windows: 1h, owner: ml, description: how often }
          d: { derive: n_1h + 1, tags: { kind: ratio } }

    """

  private func problems(_ text: String) -> [String] {
    do {
      _ = try DefinitionFile.parse(Self.head + text, file: "f.yaml") { definitions, zones in
        do throws(DefinitionMistakes) {
          _ = try Plan(definitions, zones: zones)
          return []
        } catch {
          return error.mistakes
        }
      }
      return []
    } catch {
      return error.problems.map { "\($0.line):\($0.column): \($0.message)" }
    }
  }

  @Test func everythingIsRead() throws {
    let file = try DefinitionFile.parse(
      Self.head + """
        services:
          ranker:
            owner: ranking
            features: [v.n_1h, v.*]
            inputs: { price: double, rank: int64 }
            derive: { gap: price - v__n_1h }
            max_age: { v: 30d }
            max_lag: 60s
            when_stale: fail
            served: { share: 0.5 }
          one: { features: v.d }
        """, file: "f.yaml"
    ) { _, _ in [] }
    let definitions = file.definitions
    #expect(definitions.sources[0].annotations == Annotations(owner: "data@example.com"))
    #expect(
      definitions.views[0].annotations
        == Annotations(description: "what users do", tags: ["tier": "1", "pii": "no"]))
    #expect(
      definitions.views[0].features.map(\.annotations) == [
        Annotations(owner: "ml", description: "how often"), Annotations(tags: ["kind": "ratio"]),
      ])
    var ranker = Service(
      "ranker", features: ["v.n_1h", "v.*"], inputs: [.init("price", .double), .init("rank", .int64)],
      derived: [.init("gap", "price - v__n_1h")], maxAge: [.init("v", 30 * 86_400_000_000)],
      maxLag: 60_000_000, whenStale: .fail, servedShare: 0.5)
    ranker.annotations = Annotations(owner: "ranking")
    #expect(definitions.services == [ranker, Service("one", features: ["v.d"])])
  }

  @Test func mistakesHaveTheirPlace() {
    #expect(
      problems(
        """
        services:
          ranker:
            features: [v.n_2h, v.*]
            derive: { gap: 1 + price }
            maxlag: 60s
          other: { features: [v.*], served: 0.5, when_stale: eror }
        """) == [
          "18:16: view 'v' has no feature 'n_2h'", "19:24: column \"price\" is unknown",
          "20:5: unknown key 'maxlag' in a service",
          "21:37: expected what is logged of a service: a mapping with the keys share, found '0.5'",
          "21:54: unknown reaction 'eror'",
        ])
  }

  /// What is wrong with a view is said once, not again for each service that names it.
  @Test func brokenViewsBreakNoService() {
    let broken = Self.head.replacing("aggregate: count", with: "aggregate: cuont")
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(
        broken + "services: { r: { features: [v.n_1h] } }\n", file: "f.yaml"
      ) { definitions, zones in
        do throws(DefinitionMistakes) {
          _ = try Plan(definitions, zones: zones)
          return []
        } catch {
          return error.mistakes
        }
      }
    }
    #expect(error?.problems.map(\.message) == ["unknown aggregate 'cuont'"])
  }
}
