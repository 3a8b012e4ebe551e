import Glibc

/// The uncompressed bytes of a file, whatever it is packed in: plain, gzip, zstd or xz, recognised by the first bytes.
public struct ByteSource: ~Copyable {
  private enum Decoder: ~Copyable {
    case none
    case gzip(GzipStream)
    case zstd(ZstdStream)
    case xz(XzStream)
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
  /// What `peek` has given and nobody has read.
  private var peeked: [UInt8] = []
  private var peekedStart = 0
  private var behindPeeked: EventFileError?

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
      case .xz: .xz(XzStream())
      }
    self.file = file
    self.input = input
    inputEnd = count
    fileBytesRead = Int64(count)
  }

  deinit { input.deallocate() }

  /// The file as it was named; `-` for the standard input.
  public var path: String { file.path }
  /// The size of a regular file; nil for pipes and the standard input.
  public var totalBytes: Int64? { file.totalBytes }
  /// Whether the file's bytes are packed.
  public var isCompressed: Bool { compression != .none }
  /// Bytes of the file that have been used up.
  public var bytesConsumed: Int64 { fileBytesRead - Int64(inputEnd - inputStart) }

  /// How many bytes `peek` gives at most.
  public static let peekBytes = 1 << 16

  /// The first uncompressed bytes, fewer only if there are no more; they will be read all the same. To be called before
  /// anything is read.
  public mutating func peek() throws(EventFileError) -> [UInt8] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.peekBytes, alignment: 64)
    defer { room.deallocate() }
    var count = 0
    while count < room.count {
      let added: Int
      do throws(EventFileError) {
        added = try read(into: UnsafeMutableRawBufferPointer(rebasing: room[count...]))
      } catch {
        // What stands before the damage is worth reading.
        guard count > 0 else { throw error }
        behindPeeked = error
        break
      }
      if added == 0 { break }
      count += added
    }
    peeked = Array(room[..<count])
    return peeked
  }

  private mutating func readPeeked(into output: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(output.count, peeked.count - peekedStart)
    output.copyBytes(from: peeked[peekedStart..<(peekedStart + count)])
    peekedStart += count
    if peekedStart == peeked.count { (peeked, peekedStart) = ([], 0) }
    return count
  }

  /// Some bytes, not necessarily as many as there is room for; 0 at the end.
  public mutating func read(into output: UnsafeMutableRawBufferPointer) throws(EventFileError) -> Int {
    if !peeked.isEmpty { return readPeeked(into: output) }
    if let behindPeeked { throw behindPeeked }
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

  /// Zeros behind a gzip member or an xz stream fill up a tape's block, or whatever the file was written to; nothing may
  /// follow them.
  private mutating func skipPadding() -> Bool {
    guard compression == .gzip || compression == .xz, !isInsideFrame, !hasPendingOutput, bytesConsumed > 0
    else { return false }
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
      case .xz(let stream): step = try stream.step(from: packed, into: output)
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

  private func truncated() -> EventFileError {
    EventFileError(
      path: path,
      problem: "truncated \(compression.frameName): the file ends inside it, at byte \(bytesConsumed)",
      remedy: "copy or download the file again")
  }

  private func undecodable(_ reason: String) -> EventFileError {
    guard isInsideFrame || bytesConsumed == 0 else {
      return EventFileError(
        path: path,
        problem: "the bytes from \(bytesConsumed) on are not another \(compression.frameName) (\(reason))",
        remedy: "remove what follows the compressed data")
    }
    return EventFileError(
      path: path, problem: "damaged \(compression.frameName) near byte \(bytesConsumed) (\(reason))",
      remedy: "copy or download the file again")
  }
}
