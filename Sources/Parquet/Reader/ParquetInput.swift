import Glibc

/// The bytes of a Parquet file: of a regular file, or in memory.
public struct ParquetInput: ~Copyable {
  let path: String
  let byteCount: Int
  /// -1 for bytes in memory.
  private let descriptor: Int32
  private let memory: [UInt8]

  /// Opens a regular file: a pipe cannot be read from its end.
  public init(path: String) throws(ParquetError) {
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else {
      throw ParquetError(
        path: path, problem: "cannot be opened: \(String(cString: strerror(errno)))",
        remedy: "check the path and the file's permissions", isMistake: false)
    }
    var status = stat()
    guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      _ = close(opened)
      throw ParquetError(
        path: path, problem: "is no regular file", remedy: "name a file, not a folder or a pipe",
        isMistake: false)
    }
    self.path = path
    byteCount = Int(status.st_size)
    descriptor = opened
    memory = []
  }

  /// Bytes in memory; `name` stands in error messages.
  public init(bytes: [UInt8], name: String) {
    path = name
    byteCount = bytes.count
    descriptor = -1
    memory = bytes
  }

  deinit {
    if descriptor >= 0 { _ = close(descriptor) }
  }

  /// Fills all of `output`; the caller has checked that the file has these bytes.
  func read(at offset: Int, into output: UnsafeMutableRawBufferPointer) throws(ParquetError) {
    guard descriptor >= 0 else {
      memory.withUnsafeBytes {
        output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + output.count)]))
      }
      return
    }
    var done = 0
    while done < output.count {
      let count = pread(
        descriptor, output.baseAddress.map { $0 + done }, output.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw ParquetError(
          path: path, problem: "has become shorter while it was read",
          remedy: "read it again when it is complete", isMistake: false)
      } else if errno != EINTR {
        throw ParquetError(
          path: path, problem: "cannot be read: \(String(cString: strerror(errno)))",
          remedy: "check the file and its disk", isMistake: false)
      }
    }
  }
}
