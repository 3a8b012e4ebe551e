import Foundation

/// The other programs' readers and writers, driven by `Python/interop.py`.
enum Python {
  struct Failed: Error, CustomStringConvertible {
    var description: String
  }

  static let why = "PLUMB_PYTHON names no Python that has pyarrow, duckdb, polars and pandas"
  static let isReady = (try? run(["check"])) != nil

  private static let script = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Python/interop.py").path

  /// Runs the script to its end; what it prints is the error.
  static func run(_ arguments: [String]) throws {
    guard let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] else {
      throw Failed(description: "PLUMB_PYTHON is not set")
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: python)
    process.arguments = [script] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failed(description: String(decoding: data, as: UTF8.self))
    }
  }
}
