import Glibc

/// Standard output, a line at a time: a reader at the other end of a pipe sees it at once.
enum StandardOutput {
  static func print(_ line: String) { write(line + "\n") }

  /// Text as it is, for a screen that is drawn over.
  static func write(_ text: String) { writeAll(text, to: STDOUT_FILENO) }
}

/// Standard error: what isn't the result of a command.
enum StandardError {
  static func print(_ line: String) { write(line + "\n") }

  /// Text as it is, for a line that is written over.
  static func write(_ text: String) { writeAll(text, to: STDERR_FILENO) }
}

private func writeAll(_ text: String, to descriptor: Int32) {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { return }
    bytes = bytes.dropFirst(count)
  }
}
