import Foundation
import Testing

/// A folder of its own in which the real binary runs. It goes away with its last reference.
final class Workspace {
  /// How a run ended.
  struct Result {
    var status: Int32
    var output: String
    var error: String
  }

  struct Missing: Error, CustomStringConvertible {
    var description: String
  }

  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The binary under test.
  static let binary =
    ProcessInfo.processInfo.environment["PLUMB_BINARY"]
    ?? root.appendingPathComponent(".build/debug/plumb").path

  let url: URL

  init() throws {
    guard FileManager.default.isExecutableFile(atPath: Self.binary) else {
      throw Missing(description: "There is no binary at \(Self.binary): build it, or set PLUMB_BINARY.")
    }
    url = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-cli-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// Runs plumb in the folder, with the standard input from a file of it.
  func plumb(_ arguments: String..., input: String = "/dev/null") throws -> Result {
    try run(Self.binary, arguments, input: input)
  }

  /// Runs plumb, which must succeed.
  @discardableResult
  func done(
    _ arguments: String..., input: String = "/dev/null", _ location: SourceLocation = #_sourceLocation
  ) throws -> String {
    let result = try run(Self.binary, arguments, input: input)
    try #require(result.status == 0, "\(result.error)", sourceLocation: location)
    return result.output
  }

  /// Runs a line of shell in the folder; `$PLUMB` is the binary.
  func shell(_ line: String) throws -> Result { try run("/bin/bash", ["-c", line], input: "/dev/null") }

  /// Runs a program to its end. Its outputs go to files, so that no full pipe can stop it.
  func run(_ path: String, _ arguments: [String], input: String = "/dev/null") throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.currentDirectoryURL = url
    process.environment = ProcessInfo.processInfo.environment.merging(["PLUMB": Self.binary]) { $1 }
    let logs = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-log-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: logs, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: logs) }
    let inputURL = input.hasPrefix("/") ? URL(fileURLWithPath: input) : url.appendingPathComponent(input)
    process.standardInput = try FileHandle(forReadingFrom: inputURL)
    process.standardOutput = try emptyFile(logs.appendingPathComponent("output"))
    process.standardError = try emptyFile(logs.appendingPathComponent("error"))
    try process.run()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus,
      output: String(decoding: try Data(contentsOf: logs.appendingPathComponent("output")), as: UTF8.self),
      error: String(decoding: try Data(contentsOf: logs.appendingPathComponent("error")), as: UTF8.self))
  }

  private func emptyFile(_ file: URL) throws -> FileHandle {
    try Data().write(to: file)
    return try FileHandle(forWritingTo: file)
  }

  func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: url.appendingPathComponent(name))
  }

  func read(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: url.appendingPathComponent(name)), as: UTF8.self)
  }

  /// The names in the folder, hidden ones too.
  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
  }
}
