import Capture
import FeatureCore
import Foundation
import Testing

@testable import SQLiteTables

/// Tables of SQLite as rows, and their comparison with a topic.
@Suite struct SQLiteTableTests {
  private static let fields: [Source.Field] = [
    .init("id", .string), .init("age", .int64), .init("score", .double), .init("ok", .bool),
    .init("seen", .timestamp, unit: .seconds),
  ]

  private final class Shop {
    let folder: URL
    let path: String
    let writer: SQLiteConnection

    init(_ statements: String) throws {
      folder = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-\(UUID())")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      path = folder.appendingPathComponent("shop.db").path
      writer = try SQLiteConnection(path: path, mayCreate: true)
      try run("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
      try run("CREATE TABLE users (id, age, score, ok, seen);" + statements)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func run(_ statement: String) throws { try writer.execute(statement, "writing") }

    func table(_ fields: [Source.Field] = SQLiteTableTests.fields, _ name: String = "users") throws
      -> SQLiteTable
    {
      SQLiteTable(path: path, table: name, as: try .users(fields)) { 1_000 }
    }
  }

  @Test func valuesAreRows() throws {
    let shop = try Shop(
      """
      INSERT INTO users VALUES ('ü"1', 7, 1.5, 1, '2026-01-02 03:04:05'), (12, 7.0, 3, 0, 1767323045),
        ('z', NULL, NULL, NULL, '2026-01-02T03:04:05.9+01:00')
      """)
    #expect(
      try scannedRows(shop.table()) == [
        #"{"id":"ü\"1","age":7,"score":1.5,"ok":true,"seen":1767323045}"#,
        #"{"id":"12","age":7,"score":3.0,"ok":false,"seen":1767323045}"#,
        #"{"id":"z","age":null,"score":null,"ok":null,"seen":1767319445}"#,
      ])
    // A view and its columns, in any case of letters.
    try shop.run("CREATE VIEW some AS SELECT ID, age + 1 AS age FROM users WHERE age IS NOT NULL")
    #expect(
      try scannedRows(shop.table([.init("id", .string), .init("age", .int64)], "SOME")).first
        == #"{"id":"ü\"1","age":8}"#)
  }

