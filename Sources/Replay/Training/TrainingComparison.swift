public import FeatureCore
public import OfflineStore

/// Joins rows as happened and as served, and compares: `plumb training-set --report`.
public struct TrainingComparison {
  /// What is joined.
  public let join: TrainingJoin

  private let plan: Plan
  private let views: [ViewPlan]
  private let events: EventsOfJoin
  private let feed: TopicFeed
  private let snapshots: SnapshotFeed

  /// A comparison of some views; the events are those of topics.
  public init(
    _ plan: Plan, _ views: [ViewPlan], time: SpineTime, _ events: EventsOfJoin, _ snapshots: SnapshotFeed,
    allowsMissing: Bool, _ resources: JoinResources
  ) throws {
    self.plan = plan
    self.views = views
    self.events = events
    self.snapshots = snapshots
    let feed = try events.topics()
    self.feed = feed
    let joined = try views.map { view in
      JoinedView(view, source: plan.sources[view.source], .compared(try feed.forwardedLog(view)))
    }
    join = TrainingJoin(
      joined, version: plan.version, time: time, allowsMissing: allowsMissing, resources: resources)
  }

  /// Compares rows. `letters` gets the events that can't be used. Returns how many events there were, too.
  public func run(
    _ rows: TrainingRows, _ letters: DeadLetterFile
  ) throws -> (report: ComparisonReport, events: Int) {
    try rows.give(to: join, plan)
    let count = try events.add(rows.sources(with: views.map(\.source)), to: join, letters)
    try feed.addForwarded(views, to: join)
    try snapshots.add(to: join, plan, views)
    let report = try join.comparison()
    try letters.finish()
    return (report, count)
  }
}
