import Glibc
import OfflineStore

/// A buffered output of lines, to a file or the standard output.
struct LineOutput: ~Copyable {
  /// Written out when it holds this much.
  static let bufferBytes = 1 << 18

  var buffer: [UInt8] = []
  private let path: String
  private let descriptor: Int32

  init(path: String) throws(TableError) {
    self.path = path
    // A reader that has gone is reported by write(2), not by killing the process.
    signal(SIGPIPE, SIG_IGN)
    descriptor = path == "-" ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw TableError(
        path: path, problem: "cannot be created: \(String(cString: strerror(errno)))",
        remedy: "check that its folder exists and is writable", isMistake: false)
    }
  }

  deinit {
    if path != "-" { _ = close(descriptor) }
  }

  /// Whether a pipe's reader has gone: known without writing, so that who waits for something to write can end.
  var isAbandoned: Bool {
    var status = pollfd(fd: descriptor, events: 0, revents: 0)
    return poll(&status, 1, 0) > 0 && status.revents & Int16(POLLERR) != 0
  }

  /// Removes a file that is cut off amid a line, so that nobody takes it for whole. What is no file stays.
  private func remove() -> Bool {
    var status = stat()
    guard path != "-", lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
    return unlink(path) == 0
  }

  /// Writes the buffer out unless the condition on its count of bytes holds. False if nobody reads any more.
  mutating func flush(unless condition: (Int) -> Bool) throws(TableError) -> Bool {
    if buffer.isEmpty || condition(buffer.count) { return true }
    var offset = 0
    while offset < buffer.count {
      let count = buffer.withUnsafeBytes { bytes in
        write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      if count > 0 {
        offset += count
      } else if errno == EPIPE {
        return false
      } else if errno != EINTR {
        let reason = String(cString: strerror(errno))
        let isRemoved = remove()
        throw TableError(
          path: path,
          problem: "cannot be written: \(reason)" + (isRemoved ? "; what was written is removed" : ""),
          remedy: "check the disk's free space", isMistake: false)
      }
    }
    buffer.removeAll(keepingCapacity: true)
    return true
  }
}

/// Keeps a rate of lines a second, in steps of a hundredth of a second.
struct Pace {
  /// Lines a second that can be kept.
  static let rates = 0.001...1_000_000_000

  private let linesPerStep: Double?
  private let start: ContinuousClock.Instant
  private static let stepsPerSecond = 100.0

  init(linesPerSecond: Double?) {
    linesPerStep = linesPerSecond.map { $0 / Self.stepsPerSecond }
    start = ContinuousClock.now
  }

  /// Whether the next line has to wait if it is too early, so that what is buffered should go out.
  func isDue(_ written: Int) -> Bool {
    guard let linesPerStep else { return false }
    return (Double(written) / linesPerStep).rounded(.down)
      != (Double(written - 1) / linesPerStep).rounded(.down)
  }

  /// Sleeps until line `written` may be written, or until that is no longer wanted.
  func wait(_ written: Int, unless isEnding: () -> Bool) {
    guard let linesPerStep, isDue(written) else { return }
    let due = start + .seconds((Double(written) / linesPerStep).rounded(.down) / Self.stepsPerSecond)
    sleep(until: due, unless: isEnding)
  }
}
