public import FeatureCore
public import OfflineStore

/// The rows that a join is about.
public enum TrainingRows {
  /// Those of a file.
  case spine(path: String)
  /// A row of each event of a source that a filter takes.
  case events(ViewPlan, source: Int)

  func give(to join: TrainingJoin, _ plan: Plan) throws {
    switch self {
    case .spine(let path): try join.readSpine(path: path)
    case .events(let filter, let source): try join.takeRows(filter, of: plan.sources[source], index: source)
    }
  }

  /// Some sources, and that of the rows.
  func sources(with others: [Int]) -> [Int] {
    var sources = Set(others)
    if case .events(_, let source) = self { sources.insert(source) }
    return sources.sorted()
  }
}

/// Reads what the rows of a training set are made of and joined with: `plumb training-set`.
public struct TrainingSet {
  private let plan: Plan
  private let views: [ViewPlan]
  private let join: TrainingJoin
  private let events: EventsOfJoin
  private let snapshots: SnapshotFeed?

  /// A training set of a join of some views; `snapshots` are what they were served from, nil if that isn't joined.
  public init(
    _ plan: Plan, _ views: [ViewPlan], _ join: TrainingJoin, _ events: EventsOfJoin,
    _ snapshots: SnapshotFeed?
  ) {
    self.plan = plan
    self.views = views
    self.join = join
    self.events = events
    self.snapshots = snapshots
  }

  /// Adds rows, the events of some sources and of the rows' own, and snapshots. Returns how many events there were; nil if none
  /// were wanted.
  public func read(
    _ rows: TrainingRows, eventsOf sources: [Int], _ letters: DeadLetterFile
  ) throws -> Int? {
    try rows.give(to: join, plan)
    let sources = rows.sources(with: sources)
    let count = try sources.isEmpty ? nil : events.add(sources, to: join, letters)
    try snapshots?.add(to: join, plan, views)
    return count
  }
}
