import Foundation

/// The offline side, by its commands: training rows, files, memory, backfills and exports.
enum OfflineBenchmark {
  static let groups: Set<String> = ["training", "memory", "backfill", "files"]

  /// Runs what the options name.
  static func run(_ options: Options) throws {
    guard !options.groups.isDisjoint(with: groups) else { return }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-offline-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    if options.groups.contains("training") { try TrainingBenchmark(options, folder: folder).run() }
    if options.groups.contains("files") { try FilesBenchmark(options, folder: folder).run() }
    if options.groups.contains("backfill") { try BackfillBenchmark(options, folder: folder).run() }
    if options.groups.contains("memory") { try MemoryBenchmark(options, folder: folder).run() }
  }
}
