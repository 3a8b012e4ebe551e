import Foundation
import Testing

/// `plumb replay --spine`.
@Suite struct SpineTests {
  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Shop.definitions, to: "d.yaml")
    try work.write(Shop.events, to: "e.ndjson")
  }

  private func replay(_ spine: String, _ options: String...) throws -> Workspace.Result {
    let views = options.contains("--view") ? [] : ["--view", "users"]
    return try work.run(
      Workspace.binary,
      ["replay", "-d", "d.yaml", "--events", "e.ndjson", "--spine", spine, "--out", "-"] + views + options)
  }

  @Test func tableOfCSV() throws {
    let spine = #"""
      label,user,ts,"a ""b"""
      1,a,1700000120000,"x, ""y""
      z"
      0,a,1700000120001,
      ,"a",2023-11-14T22:13:20.001Z,""
      007,nobody,1700000120000,"1"
      -1.5e3,,1700000120000,true

      """#
    try work.write(spine, to: "s.csv")
    let result = try replay("s.csv")
    #expect(result.status == 0)
    let expected = #"""
      {"label":1,"user":"a","ts":1700000120000,"a \"b\"":"x, \"y\"\nz","clicks_1h":1,"clicks_lifetime":1,"spend_24h":1.5,"items_7d":["x"]}
      {"label":0,"user":"a","ts":1700000120001,"a \"b\"":null,"clicks_1h":2,"clicks_lifetime":2,"spend_24h":3.5,"items_7d":["x","z"]}
      {"label":null,"user":"a","ts":"2023-11-14T22:13:20.001Z","a \"b\"":"","clicks_1h":1,"clicks_lifetime":1,"spend_24h":1.5,"items_7d":["x"]}
      {"label":"007","user":"nobody","ts":1700000120000,"a \"b\"":"1","clicks_1h":0,"clicks_lifetime":0,"spend_24h":null,"items_7d":null}
      {"label":-1.5e3,"user":null,"ts":1700000120000,"a \"b\"":true,"clicks_1h":null,"clicks_lifetime":null,"spend_24h":null,"items_7d":null}

      """#
    #expect(result.output == expected)
    #expect(result.error == "3 events, 5 rows; no dead letters\n")
    // What is read as CSV is written as it was, up to quotes that nobody needs.
    let csv = try replay("s.csv", "--format", "csv")
    #expect(
      csv.output.hasPrefix("label,user,ts,\"a \"\"b\"\"\",clicks_1h,clicks_lifetime,spend_24h,items_7d\n"))
    #expect(csv.output.hasSuffix("\n007,nobody,1700000120000,1,0,0,,\n-1.5e3,,1700000120000,true,,,,\n"))
  }

  /// What stands around values of CSV and how they are spelled is as in events, and values keep their types in typed tables.
  @Test func valuesAreSpelledAsInEvents() throws {
    try work.write(
      """
      name: d
      sources:
        rows: { topic: rows, timestamp: { field: ts, unit: ms }, fields: { n: int64, b: bool } }
      views:
        v: { source: rows, entity: [n, b], features: { c: { aggregate: count, windows: [lifetime] } } }
      """, to: "v.yaml")
    try work.write("ts,n,b\n1700000000000,7,True\n", to: "v.csv")
    // A double in a column of times too, as pandas has it.
    let spine =
      "n,b,ts\n7.0,True,1700000000001\n 7 ,t, 1700000000001.5 \n7e0,1,1700000000001\n7,FALSE,1700000000001\n"
    try work.write(spine, to: "s.csv")
    let replay = ["replay", "-d", "v.yaml", "--events", "v.csv", "--spine", "s.csv", "--out"]
    let rows = try work.run(Workspace.binary, replay + ["-", "--format", "csv"])
    #expect(rows.status == 0, "\(rows.error)")
    #expect(
      rows.output.split(separator: "\n").dropFirst().compactMap { $0.split(separator: ",").last } == [
        "1", "1", "1", "0",
      ])
    #expect(try work.run(Workspace.binary, replay + ["o.parquet"]).status == 0)
    let again = try work.plumb(
      "replay", "-d", "v.yaml", "--events", "v.csv", "--spine", "o.parquet", "--out", "-", "--format", "csv")
    #expect(again.status != 0 && again.error.contains("'c_lifetime' has the name"), "\(again.error)")
    // As events: each row of the written table is one of its entity.
    let read = try work.plumb(
      "replay", "-d", "v.yaml", "--events", "o.parquet", "--features-at", "end", "--out", "-", "--format",
      "csv")
    #expect(read.output == "n,b,c_lifetime\n7,false,1\n7,true,3\n", "\(read.output)\(read.error)")
  }

  /// Told by the column of the time.
  @Test(arguments: ["\t", ";"]) func otherDelimiters(_ delimiter: String) throws {
    let spine = "label,user,ts\n\"1\",a,1700000120000\n0,a,1700000120001\n"
    try work.write(spine, to: "s.csv")
    try work.write(spine.replacing(",", with: delimiter), to: "s.txt")
    let expected = try replay("s.csv")
    try #require(expected.status == 0 && !expected.output.isEmpty, "\(expected.error)")
    #expect(try replay("s.txt").output == expected.output)
  }

  @Test func rowsOfJSON() throws {
    let spine = #"""
      {"t\u00e9":{"a":[1,{"b":"]}\""}],"c":null},"user":"a","ts":1700000120001,"s":"q\u00e9\n\"\\","f":1.50,"b":false}

      {"ts":1700000120001,"user":"b","f":12345678901234567890}
      {"b":null,"user":null,"ts":1700000120001}
      """#
    try work.write(spine, to: "s.ndjson")
    let result = try replay("s.ndjson", "--view", "pairs", "--view", "users")
    #expect(result.status == 2, "pairs need n")
    #expect(result.error.hasPrefix("plumb: s.ndjson:1: view 'pairs' needs the column 'n'"))
    let rows = try replay("s.ndjson")
    #expect(rows.status == 0)
    let expected = #"""
      {"té":{"a":[1,{"b":"]}\""}],"c":null},"user":"a","ts":1700000120001,"s":"qé\n\"\\","f":1.50,"b":false,"clicks_1h":2,"clicks_lifetime":2,"spend_24h":3.5,"items_7d":["x","z"]}
      {"té":null,"user":"b","ts":1700000120001,"s":null,"f":12345678901234567890,"b":null,"clicks_1h":1,"clicks_lifetime":1,"spend_24h":null,"items_7d":["y"]}
      {"té":null,"user":null,"ts":1700000120001,"s":null,"f":null,"b":null,"clicks_1h":null,"clicks_lifetime":null,"spend_24h":null,"items_7d":null}

      """#
    #expect(rows.output == expected)
  }

  /// Names of several views' features, the time under another name, packed spines.
  @Test func severalViews() throws {
    try work.write("user,n,at\na,1,1700000000001\nb,,1700000000001\n", to: "s.csv")
    #expect(try work.shell("gzip -k s.csv && zstd -q s.csv").status == 0)
    let expected = """
      {"user":"a","n":1,"at":1700000000001,"users__clicks_1h":1,"users__clicks_lifetime":1,"users__spend_24h":1.5,"users__items_7d":["x"],"pairs__clicks_1h":1}
      {"user":"b","n":null,"at":1700000000001,"users__clicks_1h":0,"users__clicks_lifetime":0,"users__spend_24h":null,"users__items_7d":null,"pairs__clicks_1h":null}

      """
    for name in ["s.csv", "s.csv.gz", "s.csv.zst"] {
      let result = try replay(name, "--view", "users", "--view", "pairs", "--spine-time", "at")
      #expect(result.status == 0, "\(result.error)")
      #expect(result.output == expected)
    }
  }

  /// The message names the line, and nothing is written.
  @Test(arguments: [
    ("s.csv", "user,at\na,1\n", "s.csv:1: there is no time column 'ts'; name the column"),
    ("s.csv", "user,tz\na,1\n", "s.csv:1: there is no time column 'ts'; did you mean 'tz'?; name the column"),
    ("s.csv", "usr,ts\na,1\n", "s.csv:1: view 'users' needs the column 'user'; did you mean 'usr'?"),
    (
      "s.csv", "user,ts\na,1\n\nb,yesterday\n",
      "s.csv:4: column 'ts': 'yesterday' is no time; write a time with its zone"
    ),
    ("s.csv", "user,ts\na,1\n\"b\nb\",\n", "s.csv:3: column 'ts' is empty"),
    ("s.csv", "user,ts\na,1.5.\n", "s.csv:2: column 'ts': '1.5.' is no time"),
    ("s.csv", "user,ts\na,1,2\n", "s.csv:2: a row of 3 fields under a header of 2"),
    ("s.csv", "user,ts\na,\"1\n", "s.csv:2: a quoted field of this row is not closed"),
    ("s.csv", "user,ts,user\n", "s.csv:1: column user stands twice"),
    (
      "s.csv", "user,ts,clicks_1h\na,1,2\n",
      "s.csv:1: the column 'clicks_1h' has the name of one that is added"
    ),
    ("s.csv", "", "s.csv:1: the spine is empty"),
    ("s.ndjson", "", "s.ndjson:1: the spine is empty"),
    (
      "s.ndjson", "{\"user\":\"a\",\"ts\":1}\n\n{\"user\":\"a\"}",
      "s.ndjson:3: field 'ts': the event time is null"
    ),
    (
      "s.ndjson", "{\"user\":\"a\",\"ts\":1}\n{\"user\":5,\"ts\":1}",
      "s.ndjson:2: field 'user' at byte 8: expected"
    ),
    (
      "s.ndjson", "{\"user\":\"a\",\"ts\":1}\n{\"user\":\"a\",\"ts\":1,\"x\":1}",
      "s.ndjson:2: column 'x' is not"
    ),
    ("s.ndjson", "{\"user\":\"a\",\"ts\":1,\"x\":1,\"x\":2}", "s.ndjson:1: column 'x' stands twice"),
    (
      "s.ndjson", "{\"user\":\"a\",\"ts\":1,\"x\":1}\n{\"user\":\"a\",\"ts\":1,\"x\":1,\"x\":2}",
      "s.ndjson:2: column 'x' stands"
    ),
    ("s.ndjson", "{\"user\":\"a\",\"ts\":1}\nrubbish", "s.ndjson:2: at byte 0: malformed JSON"),
    ("s.ndjson", "[1]", "s.ndjson:1: at byte 0: malformed JSON: expected an object"),
  ])
  func brokenSpines(_ name: String, _ text: String, _ message: String) throws {
    try work.write(text, to: name)
    let result = try replay(name)
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("plumb: \(message)"), "\(result.error)")
    #expect(result.output == "")
  }

  @Test func textIsNoJSON() throws {
    // Two columns out of one field, if the text were pasted into JSON.
    try work.write("user,n,ts\n,\"1,\"\"user\"\":\"\"a\"\"\",1700000000001\n", to: "s.csv")
    let result = try replay("s.csv", "--view", "pairs")
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("plumb: s.csv:2: column 'n': '1,\"user\":\"a\"' is no int64"))
  }

  @Test func hugeRow() throws {
    try work.write(
      "{\"user\":\"a\",\"ts\":1,\"x\":\"\(String(repeating: "x", count: 1_100_000))\"}", to: "s.ndjson")
    let result = try replay("s.ndjson")
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("plumb: s.ndjson:1: the row is larger than 1048576 bytes"))
  }

  @Test(arguments: [
    ("none.csv", 1, "none.csv: no such file"), ("folder.csv", 1, "folder.csv: is a directory"),
    ("s.xlsx", 2, "s.xlsx: is a zip archive, or a spreadsheet in one, which is not read"),
    ("cut.csv.zst", 2, "cut.csv.zst: truncated zstd frame"),
  ])
  func noSpine(_ name: String, _ status: Int32, _ message: String) throws {
    try work.write("user,ts\na,1700000000001\n", to: "s.csv")
    try work.write("PK\u{3}\u{4}", to: "s.xlsx")
    #expect(try work.shell("mkdir folder.csv && zstd -qc s.csv | head -c 20 > cut.csv.zst").status == 0)
    let result = try replay(name)
    #expect(result.status == status)
    #expect(result.error.hasPrefix("plumb: \(message)"), "\(result.error)")
  }

  @Test func noRows() throws {
    try work.write("user,ts\n", to: "s.csv")
    let result = try replay("s.csv", "--format", "csv")
    #expect(result.status == 0)
    #expect(result.output == "user,ts,clicks_1h,clicks_lifetime,spend_24h,items_7d\n")
  }
}
