import Glibc

/// The uncompressed bytes of a file, whatever it is packed in: plain, gzip or zstd, recognised by the first bytes.
public struct ByteSource: ~Copyable {
  private enum Decoder: ~Copyable {
    case none
    case gzip(GzipStream)
    case zstd(ZstdStream)
  }

  private let file: InputFile
  private let decoder: Decoder
  private let compression: Compression
  /// Bytes as they are in the file; for a plain file only the few that were read to recognise it.
  private let input: UnsafeMutableRawBufferPointer
  private var inputStart = 0
  private var inputEnd = 0
  private var fileBytesRead: Int64 = 0
  /// A frame has begun and not ended: the file must not end here.
  private var isInsideFrame = false
  /// The last step filled its output, so that there may be more of it without more input.
  private var hasPendingOutput = false

  /// Opens a file; `-` is the standard input. `inputBytes` is the size of the buffer for compressed bytes.
  public init(path: String, inputBytes: Int) throws(EventFileError) {
    let file = try InputFile(path: path)
    let input = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(inputBytes, Compression.magicBytes), alignment: 64)
    var count = 0
    do throws(EventFileError) {
      while count < Compression.magicBytes {
        let added = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: input[count...]))
        if added == 0 { break }
        count += added
      }
    } catch {
      input.deallocate()
      throw error
    }
    compression = Compression(magic: UnsafeRawBufferPointer(rebasing: input[..<count]))
    decoder =
      switch compression {
      case .none: .none
      case .gzip: .gzip(GzipStream())
      case .zstd: .zstd(ZstdStream())
      }
    self.file = file
    self.input = input
    inputEnd = count
    fileBytesRead = Int64(count)
  }

  deinit { input.deallocate() }

  var path: String { file.path }
  var totalBytes: Int64? { file.totalBytes }
  /// Bytes of the file that have been used up.
  var bytesConsumed: Int64 { fileBytesRead - Int64(inputEnd - inputStart) }

  /// Some bytes, not necessarily as many as there is room for; 0 at the end.
  public mutating func read(into output: UnsafeMutableRawBufferPointer) throws(EventFileError) -> Int {
    if case .none = compression { return try readPlain(into: output) }
    while true {
      if inputStart == inputEnd && !hasPendingOutput {
        guard try refill() else {
          guard !isInsideFrame else { throw truncated() }
          return 0
        }
      }
      if skipPadding() { continue }
      let produced = try decode(into: output)
      if produced > 0 { return produced }
    }
  }

  private mutating func readPlain(into output: UnsafeMutableRawBufferPointer) throws(EventFileError) -> Int {
    guard inputStart == inputEnd else {
      let count = min(output.count, inputEnd - inputStart)
      output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[inputStart..<(inputStart + count)]))
      inputStart += count
      return count
    }
    let count = try file.read(into: output)
    fileBytesRead += Int64(count)
    return count
  }

  /// Zeros behind a gzip member fill up a tape's block, or whatever the file was written to; nothing may follow them.
  private mutating func skipPadding() -> Bool {
    guard compression == .gzip, !isInsideFrame, !hasPendingOutput, bytesConsumed > 0 else { return false }
    let start = inputStart
    while inputStart < inputEnd, input[inputStart] == 0 { inputStart += 1 }
    return inputStart == inputEnd && start < inputEnd
  }

  private mutating func refill() throws(EventFileError) -> Bool {
    let count = try file.read(into: input)
    inputStart = 0
    inputEnd = count
    fileBytesRead += Int64(count)
    return count > 0
  }

  private mutating func decode(into output: UnsafeMutableRawBufferPointer) throws(EventFileError) -> Int {
    let packed = UnsafeRawBufferPointer(rebasing: input[inputStart..<inputEnd])
    let step: DecodeStep
    do throws(DecodeFailure) {
      switch decoder {
      case .none: preconditionFailure("Cannot decode a plain file")
      case .gzip(let stream): step = try stream.step(from: packed, into: output)
      case .zstd(let stream): step = try stream.step(from: packed, into: output)
      }
    } catch {
      throw undecodable(error.reason)
    }
    inputStart += step.consumed
    hasPendingOutput = !step.endedFrame && step.produced == output.count
    if step.endedFrame {
      isInsideFrame = false
    } else if step.consumed > 0 {
      isInsideFrame = true
    }
    return step.produced
  }

  private var frameName: String { compression == .gzip ? "gzip member" : "zstd frame" }

  private func truncated() -> EventFileError {
    EventFileError(
      path: path, problem: "truncated \(frameName): the file ends inside it, at byte \(bytesConsumed)",
      remedy: "copy or download the file again")
  }

  private func undecodable(_ reason: String) -> EventFileError {
    guard isInsideFrame || bytesConsumed == 0 else {
      return EventFileError(
        path: path, problem: "the bytes from \(bytesConsumed) on are not another \(frameName) (\(reason))",
        remedy: "remove what follows the compressed data")
    }
    return EventFileError(
      path: path, problem: "damaged \(frameName) near byte \(bytesConsumed) (\(reason))",
      remedy: "copy or download the file again")
  }
}
