public import EventLog
public import FeatureCore
public import ModelMonitor
import OfflineStore
import Processor

/// A model's history, from the topics of snapshots and triggers as they are now: `plumb monitor --plot`.
public struct ModelHistoryFeed {
  private let plan: Plan
  private let shape: ModelShape
  private let options: KafkaOptions
  private let report: @Sendable (KafkaSeverity, String) -> Void
  private let routing: Routing
  private let views: [String: ViewPlan]

  /// The topics of a plan; `report` hears what the client library says, from any thread.
  public init(
    _ plan: Plan, _ shape: ModelShape, _ options: KafkaOptions,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) {
    self.plan = plan
    self.shape = shape
    self.options = options
    self.report = report
    routing = Routing(plan)
    let pair = shape.views(by: nil, plan)
    let own = [pair?.inputs, pair?.quality].compactMap(\.self)
    views = Dictionary(uniqueKeysWithValues: own.map { ($0.name, $0) })
  }

  /// What the topics hold by one window; empty if there is no snapshot of the model.
  public func read(window: String) throws -> ModelHistory {
    var history = ModelHistory(shape, window: window)
    try read(routing.snapshotTopic) { record in
      guard let snapshot = record.value.flatMap(SnapshotRecord.init), let view = view(of: record),
        snapshot.version == plan.version, let values = snapshot.values(view),
        let version = version(record, view)
      else { return }
      history.add(version: version, at: snapshot.asOf, view.numbers(values))
    }
    if !history.isEmpty, views.values.contains(where: { !$0.triggers.isEmpty }) {
      let reader = TriggerReader()
      try read(routing.triggerTopic) { record in
        guard let view = view(of: record), let value = record.value, let found = reader.read(value),
          found.version == plan.version, let version = version(record, view)
        else { return }
        history.add(trigger: found.trigger, version: version, at: found.at)
      }
    }
    return history
  }

  private func view(of record: LogRecord) -> ViewPlan? {
    record.key.flatMap { views[StateKey.view(of: $0)] }
  }

  private func version(_ record: LogRecord, _ view: ViewPlan) -> String? {
    record.key.flatMap { key in
      EntityKey.values(
        of: UnsafeRawBufferPointer(rebasing: key.dropFirst(view.name.utf8.count + 1)), view.entity
      )?.first?.plainText
    }
  }

  /// Every committed record of a topic.
  private func read(_ topic: String, _ body: (LogRecord) -> Void) throws {
    let reader = try TopicReader(options, report: report)
    try reader.open(try reader.ranges(of: [topic], from: .beginning))
    while let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) {
      for record in poll.records { body(record) }
    }
  }
}
