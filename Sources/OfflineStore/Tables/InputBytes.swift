import Glibc

/// The bytes of a file through a buffer, one after the other.
struct InputBytes: ~Copyable {
  private static let bufferBytes = 1 << 18

  let path: String
  private let descriptor: Int32
  let buffer: UnsafeMutableRawBufferPointer
  /// `[position, end)` of the buffer has been read from the file and not been used.
  var position = 0
  private(set) var end = 0

  /// Opens a file; `-` is the standard input.
  init(path: String, bufferBytes: Int = Self.bufferBytes) throws(TableError) {
    self.path = path
    descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw TableError(path: path, problem: systemText(errno), remedy: "check the path")
    }
    buffer = .allocate(byteCount: bufferBytes, alignment: 64)
  }

  deinit {
    if path != "-" { _ = close(descriptor) }
    buffer.deallocate()
  }

  /// Whether there is another byte: `buffer[position]`.
  @inline(__always)
  mutating func hasByte() throws(TableError) -> Bool {
    if position < end { return true }
    return try refill()
  }

  private mutating func refill() throws(TableError) -> Bool {
    while true {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count >= 0 {
        position = 0
        end = count
        return count > 0
      }
      guard errno == EINTR else {
        throw TableError(path: path, problem: systemText(errno), remedy: "check that it is a readable file")
      }
    }
  }
}

/// The system's words for an error number.
func systemText(_ code: Int32) -> String { String(cString: strerror(code)) }
