import FeatureCore
import Foundation
import Testing
import TestSupport

/// The same texts in SQLite, an engine that others wrote: what both define must agree. Division, remainders of
/// doubles, casts and precedence of comparisons differ by design and are left out.
@Suite struct SQLiteComparisonTests {
  static let texts = [
    "i + 2 * j - 3", "-i * j", "i % j", "i % (j - j)", "i = j", "i <> j", "i < j", "i <= j", "i > j",
    "i >= j",
    "i BETWEEN 1 AND j", "i NOT BETWEEN 1 AND j", "i IN (1, 2, j)", "i NOT IN (1, 2, NULL)", "i IS NULL",
    "i IS NOT NULL", "d + i", "d * 2 - i", "d < i", "d = 1.5", "d / 4", "abs(i)", "abs(d)", "round(d)",
    "coalesce(i, j, 7)", "nullif(i, j)", "ifnull(i, 3)",
    "CASE WHEN i > j THEN 'more' WHEN i = j THEN 'same' END",
    "CASE i WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END", "i > 1 AND j > 1", "i > 1 OR j > 1",
    "NOT (i > 1)", "NOT i > 1 OR j = 2", "(i > 1) IS TRUE", "(i > 1) IS NOT FALSE", "i IS DISTINCT FROM j",
    "i IS NOT DISTINCT FROM j", "s || t", "s || '-' || t", "s = t", "s < t", "s <= 'b'", "length(s)",
    "lower(s)",
    "upper(t)", "trim(s)", "ltrim(s)", "rtrim(s)", "substr(s, 2)", "substr(s, 1, 2)", "substr(s, 2, 1)",
    "replace(s, 'a', 'xy')", "s IN ('a', 'ab', t)", "s BETWEEN 'a' AND t", "s LIKE '%b%'", "s LIKE t",
    "s LIKE 'a_'", "s NOT LIKE '_%'", "s LIKE '%!%' ESCAPE '!'", "s LIKE '%é_' ", "coalesce(s, t)",
    "length(s || t) + i", "i IS NULL OR s = t AND d > 0", "CASE WHEN s LIKE 'a%' THEN length(s) ELSE -1 END",
  ]

  static let columns = [
    ExpressionColumn("i", .int64), ExpressionColumn("j", .int64), ExpressionColumn("d", .double),
    ExpressionColumn("s", .string), ExpressionColumn("t", .string),
  ]

  static func rows() -> [[OracleValue]] {
    var random = SplitMix64(seed: 21)
    let strings = ["", "a", "ab", "abc", " b ", "éa", "日é本", "100%", "b", "A", "%b"]
    return (0..<60).map { _ in
      columns.map { column -> OracleValue in
        if Int.random(in: 0..<5, using: &random) == 0 { return .null }
        switch column.type {
        case .int64: return .int64(.random(in: -3...3, using: &random))
        case .double: return .double([-2.5, 0, 0.5, 1.5, 1, 3, 1e10, -0.25].randomElement(using: &random)!)
        default: return .string(strings.randomElement(using: &random)!)
        }
      }
    }
  }

  static let script = """
    import json, sqlite3, sys
    job = json.load(sys.stdin)
    db = sqlite3.connect(":memory:")
    db.execute("PRAGMA case_sensitive_like = ON")
    db.execute("CREATE TABLE e (i INTEGER, j INTEGER, d REAL, s TEXT, t TEXT)")
    db.executemany("INSERT INTO e VALUES (?, ?, ?, ?, ?)", job["rows"])
    out = [[r[0] for r in db.execute("SELECT " + x + " FROM e ORDER BY rowid")] for x in job["texts"]]
    json.dump({"version": sqlite3.sqlite_version, "values": out}, sys.stdout)
    """

  static func json(_ value: OracleValue) -> Any {
    switch value {
    case .int64(let value): value
    case .double(let value): value
    case .string(let value): value
    default: NSNull()
    }
  }

  /// The values of all texts over all rows, nil without python3 or its sqlite3 (IS DISTINCT FROM needs 3.39).
  static func sqliteValues(_ rows: [[OracleValue]]) throws -> [[Any]]? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", script]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let job: [String: Any] = ["texts": texts, "rows": rows.map { $0.map(json) }]
    input.fileHandleForWriting.write(try JSONSerialization.data(withJSONObject: job))
    try input.fileHandleForWriting.close()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { return nil }
    return (try JSONSerialization.jsonObject(with: data) as? [String: Any])?["values"] as? [[Any]]
  }

  static func agrees(_ mine: OracleValue, _ theirs: Any) -> Bool {
    switch mine {
    case .null: theirs is NSNull
    case .bool(let value): (theirs as? NSNumber)?.int64Value == (value ? 1 : 0)
    case .int64(let value): (theirs as? NSNumber)?.int64Value == value
    case .double(let value): (theirs as? NSNumber)?.doubleValue == value
    case .string(let value): (theirs as? String)?.unicodeScalars.elementsEqual(value.unicodeScalars) == true
    case .timestamp, .failed: false
    }
  }

  @Test func bothEnginesAgree() throws {
    let rows = Self.rows()
    guard let theirs = try Self.sqliteValues(rows) else {
      print("Skipped the comparison with SQLite: python3 with sqlite3 3.39 or newer is not there")
      return
    }
    #expect(theirs.count == Self.texts.count)
    for (text, values) in zip(Self.texts, theirs) {
      var builder = ProgramBuilder(columns: Self.columns)
      let register = try builder.add(text)
      let program = builder.build()
      #expect(values.count == rows.count)
      for (row, value) in zip(rows, values) {
        let mine = evaluate(program, register, row)
        #expect(Self.agrees(mine, value), "\(text) of \(row): \(mine), SQLite \(value)")
      }
    }
  }
}
