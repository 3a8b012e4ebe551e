import DefinitionFiles
import FeatureCore
import Testing

/// The compiler's offsets in an expression become lines and columns of the file, however YAML writes it.
@Suite struct ExpressionPositionTests {
  private static let marker = "HERE"

  /// YAML values that contain the marker once.
  static let values = [
    "a + HERE + b",
    "&x a + HERE",
    "\"HERE\"",
    "\"'it' + HERE\"",
    "'it''s ''x'' + HERE'",
    #""tab\t \"q\" \x41\u00e4\U0001F600 + HERE""#,
    "\"日本 + ä + HERE\"",
    "日本 = HERE",
    "!!str \"a + HERE\"",
    "|\n      a +\n        b + HERE\n",
    "|-\n      HERE",
    "|\n\n      a +\n\n      HERE\n",
    "| # comment\n      a + HERE\n",
    ">\n      a +\n      b +\n      c + HERE\n",
    ">-\n      a\n\n      b\n        c\n      d HERE",
    "a +\n      b +\n      HERE",
    "a +\n\n\n      b +   \n      c HERE",
    "\"a +\n      b +\n\n      HERE\"",
    "\"a + \\\n      b \\\n      HERE\"",
    "'a +\n      b'' +\n      HERE'",
    "\n      a + HERE",
  ]

  @Test(arguments: values, ["\n", "\r\n"])
  func followsEveryStyle(_ value: String, _ lineBreak: String) throws {
    let text = """
      name: n
      sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }
      views:
        v:
          source: s
          entity: a
          where: \(value)
          features: {}
      """.replacing("\n", with: lineBreak)
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(text, file: "f.yaml") { definitions, _ in
        let filter = definitions.views.first?.filter ?? ""
        let before = filter.ranges(of: Self.marker).first.map { filter[..<$0.lowerBound] }
        return [Mistake(DefinitionPath(["views", "v", "where"]), offset: before?.utf8.count ?? 0, "m")]
      }
    }
    let problem = try #require(error?.problems.first)
    let lines = text.replacing("\r\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false)
    let line = try #require(lines.firstIndex { $0.contains(Self.marker) })
    let prefix = try #require(lines[line].ranges(of: Self.marker).first)
    #expect(problem.line == line + 1)
    #expect(problem.column == lines[line][..<prefix.lowerBound].unicodeScalars.count + 1)
  }

  @Test(arguments: [
    (["views", "v", "where"], 7, 12), (["views", "v", "entity"], 6, 5),
    (["views", "v", "entity", "1"], 6, 18),
    (["views", "v", "features", "f", "windows", "0"], 9, 39),
    (["views", "v", "features", "g", "windows", "0"], 10, 30),
    (["views", "v", "features", "g", "windows", "0", "session"], 10, 50),
    (["views", "v", "features", "f"], 9, 7), (["views", "v", "features", "f", "k"], 9, 7),
    (["views", "v", "nothing"], 4, 3), (["nothing"], 1, 1), ([], 1, 1),
    (["sources", "s", "fields", "a", "type"], 2, 66),
  ])
  func findsEveryPath(_ names: [String], _ line: Int, _ column: Int) {
    let text = """
      name: n
      sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }
      views:
        v:
          source: s
          entity: [ a, a ]
          where: a
          features:
            f: { aggregate: count, windows: 1h }
            g: { aggregate: count, windows: { session: 1h } }
      """
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(text, file: "f.yaml") { _, _ in [Mistake(DefinitionPath(names), "m")] }
    }
    #expect(error?.problems.map { [$0.line, $0.column] } == [[line, column]])
  }
}
