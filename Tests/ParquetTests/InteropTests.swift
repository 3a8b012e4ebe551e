import FeatureCore
import Foundation
import Parquet
import Testing
import TestSupport

/// pyarrow, DuckDB, Polars and pandas read what we write, and we read what they write.
@Suite(.enabled(if: Python.isReady, Comment(rawValue: Python.why)))
struct InteropTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// All types, as scalars and lists.
  private static let columns =
    ValueType.allCases.flatMap { type in
      [
        ParquetColumn("\(type)", .scalar(type)),
        ParquetColumn("\(type)_required", .scalar(type), isRequired: true),
        ParquetColumn("\(type)_list", .list(type)),
        ParquetColumn("\(type)_list_required", .list(type), isRequired: true),
      ]
    } + [
      ParquetColumn("binary", .scalar(.string), isBinary: true),
      ParquetColumn("binary_required", .scalar(.string), isRequired: true, isBinary: true),
      ParquetColumn("binary_list", .list(.string), isBinary: true),
    ]

  private func expectOthersRead(_ table: Table, _ name: String, _ options: ParquetOptions = ParquetOptions())
    throws
  {
    let path = try folder.write(table.written(options), to: "\(name).parquet")
    let expected = try folder.write([UInt8](table.lines.utf8), to: "\(name).txt")
    try Python.run(["read", path, expected])
  }

  @Test func theyReadRandomTables() throws {
    for seed in UInt64(1)...8 {
      var generator = TableGenerator(seed: seed)
      generator.keepsCivilTimes = true
      var options = ParquetOptions()
      options.pageBytes = [300, 1 << 20].randomElement(using: &generator.random)!
      options.rowGroupRowsMax = [150, 1 << 20].randomElement(using: &generator.random)!
      options.dictionaryBytesMax = [0, 1 << 20].randomElement(using: &generator.random)!
      options.metadata = [("positions", "clicks/0:17 żółć")]
      let table = generator.table(Self.columns, rowCount: 500)
      do { try expectOthersRead(table, "random", options) } catch { Issue.record("seed \(seed): \(error)") }
    }
  }

  @Test func theyReadFilesWithoutRows() throws {
    try expectOthersRead(Table(columns: Self.columns, rows: []), "empty")
  }

  @Test func theyReadNullsOnly() throws {
    let columns = Self.columns.filter { !$0.isRequired }
    let rows = [[FeatureValue]](repeating: columns.map { _ in .null }, count: 300)
    try expectOthersRead(Table(columns: columns, rows: rows), "nulls")
  }

  @Test func theyReadManyPages() throws {
    let columns = [
      ParquetColumn("n", .scalar(.int64)), ParquetColumn("s", .scalar(.string)),
      ParquetColumn("b", .scalar(.bool)),
    ]
    let rows = (0..<200_000).map { index -> [FeatureValue] in
      let text: FeatureValue = index % 70_000 < 3 ? .null : .string(Text("żółć \(index % 300)"))
      return [.int64(Int64(index)), text, .bool(index % 7 < 3)]
    }
    try expectOthersRead(Table(columns: columns, rows: rows), "pages")
  }

  @Test func theyReadHugeTexts() throws {
    let huge = String(repeating: "0123456789żółć", count: 200_000)
    let rows: [[FeatureValue]] = [[.string(Text(huge))], [.null], [.string(Text(huge + "z"))], [.string("")]]
    try expectOthersRead(Table(columns: [ParquetColumn("s", .scalar(.string))], rows: rows), "huge")
  }

  @Test func weReadTheirs() throws {
    try Python.run(["write", folder.url.path])
    let names = folder.names.filter { $0.hasSuffix(".parquet") }
    #expect(names.count > 30)
    for name in names {
      let expected = String(decoding: try folder.read(name + ".txt"), as: UTF8.self)
      do {
        let table = try Table.read(ParquetInput(path: folder.path(name)))
        #expect(table.lines == expected, "\(name)")
      } catch {
        Issue.record("\(name): \(error)")
      }
    }
  }

  @Test func whatWeCannotReadIsNamed() throws {
    try Python.run(["write-unsupported", folder.url.path])
    for (name, word) in [
      ("struct", "nested"), ("map", "nested"), ("decimal", "decimal"), ("time", "TIME"),
    ] {
      let error = #expect(throws: ParquetError.self) {
        try Table.read(ParquetInput(path: folder.path("\(name).parquet")))
      }
      #expect(error?.problem.contains("column x") == true, "\(name): \(error as Any)")
      #expect(error?.problem.contains(word) == true, "\(name): \(error as Any)")
      let others = try Table.read(ParquetInput(path: folder.path("\(name).parquet")), columns: ["ok"])
      #expect(others.rows == [[.string("a")], [.string("b")]])
    }
  }
}
