import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore
import Replay

struct TrainingSetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "training-set",
    abstract: "Join rows of entity keys and times with features as they were.",
    discussion: """
      Each row of the spine gets the features just before its time, with as_of (the largest event time that they have \
      seen) and age_seconds (how long before the row that was). The spine's columns and the order of its rows are kept. \
      Rows can also be events: with --spine-events, those of a source for which an expression is true.

      --as happened: by event time: events earlier than the row, in order of (event time, place in the log), from event \
      files, or else from the topics, with --archive from where plumb archive began. --as served: from the snapshot \
      topic, or from an export of it with states: the snapshot that had been committed before the row's time, evaluated at that time, like the online store \
      would have answered.

      --from served --service NAME: a row of each row that the service has answered, as it was answered, with the request's id, \
      time and inputs. Nothing is computed again, so these rows can't differ from what a model was given.

      --label adds a column: 1 if an event for which the expression is true, with equal --on columns, follows the row by \
      at most --within, else 0.

      --report tells, for each feature, the share of rows of which the value as served is another than as happened, by how \
      much, and because of what: late_data came into the log after the row's time, freshness_lag was in the log and not yet \
      in a committed state, window_tail was evaluated at another time, ahead_of_time came from clocks that are ahead, \
      arrival_order was folded in another order. It reads the topics, or with --archive from where plumb archive began.

      Rows that need what the logs no longer hold (retention has cut a topic, or nothing had been served yet) are an error \
      that names it; --allow-missing makes them of what is left.

      Memory is bounded: what doesn't fit is sorted in the folder for temporary files (TMPDIR).

      Examples:
        plumb training-set -d shop.yaml --spine requests.parquet --as happened --events events.ndjson.zst --out train.parquet
        plumb training-set -d shop.yaml --spine requests.csv --as served --out train.parquet
        plumb training-set -d shop.yaml --spine requests.csv --as happened --events clicks=a.ndjson orders=b.ndjson \\
          --spine-time at --out train.parquet
        plumb training-set -d shop.yaml --spine-events "event_type = 'impression'" --as happened --archive /archive \\
          --label "event_type = 'click'" --within 30m --on user_id,item_id --out train.parquet
        plumb training-set -d shop.yaml --from served --service ranker --label "event_type = 'click'" --within 30m \\
          --on user_id,item_id --out train.parquet
        plumb training-set -d shop.yaml --spine requests.parquet --report differences.json
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var log: LogOptions
  @OptionGroup var rows: RowFlags
  @Option(name: .customLong("as"), help: "Whose features: 'happened' (event time) or 'served' (commit time).")
  var view: TrainingView?
  @Option(
    help: ArgumentHelp(
      "Instead of a table: how features as served differ from features as happened, and why, as JSON; - is the standard output.",
      valueName: "file"))
  var report: String?
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Event files, in log order; - is the standard input. Without it, the topics.",
      valueName: "[source=]file"))
  var events: [String] = []
  @Option(
    help: ArgumentHelp(
      "Read what plumb archive has kept here, and the topics from there on.", valueName: "dir"))
  var archive: String?
  @Option(help: "As served: read the snapshots from this folder, which 'plumb export --with-state' wrote to.")
  var snapshots: String?
  @Option(help: "The source that the rows are about; needed if the definitions have several that differ.")
  var source: String?
  @Option(
    name: .customLong("view"),
    help: "A view to join; may be repeated. Without it, every view of the sources whose events are read.")
  var views: [String] = []
  @Option(
    help:
      "Give rows the columns of a service, as its requests are answered; its inputs are columns of the spine."
  )
  var service: String?
  @OptionGroup var label: TrainingLabel
  @Option(help: "The file to write: .parquet, .csv or .ndjson; - is the standard output, as NDJSON.")
  var out: String?
  @Option(help: "Keep events that can't be used in this file, as NDJSON with file, line and reason.")
  var deadLetters: String?
  @Flag(help: "Make rows of what is left where the logs have lost events or snapshots that they need.")
  var allowMissing = false
  @Option(help: ArgumentHelp("Bytes of rows and events in memory, such as 256M.", valueName: "bytes"))
  var memory = ByteCount(bytes: JoinResources().memoryBytes)

  func validate() throws {
    if let out { try FeatureTableFormat.check(path: out) }
    try FeatureTableFormat.checkLines(deadLetters, "dead letters are")
    if service != nil && (!views.isEmpty || report != nil) {
      throw ValidationError("--service says which views are joined: leave --view and --report out.")
    }
    guard report == nil else { return try validateReport() }
    if rows.origin != nil { return try validateServed() }
    guard view != nil, out != nil else {
      throw ValidationError(
        "Say with --as whose features rows get and with --out where; or compare with --report.")
    }
    if archive != nil && !events.isEmpty {
      throw ValidationError("Events come from --events or from --archive and its topics, not from both.")
    }
    if snapshots != nil && view == .happened {
      throw ValidationError("--snapshots are what was served: use --as served.")
    }
    let inputs = [definitions] + [rows.spine].compactMap(\.self) + EventArguments.paths(events)
    if let clash = OutputClash.find(inputs: inputs, outputs: [out, deadLetters].compactMap { $0 }) {
      throw ValidationError(clash)
    }
  }

  private func validateServed() throws {
    guard service != nil, out != nil else {
      throw ValidationError("Say with --service whose answers become rows and with --out where.")
    }
    if view != nil || snapshots != nil || source != nil || !views.isEmpty {
      throw ValidationError(
        "--from served takes rows as they were answered: leave --as, --view and --snapshots out.")
    }
    if label.label == nil && (!events.isEmpty || archive != nil) {
      throw ValidationError("--events and --archive are for labels: add --label, or leave them out.")
    }
    let inputs = [definitions] + EventArguments.paths(events)
    if let clash = OutputClash.find(inputs: inputs, outputs: [out, deadLetters].compactMap { $0 }) {
      throw ValidationError(clash)
    }
  }

  private func validateReport() throws {
    if rows.origin != nil { throw ValidationError("--report compares rows of a spine: leave --from out.") }
    if view != nil || out != nil || label.label != nil {
      throw ValidationError("--report compares, and makes no table: leave --as, --out and --label out.")
    }
    if !events.isEmpty {
      throw ValidationError(
        "--report needs to know when events came into the log: leave --events out, so that topics are read.")
    }
    let inputs = [definitions] + [rows.spine].compactMap(\.self)
    if let clash = OutputClash.find(inputs: inputs, outputs: [report, deadLetters].compactMap { $0 }) {
      throw ValidationError(clash)
    }
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let events = try EventArguments(events, plan, source: source ?? label.labelSource)
      if rows.origin != nil, let service, let out {
        return try makeServedTable(plan, service, events, to: out)
      }
      let selection = try TrainingSelection(
        plan, source: source, named: events.named, views: views, service: service, time: rows.spineTime)
      let letters = try DeadLetterFile(path: deadLetters)
      if let report {
        try compare(selection, events, letters, to: report)
      } else if let view, let out {
        try makeTable(selection, events, view, letters, to: out)
      }
      if letters.areLost { throw Outcome.lostRecords }
    }
  }
}

/// Whose features a row gets.
enum TrainingView: String, ExpressibleByArgument, CaseIterable {
  case happened, served

  var moment: JoinedView.Moment { self == .happened ? .happened : .served }
}
