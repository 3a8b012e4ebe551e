import FeatureCore
import Foundation
@testable import OfflineStore
import Testing
import TestSupport

@Suite struct RowWriterTests {
  static let columns = ["user id", "n", "x", "ok", "at", "items", "nothing"]
  static let row: [FeatureValue] = [
    .string("a,\"b\"\n"), .int64(.min), .double(1), .bool(true),
    .timestamp(EventTime(microseconds: 1_767_225_600_000_001)), .list([.string("x\ty"), .string("z")]), .null,
  ]
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func writeCSV(_ rows: [[FeatureValue]], columns: [String]) throws -> String {
    var writer = try TableWriter(path: folder.path("out.csv"), format: .csv, columns: columns)
    for row in rows { try writer.write(row) }
    try writer.finish()
    return String(decoding: try folder.read("out.csv"), as: UTF8.self)
  }

  private func writeNDJSON(_ rows: [[FeatureValue]], columns: [String]) throws -> String {
    var writer = try TableWriter(path: folder.path("out.ndjson"), format: .ndjson, columns: columns)
    for row in rows { try writer.write(row) }
    try writer.finish()
    return String(decoding: try folder.read("out.ndjson"), as: UTF8.self)
  }

  @Test func csvOfEveryType() throws {
    let text = try writeCSV([Self.row, Self.columns.map { _ in .string("") }], columns: Self.columns)
    let expected = #"""
      user id,n,x,ok,at,items,nothing
      "a,""b""
      ",-9223372036854775808,1.0,true,2026-01-01T00:00:00.000001Z,"[""x\ty"",""z""]",
      "","","","","","",""

      """#
    #expect(text == expected)
  }

  @Test func ndjsonOfEveryType() throws {
    let text = try writeNDJSON([Self.row], columns: Self.columns)
    let expected = #"""
      {"user id":"a,\"b\"\n","n":-9223372036854775808,"x":1.0,"ok":true,"at":"2026-01-01T00:00:00.000001Z","items":["x\ty","z"],"nothing":null}

      """#
    #expect(text == expected)
  }

  @Test func nothingIsLeftBehindWithoutFinish() throws {
    try folder.write([1], to: "out.csv")
    do {
      var writer = try TableWriter(path: folder.path("out.csv"), format: .csv, columns: ["a"])
      for _ in 0..<100_000 { try writer.write([.string("some text")]) }
      #expect(folder.names.count == 2, "the rows go to a temporary file: \(folder.names)")
    }
    #expect(folder.names == ["out.csv"])
    #expect(try folder.read("out.csv") == [1])
  }

  @Test func linksAndDevicesKeepTheirNature() throws {
    try folder.write([], to: "real.csv")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("out.csv"), withDestinationPath: folder.path("real.csv"))
    _ = try writeCSV([[.int64(1)]], columns: ["a"])
    #expect(try folder.read("real.csv") == [UInt8]("a\n1\n".utf8))
    let writer = try TableWriter(path: "/dev/null", format: .csv, columns: ["a"])
    try writer.finish()
    let type = try FileManager.default.attributesOfItem(atPath: "/dev/null")[.type] as? FileAttributeType
    #expect(type == .typeCharacterSpecial)
  }

  @Test func missingFolderIsAClearError() throws {
    let path = folder.path("none/out.csv")
    let error = try #require(throws: TableError.self) {
      _ = try TableWriter(path: path, format: .csv, columns: ["a"])
    }
    #expect(error.description.contains("none/out.csv: cannot be created: No such file"))
  }

  @Test(arguments: 1...20)
  func randomTextsComeBack(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let rows = (0..<50).map { _ in
      (0..<3).map { _ in Bool.random(using: &random) ? FeatureValue.string(randomText(&random)) : .null }
    }
    _ = try writeCSV(rows, columns: ["a", "b", "c"])
    let table = try readTable(folder.path("out.csv"), bufferBytes: 64)
    let expected = rows.map { row in
      row.map { value -> Text? in if case .string(let text) = value { text } else { nil } }
    }
    #expect(table.rows == expected, "seed \(seed)")
  }
}

/// Mostly what needs quotes or escapes. No NUL: older Pythons refuse it in CSV.
func randomText(_ random: inout SplitMix64) -> Text {
  let pieces = [
    "\"", ",", "\n", "\r", "\r\n", "\\", "\t", "\u{01}", "\u{1f}", "\u{7f}", " ", "a", "é", "€", "😀",
    "\u{2028}",
  ]
  let count = Int.random(in: 0...8, using: &random)
  return Text((0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined())
}

func randomDouble(_ random: inout SplitMix64) -> Double {
  while true {
    let isSimple = Bool.random(using: &random)
    let bits = UInt64.random(in: 0...UInt64.max, using: &random)
    let value =
      isSimple ? Double(Int64.random(in: -100_000...100_000, using: &random)) / 100 : Double(bitPattern: bits)
    if value.isFinite { return value }
  }
}

@Suite(.enabled(if: Command.python != nil, "needs python3"))
struct PythonTableTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func python(_ script: String, _ arguments: [String]) throws -> [UInt8] {
    try Command.run(try #require(Command.python), ["-c", script] + arguments)
  }

  @Test func pythonReadsWhatTheWritersWrite() throws {
    let seed: UInt64 = 7
    var random = SplitMix64(seed: seed)
    let edges: [Double] = [
      0, -0.0, 1e20, 1e21, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0.1, 1e15, 1e16, 123_456_789,
    ]
    var texts: [String] = []
    var csv = try TableWriter(path: folder.path("t.csv"), format: .csv, columns: ["s", "x", "n"])
    var ndjson = try TableWriter(path: folder.path("t.ndjson"), format: .ndjson, columns: ["s", "x", "n"])
    for index in 0..<2_000 {
      let text = randomText(&random)
      let number = index < edges.count ? edges[index] : randomDouble(&random)
      let integer = Int64.random(in: .min ... .max, using: &random)
      let row: [FeatureValue] = [.string(text), .double(number), .int64(integer)]
      try csv.write(row)
      try ndjson.write(row)
      let hex = String(number.bitPattern, radix: 16)
      texts.append("\(text.utf8.map { String($0) }.joined(separator: " "))|\(hex)|\(integer)")
    }
    try csv.finish()
    try ndjson.finish()
    let show = """
      import csv, json, struct, sys
      def show(s, x, n):
        print(' '.join(str(b) for b in s.encode()) + '|%x|%d' % (struct.unpack('>Q', struct.pack('>d', x))[0], n))
      if sys.argv[1].endswith('.csv'):
        for r in csv.DictReader(open(sys.argv[1], newline='', encoding='utf-8')):
          show(r['s'], float(r['x']), int(r['n']))
      else:
        for line in open(sys.argv[1], newline='\\n', encoding='utf-8'):
          r = json.loads(line)
          assert type(r['x']) is float and type(r['n']) is int
          show(r['s'], r['x'], r['n'])
      """
    for name in ["t.csv", "t.ndjson"] {
      let shown = String(decoding: try python(show, [folder.path(name)]), as: UTF8.self)
      #expect(shown.split(separator: "\n").map(String.init) == texts, "\(name), seed \(seed)")
    }
  }

  @Test(arguments: ["QUOTE_MINIMAL", "QUOTE_ALL"])
  func readerReadsWhatPythonWrites(_ quoting: String) throws {
    let seed: UInt64 = 11
    var random = SplitMix64(seed: seed)
    let rows = (0..<500).map { _ in (0..<3).map { _ in randomText(&random).description } }
    try folder.write([UInt8](try JSONSerialization.data(withJSONObject: rows)), to: "rows.json")
    let write = """
      import csv, json, sys
      w = csv.writer(open(sys.argv[2], 'w', newline='', encoding='utf-8-sig'), quoting=getattr(csv, sys.argv[3]))
      w.writerow(['a', 'b', 'c'])
      w.writerows(json.load(open(sys.argv[1], encoding='utf-8')))
      """
    _ = try python(write, [folder.path("rows.json"), folder.path("p.csv"), quoting])
    let table = try readTable(folder.path("p.csv"))
    #expect(table.columns == ["a", "b", "c"])
    // Python's minimal quoting writes the empty text without quotes.
    let expected = rows.map { $0.map { $0.isEmpty && quoting == "QUOTE_MINIMAL" ? nil : Text($0) } }
    #expect(table.rows == expected, "seed \(seed)")
  }
}
