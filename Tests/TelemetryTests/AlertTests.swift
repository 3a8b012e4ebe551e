import Foundation
import Testing

/// Where Debian's prometheus puts it.
private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

/// The alerts that are shipped, against what the service's metrics did in recorded faults.
@Suite(.enabled(if: promtool != nil, "promtool is missing: install Debian's prometheus to run these tests"))
struct AlertTests {
  @Test func alertsFireInRecordedFaults() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: try #require(promtool))
    process.arguments = ["test", "rules", "alerts.test.yaml"]
    process.currentDirectoryURL = root.appendingPathComponent("Compose")
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(text)")
  }
}
