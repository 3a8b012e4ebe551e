public import Foundation

/// A program that a test runs beside itself. It is killed when the test lets go of it, stopped or not.
///
/// Spawned directly: Foundation's `Process` copies whole directory entries of /proc/self/fd, which reads behind its buffer
/// while the tests beside hold a thousand descriptors.
public final class ChildProcess {
  /// Where both of its outputs go.
  public let log: URL
  private let process: pid_t
  /// What `waitpid` said of its end.
  private var end: Int32?
  /// Whether a test ended it, as opposed to itself.
  public private(set) var wasKilled = false

  /// More than all tests together have open.
  private static let descriptorsMax: Int32 = 8_192

  /// Starts it; both of its outputs go to a file.
  public init(_ executable: String, _ arguments: [String], log: URL) throws {
    self.log = log
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
    // Of others' connections the child must not keep an end; what isn't open is passed over.
    for descriptor in (STDERR_FILENO + 1)..<Self.descriptorsMax {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The threads of tests block signals, which a child would inherit.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    // It may be asked for before the child has opened it.
    try Data().write(to: log)
    let texts = ([executable] + arguments).map { strdup($0) }
    defer { for text in texts { free(text) } }
    var process: pid_t = 0
    let error = posix_spawn(&process, executable, &actions, &attributes, texts + [nil], environ)
    guard error == 0 else { throw Failure("cannot run \(executable): \(String(cString: strerror(error)))") }
    self.process = process
  }

  deinit { kill() }

  /// Whether it has not ended.
  public var isRunning: Bool {
    var status: Int32 = 0
    if end == nil, waitpid(process, &status, WNOHANG) == process { end = status }
    return end == nil
  }

  /// What it has written.
  public var text: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

  /// kill -9, and waits until it is gone.
  public func kill() {
    guard isRunning else { return }
    wasKilled = true
    signal(SIGKILL)
    var status: Int32 = 0
    while waitpid(process, &status, 0) == -1, errno == EINTR {}
    end = status
  }

  /// Sends it a signal, if it runs.
  public func signal(_ number: Int32) { if isRunning { Foundation.kill(process, number) } }

  /// Its exit status, once it has ended by itself.
  public func status(within seconds: Double) throws -> Int32 {
    try waitUntil("\(log.lastPathComponent) ends", seconds: seconds) { !isRunning }
    let end = end ?? 0
    // As <sys/wait.h> has WIFEXITED, WEXITSTATUS and WTERMSIG.
    return end & 0x7F == 0 ? (end >> 8) & 0xFF : 128 + (end & 0x7F)
  }
}

/// What a test can't go on with.
public struct Failure: Error, CustomStringConvertible {
  /// Why.
  public let description: String

  /// From its reason.
  public init(_ description: String) { self.description = description }
}

/// Waits for a condition. Only a hang meets the deadline.
public func waitUntil(
  _ what: @autoclosure () -> String, seconds: Double = 30, _ condition: () throws -> Bool
) throws {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while try !condition() {
    guard ContinuousClock.now < deadline else { throw Failure("waited in vain until \(what())") }
    usleep(5_000)
  }
}
