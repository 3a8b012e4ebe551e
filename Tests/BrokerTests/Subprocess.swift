// The importer attributes the socket constants to the module it meets first, and this is one that has them.
import CRDKafka
import Glibc

/// A program run by a test, its standard output read through a pipe.
final class Subprocess {
  private var pid: pid_t = 0
  private var output: Int32 = -1
  private var buffered: [UInt8] = []
  private var isRunning = true

  struct Failed: Error { var reason: String }

  /// Starts a program, found by its path; standard error goes where the test's goes unless it is joined.
  init(_ path: String, _ arguments: [String], input: String? = nil, joinError: Bool = false) throws {
    let pipes = try Self.pair()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
    if joinError { posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO) }
    var feed: [Int32] = [-1, -1]
    if input != nil {
      feed = try Self.pair()
      posix_spawn_file_actions_adddup2(&actions, feed[0], STDIN_FILENO)
    } else {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    }
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    let status = posix_spawnp(&pid, path, &actions, nil, &argv, environ)
    close(pipes[1])
    output = pipes[0]
    if let input {
      close(feed[0])
      _ = input.withCString { write(feed[1], $0, strlen($0)) }
      close(feed[1])
    }
    guard status == 0 else {
      throw Failed(reason: "cannot run \(path): \(String(cString: strerror(status)))")
    }
  }

  deinit {
    if isRunning { kill(SIGKILL) }
    close(output)
  }

  /// The next line, or nil at the end.
  func readLine() -> String? {
    while true {
      if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
        defer { buffered.removeFirst(end + 1) }
        return String(decoding: buffered[..<end], as: UTF8.self)
      }
      guard fill() else { return nil }
    }
  }

  /// All that is left to read, and the exit status.
  func finish() -> (output: String, status: Int32) {
    while fill() {}
    return (String(decoding: buffered, as: UTF8.self), wait())
  }

  func kill(_ signal: Int32) {
    Glibc.kill(pid, signal)
    _ = wait()
  }

  /// Two connected ends that other children don't inherit. (pipe2 isn't imported.)
  private static func pair() throws -> [Int32] {
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, streamSocket | O_CLOEXEC, 0, &ends) == 0 else {
      throw Failed(reason: "no pipe: \(String(cString: strerror(errno)))")
    }
    return ends
  }

  private func fill() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let count = read(output, &chunk, chunk.count)
    guard count > 0 else { return false }
    buffered += chunk[..<count]
    return true
  }

  private func wait() -> Int32 {
    guard isRunning else { return 0 }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    isRunning = false
    return (status & 0x7F) == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
  }
}

/// SOCK_STREAM, by its number: whether the name is visible depends on which C modules were read first.
let streamSocket: Int32 = 1

/// Environment variables as strings.
func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// What this process has in memory.
func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 128)
  guard fgets(&line, 128, file) != nil else { return 0 }
  let fields = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }.split(separator: UInt8(ascii: " "))
  return (Int(String(decoding: fields[1], as: UTF8.self)) ?? 0) * 4_096
}
