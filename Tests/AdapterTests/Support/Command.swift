import Foundation

/// A program of this machine that tests compare with.
enum Command {
  struct Failed: Error, CustomStringConvertible {
    var description: String
  }

  /// Where a program is, or nil: tests that need it are skipped with its name.
  static func find(_ name: String) -> String? {
    if name.contains("/") { return FileManager.default.isExecutableFile(atPath: name) ? name : nil }
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
    return folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// The Python of the test environment, else the system's.
  static let python = find(ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3")

  /// Runs a program to its end and gives its standard output.
  @discardableResult
  static func run(_ path: String, _ arguments: [String]) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failed(
        description: "\(path) \(arguments.joined(separator: " ")) ended with \(process.terminationStatus)")
    }
    return [UInt8](data)
  }
}
