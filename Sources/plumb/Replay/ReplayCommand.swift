public import ArgumentParser
public import OfflineStore

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Fold event files or topics into features or training rows, or the log into Redis once more.",
    discussion: """
      With --features-at, the features of every entity of one view at a time, ordered by entity key. Events after \
      that time are left out.

      With --spine, each row of a CSV, NDJSON or Parquet file of entity keys and times gets the features just before its \
      time: events with an earlier event time, in order of (event time, place in the files), and never the labelled \
      event itself. The spine's columns and the order of its rows are kept.

      Event files are NDJSON, JSON arrays, CSV with a header or Parquet, told by their content, text also packed with gzip, \
      zstd or xz; or folders of topics that plumb archive wrote. Several are read one after the other, and - is the standard \
      input. \
      What can't be used is counted, and kept with its reason in the --dead-letters file.

      With --into redis, what the service of these definitions has committed is folded once more into Redis, up to \
      the service's offsets, without sending anything: after Redis has lost its states, and while the service is \
      stopped. Interrupted, the same command goes on. --from beginning removes the states first. --from-snapshots takes \
      the last snapshot of every entity instead, for when the topics no longer hold the events; --archive reads what plumb \
      archive has kept of them. --until TIME ends before that, and so shows the states as of a time; the same command \
      without it goes on.

      With --into features, a range of a view's topic is folded from nothing into a file with a row for each entity; with \
      --into snapshots, a row for each event with the features after it. No group is joined, and no offset changed.

      With --join, event files of a join's sides become what the join makes, a record a line: files of the source that the join \
      is. The source that is least far is read next, so outcomes are due by the events' times.

      With --triggers, the triggers that would have fired are written, as the service writes them and with the same ids: over event \
      files, or without --events over the topics that the views fold from (--from, --until, --archive).

      Examples:
        plumb replay -d shop.yaml --triggers --events last-year.ndjson.zst
        plumb replay -d shop.yaml --join outcomes --out outcomes.ndjson \\
          --events predictions=p.parquet clicks=c.ndjson.zst
        plumb replay -d shop.yaml --into redis --workers 2
        plumb replay -d shop.yaml --into features --view user_activity \\
          --from 2026-01-02T00:00:00Z --out users.csv
        plumb replay -d shop.yaml --events events.ndjson.zst \\
          --view user_activity --features-at end --out users.csv
        plumb replay -d shop.yaml --events a.ndjson.gz b.ndjson.gz \\
          --spine labels.csv --out training.ndjson
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @Option(
    parsing: .upToNextOption,
    help: "Event files, in log order; - is the standard input. With --join, SOURCE=FILE.")
  var events: [String] = []
  @Option(help: "The source that the events are of; needed if the definitions have several.")
  var source: String?
  @Option(help: "A view to compute; may be repeated. Without it, every view of the source.")
  var view: [String] = []
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Write features at this time: RFC 3339, an integer in the source's unit, or 'end' (the largest event time folded).",
      valueName: "time|end"))
  var featuresAt: String?
  @Option(help: "Write training rows for the rows of this file: CSV, NDJSON or Parquet, by its content.")
  var spine: String?
  @Option(help: "The spine's column of times. Without it, the one named like the source's time field.")
  var spineTime: String?
  @Flag(
    help:
      "Write the triggers that would have fired, one JSON object a line; without --out to the standard output."
  )
  var triggers = false
  @Option(
    help: ArgumentHelp(
      "Write what this join makes of the event files of its sources, as NDJSON.", valueName: "join"))
  var join: String?
  @Option(help: "The file to write; - is the standard output.")
  var out: String?
  @Option(
    help:
      "The form of the output: ndjson, csv or parquet. Without it, the one that --out ends with, else ndjson."
  )
  var format: FeatureTableFormat?
  @Option(help: "Keep what can't be used in this file, as NDJSON with file, line and reason.")
  var deadLetters: String?

  @OptionGroup var topics: TopicReplayFlags

  func validate() throws {
    _ = try program.init(self)
    if triggers {
      try FeatureTableFormat.checkLines(out, "triggers are")
    } else if format == nil, let out {
      try FeatureTableFormat.check(path: out)
    }
    try FeatureTableFormat.checkLines(deadLetters, "dead letters are")
  }

  func run() throws { try program.init(self).run() }
}

extension FeatureTableFormat: ExpressibleByArgument {
  /// Refuses a name that is not NDJSON's for what is always that.
  static func checkLines(_ path: String?, _ what: String) throws(ValidationError) {
    guard let path, (try? FeatureTableFormat(path: path)) != .ndjson else { return }
    throw ValidationError("\(path): \(what) written as NDJSON; name it .ndjson")
  }

  /// Refuses a name whose form is not written, before anything is read.
  static func check(path: String) throws(ValidationError) {
    do throws(TableError) {
      _ = try FeatureTableFormat(path: path)
    } catch {
      throw ValidationError("\(error)")
    }
  }
}
