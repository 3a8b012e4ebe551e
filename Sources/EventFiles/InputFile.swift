import Glibc

/// One open file descriptor, read from start to end.
struct InputFile: ~Copyable {
  let path: String
  /// The size of a regular file; nil for pipes and the standard input.
  let totalBytes: Int64?
  private let descriptor: Int32
  private let closesDescriptor: Bool

  /// Opens a file, or takes the standard input for `-`.
  init(path: String) throws(EventFileError) {
    self.path = path
    if path == "-" {
      descriptor = STDIN_FILENO
      closesDescriptor = false
      totalBytes = nil
      return
    }
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw Self.openError(path, errno) }
    var status = stat()
    let isKnown = fstat(opened, &status) == 0
    let kind = status.st_mode & S_IFMT
    guard !(isKnown && kind == S_IFDIR) else {
      _ = close(opened)
      throw EventFileError(
        path: path, problem: "is a directory", remedy: "name the files in it", isMistake: false)
    }
    let isRegular = isKnown && kind == S_IFREG
    // Advice only: a refusal costs read-ahead, not correctness.
    if isRegular { _ = posix_fadvise(opened, 0, 0, POSIX_FADV_SEQUENTIAL) }
    descriptor = opened
    closesDescriptor = true
    totalBytes = isRegular ? Int64(status.st_size) : nil
  }

  deinit {
    if closesDescriptor { _ = close(descriptor) }
  }

  /// What one read gives, which may be less than there is room for; 0 at the end.
  func read(into output: UnsafeMutableRawBufferPointer) throws(EventFileError) -> Int {
    while true {
      let count = Glibc.read(descriptor, output.baseAddress, output.count)
      if count >= 0 { return count }
      let code = errno
      if code == EINTR { continue }
      throw EventFileError(
        path: path, problem: "cannot be read: \(Self.text(code))", remedy: "check the file and its disk",
        isMistake: false)
    }
  }

  private static func openError(_ path: String, _ code: Int32) -> EventFileError {
    switch code {
    case ENOENT:
      EventFileError(
        path: path, problem: "no such file", remedy: "check the path, or use - for standard input",
        isMistake: false)
    case EACCES:
      EventFileError(
        path: path, problem: "permission denied", remedy: "make the file readable for this user",
        isMistake: false)
    default:
      EventFileError(
        path: path, problem: "cannot be opened: \(text(code))", remedy: "check the path", isMistake: false)
    }
  }

  private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
