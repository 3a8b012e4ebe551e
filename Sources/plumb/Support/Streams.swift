import ArgumentParser
import FeatureCore
import Glibc
import Synchronization

/// Standard output, a line at a time: a reader at the other end of a pipe sees it at once.
enum StandardOutput {
  static func print(_ line: String) { write(line + "\n") }

  /// Text as it is, for a screen that is drawn over.
  static func write(_ text: String) {
    let code = writeAll(text, to: STDOUT_FILENO)
    if code != 0 { failure.store(code, ordering: .relaxed) }
  }

  private static let failure = Atomic<Int32>(0)

  /// Fails if something of the output was lost, as on a full disk. A reader that has gone wanted no more.
  static func finish() throws {
    var code = failure.load(ordering: .relaxed)
    if fflush(nil) != 0 { code = errno }
    guard code != 0, code != EPIPE else { return }
    StandardError.print("plumb: the output cannot be written: \(String(cString: strerror(code)))")
    throw ExitCode.failure
  }
}

/// Standard error: what isn't the result of a command.
enum StandardError {
  /// Errors and warnings quote what users have sent: nothing of it acts on a terminal.
  static func print(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    write(lines.map { Text(String($0)).escaped }.joined(separator: "\n") + "\n")
  }

  /// Text as it is, for a line that is written over.
  static func write(_ text: String) { _ = writeAll(text, to: STDERR_FILENO) }
}

/// Returns the number of the error, or 0.
private func writeAll(_ text: String, to descriptor: Int32) -> Int32 {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { return errno }
    bytes = bytes.dropFirst(count)
  }
  return 0
}
