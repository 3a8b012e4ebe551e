import Foundation
import Testing
import TestSupport

/// `Tests/Mutations/run` takes hours and is run by hand; that its faults have their places is known at once.
@Suite struct MutationTests {
  private static let script = "Tests/Mutations/run"

  private func check(_ root: URL) throws -> (status: Int32, text: String) {
    let log = URL(fileURLWithPath: "/tmp/plumb-mutations-\(UUID().uuidString).log")
    defer { try? FileManager.default.removeItem(at: log) }
    let script = root.appendingPathComponent(Self.script).path
    let process = try ChildProcess("/usr/bin/env", ["python3", "-B", script, "--check"], log: log)
    return (try process.status(within: 120), process.text)
  }

  /// A mutation whose text is gone, or stands there twice, breaks nothing that a seed could find.
  @Test func everyMutationHasItsPlace() throws {
    let found = try check(SourceFile.root)
    #expect(found.status == 0, "\(found.text)")
  }

  /// Where there are no sources, none has.
  @Test func mutationsWithoutAPlaceAreNamed() throws {
    let folder = URL(fileURLWithPath: "/tmp/plumb-mutations-\(UUID().uuidString)", isDirectory: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let copy = folder.appendingPathComponent(Self.script)
    try FileManager.default.createDirectory(
      at: copy.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: SourceFile.root.appendingPathComponent(Self.script), to: copy)
    let found = try check(folder)
    #expect(found.status == 1 && found.text.contains("holds this 0 times, not once"), "\(found.text)")
  }
}
