import FeatureCore
import OfflineStore
import Testing

@testable import Capture

/// Rows as text, and their comparison with a topic.
@Suite struct RowTests {
  private static let table: CapturedTable = {
    let source = Source(
      "users", topic: "shop.users", key: "id", timestamp: .init(field: "_at", unit: .microseconds),
      fields: [.init("id", .int64), .init("ok", .bool), .init("score", .double), .init("note", .string)])
    guard let table = try? CapturedTable(source) else {
      preconditionFailure("Cannot capture the test's table")
    }
    return table
  }()

  private static func row(_ line: String) throws -> (key: String, text: String) {
    var row = RowText(table)
    var copy = CopyText(table)
    try Array(line.utf8).withUnsafeBytes { try copy.write($0, into: &row) }
    return (row.keyText, row.text)
  }

  @Test func linesOfACopyAreRows() throws {
    let row = try Self.row("7\tt\t1e-07\ta\\tb\\\\c\\nd\n")
    #expect(
      row.text
        == #"{"id":7,"ok":true,"score":1e-07,"note":"a\u0009b\\c\u000ad""#)
    #expect(row.key == "7")
    let nulls = try Self.row("7.00\t\\N\t\\N\t\n")
    #expect(nulls.text == #"{"id":7,"ok":null,"score":null,"note":"""#)
    #expect(throws: CaptureError.self) { try Self.row("7\tt\n") }
    #expect(throws: CaptureError.self) { try Self.row("7\tt\tNaN\tx\n") }
    #expect(throws: CaptureError.self) { try Self.row("7.5\tt\t1\tx\n") }
  }

  @Test func aRecordWithoutItsTimeIsItsRow() throws {
    func latest(_ previous: String?, _ record: String) -> String {
      Array(record.utf8).withUnsafeBytes {
        String(
          decoding: RowContent.latest(
            previous.map { Array($0.utf8) }, $0, timeLabel: RowText.timeLabel(Self.table)),
          as: UTF8.self)
      }
    }
    #expect(latest(nil, #"{"id":7,"note":"x","_at":12}"#) == #"{"id":7,"note":"x""#)
    // What was kept comes from the row before.
    #expect(
      latest(#"{"id":7,"note":"a,\"b""#, #"{"id":8,"note":null,"_kept":["note"],"_at":12}"#)
        == #"{"id":8,"note":"a,\"b""#)
    // Others' records differ from any row of ours.
    for foreign in ["", "{}", "[1]", #"{"id":7}"#, #"{"_at":7}"#, #"{"id":7,"_at":"x"}"#] {
      #expect(latest(nil, foreign) == foreign)
    }
  }

  @Test func progressIsReadBack() {
    for progress in [
      CaptureProgress(place: nil, time: -5),
      CaptureProgress(place: LogSequenceNumber(0x16_B374_D848), time: .max),
    ] {
      #expect(CaptureProgress(record: progress.record) == progress)
    }
    #expect(LogSequenceNumber("16/B374D848")?.description == "16/B374D848")
    for text in ["", "{", "{}", #"{"lsn":"x","time_us":1}"#, #"{"lsn":null,"time_us":}"#] {
      #expect(CaptureProgress(record: text.utf8) == nil)
    }
  }

  /// Whatever both sides hold, applying the changes to the topic's rows makes the table's; and there is none too many.
  @Test(arguments: [1 << 12, 1 << 24]) func changesMakeTheTopicTheTable(memory: Int) throws {
    for seed in UInt64(1)...20 {
      var state = seed
      func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
      }
      let comparison = TableComparison(memoryBytes: memory, folder: "/tmp") { _, record in Array(record) }
      var topic: [String: String] = [:]
      for sequence in 0..<600 {
        let key = "k\(next(200))"
        let value = next(5) == 0 ? nil : "v\(next(3))"
        topic[key] = value
        try Array(key.utf8).withUnsafeBytes { key in
          try value.map { Array($0.utf8) }.map {
            try $0.withUnsafeBytes { try comparison.add(known: $0, key: key, sequence: Int64(sequence)) }
          }
            ?? comparison.add(known: nil, key: key, sequence: Int64(sequence))
        }
      }
      var table: [String: String] = [:]
      for index in 0..<200 where next(3) > 0 { table["k\(index)"] = "v\(next(3))" }
      for (key, value) in table {
        try Array(key.utf8).withUnsafeBytes { key in
          try Array(value.utf8).withUnsafeBytes { try comparison.add(current: $0, key: key) }
        }
      }
      let needed = Set(topic.keys).union(table.keys).count { topic[$0] != table[$0] }
      var changes = 0
      try comparison.forEachChange(path: "table", failure: { $0 }) { (change) throws(TableError) in
        changes += 1
        topic[String(decoding: change.key, as: UTF8.self)] = change.value.map {
          String(decoding: $0, as: UTF8.self)
        }
      }
      #expect(topic == table, "seed \(seed)")
      #expect(changes == needed, "seed \(seed)")
    }
  }

  @Test func aKeyThatStandsTwiceIsAnError() throws {
    let comparison = TableComparison(memoryBytes: 1 << 20, folder: "/tmp") { _, record in Array(record) }
    for value in ["a", "b"] {
      try Array("k".utf8).withUnsafeBytes { key in
        try Array(value.utf8).withUnsafeBytes { try comparison.add(current: $0, key: key) }
      }
    }
    #expect(throws: TableError.self) {
      try comparison.forEachChange(path: "table", failure: { $0 }) { (_) throws(TableError) in }
    }
  }
}
