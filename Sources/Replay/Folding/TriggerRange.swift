import EventLog
public import FeatureCore
import Processor
import Verification

/// The triggers of some views that would have fired over ranges of the topics that the views fold from.
public struct TriggerRange {
  private let plan: Plan
  private let views: [ViewPlan]
  private let environment: ReplayEnvironment

  /// Of some of a plan's views.
  public init(_ plan: Plan, _ views: [ViewPlan], _ environment: ReplayEnvironment) {
    self.plan = plan
    self.views = views
    self.environment = environment
  }

  /// Folds from nothing, one partition after the other. Calls with the value of each trigger's record, as the service
  /// would send it, and after some records, when those that are due have been told. Returns how many records were read.
  public func run(
    from: ReplayPlace, until: ReplayPlace, onDue: @escaping (UnsafeRawBufferPointer) -> Void,
    afterSome: () throws -> Void
  ) throws -> Int {
    let (options, report) = (environment.kafka, environment.report)
    let counts = try TopicSurvey(plan, options, report: report).inputPartitions()
    let log = ArchivedLog(environment.archive, topics: TopicLog(options, report: report))
    let topic = Routing(plan).triggerTopic
    let watched = Set(views.map(\.name))
    var records = 0
    for input in Routing(plan).inputs
    where input.views.contains(where: { watched.contains(plan.views[$0].name) }) {
      let count = try counts.partitions(of: input, plan.views[input.views[0]])
      let topics = try ReplayTopics(environment, [input.topic])
      let (starts, ends) = (try topics.offsets(from), try topics.offsets(until))
      for partition in starts.keys.sorted(by: { $0.partition < $1.partition }) {
        let (start, end) = (starts[partition] ?? 0, ends[partition] ?? 0)
        guard start < end else { continue }
        let fold = TaskFold(plan, input, partition.partition, of: count, from: start)
        fold.onDue = { due in
          guard due.topic == topic, let key = due.key, let value = due.value else { return }
          let view = String(decoding: key.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
          if watched.contains(view) { onDue(value) }
        }
        try log.read(partition, start..<end) { records in
          fold.fold(records)
          try afterSome()
        }
        records += fold.records
      }
    }
    return records
  }
}
