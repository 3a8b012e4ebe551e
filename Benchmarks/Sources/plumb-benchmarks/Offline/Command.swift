import Foundation

/// A command that has run to its end, measured from outside: start and imports included.
struct Command {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// Wall-clock time.
  let seconds: Double
  /// Of both processors, in the process and in the kernel.
  let cpuSeconds: Double
  /// Memory at its peak. The kernel counts the parent's from before the program was loaded, too, so measure from a
  /// small process.
  let peakBytes: Int
  /// What it wrote to the standard error.
  let message: String

  /// Runs a command, which must succeed.
  static func run(_ path: String, _ arguments: [String]) throws -> Command {
    let log = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-offline-\(getpid()).log")
    defer { try? FileManager.default.removeItem(at: log) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(
      &actions, STDERR_FILENO, log.path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let words = ([path] + arguments).map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    var process: pid_t = 0
    let begin = steadySeconds()
    let code = posix_spawnp(&process, path, &actions, nil, words, environ)
    guard code == 0 else {
      throw Failure(description: "\(path) cannot be started: \(String(cString: strerror(code)))")
    }
    var status: Int32 = 0
    var usage = rusage()
    while wait4(process, &status, 0, &usage) < 0, errno == EINTR {}
    let seconds = steadySeconds() - begin
    let message = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
    guard status == 0 else {
      throw Failure(description: "\(([path] + arguments).joined(separator: " ")) failed: \(message)")
    }
    return Command(
      seconds: seconds, cpuSeconds: Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime),
      peakBytes: usage.ru_maxrss * 1024, message: message)
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000
  }
}

/// Commands that take turns, so that a busy neighbour slows all of them.
struct Race {
  struct Entry {
    let name: String
    let path: String
    let arguments: [String]
    /// Arguments with which the program only starts: what a job needs before it begins.
    let start: [String]
  }

  struct Result {
    let name: String
    var runs: [Command] = []
    var starts: [Double] = []
    /// The best run; waiting for a turn on a processor only ever adds.
    var seconds: Double { runs.map(\.seconds).min() ?? 0 }
    var start: Double { starts.min() ?? 0 }
    /// The best run without its start.
    var job: Double { seconds - start }
    var cpuSeconds: Double { runs.map(\.cpuSeconds).min() ?? 0 }
    var peakBytes: Int { runs.map(\.peakBytes).max() ?? 0 }
  }

  /// Runs each in turn, and that a few times after a first round that doesn't count: it brings the files into memory.
  static func run(_ entries: [Entry], repetitions: Int) throws -> [Result] {
    var results = entries.map { Result(name: $0.name) }
    for repetition in 0...repetitions {
      for (index, entry) in entries.enumerated() {
        let start = try Command.run(entry.path, entry.start).seconds
        let run = try Command.run(entry.path, entry.arguments)
        if repetition == 0 { continue }
        results[index].starts.append(start)
        results[index].runs.append(run)
      }
    }
    return results
  }
}
