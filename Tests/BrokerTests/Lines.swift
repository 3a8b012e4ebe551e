import Synchronization

/// Lines that a broker logs, from whatever thread.
final class Lines: Sendable {
  private let lines = Mutex<[String]>([])

  func add(_ line: String) { lines.withLock { $0.append(line) } }

  var count: Int { lines.withLock { $0.count } }
}
