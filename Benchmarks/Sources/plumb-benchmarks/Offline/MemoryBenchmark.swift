import Foundation

/// Memory at two sizes of input: the same entities and rows, ten times the events over ten times the time. What is
/// bounded by states needs about the same for both.
struct MemoryBenchmark {
  private let options: Options
  private let folder: URL

  init(_ options: Options, folder: URL) {
    self.options = options
    self.folder = folder
  }

  func run() throws {
    print(
      "\nPeak memory in MB, \(OfflineInput.rows) rows, 10,000 users:\n\n"
        + "| | \(options.events) events | \(options.events * 10) events | grows by |\n|---|---:|---:|---:|")
    let small = try measure(options.events)
    let large = try measure(options.events * 10)
    for (index, name) in ["training-set, as happened", "replay, features at the end"].enumerated() {
      let (before, after) = (megabytes(small[index]), megabytes(large[index]))
      print("| \(name) | \(decimals(before, 0)) | \(decimals(after, 0)) | \(decimals(after / before, 2)) x |")
    }
  }

  private func measure(_ events: Int) throws -> [Command] {
    let input = try OfflineInput(options, folder: folder, events: events, users: 10_000)
    defer { input.remove() }
    let out = folder.appendingPathComponent("out").path
    let rows = ["--spine", input.spine, "--as", "happened", "--out", "\(out).parquet"]
    let features = ["--features-at", "end", "--out", "\(out).csv"]
    let from = ["-d", OfflineInput.definitions, "--events", input.events]
    return [
      try Command.run(options.plumb, ["training-set"] + from + rows),
      try Command.run(options.plumb, ["replay"] + from + features),
    ]
  }

  private func megabytes(_ command: Command) -> Double { Double(command.peakBytes) / 1e6 }
}
