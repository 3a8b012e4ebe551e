import EventLog
import FeatureCore
import OfflineStore
import Processor
import Replay
import ServiceConfiguration

/// `plumb training-set --report`: joins the rows both ways, and compares.
struct TrainingReport {
  private let set: TrainingSet
  private let feed: TopicFeed
  private let snapshots: SnapshotFeed
  private let sources: [Int]

  /// A comparison of a selection's views.
  init(
    _ selection: TrainingSelection, events: EventArguments, archive: String?, _ snapshots: SnapshotFeed,
    _ settings: ServiceSettings, allowsMissing: Bool, _ resources: JoinResources
  ) throws {
    let plan = selection.plan
    let topics = TopicLog(
      settings.kafkaOptions(plan, transactionalID: "\(plan.name).training-set"), report: reportKafka)
    let feed = TopicFeed(plan, ArchivedLog(try archive.map(TopicArchive.init), topics: topics))
    let joined = try selection.views.map { view in
      JoinedView(view, source: plan.sources[view.source], .compared(try feed.forwardedLog(view)))
    }
    self.feed = feed
    set = TrainingSet(
      selection: selection, events: events, archive: archive, settings: settings,
      join: TrainingJoin(
        joined, version: plan.version, time: selection.time, allowsMissing: allowsMissing,
        resources: resources))
    self.snapshots = snapshots
    sources = Set(selection.views.map(\.source)).sorted()
  }

  /// Compares rows: JSON to a file, and lines for people to the standard error. `letters` gets the events that can't be
  /// used.
  func run(_ rows: TrainingRows, _ letters: DeadLetterFile, to path: String) throws {
    var sources = sources
    if let spine = rows.spine {
      try set.readSpine(path: spine)
    } else {
      try set.takeRows(where: rows.spineEvents ?? "")
      sources = Set(sources + [try set.selection.theSource(for: "--spine-events")]).sorted()
    }
    let records = try set.addEvents(of: sources, letters)
    try feed.addForwarded(set.selection.views, to: set.join)
    try snapshots.add(to: set.join, set.selection.plan, set.selection.views)
    let report = try set.join.comparison()
    try letters.finish()
    var output = try LineOutput(path: path)
    output.buffer += report.json
    output.buffer.append(0x0A)
    _ = try output.flush(unless: { _ in false })
    for note in set.join.leftOut + set.join.lacking { StandardError.print(note) }
    StandardError.write(report.text)
    StandardError.print(
      "\(counted(records, "event")), \(counted(set.join.snapshots, "snapshot")), \(counted(report.rows, "row")); "
        + letters.summary)
  }
}
