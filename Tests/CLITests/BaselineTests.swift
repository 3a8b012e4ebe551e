import Foundation
import Testing

/// `plumb baseline`: what numpy counts and scikit-learn measures of the same rows.
@Suite struct BaselineTests {
  enum Needs {
    static let script = Workspace.root.appendingPathComponent("Tests/CLITests/Oracle/baseline.py").path
    static let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"
    static let areMet = (try? Workspace().shell("\(python) -B \(script) check").status) == 0
    static let comment: Comment = "needs pyarrow and scikit-learn in the Python of PLUMB_PYTHON"
  }

  let work: Workspace

  init() throws { work = try Workspace() }

  private func python(_ arguments: String) throws {
    let result = try work.shell("\(Needs.python) -B \(Needs.script) \(arguments)")
    try #require(result.status == 0, "\(result.error)")
  }

  @Test(.enabled(if: Needs.areMet, Needs.comment)) func equalsNumpyAndScikitLearn() throws {
    try python("write t.parquet")
    let result = try work.plumb(
      "baseline", "t.parquet", "--label", "label", "--score", "score", "-o", "b.json")
    #expect(result.status == 0 && result.output.isEmpty)
    #expect(
      result.error == """
        plumb: column 'at' is left out: it holds timestamp, which no measure of drift takes
        plumb: column 'tags' is left out: it holds list<string>, which no measure of drift takes
        plumb: column 'nothing' is left out: it has no value

        """)
    try python("compare b.json")
    // The same bytes again, on the standard output and over an older file.
    let again = try work.done("baseline", "t.parquet", "--label", "label", "--score", "score")
    #expect(try again == work.read("b.json"))
    try work.done("baseline", "t.parquet", "--label", "target", "--score", "score", "-o", "b.json")
    try python("compare_numbers b.json")
    #expect(try work.names == ["b.json", "t.parquet"])
  }

  /// From a training set to values: events like those of the training set have no excess, others have.
  @Test(.enabled(if: Needs.areMet, Needs.comment)) func definitionsReadIt() throws {
    try python("write t.parquet")
    try FileManager.default.createDirectory(
      at: work.url.appending(path: "models"), withIntermediateDirectories: true)
    try work.done("baseline", "t.parquet", "-o", "models/b.json")
    let columns = [
      "price: { aggregate: psi_excess, value: price, windows: [24h], baseline: models/b.json }",
      "missing: { aggregate: null_share, value: price, windows: [24h], baseline: models/b.json }",
      "clicks: { aggregate: psi_excess, value: n, windows: [24h], baseline: { file: models/b.json, column: users__clicks_1h } }",
    ]
    let source =
      "s: { topic: s, timestamp: { field: ts, unit: ms }, fields: { user: string, price: double, n: int64 } }"
    try work.write(
      "name: m\nsources: { \(source) }\nviews: { v: { source: s, entity: [user], features: { \(columns.joined(separator: ", ")) } } }\n",
      to: "d.yaml")
    let events = try work.shell(
      "\(Needs.python) -c \"import pyarrow.parquet as pq; import json; t = pq.read_table('t.parquet').slice(0, 900).to_pylist(); "
        + "[print(json.dumps({'ts': 1700000000000 + i, 'user': u, 'price': None if r['price'] is None else r['price'] * f, 'n': r['users__clicks_1h']})) "
        + "for u, f in [('same', 1), ('dearer', 3)] for i, r in enumerate(t)]\" > e.ndjson")
    try #require(events.status == 0, "\(events.error)")
    let output = try work.done(
      "replay", "-d", "d.yaml", "--events", "e.ndjson", "--features-at", "end", "--out", "-")
    struct Row: Decodable { var user: String, price_24h, missing_24h, clicks_24h: Double }
    var rows: [String: Row] = [:]
    for line in output.split(separator: "\n") {
      let row = try JSONDecoder().decode(Row.self, from: Data(line.utf8))
      rows[row.user] = row
    }
    let (same, dearer) = (try #require(rows["same"]), try #require(rows["dearer"]))
    #expect(abs(same.price_24h) < 0.03 && abs(same.clicks_24h) < 0.03, "\(same)")
    #expect(dearer.price_24h > 0.5 && dearer.clicks_24h == same.clicks_24h, "\(dearer)")
    #expect(same.missing_24h == 100 / 900.0)
  }

  @Test(.enabled(if: Needs.areMet, Needs.comment)) func whatIsWrongIsSaid() throws {
    try python("write_broken .")
    try work.write("a,b\n1,2\n", to: "t.csv")
    try work.write("PK\u{3}\u{4}\u{0}", to: "t.zip")
    let cases: [([String], Int32, String)] = [
      (["none.parquet"], 1, "none.parquet: "),
      (["t.csv"], 2, "t.csv: is no Parquet file; write the training set as Parquet"),
      (["t.zip"], 2, "t.zip: is a zip archive"),
      (["empty.parquet"], 2, "empty.parquet: has no rows; write the rows that the model is trained on"),
      (["times.parquet"], 2, "times.parquet: has no column of numbers, texts or bools"),
      (
        ["odds.parquet", "--label", "label", "--score", "scores"], 2,
        "has no column 'scores', which is to be the score; did you mean 'score'?"
      ),
      (
        ["odds.parquet", "--label", "text", "--score", "score"], 2,
        "the label 'text' is string; write a bool or a number"
      ),
      (
        ["odds.parquet", "--label", "label", "--score", "text"], 2,
        "the score 'text' is string; write a number"
      ),
      (
        ["odds.parquet", "--label", "label", "--score", "score"], 2,
        "column 'score', row 2: 3.5 is not from 0 to 1, and the labels are true or false; write probabilities"
      ),
      (
        ["apart.parquet", "--label", "label", "--score", "score"], 2,
        "no row has both a 'label' and a 'score'; name columns that have values"
      ),
      (["odds.parquet", "--label", "label"], 64, "--label and --score go together: add --score."),
      (["odds.parquet", "--label", "score", "--score", "score"], 64, "are both 'score'"),
      (["odds.parquet", "-o", "odds.parquet"], 64, "would overwrite the input"),
      (["odds.parquet", "-o", "no/folder.json"], 1, "no/folder.json: cannot be created"),
    ]
    for (arguments, status, message) in cases {
      let result = try work.run(Workspace.binary, ["baseline"] + arguments)
      #expect(result.status == status && result.error.contains(message), "\(arguments): \(result.error)")
      #expect(result.output.isEmpty)
    }
  }
}
