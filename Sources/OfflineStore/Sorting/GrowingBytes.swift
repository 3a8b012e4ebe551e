import Glibc

/// Memory that grows at its end, in place where the system can.
struct GrowingBytes: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer?
  private(set) var capacity = 0
  var count = 0

  deinit { free(base) }

  /// Whether so many more bytes fit.
  @inline(__always)
  func hasRoom(_ bytes: Int) -> Bool { count + bytes <= capacity }

  /// The end, behind which `hasRoom` says what fits.
  @inline(__always)
  var end: UnsafeMutableRawPointer {
    guard let base else { preconditionFailure("Cannot write into no memory") }
    return base + count
  }

  /// What has been written.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  mutating func grow(to bytes: Int) {
    guard let grown = realloc(base, bytes) else { preconditionFailure("Cannot grow to \(bytes) bytes") }
    base = grown
    capacity = bytes
  }

  mutating func release() {
    free(base)
    base = nil
    capacity = 0
    count = 0
  }
}
