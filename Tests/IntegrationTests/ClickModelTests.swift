import Foundation
import TestSupport
import Testing

extension Journeys {
  /// `./examples/ctr/run` at a tenth of its size, with everything killed on the way.
  @Suite(
    .enabled(
      if: Python.has("lightgbm", "pandas", "pyarrow", "urllib3"),
      "Python lacks lightgbm, pandas, pyarrow or urllib3: PLUMB_PYTHON names one that has them"))
  struct ClickModelTests {}
}

extension Journeys.ClickModelTests {
  /// The service, the feature server and the follower of triggers are killed amid serving, and again while a model is trained: the
  /// trigger fires at the hop and for the values that it has without kills, and every claim of the example holds.
  @Test func killsChangeNothingOfWhatAModelGoesThrough() async throws {
    try await Integration.expectNone {
      let run = try Run()
      // What a run without kills says, on any machine.
      let said = [
        "2026-01-03T20:30:00Z  trigger worse for 2026-01-03T19:30:00Z: {'auc_6h': 0.467894",
        "2026-01-03T14:00  v1     0.711  0.740     1.245        0.472",
        "2026-01-04T02:00  v2     0.615  0.803     1.053        0.387",
      ]
      for moment in ["v1 serves", "trigger worse"] {
        try waitUntil("\(moment): \(run.text)", seconds: 300) { run.text.contains(moment) || !run.isRunning }
        try run.killPlumb()
      }
      let status = try run.status(within: 300)
      var problems = run.leftovers()
      if status != 0 { problems.append("exit status \(status)") }
      problems += said.filter { !run.text.contains($0) }.map { "not said: \($0)" }
      let restarts = run.restarts()
      if restarts != 6 { problems.append("\(restarts) processes have begun again") }
      return problems.isEmpty ? [] : problems + [run.text]
    }
  }

  @Test(arguments: [SIGINT, SIGKILL])
  func nothingIsLeftBehind(_ signal: Int32) async throws {
    try await Integration.expectNone {
      let run = try Run()
      // The shop is at work, and so is everything else.
      try waitUntil("it runs: \(run.text)", seconds: 60) {
        run.text.contains("== three days") || !run.isRunning
      }
      run.send(signal)
      let status = try run.status(within: 60)
      return run.leftovers() + (status == 128 + signal ? [] : ["exit status \(status): \(run.text)"])
    }
  }

  @Test func saysWhatIsMissing() async throws {
    try await Integration.expectNone {
      let run = try Run(python: "/bin/false")
      let status = try run.status(within: 60)
      let isTold = run.text.contains("lacks a package of ") && run.text.contains("requirements.txt")
      return run.leftovers() + (status == 1 && isTold ? [] : ["exit status \(status): \(run.text)"])
    }
  }
}

/// A run of the script, in a folder that goes away with it.
private final class Run {
  private let folder: URL
  private let script: ChildProcess
  private static let restarting = "killed; running it again"
  /// The helpers that the script begins again.
  private static let helpers = ["service", "serve", "on-trigger"]

  init(python: String = Python.executable) throws {
    // Short: the address of a Unix socket holds 107 bytes.
    var template = Array("/tmp/plumb-ctr-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure("cannot make a folder: errno \(errno)") }
    folder = URL(fileURLWithPath: String(cString: made), isDirectory: true)
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    script = try ChildProcess(
      "/usr/bin/env",
      [
        "PLUMB_CTR_WORK=\(folder.path)/work", "PLUMB_CTR_SCALE=0.1", "PLUMB_CTR_PYTHON=\(python)",
        "PLUMB_BINARY=\(Site.binary)", root.appendingPathComponent("examples/ctr/run").path,
      ], log: folder.appendingPathComponent("log"))
  }

  deinit {
    for process in processes() { kill(process.pid, SIGKILL) }
    script.kill()
    try? FileManager.default.removeItem(at: folder)
  }

  var text: String { script.text }
  var isRunning: Bool { script.isRunning }

  func send(_ signal: Int32) { script.signal(signal) }

  func status(within seconds: Double) throws -> Int32 { try script.status(within: seconds) }

  /// kill -9 of what folds, what serves and what follows the triggers.
  func killPlumb() throws {
    var victims: [Process] = []
    try waitUntil("all helpers run: \(text)") {
      victims = processes().filter {
        $0.arguments.count > 1 && $0.arguments[0] == Site.binary
          && ["run", "serve", "on-trigger"].contains($0.arguments[1])
      }
      return victims.count == Self.helpers.count || !isRunning
    }
    for victim in victims { kill(victim.pid, SIGKILL) }
  }

  func restarts() -> Int {
    Self.helpers.reduce(0) { count, name in
      let log = try? String(
        contentsOf: folder.appendingPathComponent("work/\(name).log"), encoding: .utf8)
      return count + (log?.ranges(of: Self.restarting).count ?? 0)
    }
  }

  /// Processes that are there though the script has ended.
  func leftovers() -> [String] {
    try? waitUntil("no process is left", seconds: 20) { processes().isEmpty }
    return processes().map { "left running: \($0.arguments.joined(separator: " "))" }
  }

  private struct Process {
    var pid: pid_t
    var arguments: [String]
  }

  /// Those that have inherited the folder's name; redis-server writes over its environment, but has it in its name.
  private func processes() -> [Process] {
    let sign = Data("\(folder.path)/work".utf8)
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.compactMap { pid_t($0) }.compactMap { pid in
      func bytes(_ file: String) -> Data {
        (try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/\(file)"))) ?? Data()
      }
      let line = bytes("cmdline")
      guard bytes("environ").range(of: sign) != nil || line.range(of: sign) != nil else { return nil }
      return Process(
        pid: pid, arguments: line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
    }
  }
}
