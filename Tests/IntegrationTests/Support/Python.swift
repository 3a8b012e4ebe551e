import Foundation

/// The Python that some tests compare with.
enum Python {
  static let executable = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"

  /// The one that has Feast, which needs older packages than the other tests.
  static let feast = ProcessInfo.processInfo.environment["PLUMB_FEAST_PYTHON"] ?? executable

  static let scripts = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Python").path

  /// Whether it has some modules.
  static func has(_ modules: String...) -> Bool {
    (try? run(["-c", "import \(modules.joined(separator: ", "))"]).status) == 0
  }

  /// Runs it to its end; the output is of both streams.
  static func run(
    _ arguments: [String], with executable: String = executable
  ) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [executable, "-B"] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }
}
