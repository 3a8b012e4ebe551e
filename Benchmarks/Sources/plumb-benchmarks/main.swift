import Clickstream
import Foundation

/// What the command line asks for.
struct Options {
  var events = 1_000_000
  var repetitions = 7
  var manyUsers = 1_000_000
  /// The binary that `service` measures.
  var plumb = ".build/release/plumb"
  /// Milliseconds from a transaction's end to its markers, in `service`: 0 is the local broker's way, some are a cluster's.
  var markerDelay = 0
  /// A Python with duckdb, polars, pandas and pyarrow, for `training` and `files`.
  var python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"] ?? "python3"
  var groups: Set<String> = []
  private static let ownGroups: Set<String> = [
    "events", "folds", "states", "replay", "footprint", "parquet", "joins", "duplicates",
  ]
  /// Measured by name only: they need the release build of plumb and programs beside it.
  private static let siteGroups = OfflineBenchmark.groups.union(["service"])

  init(_ arguments: ArraySlice<String>) {
    var rest = arguments
    while let argument = rest.popFirst() {
      switch argument {
      case "--events": events = Self.number(rest.popFirst())
      case "--repetitions": repetitions = Self.number(rest.popFirst())
      case "--users": manyUsers = Self.number(rest.popFirst())
      case "--marker-delay": markerDelay = Self.number(rest.popFirst())
      case "--plumb": plumb = rest.popFirst() ?? ""
      case "--python": python = rest.popFirst() ?? ""
      case "offline": groups.formUnion(OfflineBenchmark.groups)
      case _ where Self.ownGroups.union(Self.siteGroups).contains(argument): groups.insert(argument)
      default: Self.exitWithUsage()
      }
    }
    if groups.isEmpty { groups = Self.ownGroups }
  }

  private static func number(_ text: String?) -> Int {
    guard let number = text.flatMap(Int.init), number > 0 else { exitWithUsage() }
    return number
  }

  private static func exitWithUsage() -> Never {
    FileHandle.standardError.write(
      Data(
        """
        usage: plumb-benchmarks [--events N] [--repetitions N] [--users N] [--plumb PATH] [--python PATH] [--marker-delay MS] \
        [events] [folds] [states] [replay] [footprint] [parquet] [joins] [duplicates] [service] [offline | training files memory backfill]

        """.utf8))
    exit(64)
  }
}

if CommandLine.arguments.dropFirst().first == "pipeline" {
  RawPipeline.main(CommandLine.arguments.dropFirst(2))
}
let options = Options(CommandLine.arguments.dropFirst())
// First, while this process is small: see `Command.peakBytes`.
try OfflineBenchmark.run(options)
if options.groups.isSubset(of: OfflineBenchmark.groups) { exit(0) }
// A week of events of 100,000 users: most of them come a few times.
let week = EventBytes.clickstream(
  events: options.events, users: 100_000, eventsPerSecond: Double(options.events) / (7 * 86_400))
let harness = Harness(repetitions: options.repetitions, baseline: week)
print(
  "\(options.events) events, \(week.bytes.count / week.count) bytes each; \(options.repetitions) repetitions; "
    + "baseline: \(decimals(week.splitTime(), 1)) ns to find the end of a line")

if options.groups.contains("service") {
  // Rush hour, and users drawn one by one: the latter leave little to be saved by writing a state once a commit.
  let scattered = ScatteredEvents.bytes(events: options.events, users: 100_000, gapMilliseconds: 100)
  try ServiceBenchmark.run(
    options,
    [
      .init(
        name: "visits",
        events: EventBytes.clickstream(events: options.events, users: 200_000, eventsPerSecond: 10_000)),
      .init(name: "scattered", events: scattered),
      .init(name: "scattered-without-values", events: scattered, snapshotsHaveValues: false),
    ])
}
if options.groups.contains("events") { EventBenchmarks.run(harness, week) }
if options.groups.contains("replay") {
  ReplayBenchmarks.run(harness, "a week of 100,000 users", week)
  ReplayBenchmarks.run(
    harness, "busy hours of 100,000 users",
    EventBytes.clickstream(events: options.events, users: 100_000, eventsPerSecond: 100))
}
if options.groups.contains("folds") {
  FoldBenchmarks.run(harness, events: options.events, manyUsers: options.manyUsers)
}
if options.groups.contains("states") { StateBenchmarks.run(harness, week) }
if options.groups.contains("joins") {
  JoinBenchmarks.run(
    harness, EventBytes.clickstream(events: options.events, users: 100_000, eventsPerSecond: 100))
}
if options.groups.contains("duplicates") { DuplicateBenchmarks.run(harness) }
if options.groups.contains("parquet") { ParquetBenchmarks.run(harness, rows: options.events) }
if options.groups.contains("footprint") {
  StateBenchmarks.printFootprintHeading()
  let days = 30.0 * 86_400
  let events = options.manyUsers * 10
  var scattered = ScatteredEvents(users: options.manyUsers, gapMilliseconds: days * 1000 / Double(events))
  StateBenchmarks.footprint("scattered over 30 days", events: events) { scattered.write(into: &$0) }
  var visits = ClickstreamOptions()
  visits.users = options.manyUsers
  visits.eventsPerSecond = Double(events) / days
  visits.malformedShare = 0
  var stream = Clickstream(visits)
  StateBenchmarks.footprint("in visits over 30 days", events: events) { line in
    line.removeAll(keepingCapacity: true)
    _ = stream.writeNext(into: &line)
  }
}
