import FeatureCore
import Foundation
@testable import Parquet
import Testing
import TestSupport

/// No bytes make the reader trap, hang or take memory without bound.
@Suite struct DamageTests {
  /// Reads to the end; a few rows at a time keep a bomb small.
  private func outcome(_ bytes: [UInt8]) -> ParquetError? {
    do throws(ParquetError) {
      var reader = try ParquetReader(ParquetInput(bytes: bytes, name: "fuzz"), batchRowsMax: 64)
      // A damaged count of rows may be huge where the values are a run.
      for _ in 0..<200 {
        guard let batch = try reader.next() else { break }
        for column in batch.columns { for row in 0..<min(batch.rowCount, 4) { _ = column.value(row) } }
      }
      return nil
    } catch {
      return error
    }
  }

  private func mutated(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    // Half of the changes go to the footer, which is small and decides everything.
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let from = Bool.random(using: &random) ? 0 : bytes.count * 3 / 4
      let index = Int.random(in: from..<bytes.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[index] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
      case 2: bytes[index] = UInt8.random(in: 0...255, using: &random)
      default:
        let other = Int.random(in: 0..<bytes.count, using: &random)
        bytes.swapAt(index, other)
      }
    }
    return bytes
  }

  @Test(arguments: UInt64(1)...40)
  func ourFiles(seed: UInt64) {
    var generator = TableGenerator(seed: seed)
    var options = ParquetOptions()
    options.pageBytes = 500
    let bytes = generator.table(rowCountMax: 200).written(options)
    var failures = 0
    let cases =
      ProcessInfo.processInfo.environment["PLUMB_TEST_HOSTILE"].flatMap { Int($0) }.map { $0 / 40 } ?? 150
    for _ in 0..<cases where outcome(mutated(bytes, &generator.random)) != nil { failures += 1 }
    #expect(failures > 50, "seed \(seed): damage is noticed")
  }

  @Test func everyTruncationIsAnError() {
    var generator = TableGenerator(seed: 5)
    let bytes = generator.table([ParquetColumn("a", .list(.string))], rowCount: 40).written()
    for count in 0..<bytes.count { #expect(outcome(Array(bytes[..<count])) != nil, "\(count) bytes") }
  }

  @Test func everyByteOfAPageIsChecked() {
    let table = Table(columns: [ParquetColumn("a", .scalar(.int64))], rows: (0..<9).map { [.int64($0)] })
    let bytes = table.written()
    let page = bytes.firstRange(of: [0x28, 0xB5, 0x2F, 0xFD])!.lowerBound
    for index in page..<(page + 20) {
      var damaged = bytes
      damaged[index] ^= 0x10
      #expect(outcome(damaged)?.description.contains("column a, row group 1: a page's checksum") == true)
    }
  }

  @Test(.enabled(if: Python.isReady, Comment(rawValue: Python.why)))
  func filesOfOthers() throws {
    let folder = try TemporaryFolder()
    try Python.run(["write-small", folder.url.path])
    let names = folder.names.filter { $0.hasSuffix(".parquet") }
    #expect(names.count > 10)
    for (number, name) in names.enumerated() {
      let bytes = try folder.read(name)
      #expect(outcome(bytes) == nil, "\(name)")
      var random = SplitMix64(seed: UInt64(number))
      var failures = 0
      for _ in 0..<100 where outcome(mutated(bytes, &random)) != nil { failures += 1 }
      #expect(failures > 15, "\(name), seed \(number): damage is noticed")
    }
  }

  @Test(arguments: UInt64(1)...20)
  func decodersOfRandomBytes(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<2_000 {
      let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in
        Bool.random(using: &random)
          ? UInt8.random(in: 0...255, using: &random) : UInt8.random(in: 0..<20, using: &random)
      }
      bytes.withUnsafeBytes { raw in
        withUnsafeTemporaryAllocation(byteCount: 100, alignment: 8) { room in
          _ = Snappy.decode(raw, into: room)
          _ = Gzip.decode(raw, into: room)
        }
        var thrift = ThriftReader(raw)
        _ = try? FileMetadata(&thrift)
        var levels = [UInt32](repeating: 0, count: 100)
        for width in [0, 1, 2, 7, 31, 32] {
          var decoder = HybridDecoder(raw, width: width)
          try? PageValues.decode(&decoder, 100, maximum: .max, to: &levels)
        }
      }
    }
  }

  /// Every pair of bytes, and every beginning of longer sequences, against the standard library.
  @Test func textsAreValidated() {
    let tails: [[UInt8]] = [
      [], [0x80], [0xBF], [0x7F], [0xC0], [0x80, 0x80], [0x80, 0x7F], [0x80, 0x80, 0x41],
    ]
    var different: [[UInt8]] = []
    for first in UInt8.min...UInt8.max {
      for second in UInt8.min...UInt8.max {
        for tail in tails {
          let bytes = [first, second] + tail
          let isValid = String(validating: bytes, as: UTF8.self) != nil
          if bytes.withUnsafeBytes({ isUTF8($0) }) != isValid { different.append(bytes) }
        }
      }
    }
    #expect(different == [])
    let long = [UInt8]("0123456789 żółć".utf8) + [0xFF]
    #expect(!long.withUnsafeBytes { isUTF8($0) })
    #expect(long.dropLast().withUnsafeBytes { isUTF8($0) })
  }

  @Test func snappyOfItsDescription() {
    // "abcd" and a copy of 6 bytes from 4 back, which overlaps itself.
    let packed: [UInt8] = [10, 3 << 2, 0x61, 0x62, 0x63, 0x64, 2 << 2 | 1, 4]
    var room = [UInt8](repeating: 0, count: 10)
    let count = room.withUnsafeMutableBytes { room in packed.withUnsafeBytes { Snappy.decode($0, into: room) }
    }
    #expect(count == 10)
    #expect(room == [UInt8]("abcdabcdab".utf8))
  }

  @Test func errorsNameThePlaceAndTheRemedy() throws {
    let bytes = Table(columns: [ParquetColumn("a", .scalar(.int64))], rows: [[.int64(1)]]).written()
    let other = #expect(throws: ParquetError.self) { try Table.read(bytes, columns: ["b"]) }
    #expect(other?.problem == "it has no column b, only a")
    let text = #expect(throws: ParquetError.self) { try Table.read([UInt8]("no parquet file at all".utf8)) }
    #expect(text?.problem == "is no Parquet file, or is not complete")
    let missing = #expect(throws: ParquetError.self) { try Table.read(ParquetInput(path: "/does/not/exist")) }
    #expect(missing?.description.hasPrefix("/does/not/exist: cannot be opened: ") == true)
    #expect(throws: ParquetError.self) { try Table.read(ParquetInput(path: "/")) }
  }
}
