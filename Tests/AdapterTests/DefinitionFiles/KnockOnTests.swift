import DefinitionFiles
import FeatureCore
import Foundation
import Testing

/// What the compiler says about definitions with holes in them.
@Suite struct KnockOnTests {
  private func problems(_ text: String, _ mistakes: [Mistake]) -> [String] {
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(text, file: "f.yaml") { _, _ in mistakes }
    }
    return error?.problems.map { "\($0.line):\($0.column): \($0.message)" } ?? []
  }

  private let text = """
    name: n
    sources:
      s:
        timestamp: { field: ts, unit: ms }
        fields: { a: string, price: duble, c: int64 }
    views:
      v:
        source: s
        entity: [a, price, x]
        features:
          sum: { aggregate: sum, value: price + y, windows: [1h, 2x] }
          bad: { aggregate: cuont, windows: 1h }
          uses: { derive: "bad_1h + sum_1h + z" }
          also: { derive: 1 + uses }
          other: { aggregate: sum, value: a, windws: 1h }
    """

  private func mistake(_ path: String, _ offset: Int? = nil, _ message: String = "m") -> Mistake {
    Mistake(DefinitionPath(path.split(separator: ".").map(String.init)), offset: offset, message)
  }

  private let shapes = [
    "5:33: unknown type 'duble'",
    "11:62: '2x' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d",
    "12:25: unknown aggregate 'cuont'", "15:42: unknown key 'windws' in a feature",
  ]

  @Test func shapesAloneAreReportedWithoutTheCompiler() {
    #expect(problems(text, []) == shapes)
  }

  @Test func mistakesOfTheirOwnStay() {
    let own = [
      mistake("views.v.entity.2", "unknown field 'x'"),
      mistake("views.v.features.sum.value", 8, "unknown field 'y'"),
      mistake("views.v.features.uses.derive", 18, "unknown feature 'z'"),
      mistake("views.v.features.other.value", 0, "sum needs a number"), mistake("name", "bad name"),
    ]
    let expected = [
      "1:7: bad name", "9:24: unknown field 'x'", "11:45: unknown field 'y'", "13:42: unknown feature 'z'",
      "15:39: sum needs a number",
    ]
    #expect(Set(problems(text, own)) == Set(shapes + expected))
  }

  private func mistake(_ path: String, _ message: String) -> Mistake { mistake(path, nil, message) }

  @Test(
    arguments: [
      ("sources.s.fields.price", nil), ("sources.s.fields", nil), ("views.v.entity.1", nil),
      ("views.v.features.sum.value", 0), ("views.v.features.sum.windows", nil),
      ("views.v.features.sum.windows.1", nil), ("views.v.features.bad", nil),
      ("views.v.features.bad.windows", nil),
      ("views.v.features.uses.derive", 0), ("views.v.features.uses.derive", 9),
      ("views.v.features.other", nil),
      ("views.v.features.other.windows", nil),
    ] as [(String, Int?)])
  func mistakesThatFollowAreDropped(_ path: String, _ offset: Int?) {
    let isInsideBad = path.hasPrefix("views.v.features.bad.windows")
    let found = problems(text, [mistake(path, offset)])
    #expect(found == (isInsideBad ? shapes + ["12:41: m"] : shapes).sorted(by: byLine))
  }

  private func byLine(_ lhs: String, _ rhs: String) -> Bool {
    lhs.compare(rhs, options: .numeric) == .orderedAscending
  }

  @Test func whatNamesADroppedFeatureIsDroppedToo() {
    let chain = [
      mistake("views.v.features.also.derive", 4), mistake("views.v.features.uses.derive", 0),
    ]
    #expect(problems(text, chain) == shapes)
    #expect(problems(text, [chain[0]]).count == shapes.count + 1)
  }

  @Test func aSourceThatCannotBeReadSilencesItsViews() {
    let text = text.replacing("fields: { a: string, price: duble, c: int64 }", with: "fields: []")
    let mistakes = [
      mistake("views.v.entity.2"), mistake("views.v.features.sum.value", 8),
      mistake("views.v.features.other.value", 0),
    ]
    let found = problems(text, mistakes)
    #expect(found.filter { $0.hasSuffix(": m") }.isEmpty)
    #expect(found.count == shapes.count)
    #expect(
      problems(text.replacing("  s:\n", with: "  s: 1\n  t:\n"), [mistake("views.v.source")]).allSatisfy {
        !$0.hasSuffix(": m")
      })
  }

  @Test func theCompilersMistakesAreReportedLikeTheOthers() throws {
    let error = try #require(
      #expect(throws: DefinitionFileError.self) {
        try DefinitionFile.parse(DefinitionFileTests.shop, file: "features.yaml") { _, _ in
          [
            Mistake(
              DefinitionPath(["views", "user_activity", "features", "spend", "value"]), offset: 8,
              "unknown field 'quantity'", suggestion: "did you mean 'quality'?")
          ]
        }
      })
    let line = DefinitionFileTests.shop.split(separator: "\n")[15]
    let expected = [
      "features.yaml:16:53: error: unknown field 'quantity'; did you mean 'quality'?",
      "  \(line)", "  \(String(repeating: " ", count: 52))^",
    ]
    #expect(error.description == expected.joined(separator: "\n"))
  }
}
