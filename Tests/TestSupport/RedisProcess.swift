public import Foundation

/// A redis-server as a process: whoever owns it knows how to talk to it. Killed with its last reference.
public final class RedisProcess {
  /// The program; nil if it is not installed.
  public static let executable = [
    "/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server",
  ]
  .first { FileManager.default.isExecutableFile(atPath: $0) }

  private let log: URL
  private var process: ChildProcess?

  /// None yet; what it writes will go to a file.
  public init(log: URL) { self.log = log }

  deinit { kill() }

  /// What it has written since it was started.
  public var text: String { process?.text ?? "" }

  /// Starts it with arguments, and waits until the owner finds it ready. Throws if it ends before.
  public func start(
    _ arguments: [String], until what: String = "redis-server answers", isReady: () throws -> Bool
  ) throws {
    guard let executable = Self.executable else { throw Failure("redis-server is missing") }
    let process = try ChildProcess(executable, arguments, log: log)
    self.process = process
    try waitUntil("\(what): \(process.text)") {
      guard process.isRunning else { throw Failure("redis-server ended: \(process.text)") }
      return try isReady()
    }
  }

  /// kill -9.
  public func kill() {
    process?.kill()
    process = nil
  }

  /// Stops it without ending it, or lets it go on.
  public func freeze(_ isFrozen: Bool) { process?.signal(isFrozen ? SIGSTOP : SIGCONT) }
}
