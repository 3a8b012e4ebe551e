import EventLog
public import FeatureCore
public import OfflineStore
import Processor

/// Rows of what a service has answered: `plumb training-set --from served`.
public struct ServedTrainingSet {
  /// What is joined.
  public let join: TrainingJoin
  /// The rows of answers, and what was left out of them.
  public let rows: ServedRows

  private let label: JoinedLabel?
  private let events: EventsOfJoin

  /// The answers of a service; `events` are those that label them.
  public init(
    _ plan: Plan, _ service: ServicePlan, label: JoinedLabel?, _ events: EventsOfJoin,
    _ resources: JoinResources
  ) throws(TableError) {
    self.label = label
    self.events = events
    join = TrainingJoin(
      [], version: plan.version, label: label, time: ServedRows.time, resources: resources)
    rows = try ServedRows(plan, service, join: join)
  }

  /// Reads the answers, and the events that label them. Returns how many events there were; nil without a label.
  public func read(_ letters: DeadLetterFile) throws -> Int? {
    let reader = try TopicReader(events.options, report: events.report)
    try reader.open(try reader.ranges(of: [Routing(events.plan).servedTopic], from: .beginning))
    while let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) {
      for record in poll.records {
        if let answer = record.value.flatMap(ServedRecord.init) { try rows.add(answer) }
      }
    }
    return try label.map { try events.add([$0.sourceIndex], to: join, letters) }
  }
}
