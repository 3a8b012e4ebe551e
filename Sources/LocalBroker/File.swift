import Glibc

/// A file that is appended to. The owner closes it.
struct File {
  let path: String
  let descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw LocalBrokerError("Cannot open \(path): \(Self.lastError)") }
  }

  static var lastError: String { String(cString: strerror(errno)) }

  var size: Int {
    get throws {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw failure("examine") }
      return Int(status.st_size)
    }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    var written = 0
    while written < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure("write to") }
      written += count
    }
  }

  /// Reads a range; shorter at the end of the file.
  func read(at offset: Int, count: Int) throws -> [UInt8] {
    var filled = 0
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while filled < count {
        let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
        if got < 0 && errno == EINTR { continue }
        failed = got < 0
        if got <= 0 { break }
        filled += got
      }
      initialized = filled
    }
    if failed { throw failure("read") }
    return bytes
  }

  func truncate(to size: Int) throws {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw failure("truncate") }
  }

  func sync() throws {
    guard fdatasync(descriptor) == 0 else { throw failure("sync") }
  }

  func close() { _ = Glibc.close(descriptor) }

  private func failure(_ action: String) -> LocalBrokerError {
    LocalBrokerError("Cannot \(action) \(path): \(Self.lastError)")
  }
}
