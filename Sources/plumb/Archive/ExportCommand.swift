import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Foundation
import OfflineStore
import Processor

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write the snapshots, or the answers that were served, to Parquet files.",
    discussion: """
      Writes view=<view>/date=<commit date>/<topic>-<partition>-<first offset>-<last offset>.parquet below --out, and \
      goes on where the folder's _manifest.ndjson ends: each snapshot becomes one row, whatever crash comes in between. \
      One export writes to a folder at a time. Snapshots of other versions of the definitions are left out: each version has \
      a folder of its own.

      With --served the topic of answers is written instead: view=<view> with what each view said in an answer, and \
      service=<service> with what came with the request and what was computed; request_id and row join them.

      Examples:
        plumb export -d shop.yaml --out features --until end
        plumb export -d shop.yaml --out features --segment-time 1h
        plumb export -d shop.yaml --served --out answers
        duckdb -c "select * from read_parquet('features/view=users/*/*.parquet', hive_partitioning = true)"
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var log: LogOptions
  @Option(help: "The folder to write to.")
  var out: String
  @Option(help: "A view to export; may be repeated. Without it, every view.")
  var view: [String] = []
  @Flag(
    help:
      "Add a column 'state': what features are evaluated from at any time, as training-set --snapshots does.")
  var withState = false
  @Flag(help: "Export the answers that plumb serve has logged, of all views and services.")
  var served = false
  @Option(
    help:
      "Stop at the end that the topic has now: 'end'. Without it, follow the topic until SIGINT or SIGTERM.")
  var until: TopicEnd?
  @Option(help: "A file ends after this much commit time, a divisor of a day.")
  var segmentTime = DurationOption(text: "15m")
  @Option(help: "A file ends after this many bytes of records.")
  var segmentBytes = ExportLimits().segmentBytes

  func validate() throws {
    if let problem = limits.problem { throw ValidationError("\(problem).") }
    if served && (withState || !view.isEmpty) {
      throw ValidationError(
        "--served exports whole answers, which have no states: leave --view and --with-state out.")
    }
  }

  func run() throws {
    try reportingService {
      Interruption.watch()
      let plan = try DefinitionFile.compile(path: definitions)
      let topic = served ? Routing(plan).servedTopic : Routing(plan).snapshotTopic
      let reader = try TopicReader(
        log.settings().kafkaOptions(plan, transactionalID: "\(plan.name).export"), report: reportKafka)
      let ranges = try reader.ranges(of: [topic], from: .beginning)
      let export = try export(plan, topic)
      if export.leftovers > 0 {
        StandardError.print("removed \(counted(export.leftovers, "file")) that a crash had left")
      }
      var open: [ReadRange] = []
      for range in ranges {
        let start = try export.begin(range.partition.partition, low: range.from, high: range.to ?? range.from)
        open.append(ReadRange(range.partition, from: start.first, to: until == nil ? nil : range.to))
      }
      try reader.open(open)
      try follow(reader, export)
      // Interrupted, what is open is left to the next run: so files end where the topic says, not the signal.
      if !Interruption.isRequested { try export.finish(ranges.map { ($0.partition.partition, $0.to ?? 0) }) }
      StandardError.print(Self.summary(export.counts))
      if export.counts.unreadable > 0 { throw Outcome.lostRecords }
    }
  }

  private func export(_ plan: Plan, _ topic: String) throws -> TopicExport {
    if served { return try TopicExport(folder: out, answersOf: plan, topic: topic, limits: limits) }
    let views = try ViewChoice.views(view, of: plan)
    let others = plan.views.filter { view in !views.contains { $0 === view } }
    return try TopicExport(
      folder: out, topic: topic, version: plan.version, views: views, others: others, hasStates: withState,
      limits: limits)
  }

  private var limits: ExportLimits {
    var limits = ExportLimits()
    limits.segmentBytes = segmentBytes
    limits.segmentMilliseconds = segmentTime.microseconds / 1_000
    return limits
  }

  private func follow(_ reader: TopicReader, _ export: TopicExport) throws {
    while !Interruption.isRequested,
      let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100)
    {
      for record in poll.records {
        try export.add(
          poll.partitions[record.partition].partition, offset: record.offset,
          timestampMilliseconds: record.timestampMilliseconds, value: record.value)
      }
      if poll.records.isEmpty && until == nil {
        try export.closeExpired(nowMilliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
      }
    }
  }

  private static func summary(_ counts: TopicExport.Counts) -> String {
    let sorts = [
      (counts.repeats, "repeated"), (counts.tombstones, "deleted"), (counts.others, "of other views"),
    ]
    let versions = counts.versions.sorted { $0.key < $1.key }.map { ($0.value, "of version \($0.key)") }
    let left = (sorts + versions + [(counts.unreadable, "made by other definitions or unreadable")]).filter {
      $0.0 > 0
    }.map { ", \($0.0) \($0.1)" }
    return "\(counted(counts.rows, "row")) in \(counted(counts.files, "file"))\(left.joined())"
  }
}

/// Where a command that follows topics may stop instead.
enum TopicEnd: String, ExpressibleByArgument, CaseIterable { case end }

/// A length of time as the definitions write it.
struct DurationOption: ExpressibleByArgument, CustomStringConvertible {
  let microseconds: Int64
  let description: String

  init?(argument: String) {
    guard let parsed = FeatureCore.Duration.parse(argument) else { return nil }
    microseconds = parsed
    description = argument
  }

  /// A default, which is well formed.
  init(text: String) { self = Self(argument: text) ?? { preconditionFailure("'\(text)' is no duration") }() }
}

/// Views by their names.
enum ViewChoice {
  /// The named views, or all if none is named.
  static func views(_ names: [String], of plan: Plan) throws(ValidationError) -> [ViewPlan] {
    var views: [ViewPlan] = []
    for name in names {
      guard let view = plan.view(name) else {
        let meant = Suggestion.didYouMean(name, among: plan.views.map(\.name)).map { " (\($0))" } ?? ""
        throw ValidationError("There is no view '\(name)'\(meant).")
      }
      if !views.contains(where: { $0 === view }) { views.append(view) }
    }
    return names.isEmpty ? plan.views : views
  }
}
