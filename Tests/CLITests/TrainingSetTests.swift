import Foundation
import Testing

/// `plumb training-set` from files: its inputs, and its outputs as other programs read them.
@Suite struct TrainingSetTests {
  /// What the tests need beside the binary.
  enum Needs {
    static let script = Workspace.root.appendingPathComponent("Tests/CLITests/Oracle/training_rows.py").path
    static let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"
    static let areMet = (try? Workspace().shell("\(python) -B \(script) check").status) == 0
    static let comment: Comment = "needs pyarrow and DuckDB in the Python of PLUMB_PYTHON"
  }

  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Shop.definitions, to: "d.yaml")
    try work.write(Shop.twoSources, to: "two.yaml")
    try work.write(Shop.events, to: "e.ndjson")
  }

  private func python(_ arguments: String) throws -> String {
    let result = try work.shell("\(Needs.python) -B \(Needs.script) \(arguments)")
    try #require(result.status == 0, "\(result.error)")
    return result.output
  }

  private func happened(_ arguments: String..., definitions: String = "d.yaml") throws -> Workspace.Result {
    try work.run(
      Workspace.binary, ["training-set", "-d", definitions, "--as", "happened"] + arguments)
  }

  // MARK: Parquet

  @Test(.enabled(if: Needs.areMet, Needs.comment), arguments: ["good", "millis", "texts"])
  func parquetSpine(_ name: String) throws {
    _ = try python("write \(name)")
    let result = try happened("--events", "e.ndjson", "--spine", "\(name).parquet", "--out", "t.parquet")
    #expect(result.status == 0, "\(result.error)")
    let expected = """
      user: string
      ts: timestamp[us, tz=UTC]
      n: double
      small: int64
      ratio: double
      flag: bool
      note: string
      day: timestamp[us, tz=UTC]
      tags: list<element: string>
      users__clicks_1h: int64
      users__clicks_lifetime: int64
      users__spend_24h: double
      users__items_7d: list<element: string>
      users__as_of: timestamp[us, tz=UTC]
      users__age_seconds: double
      pairs__clicks_1h: int64
      pairs__as_of: timestamp[us, tz=UTC]
      pairs__age_seconds: double
      'a', 2023-11-14T22:15:20.001000+00:00, 1.0, 1, 0.5, True, '', 2026-01-02T00:00:00+00:00, ['x', None], 2, 2, 3.5, \
      ['x', 'z'], 2023-11-14T22:15:20+00:00, 0.001, 1, 2023-11-14T22:13:20+00:00, 120.001
      'b', 2023-11-14T22:14:20.001000+00:00, 2.0, -2, None, None, 'é\\n"', 2026-01-02T00:00:00+00:00, [], 1, 1, None, \
      ['y'], 2023-11-14T22:14:20+00:00, 0.001, 1, 2023-11-14T22:14:20+00:00, 0.001
      'a', 2023-11-14T22:13:20+00:00, None, None, 1e+300, False, None, 2026-01-02T00:00:00+00:00, None, 0, 0, None, \
      None, None, None, None, None, None
      None, 2023-11-14T22:15:20.001000+00:00, 1.0, 4, -0.0, True, 'x', None, ['y'], None, None, None, None, None, \
      None, None, None, None

      """
    #expect(try python("read t.parquet") == expected)
    // As text it is the same rows.
    let text = try happened(
      "--events", "e.ndjson", "--spine", "\(name).parquet", "--view", "users", "--out", "-")
    let first = text.output.prefix { $0 != "\n" }
    #expect(first.hasSuffix(#""as_of":"2023-11-14T22:15:20Z","age_seconds":0.001}"#), "\(text.output)")
    #expect(text.output.contains(#""tags":["x",null],"#))
  }

  @Test(.enabled(if: Needs.areMet, Needs.comment)) func emptyParquetSpine() throws {
    _ = try python("write empty")
    let result = try happened(
      "--events", "e.ndjson", "--spine", "empty.parquet", "--view", "pairs", "--out", "t.parquet")
    #expect(result.status == 0 && result.error == "3 events, 0 rows; no dead letters\n", "\(result.error)")
    #expect(try python("read t.parquet").hasPrefix("user: string\nts: timestamp[us, tz=UTC]\nn: double\n"))
  }

  @Test(
    .enabled(if: Needs.areMet, Needs.comment),
    arguments: [
      ("no-time", "1: there is no time column 'ts'; did you mean 'tz'?; name the column"),
      ("no-user", "1: view 'users' needs the column 'user'; add the column"),
      ("int-user", " column 'user' is int64, and the definitions declare string; cast it to string when"),
      ("list-user", " column 'user' is list<string>, and the definitions declare string; cast"),
      ("half-n", " column 'n', row 2: '2.5' is no int64; cast it to int64"),
      ("null-time", " column 'ts', row 4: the time is null; give every row a time"),
      (
        "far-time",
        " column 'ts', row 1: '100000000000000000' is no time; write timestamps, or a time with its zone"
      ),
      ("bytes", " column 'note', row 2: the bytes are no UTF-8; leave the column out"),
      ("feature", "1: the column 'as_of' has the name of one that is added; rename"),
      ("twice", " it has two columns note"),
    ])
  func brokenParquetSpine(_ name: String, _ message: String) throws {
    _ = try python("write \(name)")
    let views = name == "half-n" ? ["--view", "pairs"] : ["--view", "users"]
    let result = try work.run(
      Workspace.binary,
      [
        "training-set", "-d", "d.yaml", "--as", "happened", "--events", "e.ndjson", "--spine",
        "\(name).parquet",
      ]
        + views + ["--out", "t.parquet"])
    #expect(result.status != 0)
    #expect(result.error.hasPrefix("plumb: \(name).parquet:\(message)"), "\(result.error)")
    #expect(try !work.names.contains("t.parquet"))
  }

  @Test(.enabled(if: Needs.areMet, Needs.comment)) func columnsThatNobodyNeedsAreLeftOut() throws {
    _ = try python("write nested")
    let result = try happened(
      "--events", "e.ndjson", "--spine", "nested.parquet", "--view", "users", "--out", "-")
    #expect(result.status == 0, "\(result.error)")
    #expect(
      result.error.hasPrefix("nested.parquet: column 'note' is left out: it is nested"), "\(result.error)")
    #expect(result.output.contains("\"user\":") && !result.output.contains("note"), "\(result.output)")
  }

  @Test func noParquet() throws {
    try work.write("PAR1\u{15}\u{4} and no footer", to: "s.parquet")
    let result = try happened("--events", "e.ndjson", "--spine", "s.parquet", "--out", "-")
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("plumb: s.parquet: is no Parquet file"), "\(result.error)")
  }

  // MARK: Events as rows

  @Test(arguments: ["e.ndjson", "-"]) func rowsOfEvents(_ path: String) throws {
    let events = """
      {"ts":1000,"user":"a","item":"x","n":1,"price":2}
      {"ts":3000,"user":"a","item":"x","n":9}
      {"ts":2000,"user":"a","item":"x","n":1,"price":0.5}
      {"ts":2000,"user":"a","item":null,"n":7,"price":1}
      {"ts":9000,"user":"b","item":"x","n":7,"price":4}
      {"ts":"late"}

      """
    try work.write(events, to: "e.ndjson")
    let result = try work.plumb(
      "training-set", "-d", "d.yaml", "--as", "happened", "--events", path, "--view", "users",
      "--spine-events",
      "price is not null", "--label", "n = 9", "--within", "1s", "--on", "user,item", "--dead-letters",
      "dl",
      "--out", "-", input: "e.ndjson")
    #expect(result.status == 0, "\(result.error)")
    let expected = #"""
      {"user":"a","item":"x","price":2.0,"n":1,"ts":"1970-01-01T00:00:01Z","label":0,"clicks_1h":0,"clicks_lifetime":0,"spend_24h":null,"items_7d":null,"as_of":null,"age_seconds":null}
      {"user":"a","item":"x","price":0.5,"n":1,"ts":"1970-01-01T00:00:02Z","label":1,"clicks_1h":1,"clicks_lifetime":1,"spend_24h":2.0,"items_7d":["x"],"as_of":"1970-01-01T00:00:01Z","age_seconds":1.0}
      {"user":"a","item":null,"price":1.0,"n":7,"ts":"1970-01-01T00:00:02Z","label":0,"clicks_1h":1,"clicks_lifetime":1,"spend_24h":2.0,"items_7d":["x"],"as_of":"1970-01-01T00:00:01Z","age_seconds":1.0}
      {"user":"b","item":"x","price":4.0,"n":7,"ts":"1970-01-01T00:00:09Z","label":0,"clicks_1h":0,"clicks_lifetime":0,"spend_24h":null,"items_7d":null,"as_of":null,"age_seconds":null}

      """#
    #expect(result.output == expected)
    #expect(result.error == "6 events, 4 rows; 1 dead letter (1 wrong_type) in dl\n")
  }

  @Test(.enabled(if: Needs.areMet, Needs.comment)) func rowsOfEventsAsParquet() throws {
    let result = try happened(
      "--events", "e.ndjson", "--view", "pairs", "--spine-events", "n = 1", "--out", "t.parquet")
    #expect(result.status == 0, "\(result.error)")
    let expected = """
      user: string
      item: string
      price: double
      n: int64
      ts: timestamp[us, tz=UTC]
      clicks_1h: int64
      as_of: timestamp[us, tz=UTC]
      age_seconds: double
      'a', 'x', 1.5, 1, 2023-11-14T22:13:20+00:00, 0, None, None

      """
    #expect(try python("read t.parquet") == expected)
  }

  // MARK: Several sources

  @Test func severalSources() throws {
    try work.write("{\"ts\":1000,\"user\":\"a\"}\n{\"ts\":2000,\"user\":\"a\"}\n", to: "c.ndjson")
    try work.write(
      "{\"at\":\"1970-01-01T00:00:01.5Z\",\"user\":\"a\"}\n{\"at\":\"1970-01-01T00:00:02Z\",\"user\":\"b\"}\n",
      to: "o=1.ndjson")
    #expect(try work.shell("zstd -q o=1.ndjson").status == 0)
    try work.write("user,ts\na,2001\nb,2001\na,1500\n", to: "s.csv")
    let arguments = ["--source", "clicks", "--spine", "s.csv", "--out", "-"]
    let files = ["--events", "clicks=c.ndjson", "orders=o=1.ndjson.zst"]
    let result = try work.run(
      Workspace.binary, ["training-set", "-d", "two.yaml", "--as", "happened"] + files + arguments)
    let expected = #"""
      {"user":"a","ts":2001,"users__clicks_1h":2,"users__as_of":"1970-01-01T00:00:02Z","users__age_seconds":0.001,"buyers__orders_1h":1,"buyers__as_of":"1970-01-01T00:00:01.500Z","buyers__age_seconds":0.501}
      {"user":"b","ts":2001,"users__clicks_1h":0,"users__as_of":null,"users__age_seconds":null,"buyers__orders_1h":1,"buyers__as_of":"1970-01-01T00:00:02Z","buyers__age_seconds":0.001}
      {"user":"a","ts":1500,"users__clicks_1h":1,"users__as_of":"1970-01-01T00:00:01Z","users__age_seconds":0.5,"buyers__orders_1h":0,"buyers__as_of":null,"buyers__age_seconds":null}

      """#
    #expect(result.status == 0 && result.error == "4 events, 3 rows; no dead letters\n", "\(result.error)")
    #expect(result.output == expected)
    // Rows are clicks, and the label is an order that follows.
    let labelled = try work.run(
      Workspace.binary,
      ["training-set", "-d", "two.yaml", "--as", "happened"] + files + [
        "--source", "clicks", "--view", "users", "--spine-events", "user = 'a'", "--label", "true",
        "--within",
        "1s", "--on", "user", "--label-source", "orders", "--out", "t.csv",
      ])
    #expect(labelled.status == 0, "\(labelled.error)")
    #expect(
      try work.read("t.csv") == """
        user,ts,label,clicks_1h,as_of,age_seconds
        a,1970-01-01T00:00:01Z,1,0,,
        a,1970-01-01T00:00:02Z,0,1,1970-01-01T00:00:01Z,1.0

        """)
  }

  @Test(arguments: [
    (["--events", "e.ndjson"], 64, "There are several sources: write --events SOURCE=e.ndjson, or choose"),
    (
      ["--events", "clicks=e.ndjson", "orders=x"], 64,
      "The sources (clicks, orders) name their times differently"
    ),
    (
      ["--events", "clicks=e.ndjson", "orders=x", "--spine-time", "t"], 64,
      "The sources (clicks, orders) write times in different units: say with --source"
    ),
    (
      ["--events", "clicks=e.ndjson", "--view", "buyers", "--source", "clicks"], 64,
      "There are no events of source 'orders': add --events orders=FILE."
    ),
    (
      ["--events", "clicks=e.ndjson", "--view", "byers"], 64,
      "There is no view 'byers' (did you mean 'buyers'?)"
    ),
    (["--events", "idle=e.ndjson"], 64, "No view is about source 'idle'."),
    (
      ["--events", "e.ndjson", "--source", "clix"], 64,
      "There is no source 'clix'. There are: clicks, orders, idle."
    ),
  ])
  func sourcesThatDoNotFit(_ arguments: [String], _ status: Int32, _ message: String) throws {
    try work.write("user,ts,t\n", to: "s.csv")
    let result = try work.run(
      Workspace.binary,
      ["training-set", "-d", "two.yaml", "--as", "happened", "--spine", "s.csv", "--out", "-"] + arguments)
    #expect(result.status == status)
    #expect(result.error.hasPrefix("plumb: \(message)"), "\(result.error)")
  }

  // MARK: Options

  @Test(arguments: [
    (["--events", "e.ndjson"], "Give either --spine FILE, --spine-events EXPRESSION or --from served."),
    (["--events", "e.ndjson", "--spine", "s.csv", "--spine-events", "true"], "Give either --spine FILE"),
    (["--from", "served"], "Say with --service whose answers become rows"),
    (["--from", "served", "--service", "ranker"], "leave --as, --view and --snapshots out"),
    (
      ["--events", "e.ndjson", "--spine-events", "true", "--spine-time", "x"],
      "--spine-time goes with --spine"
    ),
    (
      ["--events", "e.ndjson", "--spine-events", "prize > 1"],
      "--spine-events: column \"prize\" is unknown (did you mean 'price'?)"
    ),
    (
      ["--events", "e.ndjson", "--archive", "x", "--spine", "s.csv"],
      "Events come from --events or from --archive"
    ),
    (["--events", "clicks=t.ndjson", "--spine", "s.csv"], "'t.ndjson' would overwrite the input"),
    (["--spine", "s.csv", "--label", "true"], "--label, --within and --on go together."),
    (["--spine", "s.csv", "--memory", "0"], "The value '0' is invalid for '--memory <bytes>'"),
  ])
  func optionsThatDoNotGoTogether(_ arguments: [String], _ message: String) throws {
    try work.write("user,ts,n\n", to: "s.csv")
    try work.write("", to: "t.ndjson")
    let result = try work.run(
      Workspace.binary, ["training-set", "-d", "d.yaml", "--as", "happened", "--out", "t.ndjson"] + arguments)
    #expect(result.status == 64)
    #expect(result.error.contains(message), "\(result.error)")
  }

  /// Dead letters stand in the order of the files, whichever thread found them, and rows don't depend on the memory.
  @Test func manyBlocks() throws {
    var lines = ""
    for index in 0..<60_000 {
      lines +=
        index % 101 == 7
        ? "{\"ts\":\(index)}\n" : "{\"ts\":\(index),\"user\":\"u\(index % 97)\",\"n\":\(index % 5)}\n"
    }
    try work.write(lines, to: "e.ndjson")
    try work.write(
      "user,n,ts\n" + (0..<500).map { "u\($0 % 97),\($0 % 5),\($0 * 131 % 60_000)\n" }.joined(), to: "s.csv")
    let options = ["--events", "e.ndjson", "e.ndjson", "--spine", "s.csv", "--dead-letters", "dl", "--out"]
    var outputs: [String] = []
    for memory in ["64M", "20K"] {
      let result = try work.run(
        Workspace.binary,
        ["training-set", "-d", "d.yaml", "--as", "happened", "--memory", memory] + options + ["\(memory).csv"]
      )
      #expect(result.status == 0, "\(result.error)")
      outputs.append(try work.read("\(memory).csv"))
      let found = try work.read("dl").split(separator: "\n").compactMap {
        try JSONDecoder().decode(DeadLetterTests.Letter.self, from: Data($0.utf8)).line
      }
      let wanted = (0..<60_000).filter { $0 % 101 == 7 }.map { $0 + 1 }
      #expect(found == wanted + wanted)
    }
    #expect(outputs[0] == outputs[1] && outputs[0].hasPrefix("user,n,ts,users__clicks_1h"))
  }
}
