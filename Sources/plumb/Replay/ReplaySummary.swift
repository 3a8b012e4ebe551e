import FeatureCore
import Processor
import Replay
import ServiceConfiguration

extension ServiceSettings {
  /// What a replay of some definitions works with. Its threads end when a signal comes.
  func replayEnvironment(_ plan: Plan, archive: String?) throws -> ReplayEnvironment {
    ReplayEnvironment(
      kafka: kafkaOptions(plan, transactionalID: "\(plan.name).\(plan.version).replay"),
      archive: try archive.map(TopicArchive.init), workers: workers, cachedStatesMax: cachedStates,
      cachedBytesMax: cachedMegabytes << 20,
      makeGroup: {
        let group = WorkerGroup()
        group.stopOnSignals()
        return group
      }, report: reportKafka, tell: StandardError.print)
  }
}

extension FoldedRange {
  /// What was folded, how fast, for people.
  var summary: String {
    "\(counted(counts.records, "record")) in \(counted(partitions, "partition")), \(rate) a second"
  }
}

extension SnapshotSurvey {
  /// What was left out, to be said behind what was restored.
  var leftOutText: String {
    let skipped = leftOut == 0 ? "" : "; \(leftOut) of other versions, or not committed, were left out"
    let others = unusable + foreign.values.reduce(0, +)
    if others == 0 { return skipped }
    let views = foreign.keys.sorted().map { "'\($0)'" }.joined(separator: ", ")
    let ofViews = views.isEmpty ? "" : " (of view \(views) by other definitions)"
    return
      skipped
      + "; \(counted(others, "record")) of other programs left out\(ofViews), first \(first): plumb verify tells "
      + "whether anything is missing"
  }
}
