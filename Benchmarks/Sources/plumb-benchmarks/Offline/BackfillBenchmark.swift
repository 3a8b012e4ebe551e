import Foundation

/// Filling stores from the past: from the topic, from an archive, from files; and taking snapshots out as Parquet.
struct BackfillBenchmark {
  private let options: Options
  private let folder: URL
  private let site: Site
  /// The same definitions, but with a snapshot for every event.
  private let everyEvent: String

  init(_ options: Options, folder: URL) throws {
    self.options = options
    self.folder = folder
    everyEvent = folder.appendingPathComponent("every-event.yaml").path
    let definitions = try String(contentsOfFile: OfflineInput.definitions, encoding: .utf8)
    try definitions.replacing("name: training", with: "name: everyevent")
      .replacing("entity: user_id", with: "entity: user_id\n    emit: event")
      .write(toFile: everyEvent, atomically: false, encoding: .utf8)
    site = try Site(options, topics: ["clicks"])
  }

  func run() throws {
    defer { site.stop() }
    _ = try plumb(
      [
        "generate", "--events", "\(options.events)", "--malformed", "0", "--density", "0.4", "--topic",
        "clicks",
        "--brokers", site.brokers,
      ])
    for definitions in [OfflineInput.definitions, everyEvent] {
      _ = try plumb(["topics", "apply", "-d", definitions, "--brokers", site.brokers])
      _ = try plumb(["run", "-d", definitions] + stores + ["--until", "end"])
    }
    let start =
      (0..<max(1, options.repetitions)).compactMap { _ in try? plumb(["--version"]).seconds }.min() ?? 0
    print(
      "\n\(options.events) events in \(Site.partitions) partitions, 12 features, best of \(options.repetitions), "
        + "the start of \(decimals(start, 2)) s included:\n\n"
        + "| | things | things/s | CPU µs a thing | peak MB |\n|---|---|---:|---:|---:|")
    for job in jobs { try measure(job) }
  }

  /// What is measured; removes before each run what the last one left.
  private struct Job {
    let name: String
    let things: String
    let arguments: [String]
    var removes: String?
  }

  private var jobs: [Job] {
    let definitions = ["-d", OfflineInput.definitions]
    let topic = definitions + ["--brokers", site.brokers]
    let archive = folder.appendingPathComponent("archive").path
    let export = folder.appendingPathComponent("export").path
    let features = ["--features-at", "end", "--out", folder.appendingPathComponent("features.csv").path]
    return [
      Job(
        name: "topic into Redis: `replay --into redis`", things: "events",
        arguments: ["replay"] + definitions + stores + ["--into", "redis", "--from", "beginning"]),
      Job(
        name: "the same with two workers", things: "events",
        arguments: ["replay"] + definitions + stores
          + ["--into", "redis", "--from", "beginning", "--workers", "2"]),
      Job(
        name: "topic into an archive: `archive`", things: "events",
        arguments: ["archive"] + topic + ["--out", archive, "--until", "end"], removes: archive),
      Job(
        name: "archive into Redis: `replay --into redis --archive`", things: "events",
        arguments: ["replay"] + definitions + stores
          + ["--into", "redis", "--from", "beginning", "--archive", archive]),
      Job(
        name: "archive into features: `replay --features-at`", things: "events",
        arguments: ["replay"] + definitions + ["--events", "\(archive)/clicks"] + features),
      Job(
        name: "topic against snapshots and Redis: `verify`", things: "events",
        arguments: ["verify"] + definitions + stores),
      Job(
        name: "the same, events from the archive", things: "events",
        arguments: ["verify"] + definitions + stores + ["--archive", archive]),
      Job(
        name: "snapshots into Parquet: `export`", things: "snapshots",
        arguments: [
          "export", "-d", everyEvent, "--brokers", site.brokers, "--out", export, "--until", "end",
        ],
        removes: export),
    ]
  }

  private var stores: [String] { ["--brokers", site.brokers, "--redis", "unix://\(site.redisPath)"] }

  private func plumb(_ arguments: [String]) throws -> Command { try Command.run(options.plumb, arguments) }

  private func measure(_ job: Job) throws {
    var runs: [Command] = []
    for _ in 0..<options.repetitions {
      if let path = job.removes { try? FileManager.default.removeItem(atPath: path) }
      runs.append(try plumb(job.arguments))
    }
    let seconds = runs.map(\.seconds).min() ?? 0
    let cpu = (runs.map(\.cpuSeconds).min() ?? 0) * 1e6 / Double(options.events)
    let peak = Double(runs.map(\.peakBytes).max() ?? 0) / 1e6
    print(
      "| \(job.name) | \(job.things) | \(decimals(Double(options.events) / seconds, 0)) | \(decimals(cpu, 2)) "
        + "| \(decimals(peak, 0)) |")
  }
}
