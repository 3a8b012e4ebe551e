import Glibc

/// Standard output, a line at a time: a reader at the other end of a pipe sees it at once.
enum StandardOutput {
  static func print(_ line: String) { write(line, to: STDOUT_FILENO) }
}

/// Standard error: what isn't the result of a command.
enum StandardError {
  static func print(_ line: String) { write(line, to: STDERR_FILENO) }
}

private func write(_ line: String, to descriptor: Int32) {
  var bytes = Array((line + "\n").utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { return }
    bytes = bytes.dropFirst(count)
  }
}
