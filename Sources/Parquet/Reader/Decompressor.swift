import CBrotli
import CZlib
import CZstd

/// Unpacks pages.
struct Decompressor: ~Copyable {
  private let zstd: OpaquePointer

  init() {
    guard let created = ZSTD_createDCtx() else { preconditionFailure("Cannot start zstd: out of memory") }
    zstd = created
  }

  deinit { ZSTD_freeDCtx(zstd) }

  /// Appends exactly `count` bytes that `input` unpacks to.
  func unpack(
    _ input: UnsafeRawBufferPointer, _ codec: Codec, count: Int, to output: inout ByteBuffer
  ) throws(FormatProblem) {
    guard count > 0 || !input.isEmpty else { return }
    try output.append(atMost: count) { (room) throws(FormatProblem) in
      let produced: Int? =
        switch codec {
        case .uncompressed: Self.copy(input, into: room)
        case .snappy: Snappy.decode(input, into: room)
        case .gzip: Gzip.decode(input, into: room)
        case .zstd: unpackZstd(input, into: room)
        case .brotli: Self.unpackBrotli(input, into: room)
        case .lz4Raw: LZ4.decode(input, into: room)
        case .lzo, .lz4: nil
        }
      guard let produced else { throw FormatProblem("a page's \(codec) data is damaged") }
      guard produced == count else {
        throw FormatProblem("a page unpacks to \(produced) bytes, its header says \(count)")
      }
      return produced
    }
  }

  private static func copy(
    _ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) -> Int? {
    guard input.count <= room.count else { return nil }
    room.copyMemory(from: input)
    return input.count
  }

  private static func unpackBrotli(
    _ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) -> Int? {
    var count = room.count
    let result = BrotliDecoderDecompress(
      input.count, input.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
      room.baseAddress?.assumingMemoryBound(to: UInt8.self))
    return result == BROTLI_DECODER_RESULT_SUCCESS ? count : nil
  }

  private func unpackZstd(
    _ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) -> Int? {
    let count = ZSTD_decompressDCtx(zstd, room.baseAddress, room.count, input.baseAddress, input.count)
    return ZSTD_isError(count) == 0 ? count : nil
  }
}

/// gzip members (RFC 1952), one after the other.
enum Gzip {
  /// How many bytes it made; nil if the input is damaged or does not fit.
  static func decode(_ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
    // zlib keeps the address of the struct: it stays inside this call.
    withUnsafeTemporaryAllocation(of: z_stream.self, capacity: 1) { memory in
      let stream = memory.baseAddress!
      stream.initialize(to: z_stream())
      // 15: the largest window; 16 more: a gzip header, nothing else.
      guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        return nil
      }
      defer { inflateEnd(stream) }
      // zlib does not write through next_in. Pages have less than 4 GiB.
      stream.pointee.next_in = UnsafeMutablePointer(
        mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
      stream.pointee.avail_in = UInt32(input.count)
      stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(room.count)
      repeat {
        guard inflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
        if stream.pointee.avail_in > 0 { inflateReset(stream) }
      } while stream.pointee.avail_in > 0
      return room.count - Int(stream.pointee.avail_out)
    }
  }
}

/// Raw Snappy (https://github.com/google/snappy/blob/main/format_description.txt), written from that description.
enum Snappy {
  /// How many bytes it made; nil if the input is damaged or does not fit.
  static func decode(_ input: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
    var source = 0
    var length = 0
    var shift = 0
    while true {
      guard source < input.count, shift < 35 else { return nil }
      let byte = input[source]
      source += 1
      length |= Int(byte & 0x7F) << shift
      shift += 7
      if byte & 0x80 == 0 { break }
    }
    guard length <= room.count else { return nil }
    var target = 0
    while source < input.count {
      let tag = Int(input[source])
      source += 1
      if tag & 3 == 0 {
        guard let count = literalLength(tag, input, &source), count <= input.count - source,
          count <= length - target
        else { return nil }
        let end = source + count
        UnsafeMutableRawBufferPointer(rebasing: room[target..<(target + count)])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: input[source..<end]))
        source = end
        target += count
      } else {
        guard let (count, distance) = copyElement(tag, input, &source), distance > 0, distance <= target,
          count <= length - target
        else { return nil }
        copy(count, from: target - distance, to: target, in: room)
        target += count
      }
    }
    return target == length ? length : nil
  }

  private static func literalLength(
    _ tag: Int, _ input: UnsafeRawBufferPointer, _ source: inout Int
  ) -> Int? {
    let short = tag >> 2
    guard short >= 60 else { return short + 1 }
    return littleEndian(short - 59, input, &source).map { $0 + 1 }
  }

  private static func copyElement(
    _ tag: Int, _ input: UnsafeRawBufferPointer, _ source: inout Int
  ) -> (count: Int, distance: Int)? {
    switch tag & 3 {
    case 1:
      guard let low = littleEndian(1, input, &source) else { return nil }
      return ((tag >> 2 & 7) + 4, (tag >> 5) << 8 | low)
    case 2: return littleEndian(2, input, &source).map { ((tag >> 2) + 1, $0) }
    default: return littleEndian(4, input, &source).map { ((tag >> 2) + 1, $0) }
    }
  }

  /// The areas may overlap: a copy repeats what it has just written.
  private static func copy(_ count: Int, from: Int, to: Int, in room: UnsafeMutableRawBufferPointer) {
    for index in 0..<count { room[to + index] = room[from + index] }
  }

  private static func littleEndian(
    _ count: Int, _ input: UnsafeRawBufferPointer, _ source: inout Int
  ) -> Int? {
    guard count <= input.count - source else { return nil }
    defer { source += count }
    return (0..<count).reduce(0) { $0 | Int(input[source + $1]) << (8 * $1) }
  }
}
