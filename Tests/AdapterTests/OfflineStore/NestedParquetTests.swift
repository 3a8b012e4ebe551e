import EventFiles
import FeatureCore
import Foundation
import OfflineStore
import TestSupport
import Testing

/// Structures, lists and maps of Parquet: what is declared in vain is told, and no bytes are a trap. The values are compared with
/// those of NDJSON in CLITests. The file is of pyarrow: 40 rows of the schema in CLITests/Forms/nested.py, in three row groups,
/// neither compressed nor with checksums, so that damage gets as far as it can.
@Suite struct NestedParquetTests {
  private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/nested.parquet").path

  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func schema(_ fields: [Source.Field], each: String? = nil) -> EventSchema {
    EventSchema(
      Source(
        "rows", topic: "rows", timestamp: .init(field: "ts", unit: .milliseconds), fields: fields, each: each)
    )
  }

  private static let schemas = [
    schema([
      .init("id", .string), .init("a", .int64, path: "s.a"), .init("b", .string, path: "s.t.b"),
      .init("first", .int64, path: "l[0]"), .init("deep", .int64, path: "ll[1][0]"),
      .init("value", .double, path: "ls[1].v[1]"), .init("k", .string, path: "sl.list[1].k"),
      .init("p", .double, path: "m.p"),
    ]),
    schema(
      [.init("id", .string), .init("n", .int64, path: "ls.n"), .init("v", .double, path: "ls.v[0]")],
      each: "ls"),
    schema([.init("id", .string)], each: "sl.list"),
  ]

  /// Events of a file that can be decoded, and of those that can't.
  private func read(_ path: String, _ schema: EventSchema) throws -> (events: Int, failures: Int) {
    var reader = try EventFileReader(EventFile.all(path)[0], schema)
    let batch = EventBatch(schema, capacity: 8)
    var (events, failures) = (0, 0)
    while try reader.next({ lines in
      for line in lines {
        batch.removeAll()
        do throws(DecodeFailure) {
          try batch.append(line.bytes, sequence: line.number) { _ in failures += 1 }
        } catch {
          failures += 1
        }
        events += batch.count
      }
    }) {}
    return (events, failures)
  }

  private func why(_ schema: EventSchema) -> String {
    do {
      _ = try read(Self.path, schema)
      return "nothing"
    } catch { return "\(error)" }
  }

  @Test func everyRowIsRead() throws {
    let found = try Self.schemas.map { try read(Self.path, $0) }
    // A null among the elements of `each` is no event.
    #expect(found[0] == (40, 0) && found[1].events > 20 && found[2].events > 5, "\(found)")
  }

  @Test func whatNoRowCanHaveIsOneError() {
    func of(_ type: ValueType, _ path: String, each: String? = nil) -> String {
      why(Self.schema([.init("x", type, path: path)], each: each))
    }
    #expect(
      of(.int64, "s.c").contains("column 's' lacks 'c', which the source declares inside of it; it has a, t"))
    #expect(of(.int64, "s.a.b").contains("column 's.a' is int64, and 'x' declares values inside of it"))
    #expect(of(.int64, "s").contains("column 's' is a structure, and 'x' declares the path s"))
    #expect(of(.int64, "s[0]").contains("column 's' is a structure, and 'x' declares the path s[0]"))
    #expect(of(.int64, "l").contains("column 'l' is a list, and 'x' declares the path l"))
    #expect(of(.int64, "ls.n").contains("column 'ls' is a list, and 'x' declares the path ls.n"))
    #expect(of(.string, "ls[0].n").contains("column 'ls[].n' is int64, and the definitions declare string"))
    #expect(of(.double, "m[0]").contains("column 'm' is a map"))
    #expect(of(.int64, "nothing.a").contains("lacks the column nothing"))
    #expect(of(.int64, "s.a", each: "m").contains("column 'm' is a map, and 'each' declares the path m"))
    #expect(of(.int64, "s.a", each: "s") != "nothing")
    #expect(of(.int64, "l", each: "l") == "nothing")
    #expect(of(.int64, "ll", each: "ll").contains("column 'll[]' is a list"))
    #expect(of(.int64, "ll[0]", each: "ll") == "nothing" && of(.string, "id", each: "ll") == "nothing")
  }

  @Test func anyDamageIsReadOrRefused() throws {
    let intact = Array(try Data(contentsOf: URL(fileURLWithPath: Self.path)))
    let seeds = Hostile.seeds(count: 3_000)
    var (refused, disagreed) = (0, 0)
    for seed in seeds {
      var random = SplitMix64(seed: seed)
      var bytes = intact
      for _ in 0..<Int.random(in: 1..<4, using: &random) {
        let at = Int.random(in: 4..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[at] = [0, 1, 2, 3, 0x7F, 0xFF].randomElement(using: &random)!
        default: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        }
      }
      let path = try folder.write(bytes, to: "events")
      do {
        _ = try read(path, Self.schemas[Int(seed % 3)])
      } catch {
        refused += 1
        #expect(error is TableError || error is EventFileError, "seed \(seed): \(error)")
        if "\(error)".contains("disagree about") { disagreed += 1 }
      }
    }
    #expect(refused > 100 && disagreed > 0, "\(refused) refused, \(disagreed) of them for their levels")
  }
}
