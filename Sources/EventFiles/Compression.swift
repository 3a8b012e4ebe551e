import CLzma
import CZlib
import CZstd

/// How the bytes of a file are packed, told from their beginning.
enum Compression: String {
  case none = "plain"
  case gzip
  case zstd
  case xz

  /// Bytes that are enough to tell.
  static let magicBytes = 6

  /// Looks at up to six bytes of a file's beginning.
  init(magic: UnsafeRawBufferPointer) {
    let byte = { (index: Int) in index < magic.count ? Int(magic[index]) : -1 }
    let isSkippableFrame =
      byte(0) & ~0x0F == 0x50 && byte(1) == 0x2A && byte(2) == 0x4D && byte(3) == 0x18
    if byte(0) == 0x1F && byte(1) == 0x8B {
      self = .gzip
    } else if byte(0) == 0x28 && byte(1) == 0xB5 && byte(2) == 0x2F && byte(3) == 0xFD || isSkippableFrame {
      self = .zstd
    } else if magic.prefix(6).elementsEqual([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) {
      self = .xz
    } else {
      self = .none
    }
  }

  /// What its pieces are called: files may be several of them, one behind the other.
  var frameName: String {
    switch self {
    case .none: "bytes"
    case .gzip: "gzip member"
    case .zstd: "zstd frame"
    case .xz: "xz stream"
    }
  }
}

/// What one step of a decompression did.
struct DecodeStep {
  var consumed: Int
  var produced: Int
  /// The frame (gzip: member) is complete and all its bytes have been given out.
  var endedFrame: Bool
}

/// The library's word for why the bytes cannot be decompressed.
struct DecodeFailure: Error {
  var reason: String
}

/// zlib's state for gzip members.
struct GzipStream: ~Copyable {
  // On the heap: zlib keeps the address of the struct and refuses to work with a moved one.
  private let stream: UnsafeMutablePointer<z_stream>

  init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 15: the largest window; 16 more: a gzip header, nothing else.
    let code = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(code == Z_OK, "Cannot start zlib: code \(code)")
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  func step(
    from input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodeFailure) -> DecodeStep {
    // zlib does not write through next_in; its header lacks the const unless asked for.
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(input.count)
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(output.count)
    let code = inflate(stream, Z_NO_FLUSH)
    let ended = code == Z_STREAM_END
    // Z_BUF_ERROR only says that this call had nothing to do.
    guard ended || code == Z_OK || code == Z_BUF_ERROR else {
      throw DecodeFailure(reason: stream.pointee.msg.map { String(cString: $0) } ?? "zlib code \(code)")
    }
    let step = DecodeStep(
      consumed: input.count - Int(stream.pointee.avail_in),
      produced: output.count - Int(stream.pointee.avail_out), endedFrame: ended)
    if ended { inflateReset(stream) }
    return step
  }
}

/// libzstd's state for frames.
struct ZstdStream: ~Copyable {
  private let stream: OpaquePointer

  init() {
    guard let created = ZSTD_createDStream() else { preconditionFailure("Cannot start zstd: out of memory") }
    stream = created
  }

  deinit { ZSTD_freeDStream(stream) }

  func step(
    from input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodeFailure) -> DecodeStep {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    let code = ZSTD_decompressStream(stream, &target, &source)
    guard ZSTD_isError(code) == 0 else {
      throw DecodeFailure(reason: String(cString: ZSTD_getErrorName(code)))
    }
    return DecodeStep(consumed: source.pos, produced: target.pos, endedFrame: code == 0)
  }
}

/// liblzma's state for xz streams.
struct XzStream: ~Copyable {
  /// Of a dictionary: `xz -9` takes 65 MiB. A hostile header may ask for 4 GiB.
  private static let memoryMax: UInt64 = 128 << 20

  // On the heap: the library keeps pointers between calls.
  private let stream: UnsafeMutablePointer<lzma_stream>

  init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: plumb_lzma_stream_init())
  }

  deinit {
    lzma_end(stream)
    stream.deallocate()
  }

  /// Begins a stream where none is begun.
  private func start() throws(DecodeFailure) {
    guard stream.pointee.`internal` == nil else { return }
    let code = lzma_stream_decoder(stream, Self.memoryMax, 0)
    guard code == LZMA_OK else { throw DecodeFailure(reason: Self.reason(code)) }
  }

  func step(
    from input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodeFailure) -> DecodeStep {
    try start()
    stream.pointee.next_in = input.baseAddress.map { UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) }
    stream.pointee.avail_in = input.count
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = output.count
    let code = lzma_code(stream, LZMA_RUN)
    let ended = code == LZMA_STREAM_END
    // LZMA_BUF_ERROR only says that this call had nothing to do.
    guard ended || code == LZMA_OK || code == LZMA_BUF_ERROR else {
      throw DecodeFailure(reason: Self.reason(code))
    }
    let step = DecodeStep(
      consumed: input.count - stream.pointee.avail_in, produced: output.count - stream.pointee.avail_out,
      endedFrame: ended)
    if ended { lzma_end(stream) }
    return step
  }

  private static func reason(_ code: lzma_ret) -> String {
    switch code {
    case LZMA_MEM_ERROR: "there is no memory for it"
    case LZMA_FORMAT_ERROR: "no xz"
    case LZMA_DATA_ERROR: "the data is corrupt"
    case LZMA_MEMLIMIT_ERROR: "its dictionary takes more than \(memoryMax >> 20) MiB"
    case LZMA_OPTIONS_ERROR: "options that liblzma does not know"
    default: "lzma code \(code.rawValue)"
    }
  }
}
