import Foundation

/// A directory that is gone with its owner.
final class TemporaryDirectory {
  let path = FileManager.default.temporaryDirectory.path + "/eventlog-\(UUID().uuidString)"

  init() {
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
