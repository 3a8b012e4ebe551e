import ArgumentParser
import FeatureCore
import Foundation
import OfflineStore
import Processor
import Replay
import ServiceConfiguration

/// `plumb training-set`: reads what the rows are made of and joined with.
struct TrainingSet {
  let selection: TrainingSelection
  let events: EventArguments
  let archive: String?
  let settings: ServiceSettings
  let join: TrainingJoin

  private var plan: Plan { selection.plan }

  /// Reads the rows from a file.
  func readSpine(path: String) throws { try join.readSpine(path: path) }

  /// Makes rows of events for which an expression is true.
  func takeRows(where expression: String) throws {
    let source = try selection.theSource(for: "--spine-events")
    let entity = (selection.views.first { $0.source == source } ?? selection.views[0]).entity.map(\.name)
    let filter = try plan.sources[source].events(
      where: expression, key: entity, name: "rows", options: "--spine-events")
    try join.takeRows(filter, of: plan.sources[source], index: source)
  }

  /// Adds the events of the join's views and label, from files or topics. Returns how many there were.
  func addEvents(of sources: [Int], _ letters: DeadLetterFile) throws -> Int {
    try EventsOfJoin(plan: plan, events: events, archive: archive, settings: settings)
      .add(sources, to: join, letters)
  }
}

/// Where the events of a join come from: files, or else topics.
struct EventsOfJoin {
  let plan: Plan
  let events: EventArguments
  let archive: String?
  let settings: ServiceSettings

  /// Adds the events of some sources. Returns how many there were.
  func add(_ sources: [Int], to join: TrainingJoin, _ letters: DeadLetterFile) throws -> Int {
    guard events.isEmpty else {
      for source in sources where !events.files.contains(where: { $0.source == source }) {
        let name = plan.sources[source].source.name
        throw ValidationError("There are no events of source '\(name)': add --events \(name)=FILE.")
      }
      return try EventFeed(plan, progress: Progress.init).add(events.files, to: join, letters)
    }
    let topics = TopicLog(
      settings.kafkaOptions(plan, transactionalID: "\(plan.name).training-set"),
      report: reportKafka)
    let log = ArchivedLog(try archive.map(TopicArchive.init), topics: topics)
    let feed = TopicFeed(plan, log)
    try feed.noteLost(sources, to: join)
    return try feed.add(sources, to: join, letters)
  }
}

extension SourcePlan {
  /// As `events(where:key:name:)`; `options` are where a mistake is.
  func events(
    where expression: String, key: [String], name: String, options: String
  ) throws(ValidationError) -> ViewPlan {
    do throws(DefinitionMistakes) {
      return try events(where: expression, key: key, name: name)
    } catch {
      let reasons = error.mistakes.map { "\($0.message)\($0.suggestion.map { " (\($0))" } ?? "")" }
      throw ValidationError("\(options): \(reasons.joined(separator: "; ")).")
    }
  }
}

extension JoinResources {
  /// What commands use: the machine has other work.
  static func ofCommand(memory: Int? = nil) -> JoinResources {
    var resources = JoinResources()
    if let memory { resources.memoryBytes = memory }
    resources.workers = ProcessInfo.processInfo.activeProcessorCount >= 2 ? 2 : 1
    return resources
  }
}
