import FeatureCore
import Parquet
import Testing
import TestSupport

/// What is written is read, bit for bit.
@Suite struct RoundTripTests {
  @Test(arguments: UInt64(1)...60)
  func randomTables(seed: UInt64) throws {
    var generator = TableGenerator(seed: seed)
    let table = generator.table(rowCountMax: 3000)
    var options = ParquetOptions()
    options.pageBytes = [1, 100, 5_000, 1 << 20].randomElement(using: &generator.random)!
    options.dictionaryBytesMax = [0, 200, 1 << 20].randomElement(using: &generator.random)!
    options.rowGroupRowsMax = [7, 1_000, 1 << 20].randomElement(using: &generator.random)!
    options.rowGroupBytes = [10_000, 64 << 20].randomElement(using: &generator.random)!
    let bytes = table.written(options)
    #expect(table.written(options) == bytes, "seed \(seed)")
    let batchRowsMax = [1, 13, 5_000].randomElement(using: &generator.random)!
    let read = try Table.read(bytes, batchRowsMax: batchRowsMax)
    #expect(read.columns == table.columns, "seed \(seed)")
    #expect(read.difference(from: table) == nil, "seed \(seed)")
  }

  @Test func noRows() throws {
    let table = Table(
      columns: [ParquetColumn("a", .list(.string)), ParquetColumn("b", .scalar(.int64))], rows: [])
    var reader = try ParquetReader(ParquetInput(bytes: table.written(), name: "empty"))
    #expect(reader.columns == table.columns)
    #expect(reader.rowCount == 0)
    #expect(try reader.next()?.rowCount == nil)
  }

  @Test func manyPagesAndRowGroups() throws {
    let columns = [
      ParquetColumn("n", .scalar(.int64), isRequired: true), ParquetColumn("few", .scalar(.string)),
      ParquetColumn("on", .scalar(.bool)),
    ]
    let rows = (0..<300_000).map { index -> [FeatureValue] in
      let text: FeatureValue = index % 5 == 0 ? .null : .string(Text("v\(index % 11)"))
      return [.int64(Int64(index)), text, .bool(index % 3 == 0)]
    }
    let table = Table(columns: columns, rows: rows)
    for rowGroupRowsMax in [1 << 20, 100_000] {
      var options = ParquetOptions()
      options.rowGroupRowsMax = rowGroupRowsMax
      #expect(try Table.read(table.written(options)).difference(from: table) == nil)
    }
  }

  @Test func hugeTexts() throws {
    let huge = String(repeating: "0123456789żółć", count: 300_000)
    let rows: [[FeatureValue]] = [
      [.string(Text(huge)), .list([.string(Text(huge + "a")), .null])], [.null, .null],
      [.string(""), .list([])],
    ]
    let table = Table(
      columns: [ParquetColumn("a", .scalar(.string)), ParquetColumn("b", .list(.string))], rows: rows)
    #expect(try Table.read(table.written()).difference(from: table) == nil)
  }

  @Test func aDictionaryIsTakenWhereItPays() throws {
    let columns = [ParquetColumn("a", .scalar(.string))]
    func size(_ distinct: Int, dictionaryBytesMax: Int) -> Int {
      var random = SplitMix64(seed: 1)
      let rows = (0..<20_000).map { _ -> [FeatureValue] in
        [.string(Text("some text \(Int.random(in: 0..<distinct, using: &random))"))]
      }
      var options = ParquetOptions()
      options.dictionaryBytesMax = dictionaryBytesMax
      return Table(columns: columns, rows: rows).written(options).count
    }
    #expect(size(4, dictionaryBytesMax: 1 << 20) < size(4, dictionaryBytesMax: 0))
    #expect(size(1 << 40, dictionaryBytesMax: 1 << 20) == size(1 << 40, dictionaryBytesMax: 0))
  }

  @Test func columnsAreChosenByName() throws {
    var generator = TableGenerator(seed: 3)
    let columns = ["a", "b", "c"].map { ParquetColumn($0, .scalar(.int64)) }
    let table = generator.table(columns, rowCount: 50)
    let chosen = try Table.read(table.written(), columns: ["c", "a"])
    #expect(chosen.columns.map(\.name) == ["c", "a"])
    #expect(chosen.rows == table.rows.map { [$0[2], $0[0]] })
  }

  @Test func theFileSaysWhatItIs() throws {
    var options = ParquetOptions()
    options.metadata = [("schema", "1"), ("positions", "clicks/0:17 żółć")]
    options.createdBy = "test version 7"
    let bytes = Table(columns: [ParquetColumn("a", .scalar(.bool))], rows: [[.null]]).written(options)
    let reader = try ParquetReader(ParquetInput(bytes: bytes, name: "x"))
    #expect(reader.metadata.map(\.key) == ["schema", "positions"])
    #expect(reader.metadata.map(\.value) == ["1", "clicks/0:17 żółć"])
    #expect(reader.createdBy == "test version 7")
  }

  @Test func anErrorOfTheSinkIsPassedOn() {
    struct Full: Error {}
    var writer = ParquetWriter(columns: [ParquetColumn("a", .scalar(.bool))])
    writer.append(true, to: 0)
    let isFull = writer.endRow()
    #expect(!isFull)
    #expect(throws: Full.self) { try writer.writeRowGroup { _ in throw Full() } }
  }
}
