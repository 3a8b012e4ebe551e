import Foundation
import Testing
import TestSupport

extension Journeys {
  /// `./Compose/demo` with the binary under test. However it ends, nothing is left behind.
  @Suite struct DemoTests {}
}

extension Journeys.DemoTests {
  @Test func verifiesWhatItDid() async throws {
    try await Integration.expectNone {
      let demo = try Demo(["--for", "5s", "--rate", "300"])
      let status = try demo.status(within: 120)
      var problems = try demo.leftovers()
      if status != 0 { problems.append("exit status \(status)") }
      if !demo.text.contains(": no difference\n") || !demo.text.contains("== verified") {
        problems.append("nothing was verified")
      }
      if !demo.text.contains(/[1-9][0-9]* answers of views .*: no difference/) {
        problems.append("no answer was verified")
      }
      if !demo.text.contains("item_popularity item_id=i1: impressions_1h ") {
        problems.append("no features were shown")
      }
      // What the database says: alone, and in a training row beside what the events say.
      if !demo.text.contains(#/"view":"user_profile".*"country":"[A-Z]{2}"/#)
        || !demo.text.contains(
          #/"user_activity__clicks_1h":\d+.*"user_profile__country":"[A-Z]{2}".*"item_profile__brand":"b/#)
      {
        problems.append("no rows of the database were shown")
      }
      return problems.isEmpty ? [] : problems + [demo.text]
    }
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGKILL])
  func endsAtASignal(_ signal: Int32) async throws {
    try await Integration.expectNone {
      let demo = try Demo(["--rate", "300"])
      try waitUntil("the demo runs: \(demo.text)", seconds: 60) {
        demo.text.contains("== watching") || !demo.isRunning
      }
      demo.send(signal)
      let status = try demo.status(within: 60)
      var problems = try demo.leftovers(isFolderKept: signal == SIGKILL)
      if status != 128 + signal { problems.append("exit status \(status) after signal \(signal)") }
      return problems.isEmpty ? [] : problems + [demo.text]
    }
  }

  @Test func saysWhyItFails() async throws {
    try await Integration.expectNone {
      let demo = try Demo(["--for", "5s"], binary: "/bin/false")
      let status = try demo.status(within: 60)
      var problems = try demo.leftovers()
      if status != 1 || !demo.text.contains("broker has ended") { problems.append("exit status \(status)") }
      return problems.isEmpty ? [] : problems + [demo.text]
    }
  }
}

/// A run of the script in a process group of its own, like a terminal's foreground job.
private final class Demo {
  private let mark = UUID().uuidString
  private let folder: URL
  private let shell: ChildProcess

  init(_ arguments: [String], binary: String = Site.binary) throws {
    // Short: the address of a Unix socket holds 107 bytes.
    var template = Array("/tmp/plumb-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure("cannot make a folder: errno \(errno)") }
    folder = URL(fileURLWithPath: String(cString: made), isDirectory: true)
    try FileManager.default.createDirectory(
      at: folder.appendingPathComponent("tmp"), withIntermediateDirectories: false)
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Compose/demo").path
    // The thread descends from one of the pool, which blocks signals; a child would inherit that.
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
    // With job control, the job has a group of its own and doesn't ignore SIGINT.
    let line =
      "'\(script)' \(arguments.joined(separator: " ")) & echo $! > '\(folder.path)/pid'; wait $!; exit $?"
    shell = try ChildProcess(
      "/usr/bin/env",
      [
        "DEMO_MARK=\(mark)", "TMPDIR=\(folder.path)/tmp", "PLUMB_BINARY=\(binary)", "bash", "-c",
        "set -m; \(line)",
      ], log: folder.appendingPathComponent("log"))
  }

  deinit {
    for pid in (try? marked()) ?? [] { kill(pid, SIGKILL) }
    shell.kill()
    try? FileManager.default.removeItem(at: folder)
  }

  var text: String { shell.text }
  var isRunning: Bool { shell.isRunning }

  func status(within seconds: Double) throws -> Int32 { try shell.status(within: seconds) }

  /// To the whole group, as a terminal does; kill -9 to the script alone.
  func send(_ signal: Int32) {
    let text = try? String(contentsOf: folder.appendingPathComponent("pid"), encoding: .utf8)
    guard let pid = text.flatMap({ pid_t($0.trimmingCharacters(in: .newlines)) }) else { return }
    kill(signal == SIGKILL ? pid : -pid, signal)
  }

  /// Processes and files that are there though the demo has ended.
  func leftovers(isFolderKept: Bool = false) throws -> [String] {
    // Those that are killed with the script need a moment.
    try? waitUntil("no process is left", seconds: 20) { try marked().isEmpty }
    let processes = try marked().map { pid in
      let line = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/cmdline"))
      return "left running: \(String(decoding: line ?? Data(), as: UTF8.self).replacing("\0", with: " "))"
    }
    if isFolderKept { return processes }
    let files = try FileManager.default.contentsOfDirectory(
      atPath: folder.appendingPathComponent("tmp").path)
    return processes + files.map { "left behind: \($0)" }
  }

  /// Processes that have inherited the mark, or that name the folder: redis-server writes over its environment.
  private func marked() throws -> [pid_t] {
    let signs = [("environ", "DEMO_MARK=\(mark)"), ("cmdline", "\(folder.path)/tmp/")]
    return try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter {
      pid in
      signs.contains { file, sign in
        let bytes = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/\(file)"))
        return bytes.map { $0.range(of: Data(sign.utf8)) != nil } ?? false
      }
    }
  }
}
