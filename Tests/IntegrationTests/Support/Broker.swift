import Foundation
import TestSupport

/// The Kafka of a test: a local broker of its own, or the one that PLUMB_TEST_BROKERS names.
final class Broker {
  static let external = ProcessInfo.processInfo.environment["PLUMB_TEST_BROKERS"]

  /// How long a member of a group may be silent: Kafka's brokers refuse less than 6 s unless they are told otherwise.
  static let sessionMilliseconds = external == nil ? 1_000 : 6_000

  private(set) var address: String
  private let folder: URL
  private var process: ChildProcess?

  init(in folder: URL) throws {
    self.folder = folder
    address = Self.external ?? ""
    if Self.external == nil { try start(port: "0") }
  }

  /// kill -9.
  func kill() {
    process?.kill()
    process = nil
  }

  /// Stops it without ending it, or lets it go on: its connections stay, and nobody answers.
  func freeze(_ isFrozen: Bool) { process?.signal(isFrozen ? SIGSTOP : SIGCONT) }

  /// Starts it anew at its old port, with what it has on its disk.
  func start() throws { try start(port: String(address.split(separator: ":").last ?? "")) }

  private func start(port: String) throws {
    let process = try ChildProcess(
      Site.binary,
      [
        "broker", "--port", port, "--data-dir", folder.appendingPathComponent("log").path,
        // As a cluster does it: a transaction's end is answered before its markers are written.
        "--min-session-timeout", "500", "--marker-delay", "20",
      ], log: folder.appendingPathComponent("broker.log"))
    self.process = process
    let mark = "listening on "
    try waitUntil("the broker listens: \(process.text)") {
      guard let line = process.text.split(separator: "\n").first(where: { $0.hasPrefix(mark) }) else {
        return false
      }
      address = String(line.dropFirst(mark.count))
      return true
    }
  }
}
