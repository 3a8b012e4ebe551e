import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore

struct TrainingSetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "training-set",
    abstract: "Join rows of entity keys and times with features as they were.",
    discussion: """
      Each row of the spine gets the features just before its time, with as_of (the largest event time that they have \
      seen) and age_seconds (how long before the row that was). The spine's columns and the order of its rows are kept.

      --as happened: from event files, by event time: events earlier than the row, in order of (event time, place in \
      the files). --as served: from the snapshot topic, or from an export of it with states: the last snapshot \
      committed before the row's time, evaluated at that time, like the online store would have answered.

      --label adds a column: 1 if an event for which the expression is true, with equal --on columns, follows the row by \
      at most --within, else 0.

      Examples:
        plumb training-set -d shop.yaml --spine requests.csv --as happened --events events.ndjson.zst --out train.parquet
        plumb training-set -d shop.yaml --spine requests.csv --as served --out train.parquet
        plumb training-set -d shop.yaml --spine views.ndjson --as happened --events events.ndjson \\
          --label "event_type = 'click'" --within 30m --on user_id,item_id --out train.csv
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var log: LogOptions
  @Option(help: "The rows to join: .csv or .ndjson, also .gz or .zst.")
  var spine: String
  @Option(help: "The spine's column of times. Without it, the one named like the source's time field.")
  var spineTime: String?
  @Option(name: .customLong("as"), help: "Whose features: 'happened' (event time) or 'served' (commit time).")
  var view: TrainingView
  @Option(parsing: .upToNextOption, help: "Event files, in log order; - is the standard input.")
  var events: [String] = []
  @Option(help: "As served: read the snapshots from this folder, which 'plumb export --with-state' wrote to.")
  var snapshots: String?
  @Option(help: "The source that the rows are about; needed if the definitions have several.")
  var source: String?
  @Option(
    name: .customLong("view"), help: "A view to join; may be repeated. Without it, every view of the source.")
  var views: [String] = []
  @Option(help: "Label rows by whether such an event follows: an expression over the source's fields.")
  var label: String?
  @Option(help: "How soon the labelling event must follow, such as 30m.")
  var within: DurationOption?
  @Option(help: "The columns that the row and the labelling event have in common, separated by commas.")
  var on: String?
  @Option(help: "The file to write: .parquet, .csv, or else NDJSON; - is the standard output.")
  var out: String
  @Option(help: "Keep events that can't be used in this file, as NDJSON with file, line and reason.")
  var deadLetters: String?

  func validate() throws {
    if events.isEmpty && (view == .happened || label != nil) {
      throw ValidationError("--as happened and --label read events: name their files with --events.")
    }
    guard [label != nil, within != nil, on != nil].allSatisfy({ $0 == (label != nil) }) else {
      throw ValidationError("--label, --within and --on go together.")
    }
    if snapshots != nil && view == .happened {
      throw ValidationError("--snapshots are what was served: use --as served.")
    }
    if out.hasSuffix(".parquet.gz") || out.hasSuffix(".parquet.zst") {
      throw ValidationError("Parquet is compressed inside: name the output .parquet.")
    }
    let inputs = [definitions, spine] + events
    if let clash = OutputClash.find(inputs: inputs, outputs: [out, deadLetters].compactMap { $0 }) {
      throw ValidationError(clash)
    }
  }

  private func feed() throws -> SnapshotFeed {
    if let snapshots { return .export(folder: snapshots) }
    return .topic(try log.settings())
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let selection = try Selection(plan, source: source, views: views)
      var letters = try DeadLetterFile(path: deadLetters)
      let label = try label.map { try LabelRule($0, on: on ?? "", within: within, selection.source) }
      let set = TrainingSet(
        selection, spine: spine, time: spineTime ?? selection.source.source.timestamp.field, label: label)
      let (table, summary) =
        switch view {
        case .happened: try set.asHappened(events, &letters)
        case .served: try set.asServed(plan, feed(), events, &letters)
        }
      // Before the rows: whoever sees those can read why others are missing.
      try letters.finish()
      if out.hasSuffix(".parquet") {
        try table.writeParquet(path: out)
      } else {
        try table.write(path: out, format: out.hasSuffix(".csv") ? .csv : .ndjson)
      }
      StandardError.print("\(summary); \(letters.summary)")
      if letters.areLost { throw Outcome.lostRecords }
    }
  }
}

/// Whose features a row gets.
enum TrainingView: String, ExpressibleByArgument, CaseIterable { case happened, served }
