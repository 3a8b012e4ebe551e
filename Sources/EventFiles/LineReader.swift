import FeatureCore
import Glibc

/// One line of a file, or what stands for one in other forms. Its bytes are the reader's and stay valid until the reader's next call.
public struct Line {
  /// The bytes without the newline. A carriage return before it is kept: to JSON it is white space.
  public let bytes: UnsafeRawBufferPointer
  /// Its number in the file, from 1.
  public let number: Int64
  /// The line is longer than a record may be: `bytes` are only its beginning.
  public let isOversized: Bool
}

/// Some consecutive lines of a file, at least one. Like its lines it is valid until the reader's next call.
public typealias LineBlock = UnsafeBufferPointer<Line>

/// Reads the lines of an event file in blocks: plain, gzip, zstd or xz, recognised by the first bytes.
///
/// Memory is bounded whatever the file holds: one buffer of a longest line and a block, and one of line
/// descriptions. One owner, one thread.
public struct LineReader: ~Copyable {
  private var source: ByteSource
  private let lineBytesMax: Int
  private let blockBytes: Int
  /// `[start, end)` has been read and not delivered, `[start, scanned)` holds no newline.
  private let buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var scanned = 0
  private var end = 0
  private let lines: UnsafeMutableBufferPointer<Line>
  private var linesCount = 0
  private var lineNumber: Int64 = 0
  /// Inside a line that was delivered as oversized: what is left of it is dropped.
  private var isSkipping = false
  private var isAtEnd = false
  /// An error that waits until the whole lines before it have been delivered.
  private var pendingError: EventFileError?

  /// What some programs begin UTF-8 with.
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// Opens a file; `-` is the standard input.
  public init(path: String) throws(EventFileError) {
    // 1 MiB blocks: system calls vanish in the copying, and the block still fits the second-level cache.
    try self.init(
      path: path, blockBytes: 1 << 20, lineBytesMax: Limits.recordBytesMax, linesPerBlockMax: 1 << 14)
  }

  init(path: String, blockBytes: Int, lineBytesMax: Int, linesPerBlockMax: Int) throws(EventFileError) {
    precondition(blockBytes > 0 && lineBytesMax > 0 && linesPerBlockMax > 0, "Cannot read with empty buffers")
    self.init(
      try ByteSource(path: path, inputBytes: min(blockBytes, 1 << 18)), blockBytes: blockBytes,
      lineBytesMax: lineBytesMax, linesPerBlockMax: linesPerBlockMax)
  }

  /// The lines of a file that has been opened.
  public init(_ source: consuming ByteSource) {
    self.init(source, blockBytes: 1 << 20, lineBytesMax: Limits.recordBytesMax, linesPerBlockMax: 1 << 14)
  }

  private init(
    _ source: consuming ByteSource, blockBytes: Int, lineBytesMax: Int, linesPerBlockMax: Int
  ) {
    self.source = source
    self.blockBytes = blockBytes
    self.lineBytesMax = lineBytesMax
    // A partial line is at most `lineBytesMax` long when another block is read behind it.
    buffer = .allocate(byteCount: lineBytesMax + blockBytes, alignment: 64)
    lines = .allocate(capacity: linesPerBlockMax)
  }

  deinit {
    buffer.deallocate()
    lines.deallocate()
  }

  /// Bytes of the file used up so far (compressed, if it is).
  public var bytesRead: Int64 { source.bytesConsumed }
  /// The size of the file; nil for pipes and the standard input.
  public var totalBytes: Int64? { source.totalBytes }

  /// The next lines, at least one; nil at the end. Blank lines count as lines but are left out.
  public mutating func next() throws(EventFileError) -> LineBlock? {
    linesCount = 0
    while true {
      scan()
      if linesCount == 0 { takeOversizedBeginning() }
      if linesCount == 0 && isAtEnd { try takeLastLine() }
      if linesCount > 0 { return LineBlock(rebasing: lines[..<linesCount]) }
      if isAtEnd { return nil }
      refill()
    }
  }

  /// Takes the whole lines that are in the buffer.
  private mutating func scan() {
    guard let base = buffer.baseAddress else { return }
    while linesCount < lines.count, scanned < end,
      let newline = memchr(base + scanned, 0x0A, end - scanned)
    {
      let lineEnd = UnsafeRawPointer(newline) - UnsafeRawPointer(base)
      if isSkipping {
        isSkipping = false
      } else {
        take(upTo: lineEnd)
      }
      start = lineEnd + 1
      scanned = start
    }
    if linesCount < lines.count { scanned = end }
  }

  /// A partial line that is already too long is delivered now and the rest of it skipped.
  private mutating func takeOversizedBeginning() {
    if !isSkipping && end - start > lineBytesMax {
      take(upTo: end)
      isSkipping = true
    }
    if isSkipping { start = end }
  }

  /// A line at the end of the file needs no newline; the beginning of one before an error is no line.
  private mutating func takeLastLine() throws(EventFileError) {
    if let error = pendingError { throw error }
    if start < end { take(upTo: end) }
    start = end
  }

  private mutating func take(upTo lineEnd: Int) {
    lineNumber += 1
    if lineNumber == 1, buffer[start..<lineEnd].starts(with: Self.byteOrderMark) {
      start += Self.byteOrderMark.count
    }
    let length = lineEnd - start
    guard length > 0, !(length == 1 && buffer[start] == 0x0D) else { return }
    let isOversized = length > lineBytesMax
    let count = isOversized ? min(lineBytesMax, Limits.oversizedBytesKept) : length
    lines.initializeElement(
      at: linesCount,
      to: Line(
        bytes: UnsafeRawBufferPointer(rebasing: buffer[start..<(start + count)]), number: lineNumber,
        isOversized: isOversized))
    linesCount += 1
  }

  private mutating func refill() {
    let kept = end - start
    if kept > 0 && start > 0 {
      UnsafeMutableRawBufferPointer(rebasing: buffer[..<kept])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
    }
    start = 0
    scanned = kept
    end = kept
    do throws(EventFileError) {
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer[kept..<(kept + blockBytes)])
      let count = try source.read(into: room)
      end += count
      isAtEnd = count == 0
    } catch {
      pendingError = error
      isAtEnd = true
    }
  }
}
