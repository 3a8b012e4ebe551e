import Glibc

/// A temporary file without a name: it is gone with its last user, whatever ends the process.
final class SpillFile {
  private static let bufferBytes = 1 << 18

  private let folder: String
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  /// Bytes that have been written, buffered ones included.
  private(set) var byteCount = 0

  /// A file in a folder.
  init(folder: String) throws(TableError) {
    self.folder = folder
    var template = Array("\(folder)/plumb-XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    guard descriptor >= 0 else {
      throw TableError(
        path: folder, problem: "a temporary file cannot be created there: \(systemText(errno))",
        remedy: "set TMPDIR to a folder that is writable", isMistake: false)
    }
    unlink(template)
    // No child needs it.
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    buffer.reserveCapacity(Self.bufferBytes + 4_096)
  }

  deinit { close(descriptor) }

  func append(_ bytes: UnsafeRawBufferPointer) throws(TableError) {
    buffer.append(contentsOf: bytes)
    byteCount += bytes.count
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Writes out what is buffered: before anything is read.
  func flush() throws(TableError) {
    var done = 0
    while done < buffer.count {
      let count = buffer.withUnsafeBytes {
        write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
      }
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw error("written")
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Fills a buffer from a place that has been written and flushed.
  func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) throws(TableError) {
    var done = 0
    while done < output.count {
      let count = pread(
        descriptor, output.baseAddress.map { $0 + done }, output.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 || errno != EINTR {
        throw error("read")
      }
    }
  }

  private func error(_ verb: String) -> TableError {
    TableError(
      path: folder, problem: "a temporary file there cannot be \(verb): \(systemText(errno))",
      remedy: "set TMPDIR to a folder with more room, or give the join more memory", isMistake: false)
  }
}
