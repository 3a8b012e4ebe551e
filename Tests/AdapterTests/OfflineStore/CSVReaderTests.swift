import FeatureCore
import Foundation
@testable import OfflineStore
import Testing
import TestSupport

/// A whole table: nil is null.
func readTable(_ path: String, bufferBytes: Int = 1 << 18) throws(TableError) -> (
  columns: [String], rows: [[Text?]]
) {
  var reader = try CSVReader(input: InputBytes(path: path, bufferBytes: bufferBytes))
  var rows: [[Text?]] = []
  while try reader.next() { rows.append(reader.columns.indices.map { reader.text($0) }) }
  return (reader.columns, rows)
}

@Suite struct CSVReaderTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func rows(_ text: String) throws -> [[Text?]] {
    let path = try folder.write([UInt8](text.utf8), to: "table.csv")
    return try readTable(path).rows
  }

  private func failure(_ bytes: [UInt8]) throws -> TableError {
    let path = try folder.write(bytes, to: "table.csv")
    return try #require(throws: TableError.self) { try readTable(path) }
  }

  @Test func everyFormOfFieldAtEveryBufferBoundary() throws {
    let text =
      "\u{FEFF}user,\"the \"\"item\"\"\",t\r\nu1,i1,\r\n\"\",\"a,b\",\"line\r\nline\"\n\n\"\"\"\",é€😀,\"\"\r\nlast,,x"
    let path = try folder.write([UInt8](text.utf8), to: "table.csv")
    let expected: [[Text?]] = [
      ["u1", "i1", nil], ["", "a,b", "line\r\nline"], ["\"", "é€😀", ""], ["last", nil, "x"],
    ]
    for bufferBytes in Array(3...40) {
      let table = try readTable(path, bufferBytes: bufferBytes)
      #expect(table.columns == ["user", "the \"item\"", "t"], "buffer of \(bufferBytes)")
      #expect(table.rows == expected, "buffer of \(bufferBytes)")
    }
  }

  @Test func blankLineIsNullOnlyUnderOneColumn() throws {
    #expect(try rows("a\n1\n\n\"\"\n") == [["1"], [nil], [""]])
    #expect(try rows("a,b\n1,2\n\n\n3,4\n\n") == [["1", "2"], ["3", "4"]])
    #expect(try rows("a,b\n") == [])
  }

  @Test func quotesAndLinesAreTold() throws {
    let path = try folder.write([UInt8]("a,b\n\"x\ny\",z\n1,\"\"\n".utf8), to: "table.csv")
    var reader = try CSVReader(path: path)
    #expect(try reader.next())
    #expect(reader.isQuoted(0) && !reader.isQuoted(1) && reader.line == 2)
    #expect(reader.withBytes(1) { Array($0) } == [UInt8(ascii: "z")])
    #expect(try reader.next())
    #expect(!reader.isNull(1) && reader.isQuoted(1) && reader.line == 4)
    #expect(try !reader.next())
  }

  @Test(arguments: [
    ("", 1, "empty"), ("a,a\n", 1, "twice"), ("a,b\n1,2\n1\n", 3, "1 fields under a header of 2"),
    ("a,b\n\"x\n\",1\n1,2,3\n", 4, "3 fields"), ("a\nx\"y\n", 2, "quote inside"),
    ("a\n\"x\"y\n", 2, "closing"),
    ("a\n1\n\"x\n\n\n", 3, "not closed"), ("a\nx\ry\n", 2, "carriage return"),
  ])
  func errorsNameTheLine(_ text: String, _ line: Int64, _ problem: String) throws {
    let error = try failure([UInt8](text.utf8))
    #expect(error.line == line && error.problem.contains(problem), "\(error)")
  }

  @Test func invalidTextAndEndlessRowsAreErrors() throws {
    #expect(
      try failure([UInt8]("a,b\n1,2\nx,".utf8) + [0xFF, 0x0A]).description.contains(":3: column b is not"))
    // Two halves of é in two fields.
    #expect(try failure([UInt8]("a,b\n".utf8) + [0xC3, 0x2C, 0xA9, 0x0A]).line == 2)
    let open = [UInt8]("a\n\"".utf8) + [UInt8](repeating: 0x78, count: 3 << 20)
    #expect(try failure(open).problem.contains("more than 1048576 bytes"))
    #expect(throws: TableError.self) { try readTable(folder.path("missing.csv")) }
  }
}
