public import FeatureCore
public import OfflineStore

/// Writes a training row for each row of a spine, from event files: `plumb replay --spine`.
public struct SpineReplay {
  private let plan: Plan
  private let source: Int
  private let join: TrainingJoin

  /// A replay for views of one source.
  public init(_ plan: Plan, _ views: [ViewPlan], time: SpineTime, _ resources: JoinResources) {
    self.plan = plan
    source = views[0].source
    let joined = views.map { JoinedView($0, source: plan.sources[$0.source]) }
    join = TrainingJoin(joined, version: plan.version, time: time, hasAges: false, resources: resources)
  }

  /// Returns how many events and rows there were; the file is there if it does. `tell` is told what is left out.
  public func run(
    _ paths: [String], spine: String, out: String, format: FeatureTableFormat, letters: DeadLetterFile,
    progress: @escaping (_ filesCount: Int) -> any FileProgress, tell: (String) -> Void
  ) throws -> (events: Int, rows: Int) {
    try plan.sources[source].requireLines()
    try join.readSpine(path: spine)
    for note in join.leftOut { tell(note) }
    let files = [SourceFiles(source: source, paths: paths)]
    let events = try EventFeed(plan, progress: progress).add(files, to: join, letters)
    let rows = try join.rows()
    // Before the rows: whoever sees those can read why others are missing.
    try letters.finish()
    try TrainingTable(rows).write(path: out, format: format)
    return (events, join.count)
  }
}
