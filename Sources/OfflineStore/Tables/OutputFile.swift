import Glibc

/// A file that appears whole or not at all: it is written under a temporary name in the same folder and renamed
/// at the end. `-`, devices and pipes are written directly.
struct OutputFile: ~Copyable {
  /// Written out when it holds this much: system calls vanish, and it fits the second-level cache.
  private static let bufferBytes = 1 << 18

  private let path: String
  private let target: String
  /// nil when written directly.
  private let temporary: String?
  private let descriptor: Int32
  private var isOpen = true
  /// What has not been written out yet; whoever appends calls `rowEnded` now and then.
  var buffer: [UInt8] = []

  init(path: String) throws(TableError) {
    self.path = path
    let target = Self.resolved(path)
    self.target = target
    if path == "-" {
      descriptor = STDOUT_FILENO
      temporary = nil
    } else {
      temporary = Self.isSpecial(target) ? nil : Self.temporaryName(target)
      descriptor = open(temporary ?? target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else {
        throw TableError(
          path: path, problem: "cannot be created: \(systemText(errno))",
          remedy: "check that its folder exists and is writable", isMistake: false)
      }
    }
    buffer.reserveCapacity(Self.bufferBytes + 4096)
  }

  deinit {
    guard isOpen else { return }
    if path != "-" { _ = close(descriptor) }
    if let temporary { _ = unlink(temporary) }
  }

  /// Writes the buffer out if it is full.
  @inline(__always)
  mutating func rowEnded() throws(TableError) {
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Writes out what is buffered and gives the file its name, or another one in the same folder.
  mutating func finish(as name: String? = nil) throws(TableError) {
    try flush()
    guard path != "-" else {
      isOpen = false
      return
    }
    // Before the rename: after a crash of the machine the name must not stand for half of the bytes.
    if temporary != nil, fsync(descriptor) != 0 { throw writeError() }
    if let temporary, rename(temporary, name ?? target) != 0 { throw writeError() }
    isOpen = false
    _ = close(descriptor)
  }

  private mutating func flush() throws(TableError) {
    var offset = 0
    while offset < buffer.count {
      let count = buffer.withUnsafeBytes { bytes in
        Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      if count > 0 {
        offset += count
      } else if errno != EINTR {
        throw writeError()
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }

  private func writeError() -> TableError {
    TableError(
      path: path, problem: "cannot be written: \(systemText(errno))", remedy: "check the disk's free space",
      isMistake: false)
  }

  /// Where a symbolic link leads: the rename must not replace the link.
  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  private static func isSpecial(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
  }

  /// Hidden, and different for two runs at the same time.
  private static func temporaryName(_ path: String) -> String {
    let slash = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
    return "\(path[..<slash]).\(path[slash...]).\(getpid()).partial"
  }
}

/// A file of text that is written at once.
public enum WholeFile {
  /// Writes a file that appears whole or not at all; `-` is the standard output.
  public static func write(_ text: String, to path: String) throws(TableError) {
    var output = try OutputFile(path: path)
    output.buffer += text.utf8
    try output.finish()
  }
}
