import EventFiles
import FeatureCore
import Foundation
import OfflineStore
import Testing
import TestSupport

/// Events of tables and arrays against naive writers, and whatever else the bytes are.
@Suite struct EventFileTests {
  private static let schema = EventSchema(
    Source(
      "rows", topic: "rows", timestamp: Source.Timestamp(field: "ts", unit: .milliseconds),
      fields: [
        Source.Field("s", .string), Source.Field("n", .int64), Source.Field("x", .double),
        Source.Field("b", .bool),
      ]))

  private struct Row: Equatable, CustomStringConvertible {
    var ts: Int64
    var s: [UInt8]?
    var n: Int64?
    var x: Double?
    var b: Bool?

    var description: String {
      "\(ts) \(s.map { String(decoding: $0, as: UTF8.self) } ?? "-") \(n as Any) \(x as Any)"
    }
  }

  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The rows of a file, and how many of its events are none; or why it cannot be read.
  private func read(_ bytes: [UInt8]) -> (rows: [Row], failures: Int, error: (any Error)?) {
    var rows: [Row] = []
    var failures = 0
    var decoder = EventDecoder(Self.schema)
    do {
      let path = try folder.write(bytes, to: "events")
      var reader = try EventFileReader(EventFile.all(path)[0], Self.schema)
      var number: Int64 = 0
      while try reader.next({ lines in
        for line in lines {
          #expect(line.number > number)
          number = line.number
          let arena = TextArena()
          var row = [Scalar](repeating: .null, count: Self.schema.columns.count)
          do throws(DecodeFailure) {
            try decoder.decode(line.bytes, into: &row, arena: arena)
            rows.append(Self.row(row))
          } catch {
            failures += 1
          }
        }
      }) {}
      return (rows, failures, nil)
    } catch {
      return (rows, failures, error)
    }
  }

  private static func row(_ row: [Scalar]) -> Row {
    Row(
      ts: row[schema.timeColumn].int64 / 1_000, s: row[0].isValue ? Array(row[0].text) : nil,
      n: row[1].isValue ? row[1].int64 : nil, x: row[2].isValue ? row[2].double : nil,
      b: row[3].isValue ? row[3].bits == 1 : nil)
  }

  private static func randomRow(_ random: inout SplitMix64) -> Row {
    let alphabet = Array("ab,;\t\"\n\r\\{}[] é日".unicodeScalars)
    let text = String(
      String.UnicodeScalarView(
        (0..<Int.random(in: 0..<8, using: &random)).map { _ in alphabet.randomElement(using: &random)! }))
    let bits = Double(bitPattern: random.next())
    return Row(
      ts: Int64.random(in: 0..<4_000_000_000_000, using: &random),
      s: Bool.random(using: &random) ? Array(text.utf8) : nil,
      n: Bool.random(using: &random)
        ? Int64(truncatingIfNeeded: random.next() >> UInt64.random(in: 0..<64, using: &random)) : nil,
      x: Bool.random(using: &random) && bits.isFinite ? bits : nil,
      b: Bool.random(using: &random) ? Bool.random(using: &random) : nil)
  }

  private static func csv(_ rows: [Row], _ random: inout SplitMix64) -> [UInt8] {
    let delimiter = [",", ";", "\t"].randomElement(using: &random)!
    let end = ["\n", "\r\n"].randomElement(using: &random)!
    var text =
      (Bool.random(using: &random) ? "\u{FEFF}" : "")
      + ["x", "ts", "more", "s", "n", "b"].joined(separator: delimiter)
    for row in rows {
      let s = row.s.map {
        "\""
          + String(decoding: $0, as: UTF8.self).split(separator: "\"", omittingEmptySubsequences: false)
          .joined(separator: "\"\"") + "\""
      }
      let fields = [
        row.x.map { "\($0)" }, "\(row.ts)", "\"m\"\"\n\"", s, row.n.map { "\($0)" }, row.b.map { "\($0)" },
      ]
      text += end + fields.map { $0 ?? "" }.joined(separator: delimiter)
    }
    return Array((text + (Bool.random(using: &random) ? end : "")).utf8)
  }

  private static func array(_ rows: [Row], _ random: inout SplitMix64) throws -> [UInt8] {
    var text = Bool.random(using: &random) ? "\u{FEFF} [" : "["
    for (index, row) in rows.enumerated() {
      var members: [String: Any] = ["ts": row.ts, "more": ["]": ["}", "\\\""]]]
      if let s = row.s { members["s"] = String(decoding: s, as: UTF8.self) }
      if let n = row.n { members["n"] = n }
      if let x = row.x { members["x"] = x }
      if let b = row.b { members["b"] = b }
      let options: JSONSerialization.WritingOptions = Bool.random(using: &random) ? [.prettyPrinted] : []
      text +=
        (index == 0 ? "" : " ,\n")
        + String(
          decoding: try JSONSerialization.data(withJSONObject: members, options: options), as: UTF8.self)
    }
    return Array((text + "]\n").utf8)
  }

  @Test func rowsAreWhatWasWritten() throws {
    for seed in 0..<150 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      let rows = (0..<Int.random(in: 0..<40, using: &random)).map { _ in Self.randomRow(&random) }
      for bytes in [Self.csv(rows, &random), try Self.array(rows, &random)] {
        let result = read(bytes)
        #expect(result.error == nil && result.failures == 0, "seed \(seed)")
        #expect(result.rows == rows, "seed \(seed)")
      }
    }
  }

  /// More than a block, and than any buffer.
  @Test func blocksAreJoined() throws {
    var random = SplitMix64(seed: 5)
    let rows = (0..<40_000).map { _ in Self.randomRow(&random) }
    #expect(read(Self.csv(rows, &random)).rows == rows)
    #expect(read(try Self.array(rows, &random)).rows == rows)
  }

  /// An element or row of any size is one oversized event, and the next is read.
  @Test func oversizedElements() throws {
    let long = String(repeating: " ", count: 3_000_000)
    let result = read(Array("[{\"ts\":1,\"s\":\"a\"}, {\(long)\"ts\":2}, {\"ts\":3}]".utf8))
    #expect(result.error == nil)
    #expect(result.rows.map(\.ts) == [1, 3])
    #expect(result.failures == 1)
  }

  @Test func anyBytesAreReadOrRefused() throws {
    let alphabet = Array("ts,xn;\t\"\n\r{}[]:1.a\\".utf8) + [0xEF, 0xBB, 0xBF, 0xFF, 0, 0xC3]
    var refused = 0
    let seeds = Hostile.seeds(count: 4_000)
    for seed in seeds {
      var random = SplitMix64(seed: seed)
      let rows = (0..<3).map { _ in Self.randomRow(&random) }
      var bytes = seed % 2 == 0 ? Self.csv(rows, &random) : try Self.array(rows, &random)
      for _ in 0..<Int.random(in: 1..<6, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = alphabet.randomElement(using: &random)!
        case 1: bytes.insert(alphabet.randomElement(using: &random)!, at: at)
        default: bytes.remove(at: at)
        }
      }
      let result = read(bytes)
      if let error = result.error {
        refused += 1
        #expect(error is TableError || error is EventFileError, "seed \(seed): \(error)")
      }
    }
    #expect(refused > 100)
  }
}
