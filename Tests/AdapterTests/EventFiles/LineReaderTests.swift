@testable import EventFiles
import FeatureCore
import Foundation
import Testing
import TestSupport

/// What a reader delivered, copied out of its buffers.
struct CollectedLine: Equatable {
  var text: [UInt8]
  var number: Int64
  var isOversized = false
}

/// Small buffers put the boundaries of blocks everywhere.
struct ReaderSize {
  var block = 1 << 20
  var lineMax = Limits.recordBytesMax
  var linesMax = 1 << 14
}

/// Reads all of a file; the error, if any, with the lines that came before it.
func collect(_ path: String, _ size: ReaderSize = ReaderSize()) -> (
  lines: [CollectedLine], error: EventFileError?
) {
  var collected: [CollectedLine] = []
  do throws(EventFileError) {
    var reader = try LineReader(
      path: path, blockBytes: size.block, lineBytesMax: size.lineMax, linesPerBlockMax: size.linesMax)
    while let block = try reader.next() {
      for line in block {
        collected.append(
          CollectedLine(text: [UInt8](line.bytes), number: line.number, isOversized: line.isOversized))
      }
    }
    return (collected, nil)
  } catch {
    return (collected, error)
  }
}

/// The oracle: split at newlines, drop blank lines, number from 1.
func splitLines(_ bytes: [UInt8], lineMax: Int = Limits.recordBytesMax) -> [CollectedLine] {
  var pieces = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
  if pieces.last?.isEmpty == true { pieces.removeLast() }
  return pieces.enumerated().compactMap { index, piece in
    if piece.isEmpty || Array(piece) == [0x0D] { return nil }
    let isOversized = piece.count > lineMax
    let kept = isOversized ? piece.prefix(min(lineMax, Limits.oversizedBytesKept)) : piece
    return CollectedLine(text: Array(kept), number: Int64(index + 1), isOversized: isOversized)
  }
}

@Suite struct LineReaderTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: [
    "", "\n", "\n\n", "a", "a\n", "a\nb", "a\n\nb\n", "\na", "a\r\nb\r\n\r\n", "\r\n\r\nlast", "ab\ncd\nef\n",
    "abcdefgh\nabcdefg\nabcdefghi\nx",
  ])
  func everyBlockSizeGivesTheSameLines(_ text: String) throws {
    let bytes = [UInt8](text.utf8)
    let path = try folder.write(bytes, to: "events.ndjson")
    for block in 1...12 {
      for linesMax in [1, 2, 100] {
        let size = ReaderSize(block: block, lineMax: 8, linesMax: linesMax)
        let (lines, error) = collect(path, size)
        #expect(error == nil, "\(size)")
        #expect(lines == splitLines(bytes, lineMax: 8), "\(size)")
      }
    }
  }

  @Test(arguments: 1...60)
  func randomContentEqualsSplit(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let alphabet = [UInt8]("\n\n\rabc{}\u{7f}".utf8) + [0, 0xFF]
    let bytes = (0..<Int.random(in: 0...2_000, using: &random)).map { _ in
      alphabet.randomElement(using: &random) ?? 0
    }
    let size = ReaderSize(
      block: Int.random(in: 1...300, using: &random), lineMax: Int.random(in: 1...40, using: &random),
      linesMax: Int.random(in: 1...20, using: &random))
    let (lines, error) = collect(try folder.write(bytes, to: "events"), size)
    #expect(error == nil, "seed \(seed), \(size)")
    #expect(lines == splitLines(bytes, lineMax: size.lineMax), "seed \(seed), \(size)")
  }

  @Test func lineOfFiveMegabytesIsFlaggedAndSkipped() throws {
    let long = [UInt8](repeating: UInt8(ascii: "x"), count: 5_000_000)
    let full = [UInt8](repeating: UInt8(ascii: "y"), count: Limits.recordBytesMax)
    let path = try folder.write([0x61, 0x0A] + long + [0x0A] + full + [0x0A] + long, to: "events")
    let (lines, error) = collect(path)
    #expect(error == nil)
    #expect(lines.map(\.number) == [1, 2, 3, 4])
    #expect(lines.map(\.text.count) == [1, 200, Limits.recordBytesMax, 200])
    #expect(lines.map(\.isOversized) == [false, true, false, true])
  }

  @Test(arguments: [1, 2, 3, 4, 100])
  func byteOrderMarkIsNoPartOfTheFirstLine(_ block: Int) throws {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let path = try folder.write(mark + Array("a\n".utf8) + mark + Array("b".utf8), to: "marked")
    let (lines, error) = collect(path, ReaderSize(block: block))
    #expect(error == nil)
    // Only at the beginning is it a mark.
    #expect(lines.map(\.text) == [Array("a".utf8), mark + Array("b".utf8)])
    let empty = try folder.write(mark + Array("\n".utf8), to: "empty")
    #expect(collect(empty, ReaderSize(block: block)).lines.isEmpty)
  }

  @Test func progressReachesTheSizeOfTheFile() throws {
    let path = try folder.write([UInt8](repeating: 0x0A, count: 5_000), to: "events")
    var reader = try LineReader(path: path)
    #expect(reader.totalBytes == 5_000)
    #expect(try reader.next() == nil)
    #expect(reader.bytesRead == 5_000)
  }

  @Test func missingFileAndDirectoryAreToldApart() throws {
    let missing = collect(folder.path("none.ndjson")).error
    #expect(missing?.description.contains("none.ndjson: no such file") == true)
    let directory = collect(folder.url.path).error
    #expect(directory?.problem == "is a directory")
  }
}
