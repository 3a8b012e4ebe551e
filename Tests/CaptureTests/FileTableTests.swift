import Capture
import FeatureCore
import FileTables
import Foundation
import Testing

/// Files of rows, whatever their form.
@Suite struct FileTableTests {
  private let folder: URL
  private static let fields: [Source.Field] = [
    .init("age", .int64), .init("id", .string), .init("score", .double), .init("ok", .bool),
    .init("seen", .timestamp, unit: .text, zone: "UTC"),
  ]

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private func write(_ name: String, _ text: String, age: TimeInterval = 60) throws -> String {
    let url = folder.appendingPathComponent(name)
    try Data(text.utf8).write(to: url)
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -age)], ofItemAtPath: url.path)
    return url.path
  }

  private func table(
    _ path: String, now: @escaping () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1e6) }
  )
    throws -> FileTable
  {
    let source = Source(
      "users", topic: "shop.users", key: "id", timestamp: .init(field: "_at", unit: .microseconds),
      fields: Self.fields)
    return FileTable(path: path, EventSchema(source), as: try .users(Self.fields), now: now)
  }

  @Test func everyFormHasTheSameRows() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let rows = [
      #"{"age":7,"id":"u,1","score":1.5,"ok":true,"seen":"2026-01-02T03:04:05Z"}"#,
      #"{"age":null,"id":"12","score":3.0,"ok":null,"seen":null}"#,
    ]
    let files = [
      try write(
        "a.csv", "other,id,score,ok,age,seen\nx,\"u,1\",1.5,t,7,2026-01-02 03:04:05\nx,12,3,,,\n"),
      try write(
        "a.tsv", "id\tscore\tok\tage\tseen\nu,1\t1.5\tt\t7\t2026-01-02 03:04:05\n12\t3\t\t\t\n"),
      try write(
        "a.ndjson",
        "{\"id\":\"u\\u002c1\",\"age\":7.0,\"score\":15e-1,\"ok\":true,\"seen\":\"2026-01-02T04:04:05+01:00\"}\n"
          + "{\"id\":\"12\",\"score\":3}\n"),
      try write(
        "a.json",
        "[{\"id\":\"u,1\",\"age\":7,\"score\":1.5,\"ok\":true,\"seen\":\"2026-01-02 03:04:05\"},{\"id\":\"12\",\"score\":3.0}]"
      ),
    ]
    for file in files { #expect(try scannedRows(table(file)) == rows, "\(file)") }
  }

  @Test func whatCannotBeReadIsNamed() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    func error(_ path: String) -> CaptureError? {
      #expect(throws: CaptureError.self) { try scannedRows(table(path)) }
    }
    let wrong = error(try write("wrong.csv", "id,score,ok,age,seen\na,1,t,7,\nb,x,t,7,\n"))
    #expect(wrong?.remedy == .stop)
    #expect(wrong?.description.contains("wrong.csv:3: field 'score' at byte") ?? false, "\(wrong!)")
    let lacking = error(try write("lacking.csv", "id,age\na,1\n"))
    #expect(lacking?.description.contains("lacks the columns score, ok, seen") ?? false, "\(lacking!)")
    let other = error(try write("other.csv", "name,age\na,1\n"))
    #expect(
      other?.description.contains("the first line has no column 'id', but name, age") ?? false, "\(other!)")
    #expect(error(folder.path + "/none.csv")?.description.contains("there is no file") ?? false)
  }

  @Test func aFileThatChangesMeanwhileIsReadAgain() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let text = "{\"id\":\"a\"}\n"
    let path = try write("a.ndjson", text)
    let table = try table(path)
    let error = #expect(throws: CaptureError.self) {
      try scannedRows(table) { _ in _ = try write("a.ndjson", text + text, age: 30) }
    }
    #expect(error?.remedy == .retry && table.mayHaveChanged())
    // The first of two rows of a row that is cut off: half written, and not wrong.
    _ = try write("a.ndjson", text + "{\"id\":\"b")
    let cut = #expect(throws: CaptureError.self) {
      try scannedRows(table) { _ in _ = try write("a.ndjson", text + "{\"id\":\"b\"}\n", age: 20) }
    }
    #expect(cut?.remedy == .retry)
    #expect(try scannedRows(table).count == 2)
    #expect(!table.mayHaveChanged())
    // As many bytes, in another file.
    _ = try write("a.ndjson", text + "{\"id\":\"c\"}\n", age: 20)
    #expect(table.mayHaveChanged())
  }

  /// What was written just now may be written again without a trace.
  @Test func aFileHasToBeOlderThanAStepOfItsClock() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try write("a.ndjson", "{\"id\":\"a\"}\n")
    let modified = try #require(
      FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date)
    let start = Int64(modified.timeIntervalSince1970 * 1e6)
    let looks = Looks(start)
    #expect(try scannedRows(table(path) { looks.next() }).count == 1)
    #expect(looks.count > 3)
    let never = try table(path) { start + 5 }
    let error = #expect(throws: CaptureError.self) { try scannedRows(never) }
    #expect(error?.remedy == .retry)
  }

  private final class Looks {
    private let start: Int64
    private(set) var count: Int64 = 0
    init(_ start: Int64) { self.start = start }
    func next() -> Int64 {
      count += 1
      return start + count * 8_000
    }
  }
}
