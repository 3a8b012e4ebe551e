import Foundation
import Testing

@testable import FeatureCore

/// The kinds of windows: a new one has to say here which it is.
private enum WindowKind: CaseIterable {
  case sliding, shifted, calendar, session, lifetime

  init(_ window: Window) {
    switch window.span {
    case .sliding: self = .sliding
    case .shifted: self = .shifted
    case .calendar: self = .calendar
    case .session: self = .session
    case .lifetime: self = .lifetime
    }
  }
}

/// Whoever adds an aggregate, or a kind of window, is told here what is missing.
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

  @Test func everyKindOfWindowIsCovered() {
    let streams = Set(TestStreams.windows.map(WindowKind.init))
    #expect(
      streams == Set(WindowKind.allCases), "the windows that are compared with the oracle (TestStreams)")
    let features = GoldenVector.all.flatMap(\.features)
    let vectors = Set(
      features.flatMap { feature -> [WindowKind] in
        guard case .aggregate(let aggregate) = feature.computation else { return [] }
        return aggregate.windows.map(WindowKind.init)
      })
    #expect(vectors == Set(WindowKind.allCases), "a golden vector (GoldenVectors)")
  }
}
