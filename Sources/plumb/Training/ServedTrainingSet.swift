import ArgumentParser
import EventLog
import FeatureCore
import OfflineStore
import Processor
import Replay
import ServiceConfiguration

/// `plumb training-set --from served`: rows of what a service has answered.
struct ServedTrainingSet {
  let join: TrainingJoin

  private let plan: Plan
  private let rows: ServedRows
  private let label: JoinedLabel?
  private let events: EventsOfJoin

  init(
    _ plan: Plan, service name: String, label: TrainingLabel, events: EventArguments, archive: String?,
    _ settings: ServiceSettings, _ resources: JoinResources
  ) throws {
    guard let service = plan.service(name) else {
      let meant = Suggestion.didYouMean(name, among: plan.services.map(\.name)).map { " (\($0))" } ?? ""
      throw ValidationError("There is no service '\(name)'\(meant).")
    }
    self.plan = plan
    self.label = try label.rule(plan) { () throws(ValidationError) in
      guard plan.sources.count == 1 else {
        throw ValidationError(
          "There are several sources: name that of the labelling events with --label-source.")
      }
      return 0
    }
    join = TrainingJoin(
      [], version: plan.version, label: self.label, time: ServedRows.time, resources: resources)
    rows = try ServedRows(plan, service, join: join)
    self.events = EventsOfJoin(plan: plan, events: events, archive: archive, settings: settings)
  }

  /// Reads the answers, and the events that label them. Returns what there was, for people.
  func read(_ letters: DeadLetterFile) throws -> String {
    let reader = try TopicReader(
      events.settings.kafkaOptions(plan, transactionalID: "\(plan.name).training-set"), report: reportKafka)
    try reader.open(try reader.ranges(of: [Routing(plan).servedTopic], from: .beginning))
    while let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) {
      for record in poll.records {
        if let answer = record.value.flatMap(ServedRecord.init) { try rows.add(answer) }
      }
    }
    var parts: [String] = []
    if let label {
      parts.append(counted(try events.add([label.sourceIndex], to: join, letters), "event"))
    }
    for (version, count) in rows.otherVersions.sorted(by: { $0.key < $1.key }) {
      parts.append("\(counted(count, "answer")) of version \(version) left out")
    }
    if rows.incomplete > 0 {
      parts.append("\(counted(rows.incomplete, "row")) left out that the log has in part")
    }
    if rows.foreign > 0 { parts.append("\(counted(rows.foreign, "answer")) left out of other definitions") }
    return (parts + [counted(join.count, "row")]).joined(separator: ", ")
  }
}
