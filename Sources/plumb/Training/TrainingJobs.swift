import ArgumentParser
import EventLog
import FeatureCore
import OfflineStore
import Replay

/// What `plumb training-set` does: composed of its flags, and told.
extension TrainingSetCommand {
  private func feed(_ plan: Plan) throws -> SnapshotFeed {
    if let snapshots { return .export(folder: snapshots) }
    return .topic(try kafkaOptions(plan), report: reportKafka)
  }

  private func kafkaOptions(_ plan: Plan) throws -> KafkaOptions {
    try log.settings().kafkaOptions(plan, transactionalID: "\(plan.name).training-set")
  }

  private func eventsOfJoin(_ plan: Plan, _ events: EventArguments) throws -> EventsOfJoin {
    EventsOfJoin(
      plan, files: events.files, archive: archive, try kafkaOptions(plan), progress: Progress.init,
      report: reportKafka)
  }

  /// Writes how rows as served differ from rows as happened: JSON to a file, and lines for people to the standard error.
  func compare(
    _ selection: TrainingSelection, _ events: EventArguments, _ letters: DeadLetterFile, to path: String
  ) throws {
    let plan = selection.plan
    let comparison = try TrainingComparison(
      plan, selection.views, time: selection.time, eventsOfJoin(plan, events), feed(plan),
      allowsMissing: allowMissing, .ofCommand(memory: memory.bytes))
    let (report, records) = try comparison.run(selection.rows(rows), letters)
    var output = try LineOutput(path: path)
    output.buffer += report.json
    output.buffer.append(0x0A)
    _ = try output.flush(unless: { _ in false })
    for note in comparison.join.leftOut + comparison.join.lacking { StandardError.print(note) }
    StandardError.write(report.text)
    StandardError.print(
      "\(counted(records, "event")), \(counted(comparison.join.snapshots, "snapshot")), "
        + "\(counted(report.rows, "row")); \(letters.summary)")
  }

  func makeTable(
    _ selection: TrainingSelection, _ events: EventArguments, _ view: TrainingView, _ letters: DeadLetterFile,
    to out: String
  ) throws {
    let plan = selection.plan
    let label = try label.rule(selection)
    let joined = selection.views.map { JoinedView($0, source: plan.sources[$0.source], view.moment) }
    let join = TrainingJoin(
      joined, version: plan.version, label: label, service: selection.service, time: selection.time,
      allowsMissing: allowMissing, resources: .ofCommand(memory: memory.bytes))
    var sources: Set<Int> = view == .happened ? Set(selection.views.map(\.source)) : []
    if let label { sources.insert(label.sourceIndex) }
    let set = TrainingSet(
      plan, selection.views, join, try eventsOfJoin(plan, events), view == .served ? try feed(plan) : nil)
    let records = try set.read(selection.rows(rows), eventsOf: sources.sorted(), letters)
    try write(TrainingTable(try join.rows()), letters, to: out)
    for note in join.leftOut + join.lacking { StandardError.print(note) }
    StandardError.print("\(summary(join, records)); \(letters.summary)")
  }

  func makeServedTable(_ plan: Plan, _ name: String, _ events: EventArguments, to out: String) throws {
    let letters = try DeadLetterFile(path: deadLetters)
    guard let service = plan.service(name) else {
      let meant = Suggestion.didYouMean(name, among: plan.services.map(\.name)).map { " (\($0))" } ?? ""
      throw ValidationError("There is no service '\(name)'\(meant).")
    }
    let label = try label.rule(plan) { () throws(ValidationError) in
      guard plan.sources.count == 1 else {
        throw ValidationError(
          "There are several sources: name that of the labelling events with --label-source.")
      }
      return 0
    }
    let set = try ServedTrainingSet(
      plan, service, label: label, eventsOfJoin(plan, events), .ofCommand(memory: memory.bytes))
    let labelling = try set.read(letters)
    try write(TrainingTable(try set.join.rows()), letters, to: out)
    for note in set.join.leftOut + set.join.lacking { StandardError.print(note) }
    StandardError.print("\(summary(set, labelling)); \(letters.summary)")
    if letters.areLost { throw Outcome.lostRecords }
  }

  private func summary(_ set: ServedTrainingSet, _ labelling: Int?) -> String {
    var parts = labelling.map { [counted($0, "event")] } ?? []
    for (version, count) in set.rows.otherVersions.sorted(by: { $0.key < $1.key }) {
      parts.append("\(counted(count, "answer")) of version \(version) left out")
    }
    let (incomplete, foreign) = (set.rows.incomplete, set.rows.foreign)
    if incomplete > 0 { parts.append("\(counted(incomplete, "row")) left out that the log has in part") }
    if foreign > 0 { parts.append("\(counted(foreign, "answer")) left out of other definitions") }
    return (parts + [counted(set.join.count, "row")]).joined(separator: ", ")
  }

  private func write(_ table: TrainingTable, _ letters: DeadLetterFile, to out: String) throws {
    // Before the rows: whoever sees those can read why others are missing.
    try letters.finish()
    try table.write(path: out, format: FeatureTableFormat(path: out))
  }

  private func summary(_ join: TrainingJoin, _ records: Int?) -> String {
    var parts = records.map { [counted($0, "event")] } ?? []
    if view == .served { parts.append(counted(join.snapshots, "snapshot")) }
    for (version, count) in join.otherVersions.sorted(by: { $0.key < $1.key }) {
      parts.append("\(count) more made by version \(version) (use its definitions for rows of its time)")
    }
    if join.foreign > 0 { parts.append("\(join.foreign) more made by other definitions of this version") }
    return (parts + [counted(join.count, "row")]).joined(separator: ", ")
  }
}
