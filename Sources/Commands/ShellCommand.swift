import Glibc
public import Processor

/// A command as a child process in a group of its own. One thread.
///
/// It holds a lock for as long as it runs, by a descriptor that it inherits: when this process is killed and begins again, the lock tells
/// that the command of the killed one still runs.
public final class ShellCommand: CommandPort {
  private let arguments: [String]
  private let lock: Int32
  private let say: (String) -> Void
  private var process: pid_t = 0
  /// What was wrong at the start.
  private var problem: String?
  /// Both of its outputs; -1 if none is open.
  private var output: Int32 = -1
  private var input: Int32 = -1
  private var pending: ArraySlice<UInt8> = []
  private var line: [UInt8] = []
  private var lastLine: [UInt8] = []

  /// `lockPath` is a file that is made; `say` is told every line that the command prints.
  public init(
    _ arguments: [String], lockPath: String, say: @escaping (String) -> Void
  ) throws(ProcessorError) {
    self.arguments = arguments
    self.say = say
    // A command that reads nothing must not end this process.
    signal(SIGPIPE, SIG_IGN)
    lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard lock >= 0 else {
      throw ProcessorError(
        remedy: .stop,
        description: "\(lockPath) cannot be opened: \(Self.error()); set TMPDIR to a folder that is writable")
    }
  }

  deinit {
    if process > 0 { kill() }
    _ = close(lock)
  }

  /// See `CommandPort`.
  public func isFree() -> Bool { flock(lock, LOCK_EX | LOCK_NB) == 0 }

  /// See `CommandPort`.
  public func start(input text: [UInt8], environment: [String: String]) {
    precondition(process == 0, "Cannot run two commands at a time")
    (problem, line, lastLine, pending) = (nil, [], [], text[...])
    var (toChild, fromChild): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else {
      problem = "no pipe: \(Self.error())"
      return
    }
    (input, output) = (toChild[1], fromChild[0])
    for descriptor in [input, output] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
    let code = spawn(stdin: toChild[0], stdout: fromChild[1], environment)
    _ = close(toChild[0])
    _ = close(fromChild[1])
    if code != 0 { problem = "\(arguments[0]): \(String(cString: strerror(code)))" }
  }

  /// The descriptor that the child has the lock by.
  private static let childLock: Int32 = 3

  private func spawn(stdin: Int32, stdout: Int32, _ environment: [String: String]) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, stdin, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, stdout, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, stdout, STDERR_FILENO)
    posix_spawn_file_actions_adddup2(&actions, lock, Self.childLock)
    for descriptor in Self.openDescriptors where descriptor > Self.childLock {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    // What this process ignores or handles is nothing to the command.
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var variables: [UnsafeMutablePointer<CChar>?] = []
    var next = environ
    while let variable = next.pointee {
      let name = String(cString: variable).prefix { $0 != "=" }
      if environment[String(name)] == nil { variables.append(strdup(variable)) }
      next += 1
    }
    variables += environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for text in variables + words { free(text) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, arguments[0], &actions, &attributes, &words, &variables)
    if code == 0 { process = child }
    return code
  }

  /// See `CommandPort`.
  public func poll() -> CommandEnd? {
    if let problem { return ended(CommandEnd(problem: problem)) }
    feed()
    drain()
    var status: Int32 = 0
    guard waitpid(process, &status, WNOHANG) == process else { return nil }
    // What it has left behind in its group would run beside the next one.
    _ = Glibc.kill(-process, SIGKILL)
    drain()
    if !line.isEmpty { endLine() }
    process = 0
    // As <sys/wait.h> has WIFEXITED, WEXITSTATUS and WTERMSIG.
    let signal = status & 0x7F
    return ended(
      signal == 0 ? CommandEnd(exitStatus: (status >> 8) & 0xFF) : CommandEnd(signal: signal))
  }

  /// See `CommandPort`.
  public func terminate() { if process > 0 { _ = Glibc.kill(-process, SIGTERM) } }

  /// See `CommandPort`.
  public func kill() { if process > 0 { _ = Glibc.kill(-process, SIGKILL) } }

  private func ended(_ end: CommandEnd) -> CommandEnd {
    var end = end
    end.lastLine = String(decoding: lastLine, as: UTF8.self)
    for descriptor in [input, output] where descriptor >= 0 { _ = close(descriptor) }
    (input, output, problem) = (-1, -1, nil)
    // For all who have inherited it, too.
    _ = flock(lock, LOCK_UN)
    return end
  }

  /// Hands over what fits, and closes its standard input behind the last byte.
  private func feed() {
    guard input >= 0 else { return }
    while !pending.isEmpty {
      let count = pending.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { return }
      // It reads no more.
      guard count > 0 else { break }
      pending = pending.dropFirst(count)
    }
    _ = close(input)
    input = -1
  }

  private func drain() {
    guard output >= 0 else { return }
    withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 1) { buffer in
      while true {
        let count = read(output, buffer.baseAddress, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        for byte in buffer[..<count] {
          if byte == UInt8(ascii: "\n") {
            endLine()
          } else if line.count < CommandEnd.lineBytesMax {
            line.append(byte)
          }
        }
      }
    }
  }

  private func endLine() {
    say(String(decoding: line, as: UTF8.self))
    if !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { lastLine = line }
    line.removeAll(keepingCapacity: true)
  }

  /// What is open in this process: connections to brokers too, of which the command must not keep an end.
  private static var openDescriptors: [Int32] {
    guard let folder = opendir("/proc/self/fd") else { return [] }
    defer { closedir(folder) }
    var found: [Int32] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let descriptor = Int32(name) { found.append(descriptor) }
    }
    return found
  }

  private static func error() -> String { String(cString: strerror(errno)) }
}
