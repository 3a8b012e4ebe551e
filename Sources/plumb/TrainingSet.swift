import ArgumentParser
import EventFiles
import EventLog
import FeatureCore
import OfflineStore
import Processor
import ServiceConfiguration

/// `plumb training-set`: reads what the rows are joined with.
struct TrainingSet {
  private let selection: Selection
  private let spine: String
  private let time: String
  private let label: LabelRule?

  init(_ selection: Selection, spine: String, time: String, label: LabelRule?) {
    self.selection = selection
    self.spine = spine
    self.time = time
    self.label = label
  }

  private func read(_ views: [ViewPlan]) throws -> Spine {
    try Spine.read(path: spine, timeColumn: time, source: selection.source, views: views)
  }

  func asHappened(
    _ paths: [String], _ letters: inout DeadLetterFile
  ) throws -> (TrainingTable, summary: String) {
    let join = try PointInTimeJoin(
      try read(selection.views + (label.map { [$0.view] } ?? [])), source: selection.source,
      label: label?.within)
    let records = try EventFeed(selection.source).add(paths, to: join, &letters)
    let table = try TrainingTable(join.spine, join.results(), labels: join.labels)
    return (table, "\(counted(records, "event")), \(counted(join.spine.count, "row"))")
  }

  func asServed(
    _ plan: Plan, _ snapshots: SnapshotFeed, _ paths: [String], _ letters: inout DeadLetterFile
  ) throws -> (TrainingTable, summary: String) {
    let join = try ServedJoin(try read(selection.views), version: plan.version)
    do {
      try snapshots.add(to: join, plan, selection.views)
      let labels = try labels(paths, &letters)
      let table = try TrainingTable(join.spine, try join.results(), labels: labels)
      return (table, Self.summary(join))
    } catch let error as StateError {
      throw ProcessorError(remedy: .stop, description: "a snapshot's state: \(error)")
    }
  }

  private static func summary(_ join: ServedJoin) -> String {
    var parts = [counted(join.snapshots, "snapshot")]
    for (version, count) in join.otherVersions.sorted(by: { $0.key < $1.key }) {
      parts.append("\(count) more made by version \(version) (use its definitions for rows of its time)")
    }
    if join.foreign > 0 { parts.append("\(join.foreign) more made by other definitions of this version") }
    return (parts + [counted(join.spine.count, "row")]).joined(separator: ", ")
  }

  /// The labels alone.
  private func labels(_ paths: [String], _ letters: inout DeadLetterFile) throws -> [Bool]? {
    guard let label else { return nil }
    let join = try PointInTimeJoin(try read([label.view]), source: selection.source, label: label.within)
    _ = try EventFeed(selection.source).add(paths, to: join, &letters)
    return join.labels
  }
}

/// Where snapshots come from.
enum SnapshotFeed {
  case topic(ServiceSettings)
  /// A folder that an export with states wrote to.
  case export(folder: String)

  /// Adds every snapshot of some views.
  func add(to join: ServedJoin, _ plan: Plan, _ views: [ViewPlan]) throws {
    switch self {
    case .export(let folder):
      let export = try ExportedSnapshots(folder: folder, version: plan.version)
      for view in views {
        try export.read(view) { (snapshot, time) throws(StateError) in
          try join.add(snapshot, committedMilliseconds: time)
        }
      }
    case .topic(let settings):
      let reader = try TopicReader(
        settings.kafkaOptions(plan, transactionalID: "\(plan.name).training-set"), report: reportKafka)
      try reader.open(try reader.ranges(of: [Routing(plan).snapshotTopic], from: .beginning))
      while let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) {
        for record in poll.records {
          guard let snapshot = record.value.flatMap(SnapshotRecord.init) else { continue }
          try join.add(snapshot, committedMilliseconds: record.timestampMilliseconds ?? 0)
        }
      }
    }
  }
}

/// Which events label a row.
struct LabelRule {
  /// A view of the events, keyed by what they have in common with a row.
  let view: ViewPlan
  /// Microseconds.
  let within: Int64

  init(_ expression: String, on columns: String, within: DurationOption?, _ source: SourcePlan) throws {
    let view = View(
      "label", source: source.source.name,
      entity: columns.split(separator: ",").map { $0.drop { $0 == " " } }.map(String.init), where: expression,
      features: [Feature("events", .aggregate(Aggregate(.count, windows: [.lifetime])))])
    do {
      self.view = try Plan(Definitions(name: "label", sources: [source.source], views: [view])).views[0]
    } catch {
      let reasons = error.mistakes.map { "\($0.message)\($0.suggestion.map { " (\($0))" } ?? "")" }
      throw ValidationError("--label or --on: \(reasons.joined(separator: "; ")).")
    }
    guard let within, within.microseconds > 0 else { throw ValidationError("--within is 0: use 1s or more.") }
    self.within = within.microseconds
  }
}

/// Event files as a join takes them.
struct EventFeed {
  private let source: SourcePlan

  init(_ source: SourcePlan) { self.source = source }

  /// Adds every event; returns how many there were.
  func add(_ paths: [String], to join: PointInTimeJoin, _ letters: inout DeadLetterFile) throws -> Int {
    var records = 0
    try readEvents(paths) { path, lines in
      records += lines.count
      for line in lines { try add(line, of: path, to: join, &letters) }
    }
    return records
  }

  private func add(
    _ line: Line, of path: String, to join: PointInTimeJoin, _ letters: inout DeadLetterFile
  ) throws(TableError) {
    guard !line.isOversized else {
      return try letters.append(.oversized(line.bytes, sequence: line.number), path: path)
    }
    var failures: [DeadLetter] = []
    do throws(DecodeFailure) {
      try join.add(line.bytes, sequence: line.number) {
        failures.append(DeadLetter($0.view, $0.payload, sequence: $0.sequence))
      }
    } catch {
      failures.append(DeadLetter(error, source.schema, line.bytes, sequence: line.number))
    }
    for failure in failures { try letters.append(failure, path: path) }
  }
}