  @Test(arguments: [
    ("id", "x'00'", "a BLOB, which is no text in UTF-8", #"CAST("id" AS TEXT)"#),
    ("id", "CAST(x'ff' AS TEXT)", "which is no text in UTF-8", #"CAST("id" AS TEXT)"#),
    ("age", "1.5", "1.5, which is no whole number of 64 bits", #"CAST("age" AS INTEGER)"#),
    ("age", "'7'", "'7', which is no whole number", #"CAST("age" AS INTEGER)"#),
    ("age", "9e99", "9e+99, which is no whole number", #"CAST("age" AS INTEGER)"#),
    ("score", "9e999", "inf, which is no finite number", #"CAST("score" AS REAL)"#),
    ("score", "'x'", "'x', which is no finite number", #"CAST("score" AS REAL)"#),
    ("ok", "2", "2, which is no 0 or 1", #""ok" <> 0"#),
    ("seen", "'soon'", "'soon', which is no time as text", #"datetime("seen", 'unixepoch')"#),
    ("seen", "1.5", "1.5, which is no time as text", #"datetime("seen", 'unixepoch')"#),
    ("seen", "9000000000000", "9000000000000, which is no time", #"datetime("seen", 'unixepoch')"#),
  ]) func whatDoesNotFitIsNamed(column: String, value: String, problem: String, cast: String) throws {
    let shop = try Shop("INSERT INTO users(id) VALUES ('a'); INSERT INTO users(\(column)) VALUES (\(value))")
    let error = #expect(throws: CaptureError.self) { try scannedRows(shop.table()) }
    let text = error?.description ?? ""
    #expect(text.contains("column '\(column)': row 2 of") && text.contains(problem), "\(text)")
    #expect(text.contains(cast) && error?.remedy == .stop, "\(text)")
  }

  @Test func whatIsMissingIsNamed() throws {
    let shop = try Shop("CREATE TABLE items (id)")
    func error(_ table: SQLiteTable) -> String {
      (#expect(throws: CaptureError.self) { try scannedRows(table) })?.description ?? ""
    }
    // To SQLite a quoted name that is no column's may be a text.
    #expect(
      error(try shop.table([.init("id", .string), .init("tier", .string)])).hasSuffix(
        "has no column 'tier'; it has id, age, score, ok, seen"))
    #expect(
      error(try shop.table(Self.fields, "orders")).hasSuffix("has no table 'orders'; it has items, users"))
    let gone = SQLiteTable(path: shop.path + "x", table: "users", as: try .users(Self.fields)) { 0 }
    #expect(error(gone).contains("there is no SQLite database"))
    try Data("no database at all".utf8).write(to: URL(fileURLWithPath: shop.path + "y"))
    let other = SQLiteTable(path: shop.path + "y", table: "users", as: try .users(Self.fields)) { 0 }
    #expect(error(other).contains("file is not a database"))
  }

  @Test func rowsAreThoseOfOneMoment() throws {
    let shop = try Shop("")
    for id in 1...500 { try shop.run("INSERT INTO users(id, age) VALUES (\(id), 1)") }
    let table = try shop.table([.init("id", .int64), .init("age", .int64)])
    let rows = try scannedRows(table) { count in
      if count == 3 { try shop.run("UPDATE users SET age = 2; DELETE FROM users WHERE id > 400") }
    }
    #expect(rows.count == 500 && rows.allSatisfy { $0.hasSuffix("\"age\":1}") })
    #expect(try scannedRows(table).count == 400)
  }

  @Test func whatNobodyHasWrittenIsNotReadAgain() throws {
    let shop = try Shop("INSERT INTO users(id) VALUES (1)")
    let table = try shop.table()
    #expect(try table.mayHaveChanged())
    _ = try scannedRows(table)
    #expect(try !table.mayHaveChanged())
    try shop.run("INSERT INTO users(id) VALUES (2)")
    #expect(try table.mayHaveChanged())
    #expect(try scannedRows(table).count == 2)
    #expect(try !table.mayHaveChanged())
    // Another database takes the name.
    let other = try Shop("INSERT INTO users(id) VALUES (3)")
    try other.run("PRAGMA wal_checkpoint(TRUNCATE)")
    try FileManager.default.removeItem(atPath: shop.path)
    for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: shop.path + suffix) }
    try FileManager.default.copyItem(atPath: other.path, toPath: shop.path)
    #expect(try table.mayHaveChanged())
    #expect(try scannedRows(table) == [#"{"id":"3","age":null,"score":null,"ok":null,"seen":null}"#])
  }

  // MARK: Compared with a topic

  /// A capture of a shop, whose clock goes on by a second at each look.
  private final class Run {
    let log = MemoryLog()
    let shop: Shop
    private let table: CapturedTable
    private let scanned: SQLiteTable

    init(_ statements: String) throws {
      shop = try Shop(statements)
      table = try .users([.init("id", .string), .init("age", .int64)])
      let clock = Clock()
      scanned = SQLiteTable(path: shop.path, table: "users", as: table) { clock.next() }
    }

    func capture(deletesAll: Bool = false, _ change: (inout CaptureLimits) -> Void = { _ in }) throws {
      log.fence()
      var limits = CaptureLimits()
      limits.commitRecordsMax = 7
      change(&limits)
      let capture = DiffCapture(
        table, scanned, log, every: 1, deletesAll: deletesAll, limits: limits, status: CaptureStatus(),
        now: { 0 }, sleep: {}, isStopping: { false }, observe: { _ in })
      do { try capture.run(once: true) { _ in } } catch CaptureFault.database(let error) { throw error }
    }

    func expected() throws -> [String: String] {
      let keys = try shop.writer.texts("SELECT id FROM users ORDER BY rowid", "reading")
      let ages = try shop.writer.texts("SELECT age FROM users ORDER BY rowid", "reading")
      return Dictionary(uniqueKeysWithValues: zip(keys, ages).map { ($0, #"{"id":"\#($0)","age":\#($1)}"#) })
    }
  }

  private final class Clock {
    private var now: Int64 = 1_700_000_000_000_123
    func next() -> Int64 {
      now += 1_000_000
      return now
    }
  }

  private static let hundred =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO users(id, age) "
    + "SELECT 'u' || i, i FROM n;"

  @Test func onlyDifferencesAreWritten() throws {
    let run = try Run(Self.hundred)
    try run.capture()
    #expect(try run.log.rows == run.expected())
    let transactions = run.log.transactions
    try run.capture()
    #expect(run.log.records.count == 100 && run.log.transactions == transactions)
    try run.shop.run(
      "UPDATE users SET age = -1 WHERE id = 'u7'; DELETE FROM users WHERE id = 'u8'; INSERT INTO users(id, age) VALUES ('ä', 5); "
        + "UPDATE users SET age = age WHERE id = 'u9'")
    try run.capture()
    #expect(run.log.records.count == 103 && run.log.repeated.isEmpty)
    #expect(try run.log.rows == run.expected())
    #expect(run.log.times == run.log.times.sorted() && run.log.times[102] % 1_000 == 0)
  }

  /// Brokers end transactions that are open for long: one that is begun for a difference isn't open until all other rows are
  /// compared.
  @Test func noTransactionIsOpenForAllOfAComparison() throws {
    let run = try Run(Self.hundred)
    try run.capture()
    var transactions: [Int] = []
    for id in 1...10 {
      try run.shop.run("UPDATE users SET age = -1 WHERE id = 'u\(id)'")
      let before = run.log.transactions
      try run.capture()
      transactions.append(run.log.transactions - before)
    }
    // The difference's, and that of the whole comparison's end.
    #expect(transactions.allSatisfy { (1...2).contains($0) } && transactions.contains(2))
    #expect(try run.log.rows == run.expected() && run.log.records.count == 110)
  }

  @Test func transactionsAreBoundedInBytes() throws {
    let run = try Run(Self.hundred)
    // Two rows of this table.
    try run.capture { $0.commitBytesMax = 100 }
    #expect(run.log.transactions >= 33)
    #expect(try run.log.rows == run.expected())
  }

  /// Whichever step of the log is the last of an attempt, the attempts after it write what is left, and nothing again.
  @Test func anyStepMayBeTheLast() throws {
    let run = try Run(Self.hundred)
    var attempts = 0
    for round in 0..<60 {
      try run.shop.run(
        "UPDATE users SET age = age + 1 WHERE rowid % 5 = \(round % 5); DELETE FROM users WHERE rowid % 50 = \(round % 50); "
          + "INSERT INTO users(id, age) SELECT 'n\(round % 7)', 0 WHERE 'n\(round % 7)' NOT IN (SELECT id FROM users)"
      )
      run.log.stepsLeft = round
      while (try? run.capture()) == nil {
        attempts += 1
        // A fault of its own kind again, and in the end none.
        run.log.stepsLeft = attempts % 3 == 0 ? nil : attempts % 40
      }
      run.log.stepsLeft = nil
    }
    try run.capture()
    #expect(try run.log.rows == run.expected())
    #expect(run.log.repeated == [])
    #expect(attempts > 30)
    #expect(run.log.times == run.log.times.sorted())
  }

  @Test func anEmptiedTableDeletesOnlyIfThatIsSaid() throws {
    let run = try Run(Self.hundred)
    try run.capture()
    try run.shop.run("DELETE FROM users")
    let error = #expect(throws: CaptureError.self) { try run.capture() }
    #expect(error?.description.contains("has no rows, and its topic 'shop.users' has some") ?? false)
    #expect(run.log.records.count == 100)
    try run.capture(deletesAll: true)
    #expect(run.log.rows.isEmpty && run.log.records.count == 200)
    // Of nothing there is nothing left to delete.
    try run.capture()
  }

  @Test func keysAreUniqueAndThere() throws {
    // To the topic, 7 and '7' are one key.
    let twice = try Run("INSERT INTO users(id) VALUES (7), ('7')")
    let error = #expect(throws: CaptureError.self) { try twice.capture() }
    #expect(error?.description.contains("two rows have the key '7'") ?? false)
    let none = try Run("INSERT INTO users(id, age) VALUES ('a', 1), (NULL, 2)")
    let missing = #expect(throws: CaptureError.self) { try none.capture() }
    #expect(missing?.description.contains("column 'id': row 2 of") ?? false)
    #expect(none.log.records.isEmpty && twice.log.records.isEmpty)
  }
}
