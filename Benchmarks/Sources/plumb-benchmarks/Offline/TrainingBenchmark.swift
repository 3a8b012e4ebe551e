import Foundation

/// Training rows: Plumbline against programs that do the same join of the same files with DuckDB, Polars and pandas.
struct TrainingBenchmark {
  private let options: Options
  private let folder: URL
  private let input: OfflineInput

  private static let peers = [("DuckDB", "duckdb"), ("Polars", "polars"), ("pandas", "pandas")]
  private static let imports = [
    "duckdb": "import duckdb", "polars": "import polars",
    "pandas": "import numpy, pandas, pyarrow, pyarrow.json, pyarrow.parquet",
  ]

  init(_ options: Options, folder: URL) throws {
    self.options = options
    self.folder = folder
    input = try OfflineInput(options, folder: folder, events: options.events, users: 100_000)
  }

  func run() throws {
    defer { input.remove() }
    let plumb = Race.Entry(
      name: "Plumbline", path: options.plumb,
      arguments: [
        "training-set", "-d", OfflineInput.definitions, "--spine", input.spine, "--as", "happened",
        "--events", input.events, "--out", output("plumb"),
      ], start: ["--version"])
    let peers = Self.peers.map { name, module in
      Race.Entry(
        name: name, path: options.python,
        arguments: ["Benchmarks/Peers/\(module)_rows.py", input.events, input.spine, output(module)],
        start: ["-c", Self.imports[module] ?? ""])
    }
    let results = try Race.run([plumb] + peers, repetitions: options.repetitions)
    _ = try Command.run(
      options.python,
      ["Benchmarks/Peers/compare_rows.py", output("plumb")] + Self.peers.map { output($0.1) })
    let versions = try Command.run(
      options.python,
      [
        "-c",
        "import sys, duckdb, polars, pandas as p; "
          + "sys.stderr.write(f'DuckDB {duckdb.__version__}, Polars {polars.__version__}, pandas {p.__version__}')",
      ]
    ).message
    print(
      "\n\(versions)\n\(OfflineInput.rows) training rows of 12 features from \(options.events) events, best of "
        + "\(options.repetitions) in turns, all files the same:\n\n"
        + "| | seconds | of these to start | rows/s without start | x Plumbline | CPU seconds | peak MB |\n"
        + "|---|---:|---:|---:|---:|---:|---:|")
    for result in results { printRow(result, of: results[0]) }
  }

  private func output(_ name: String) -> String { folder.appendingPathComponent("\(name).parquet").path }

  private func printRow(_ result: Race.Result, of plumb: Race.Result) {
    let cells = [
      decimals(result.seconds, 2), decimals(result.start, 2),
      decimals(Double(OfflineInput.rows) / result.job, 0), decimals(result.job / plumb.job, 2),
      decimals(result.cpuSeconds, 2), decimals(Double(result.peakBytes) / 1e6, 0),
    ]
    print("| \(result.name) | \(cells.joined(separator: " | ")) |")
  }
}
