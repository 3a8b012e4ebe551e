@testable import EventFiles
import Foundation
import Testing
import TestSupport

/// The command-line tools that make the compressed files.
enum Packer: String, CaseIterable, CustomTestStringConvertible {
  case gzip
  case zstd
  case xz

  var testDescription: String { rawValue }
  static var areInstalled: Bool { allCases.allSatisfy { Command.find($0.rawValue) != nil } }

  func pack(_ bytes: [UInt8], in folder: TemporaryFolder, level: Int = 3) throws -> [UInt8] {
    let path = try folder.write(bytes, to: "unpacked")
    return try Command.run(try #require(Command.find(rawValue)), ["-q", "-c", "-\(level)", path])
  }
}

@Suite(.enabled(if: Packer.areInstalled, "needs the gzip, zstd and xz command-line tools"))
struct CompressedFilesTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Numbered lines, long enough together to span several blocks and compress to several steps.
  private func sample(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<count).flatMap { [UInt8]("{\"event_id\":\"e\($0)\",\"noise\":\(random.next())}\n".utf8) }
  }

  @Test(arguments: Packer.allCases)
  func linesEqualThePlainFile(_ packer: Packer) throws {
    let bytes = sample(40_000, seed: 1)
    let path = try folder.write(try packer.pack(bytes, in: folder), to: "events")
    let (lines, error) = collect(path)
    #expect(error == nil)
    #expect(lines == splitLines(bytes))
  }

  @Test(arguments: Packer.allCases, [1, 2, 5, 7, 64, 1_000])
  func concatenatedFramesReadAsOneAtAnyBlockSize(_ packer: Packer, _ block: Int) throws {
    let parts = [sample(20, seed: 2), [], [UInt8]("half a li".utf8), [UInt8]("ne\nlast".utf8)]
    let packed = try parts.map { try packer.pack($0, in: folder) }
    let path = try folder.write(packed.flatMap { $0 }, to: "events")
    let (lines, error) = collect(path, ReaderSize(block: block))
    #expect(error == nil, "block \(block)")
    #expect(lines == splitLines(parts.flatMap { $0 }), "block \(block)")
  }

  /// As tapes and block devices leave them; something behind them is damage.
  @Test(arguments: [1, 5, 1 << 18])
  func zerosBehindAGzipMemberAreNothing(_ block: Int) throws {
    let packed = try Packer.gzip.pack(Array("a\nb\n".utf8), in: folder)
    let padded = packed + [UInt8](repeating: 0, count: 1_000)
    let (lines, error) = collect(try folder.write(padded, to: "padded"), ReaderSize(block: block))
    #expect(error == nil)
    #expect(lines.map(\.text) == [[0x61], [0x62]])
    let damaged = collect(try folder.write(padded + [7, 7, 7], to: "damaged"), ReaderSize(block: block))
    #expect(damaged.error?.problem.contains("are not another gzip member") == true)
    #expect(collect(try folder.write([0, 0, 0x0A], to: "zeros")).lines.map(\.text) == [[0, 0]])
  }

  @Test func zstdMayBeginWithASkippableFrame() throws {
    let skippable: [UInt8] = [0x53, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3]
    let path = try folder.write(skippable + (try Packer.zstd.pack([0x61, 0x0A], in: folder)), to: "events")
    let (lines, error) = collect(path)
    #expect(error == nil)
    #expect(lines.map(\.text) == [[0x61]])
  }

  @Test(arguments: Packer.allCases)
  func highlyCompressedOversizedLineIsSkippedInBoundedMemory(_ packer: Packer) throws {
    let long = [UInt8](repeating: 0x20, count: 5_000_000)
    let bytes = [0x61, 0x0A] + long + [0x0A, 0x62]
    let (lines, error) = collect(try folder.write(try packer.pack(bytes, in: folder), to: "events"))
    #expect(error == nil)
    #expect(lines.map(\.number) == [1, 2, 3])
    #expect(lines.map(\.isOversized) == [false, true, false])
  }

  @Test(arguments: Packer.allCases)
  func truncationIsAnErrorAfterTheWholeLines(_ packer: Packer) throws {
    let bytes = sample(30_000, seed: 3)
    let packed = try packer.pack(bytes, in: folder)
    let all = splitLines(bytes)
    for cut in [7, packed.count / 2, packed.count - 1] {
      let (lines, error) = collect(try folder.write(Array(packed[..<cut]), to: "events"))
      let problem = try #require(error?.problem, "cut at \(cut)")
      #expect(problem.hasPrefix("truncated \(packer.rawValue)"), "cut at \(cut)")
      #expect(problem.hasSuffix("at byte \(cut)"), "cut at \(cut)")
      #expect(lines == Array(all.prefix(lines.count)), "cut at \(cut)")
      if cut == packed.count - 1 { #expect(lines.count > all.count / 2) }
    }
  }

  @Test(arguments: Packer.allCases)
  func garbageAfterAFrameIsAnErrorThatSaysWhere(_ packer: Packer) throws {
    let packed = try packer.pack([0x61, 0x0A, 0x62, 0x0A], in: folder)
    let (lines, error) = collect(
      try folder.write(packed + [UInt8]("garbage, longer than a header".utf8), to: "events"))
    #expect(lines.map(\.text) == [[0x61], [0x62]])
    #expect(error?.problem.hasPrefix("the bytes from \(packed.count) on are not another") == true)
  }

  @Test(arguments: Packer.allCases)
  func damageIsAnError(_ packer: Packer) throws {
    var packed = try packer.pack(sample(30_000, seed: 4), in: folder)
    for index in (packed.count / 2)..<(packed.count / 2 + 64) { packed[index] ^= 0x55 }
    let (_, error) = collect(try folder.write(packed, to: "events"))
    #expect(error?.problem.hasPrefix("damaged \(packer.rawValue)") == true, "\(String(describing: error))")
  }
}
