import Foundation

/// A program that a test runs beside itself. It is killed when the test lets go of it, stopped or not.
final class ChildProcess {
  /// Where both of its outputs go.
  let log: URL
  private let process = Process()
  /// Whether a test ended it, as opposed to itself.
  private(set) var wasKilled = false

  init(_ executable: String, _ arguments: [String], log: URL) throws {
    self.log = log
    try Data().write(to: log)
    let output = try FileHandle(forWritingTo: log)
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
  }

  deinit { kill() }

  var isRunning: Bool { process.isRunning }

  var text: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

  /// kill -9, and waits until it is gone.
  func kill() {
    if process.isRunning {
      wasKilled = true
      signal(SIGKILL)
    }
    process.waitUntilExit()
  }

  func signal(_ number: Int32) { Foundation.kill(process.processIdentifier, number) }

  /// Its exit status, once it has ended by itself.
  func status(within seconds: Double) throws -> Int32 {
    try waitUntil("\(log.lastPathComponent) ends", seconds: seconds) { !process.isRunning }
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
  }
}

/// What a test can't go on with.
struct Failure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Waits for a condition. Only a hang meets the deadline.
func waitUntil(
  _ what: @autoclosure () -> String, seconds: Double = 30, _ condition: () throws -> Bool
) throws {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while try !condition() {
    guard ContinuousClock.now < deadline else { throw Failure("waited in vain until \(what())") }
    usleep(5_000)
  }
}
