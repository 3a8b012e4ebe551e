import Foundation
import Testing

/// What a file of events is, is told by its content: every form of the same rows gives the same features.
@Suite struct FileFormTests {
  private enum Peer {
    static let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"
    static let comment: Comment =
      "needs DuckDB, pandas, Polars and pyarrow in the Python of PLUMB_PYTHON, and zstd"

    static var isThere: Bool {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [
        "sh", "-c", "command -v zstd && \(python) -c 'import duckdb, pandas, polars, pyarrow.parquet'",
      ]
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      return (try? process.run()).map { process.waitUntilExit() } != nil && process.terminationStatus == 0
    }
  }

  private static let definitions = """
    name: forms
    sources:
      rows:
        topic: rows
        timestamp: { field: ts, unit: ms }
        fields: { user: string, item: string, n: int64, price: double, ok: bool, at: timestamp }
    views:
      users:
        source: rows
        entity: [user]
        features:
          rows:   { aggregate: count, windows: [lifetime] }
          items:  { aggregate: last_k, k: 50, value: item, windows: [lifetime] }
          n:      { aggregate: sum, value: n, windows: [lifetime] }
          ns:     { aggregate: count, where: n is not null, windows: [lifetime] }
          price:  { aggregate: sum, value: price, windows: [lifetime] }
          prices: { aggregate: last_k, k: 50, value: price, windows: [lifetime] }
          yes:    { aggregate: count, where: ok, windows: [lifetime] }
          no:     { aggregate: count, where: not ok, windows: [lifetime] }
          at:     { aggregate: last_k, k: 9, value: at, windows: [1h] }
    """
  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Self.definitions, to: "d.yaml")
  }

  private func replay(_ file: String, _ options: String..., out: String = "-") throws -> Workspace.Result {
    let arguments = ["replay", "-d", "d.yaml", "--events", file, "--features-at", "end", "--out", out]
    return try work.run(Workspace.binary, arguments + options)
  }

  @Test(.enabled(if: Peer.isThere, Peer.comment))
  func everyFormGivesTheSame() throws {
    let script = Workspace.root.appendingPathComponent("Tests/CLITests/Forms/forms.py").path
    let made = try work.run("/usr/bin/env", [Peer.python, script])
    try #require(made.status == 0, "\(made.error)")
    let files = made.output.split(separator: "\n").map(String.init)
    let expected = try replay("base.ndjson")
    try #require(expected.status == 0, "\(expected.error)")
    #expect(expected.error.hasPrefix("3000 events, 4 entities, 0 late; no dead letters"))
    for file in files {
      let result = try replay(file)
      #expect(result.status == 0 && result.error == expected.error, "\(file): \(result.error)")
      #expect(result.output == expected.output, "\(file)")
    }
    let stdin = try work.plumb(
      "replay", "-d", "d.yaml", "--events", "-", "--features-at", "end", "--out", "-", input: "csv.xz")
    #expect(stdin.output == expected.output)
    // What is declared and cannot be read is named; what is not declared did not matter.
    try work.write(
      Self.definitions.replacing("user: string, item", with: "unused: string, user: string, item"),
      to: "n.yaml")
    let nested = try work.plumb(
      "replay", "-d", "n.yaml", "--events", "arrow.parquet", "--features-at", "end", "--out", "-")
    #expect(nested.status == 2)
    #expect(
      nested.error.hasPrefix(
        "plumb: arrow.parquet: column 'unused' is a structure, and 'unused' declares the path unused; correct"
      ),
      "\(nested.error)")
    // The table as Parquet is the table as CSV.
    try work.done(
      "replay", "-d", "d.yaml", "--events", "pandas.parquet", "--features-at", "end", "--out", "o.parquet")
    try work.done(
      "replay", "-d", "d.yaml", "--events", "tabs.tsv", "--features-at", "end", "--out", "o.ndjson")
    let query = """
      import duckdb
      for table in ("read_parquet('o.parquet')", "read_json('o.ndjson')"):
          columns = "user, rows_lifetime, items_lifetime, n_lifetime, price_lifetime, prices_lifetime, yes_lifetime, len(at_1h)"
          print(duckdb.sql(f"SELECT {columns} FROM {table} ORDER BY user").fetchall() or 1 / 0)
      """
    let read = try work.run("/usr/bin/env", [Peer.python, "-c", query])
    let tables = read.output.split(separator: "\n")
    #expect(tables.count == 2 && tables[0] == tables[1], "\(read.error)\(read.output)")
  }

  /// What stands inside of structures, lists and maps of Parquet, whoever has written it, is what stands there in JSON.
  @Test(.enabled(if: Peer.isThere, Peer.comment))
  func nestedParquetEqualsJSON() throws {
    let seed = Int.random(in: 0..<1_000_000)
    let folder = Workspace.root.appendingPathComponent("Tests/CLITests").path
    let made = try work.run(
      "/usr/bin/env", [Peer.python, "-B", "\(folder)/Forms/nested.py", "\(folder)/DataSets", "\(seed)"])
    try #require(made.status == 0, "seed \(seed): \(made.error)")
    var expected: [String: Workspace.Result] = [:]
    func answers(_ file: String, _ definitions: String) throws -> Workspace.Result {
      let view =
        definitions.hasSuffix("ga4.yaml") ? "items" : definitions.hasSuffix("github.yaml") ? "actors" : "v"
      let arguments = [
        "replay", "-d", definitions, "--events", file, "--view", view, "--features-at", "end", "--out", "-",
      ]
      return try work.run(Workspace.binary, arguments)
    }
    let lines = made.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(lines.count == 50)
    for line in lines {
      let known = try expected[line[1]] ?? answers(line[2], line[1])
      expected[line[1]] = known
      try #require(known.status == 0, "\(known.error)")
      let found = try answers(line[0], line[1])
      #expect(
        found.status == 0 && found.output == known.output && found.error == known.error,
        "seed \(seed): \(line): \(found.error)")
    }
  }

  /// Columns whose type says less or more than a value's: bytes, columns of nulls, large decimals, times on a clock.
  @Test(.enabled(if: Peer.isThere, Peer.comment))
  func parquetColumnsAreReadAsTheyAreMeant() throws {
    let script = """
      import datetime, decimal
      import pyarrow, pyarrow.parquet
      def put(name, **columns):
          times = pyarrow.array([1700000000000 + index for index in range(len(next(iter(columns.values()))))])
          pyarrow.parquet.write_table(pyarrow.table({"ts": times, "user": ["a"] * len(times), **columns}), name)
      large = 2**53 + 1
      put("binary.parquet", s=pyarrow.array([b"ok", b"\\xff\\xfe", "é".encode()]))
      put("nulls.parquet", s=pyarrow.nulls(2), n=pyarrow.nulls(2), at=pyarrow.nulls(2))
      put("decimal.parquet", n=pyarrow.array([decimal.Decimal(large), None, decimal.Decimal(-5)], pyarrow.decimal128(38, 0)))
      put("nested.parquet", o=pyarrow.array([{"n": decimal.Decimal(large)}], pyarrow.struct({"n": pyarrow.decimal128(38, 0)})))
      put("beyond.parquet", n=pyarrow.array([decimal.Decimal(2**63)], pyarrow.decimal128(38, 0)))
      put("unsigned.parquet", n=pyarrow.array([2**63], pyarrow.uint64()))
      put("time.parquet", n=pyarrow.array([datetime.time(1)]))
      summer = datetime.datetime(2024, 7, 1, 12, 0, 0, 250000)
      for name, zone in (("clock", None), ("zoned", "UTC")):
          put(name + ".parquet", at=pyarrow.array([summer, datetime.datetime(2024, 3, 31, 2, 30)], pyarrow.timestamp("us", zone)))
      put("date.parquet", at=pyarrow.array([datetime.date(2024, 7, 1)]))
      for name, zone in (("spine", None), ("zoned_spine", "UTC")):
          times = pyarrow.array([summer, summer + datetime.timedelta(hours=4)], pyarrow.timestamp("us", zone))
          pyarrow.parquet.write_table(pyarrow.table({"user": ["a", "a"], "ts": times, "none": pyarrow.nulls(2)}), name + ".parquet")
      """
    let made = try work.run("/usr/bin/env", [Peer.python, "-c", script])
    try #require(made.status == 0, "\(made.error)")
    func last(_ file: String, _ fields: String, _ value: String) throws -> Workspace.Result {
      let definitions = """
        name: d
        sources:
          rows: { topic: rows, timestamp: { field: ts, unit: ms }, fields: { user: string, \(fields) } }
        views:
          v: { source: rows, entity: user, features: { l: { aggregate: last_k, k: 9, value: \(value), windows: [lifetime] } } }
        """
      try work.write(definitions, to: "c.yaml")
      return try work.plumb(
        "replay", "-d", "c.yaml", "--events", file, "--features-at", "end", "--out", "-", "--dead-letters",
        "l.ndjson")
    }
    let binary = try last("binary.parquet", "s: string", "s")
    #expect(binary.output == "{\"user\":\"a\",\"l_lifetime\":[\"ok\",\"é\"]}\n")
    #expect(binary.error.contains("1 dead letter (1 invalid_utf8)"), "\(binary.error)")
    let nulls = try last("nulls.parquet", "s: string, n: double, at: timestamp", "s")
    #expect(nulls.output == "{\"user\":\"a\",\"l_lifetime\":null}\n", "\(nulls.error)")
    for (file, fields) in [("decimal", "n: int64"), ("nested", "n: { path: o.n, type: int64 }")] {
      let exact = try last("\(file).parquet", fields, "n")
      #expect(exact.output.contains("[9007199254740993"), "\(file): \(exact.output)\(exact.error)")
    }
    #expect(try last("decimal.parquet", "n: double", "n").output.contains("[9007199254740992.0,-5.0]"))
    for file in ["beyond.parquet", "unsigned.parquet"] {
      let refused = try last(file, "n: int64", "n")
      #expect(
        refused.status == 2 && refused.error.contains("does not fit int64; cast the column"),
        "\(refused.error)")
    }
    let time = try last("time.parquet", "n: int64", "n")
    #expect(
      time.status == 2
        && time.error.contains(
          "(TIME) is not supported; cast it when the file is written, or write the file as NDJSON"),
      "\(time.error)")
    // A clock without a zone is that of the declared one, as in CSV; what has a zone is a moment.
    let berlin = "at: { type: timestamp, unit: text, time_zone: Europe/Berlin }"
    for (file, fields, expected) in [
      ("clock", berlin, #"["2024-07-01T10:00:00.250Z","2024-03-31T01:30:00Z"]"#),
      ("clock", "at: timestamp", #"["2024-07-01T12:00:00.250Z","2024-03-31T02:30:00Z"]"#),
      ("zoned", berlin, #"["2024-07-01T12:00:00.250Z","2024-03-31T02:30:00Z"]"#),
      ("date", berlin, #"["2024-06-30T22:00:00Z"]"#), ("date", "at: timestamp", #"["2024-07-01T00:00:00Z"]"#),
    ] {
      let read = try last("\(file).parquet", fields, "at")
      #expect(
        read.output == "{\"user\":\"a\",\"l_lifetime\":\(expected)}\n", "\(file), \(fields): \(read.error)")
    }
    // The same in spines: 13:00 in Berlin is 11:00 in UTC. The rows' times are told as moments.
    try work.write("ts,user\n2024-07-01 13:00:00,a\n", to: "e.csv")
    try work.write(
      """
      name: d
      sources:
        rows: { topic: rows, timestamp: { field: ts, unit: text, time_zone: Europe/Berlin }, fields: { user: string } }
      views:
        v: { source: rows, entity: user, features: { n: { aggregate: count, windows: [lifetime] } } }
      """, to: "s.yaml")
    for (file, seen) in [("spine", [0, 1]), ("zoned_spine", [1, 1])] {
      let rows = try work.plumb(
        "replay", "-d", "s.yaml", "--events", "e.csv", "--spine", "\(file).parquet", "--out", "-", "--format",
        "csv")
      let counts = rows.output.split(separator: "\n").dropFirst().compactMap { $0.split(separator: ",").last }
      #expect(counts == seen.map { "\($0)" }, "\(file): \(rows.output)\(rows.error)")
      #expect(rows.output.contains(file == "spine" ? "2024-07-01T10:00:00.250Z" : "2024-07-01T12:00:00.250Z"))
    }
  }

  /// A double of 2^53 or more may have been another integer: it is refused where one is declared, in events and in spines. Text
  /// has all digits.
  @Test(.enabled(if: Peer.isThere, Peer.comment))
  func integersThatDoublesMixUpAreRefused() throws {
    let script = """
      import pyarrow, pyarrow.parquet
      values = [2.0**53 - 1, 2.0**53, -(2.0**60), 7.0]
      times = pyarrow.array([1700000000000 + index for index in range(4)])
      put = pyarrow.parquet.write_table
      put(pyarrow.table({"ts": times, "user": ["a"] * 4, "n": values}), "flat.parquet")
      nested = [[{"n": value}, {"n": 1.0}] for value in values]
      put(pyarrow.table({"ts": times, "user": ["a"] * 4, "ns": nested}), "nested.parquet")
      put(pyarrow.table({"ts": times, "user": values}), "spine.parquet")
      """
    let made = try work.run("/usr/bin/env", [Peer.python, "-c", script])
    try #require(made.status == 0, "\(made.error)")
    func last(_ file: String, _ source: String) throws -> Workspace.Result {
      let definitions = """
        name: d
        sources:
          rows: { topic: rows, timestamp: { field: ts, unit: ms }, \(source) }
        views:
          v: { source: rows, entity: user, features: { l: { aggregate: last_k, k: 9, value: n, windows: [lifetime] } } }
        """
      try work.write(definitions, to: "c.yaml")
      return try work.plumb(
        "replay", "-d", "c.yaml", "--events", file, "--features-at", "end", "--out", "-", "--dead-letters",
        "l.ndjson")
    }
    let flat = try last("flat.parquet", "fields: { user: string, n: int64 }")
    #expect(flat.output == "{\"user\":\"a\",\"l_lifetime\":[9007199254740991,7]}\n", "\(flat.error)")
    #expect(flat.error.contains("2 dead letters (2 wrong_type)"), "\(flat.error)")
    let letters = try work.read("l.ndjson")
    #expect(letters.contains("field 'n' at byte "), "\(letters)")
    #expect(letters.contains("expected int64, found a string"), "\(letters)")
    #expect(
      letters.contains("9007199254740992.0: several integers are this double")
        && letters.contains("-1.152921504606847e+18: several"), "\(letters)")
    #expect(letters.contains("\"line\":2,") && letters.contains("\"line\":3,"), "\(letters)")
    // Of an array the elements that are exact stay.
    let nested = try last(
      "nested.parquet", "each: ns, fields: { user: string, n: { path: ns.n, type: int64 } }")
    #expect(
      nested.output == "{\"user\":\"a\",\"l_lifetime\":[9007199254740991,1,1,1,7,1]}\n", "\(nested.error)")
    #expect(nested.error.contains("2 dead letters (2 wrong_type)"), "\(nested.error)")
    // A double is one, and text has all digits.
    let double = try last("flat.parquet", "fields: { user: string, n: double }")
    #expect(double.status == 0 && double.output.contains("9007199254740992.0"), "\(double.error)")
    try work.write("{\"ts\":1700000000000,\"user\":\"a\",\"n\":9007199254740993.0}\n", to: "e.ndjson")
    let text = try last("e.ndjson", "fields: { user: string, n: int64 }")
    #expect(text.output == "{\"user\":\"a\",\"l_lifetime\":[9007199254740993]}\n", "\(text.error)")
    try work.write("ts,user,n\n1700000000000,1,5\n", to: "e.csv")
    _ = try last("e.csv", "fields: { user: int64, n: int64 }")
    let spine = try work.plumb(
      "replay", "-d", "c.yaml", "--events", "e.csv", "--spine", "spine.parquet", "--out", "-")
    #expect(
      spine.status == 2
        && spine.error.contains(
          "column 'user', row 2: 9007199254740992.0 was a double, and of that size several"),
      "\(spine.error)")
  }

  /// The unit that fits is named where no time fits the declared one, in files and in spines.
  @Test(arguments: [
    ("s", "ms", 1_000), ("ms", "s", 1), ("us", "s", 1), ("us", "ms", 1_000), ("ns", "s", 1),
    ("ms", "us", 1_000_000),
  ]) func wrongUnitsAreErrors(_ declared: String, _ written: String, _ scale: Int) throws {
    try work.write(
      """
      name: d
      sources:
        rows: { topic: rows, timestamp: { field: ts, unit: \(declared) }, fields: { user: string } }
      views:
        v: { source: rows, entity: user, features: { n: { aggregate: count, windows: [lifetime] } } }
      """, to: "d.yaml")
    let times = (0..<3).map { (1_700_000_000 + $0) * scale }
    try work.write("ts,user\n" + times.map { "\($0),a\n" }.joined(), to: "e.csv")
    try work.write(times.map { "{\"ts\":\($0),\"user\":\"a\"}\n" }.joined(), to: "e.ndjson")
    for file in ["e.csv", "e.ndjson"] {
      for rest in [["--features-at", "end"], ["--spine", "s.csv"]] {
        try work.write("user,ts\na,2024-01-01T00:00:00Z\n", to: "s.csv")
        let result = try work.run(
          Workspace.binary, ["replay", "-d", "d.yaml", "--events", file, "--out", "o.csv"] + rest)
        #expect(
          result.status == 2 && result.error.contains("read in \(written) instead of \(declared)"),
          "\(file) \(rest): \(result.error)")
        #expect(try !work.names.contains("o.csv"))
      }
    }
    try work.write("{\"ts\":\"2023-01-01T00:00:00Z\",\"user\":\"a\"}\n", to: "none.ndjson")
    let spine = try work.plumb(
      "replay", "-d", "d.yaml", "--events", "none.ndjson", "--spine", "e.csv", "--out", "-", "--dead-letters",
      "l.ndjson")
    #expect(
      spine.status == 2
        && (spine.error.contains("read in \(written) instead of \(declared)")
          || spine.error.contains("is no time in \(declared), and would be one of this century in \(written)")),
      "\(spine.error)")
  }

  /// Spines too: each form gives the rows of the CSV.
  @Test func spinesAreToldByTheirContent() throws {
    try work.write("ts,user,n\n1700000000000,a,5\n1700000001000,b,\n", to: "e.csv")
    try work.write("user,ts\na,1700000002000\nb,1700000000500\n", to: "spine")
    try work.write(
      #"[{"user":"a","ts":1700000002000}, {"user":"b","ts":1700000000500}]"#
        .replacing("}, {", with: "},\n {"), to: "spine.csv")
    try work.write(
      "{\"user\":\"a\",\"ts\":1700000002000}\n{\"user\":\"b\",\"ts\":1700000000500}\n", to: "spine.parquet")
    var outputs = Set<String>()
    for spine in ["spine", "spine.csv", "spine.parquet"] {
      try work.write("ts,user,item,n,price,ok,at\n1700000000000,a,,5,,,\n1700000001000,b,,,,,\n", to: "e.csv")
      let result = try work.plumb(
        "replay", "-d", "d.yaml", "--events", "e.csv", "--spine", spine, "--out", "-", "--format", "csv")
      #expect(result.status == 0, "\(result.error)")
      outputs.insert(result.output)
    }
    #expect(outputs.count == 1)
    #expect(outputs.first?.contains("\na,1700000002000,1,") == true, "\(outputs)")
  }

  @Test func valuesAreTypedByDeclaration() throws {
    let rows = [
      #"1700000000000,"a,b",007,5,1.50,True,1700000000001"#, #"1700000000001,"",x,5.0, 2 ,f,"#,
      #"1700000000002,"null",x,1e2,-0.0,1,"1700000000002""#, #"1700000000003,,x,"",3,0,"#,
      "1700000000004,a,x,1,1e999,1,", "1700000000005,a,x,1e99,1,1,",
    ]
    let text = "ts,user,item,n,price,ok,at\n" + rows.joined(separator: "\r\n")
    try work.write(text, to: "e.csv")
    let result = try replay("e.csv", "--dead-letters", "letters.ndjson", "--format", "csv")
    #expect(result.status == 0, "\(result.error)")
    // Neither a null entity nor an empty text that is no int64 is an entity.
    #expect(result.output.contains("\n\"a,b\",1,\"[\"\"007\"\"]\",5,1,1.5,"), "\(result.output)")
    #expect(result.output.contains("\n\"\",1,\"[\"\"x\"\"]\",5,1,2.0,"), "\(result.output)")
    #expect(result.output.contains("\nnull,1,\"[\"\"x\"\"]\",100,1,-0.0,"), "\(result.output)")
    let letters = try work.read("letters.ndjson")
    #expect(letters.contains("expected int64, found a string"), "\(letters)")
    #expect(letters.contains("\"line\":5"), "\(letters)")
    for type in ["double", "int64"] {
      #expect(letters.contains("the number is out of the range of \(type)"), "\(letters)")
    }
  }

  /// As pyarrow writes a table that has none.
  private static let parquetWithoutColumns = Array(
    Data(
      base64Encoded:
        "UEFSMRUEGRw1ABgGc2NoZW1hFQAAFgAZHBkMFgAWACYAFgAAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRkMAEUAAABQQVIx"
    )!)

  static let unreadableFiles: [(bytes: [UInt8], message: String)] = [
    ([0x50, 0x4B, 0x03, 0x04, 0, 0], "is a zip archive, or a spreadsheet in one, which is not read"),
    (Array("BZh91AY&SY\0".utf8), "is bzip2, which is not read"),
    (Array("Obj\u{1}xx".utf8), "is an Avro file"),
    (Array("SQLite format 3\0".utf8), "is a SQLite database"),
    (Array("ORC\u{8}\u{3}".utf8), "is an ORC file"),
    (Array("ARROW1\0\0".utf8), "is an Arrow or Feather file"), ([0xFF, 0xFE, 0x7B, 0], "is UTF-16 text"),
    (Array("<html>".utf8), "is XML or HTML"), ([1, 2, 0, 3], "is no text and in no known form"),
    (Array("PAR1\u{15}\u{4}PAR1".utf8), "is no Parquet file, or is not complete"),
    (Array("PAR1\0\0\0\0xx\0\0\0\0PARE".utf8), "is encrypted"),
    (
      Array("when,who\n1,a\n".utf8),
      "is neither JSON nor CSV with a header: the first line has no column 'ts' of the event time, but when, who"
    ),
    (
      Array("ts,user,item,n,price,ok\n".utf8),
      "lacks the column at, which the source declares; it has ts, user"
    ),
    (parquetWithoutColumns, "which the source declares; it has none"),
    (Array("ts,user,item,n,price,ok,at\n1,2\n".utf8), "a row of 2 fields under a header of 7"),
    (Array("[{\"ts\":1}".utf8), "ends inside its array"),
    (Array("[{\"ts\":1},]".utf8), "has no value where element 2 of its array must stand"),
    (Array("[{\"ts\":1}] x".utf8), "has something behind its array"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, 9, 9, 9, 9, 9, 9, 9, 9], "damaged xz stream"),
  ]

  /// A file in no form that is read is one error, not a dead letter for each of its lines.
  @Test(arguments: unreadableFiles)
  func unreadable(_ bytes: [UInt8], _ message: String) throws {
    try work.write(bytes, to: "events.ndjson")
    let result = try replay("events.ndjson", out: "o.csv")
    #expect(result.status != 0)
    #expect(result.error.hasPrefix("plumb: events.ndjson"), "\(result.error)")
    #expect(result.error.contains(message), "\(result.error)")
    #expect(try !work.names.contains("o.csv"))
  }

  /// Lines that are damaged cost themselves, the first one too.
  @Test func damagedLinesAreDeadLetters() throws {
    try work.write("garbage, ts\n{\"ts\":1700000000000,\"user\":\"a\"}\n", to: "events")
    let result = try replay("events", "--dead-letters", "letters.ndjson")
    #expect(
      result.error.contains("1 dead letter") || result.error.contains("malformed_json"), "\(result.error)")
    #expect(result.output.contains("\"rows_lifetime\":1"))
  }

  @Test(arguments: [
    "O.XLSX", "o.csv.gz", "o.parquet.zst", "o.xlsx", "o.tsv", "o.arrow", "o.txt", "a.b/o.parquett",
    "o.7z.TXT",
  ])
  func outputsThatAreNotWritten(_ name: String) throws {
    try work.write("{\"ts\":1700000000000,\"user\":\"a\"}\n", to: "events")
    let result = try replay("events", out: name)
    #expect(result.status == 64)
    #expect(result.error.contains("name it .parquet, .csv or .ndjson"), "\(result.error)")
    #expect(try !work.names.contains(name))
  }

  /// What says no form is NDJSON, and so is what is called JSON.
  @Test(arguments: [
    "o", "o.json", "o.jsonl", ".hidden", "o.2026-01-02", "o.1", "tmp.kJ3dQ8xYz1", "o.", "a.b/o",
  ])
  func outputsWithoutAForm(_ name: String) throws {
    try work.write("{\"ts\":1700000000000,\"user\":\"a\"}\n", to: "events")
    #expect(try work.shell("mkdir a.b").status == 0)
    let result = try replay("events", "--dead-letters", "letters.json", out: name)
    #expect(result.status == 0, "\(result.error)")
    #expect(try work.read(name).hasPrefix("{\"user\":\"a\","))
  }

  @Test func endingsAreInAnyCase() throws {
    try work.write("{\"ts\":1700000000000,\"user\":\"a\"}\n", to: "events")
    try #require(try replay("events", out: "o.Parquet").status == 0)
    #expect(
      try Data(contentsOf: work.url.appendingPathComponent("o.Parquet")).starts(with: Data("PAR1".utf8)))
    try #require(try replay("events", out: "o.CSV").status == 0)
    #expect(try work.read("o.CSV").hasPrefix("user,"))
  }

  /// What is always NDJSON takes no other name.
  @Test func linesAreNotCalledTables() throws {
    try work.write("{\"ts\":1700000000000,\"user\":\"a\"}\n", to: "events")
    let replay = ["replay", "-d", "d.yaml", "--events", "events"]
    for arguments in [
      ["generate", "--events", "10", "--out", "o.parquet"], ["generate", "--catalogue", "--out", "o.csv"],
      replay + ["--triggers", "--out", "o.csv"], ["generate", "--events", "10", "--out", "o.txt"],
      replay + ["--features-at", "end", "--out", "-", "--dead-letters", "o.log"],
      replay + ["--features-at", "end", "--out", "-", "--dead-letters", "o.parquet"],
      [
        "training-set", "-d", "d.yaml", "--spine", "events", "--as", "happened", "--out", "t.csv",
        "--dead-letters", "o.csv",
      ],
    ] {
      let result = try work.run(Workspace.binary, arguments)
      #expect(
        result.status == 64 && result.error.contains("name it .ndjson"), "\(arguments): \(result.error)")
    }
    #expect(try !work.names.contains { $0.hasPrefix("o.") })
  }
}
