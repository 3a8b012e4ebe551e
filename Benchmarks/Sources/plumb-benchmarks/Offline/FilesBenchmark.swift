import Foundation

/// Features at the end of a file of events, in every form that a file may have: Plumbline against programs that compute the
/// same with DuckDB and Polars.
struct FilesBenchmark {
  private struct Form {
    var name: String
    var file: String
    var definitions = OfflineInput.definitions
  }

  private let options: Options
  private let folder: URL
  private let input: OfflineInput

  private static let peers = [("DuckDB", "duckdb"), ("Polars", "polars")]

  init(_ options: Options, folder: URL) throws {
    self.options = options
    self.folder = folder
    input = try OfflineInput(options, folder: folder, events: options.events, users: 100_000)
  }

  func run() throws {
    defer { input.remove() }
    _ = try Command.run(options.python, ["Benchmarks/Peers/write_forms.py", input.events, folder.path])
    let forms = [
      Form(name: "NDJSON", file: input.events),
      Form(
        name: "NDJSON, nested", file: path("nested.ndjson"), definitions: "Benchmarks/Peers/nested.yaml"),
      Form(name: "CSV", file: path("events.csv")), Form(name: "Parquet", file: path("events.parquet")),
    ]
    print(
      "\n12 features of each user at the end of \(options.events) events, best of \(options.repetitions) in turns, all "
        + "files the same:\n\n"
        + "| | | MB | seconds | of these to start | CPU seconds | events/s of CPU | x Plumbline, seconds | x Plumbline, CPU | peak MB |\n"
        + "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for form in forms { try measure(form) }
    for form in forms.dropFirst() { try? FileManager.default.removeItem(atPath: form.file) }
  }

  private func measure(_ form: Form) throws {
    let plumb = Race.Entry(
      name: "Plumbline", path: options.plumb,
      arguments: [
        "replay", "-d", form.definitions, "--events", form.file, "--features-at", "end", "--out",
        path("plumb.parquet"),
      ], start: ["--version"])
    let peers = Self.peers.map { name, module in
      Race.Entry(
        name: name, path: options.python,
        arguments: ["Benchmarks/Peers/\(module)_features.py", form.file, path("\(module).parquet")],
        start: ["-c", "import \(module)"])
    }
    let results = try Race.run([plumb] + peers, repetitions: options.repetitions)
    _ = try Command.run(
      options.python,
      ["Benchmarks/Peers/compare_rows.py", path("plumb.parquet")]
        + Self.peers.map { path("\($0.1).parquet") })
    let bytes = try FileManager.default.attributesOfItem(atPath: form.file)[.size] as? Int ?? 0
    for result in results {
      let cells = [
        decimals(Double(bytes) / 1e6, 0), decimals(result.seconds, 2), decimals(result.start, 2),
        decimals(result.cpuSeconds, 2), decimals(Double(options.events) / result.cpuSeconds, 0),
        decimals(result.job / results[0].job, 2), decimals(result.cpuSeconds / results[0].cpuSeconds, 2),
        decimals(Double(result.peakBytes) / 1e6, 0),
      ]
      print("| \(form.name) | \(result.name) | \(cells.joined(separator: " | ")) |")
    }
  }

  private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
}
