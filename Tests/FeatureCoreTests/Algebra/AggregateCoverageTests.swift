import Foundation
import Testing

@testable import FeatureCore

/// Whoever adds an aggregate is told here what is missing.
@Suite struct AggregateCoverageTests {
  @Test(arguments: Aggregate.Function.allCases) func everyAggregateIsCovered(_ function: Aggregate.Function)
    throws
  {
    func has(_ features: [Feature]) -> Bool {
      features.contains {
        if case .aggregate(let aggregate) = $0.computation { aggregate.function == function } else { false }
      }
    }
    #expect(
      has(TestStreams.features([.lifetime])), "the streams that are compared with the oracle (TestStreams)")
    #expect(GoldenVector.all.contains { has($0.features) }, "a golden vector (GoldenVectors)")
    let page = try String(
      contentsOf: GoldenVectorTests.folder.appending(path: "../../../docs/semantics.md").standardized,
      encoding: .utf8)
    let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap {
      $0.split(separator: "|").first
    }
    #expect(rows.contains { $0.contains("`\(function.rawValue)`") }, "a row in docs/semantics.md")
  }
}
