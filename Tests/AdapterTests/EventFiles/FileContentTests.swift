import Testing

@testable import EventFiles

/// What a file is by its first bytes.
@Suite struct FileContentTests {
  /// Names of columns that begin like files of other kinds.
  @Test(arguments: [
    "PARENT_ID,ts", "ORCHARD,ts", "user_id,DUCKS,ts", "PAR1,ts", "BZhours,ts", "FEA1,ts", "ARROW1,ts",
  ])
  func headersAreText(_ header: String) throws {
    #expect(try FileContent(Array("\(header)\n1,2\n".utf8), path: "x") == .text(hasObjects: false))
  }

  @Test(arguments: [
    "{\n  \"ts\": 1\n}\n", "{\r\n\t\"ts\": 1,\r\n\t\"a\": 2\r\n}\r\n{\r\n}",
    "{\"events\": [\n{\"ts\":1},\n{\"ts\":2}]}",
    "{ \"ts\": 1,\n  \"a\": 2 }", "{\n}\n",
  ])
  func objectsOverLinesAreNotRead(_ text: String) {
    let error = #expect(throws: EventFileError.self) { try FileContent(Array(text.utf8), path: "x") }
    #expect(error?.description.contains("go over several lines") == true, "\(String(describing: error))")
  }

  /// A damaged line costs itself, and not the file.
  @Test(arguments: [
    "{\n{\"ts\":1}\n", "{\"ts\":1,\n{\"ts\":2}\n", "{\"ts\":\n{\"ts\":2}", "{\"ts\":1}\n", "{", "{\n",
    "{\"a\":[]}\n{\"a\":[]}",
  ])
  func otherObjectsAreLines(_ text: String) throws {
    #expect(try FileContent(Array(text.utf8), path: "x") == .lines)
  }

  @Test(arguments: [
    ("PARE\u{15}\u{4}", "encrypted Parquet"), ("ORC\u{8}\u{3}", "ORC"), ("12345678DUCK\u{0}", "DuckDB"),
    ("BZh9\u{0}", "bzip2"), ("Obj\u{1}", "Avro"), ("SQLite format 3\u{0}", "SQLite"), ("<html>", "HTML"),
  ])
  func othersAreNamed(_ beginning: String, _ name: String) {
    let error = #expect(throws: EventFileError.self) { try FileContent(Array(beginning.utf8), path: "x") }
    #expect(error?.description.contains(name) == true, "\(String(describing: error))")
  }
}
