import CZstd

/// libzstd's state for writing one frame, with a checksum.
struct ZstdCompressor: ~Copyable {
  private let stream: OpaquePointer
  private let output: UnsafeMutableRawBufferPointer

  init() {
    guard let created = ZSTD_createCCtx() else { preconditionFailure("Cannot start zstd: out of memory") }
    stream = created
    let code = ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1)
    precondition(ZSTD_isError(code) == 0, "Cannot ask zstd for a checksum")
    output = .allocate(byteCount: ZSTD_CStreamOutSize(), alignment: 64)
  }

  deinit {
    ZSTD_freeCCtx(stream)
    output.deallocate()
  }

  /// Takes all of the input, and gives out what is compressed; with `isLast` up to the frame's end.
  func compress<Failure>(
    _ input: UnsafeRawBufferPointer, isLast: Bool,
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    while true {
      var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
      let left = ZSTD_compressStream2(stream, &target, &source, isLast ? ZSTD_e_end : ZSTD_e_continue)
      precondition(ZSTD_isError(left) == 0, "Cannot compress: \(String(cString: ZSTD_getErrorName(left)))")
      if target.pos > 0 { try body(UnsafeRawBufferPointer(rebasing: output[..<target.pos])) }
      if isLast ? left == 0 : source.pos == source.size { return }
    }
  }
}
