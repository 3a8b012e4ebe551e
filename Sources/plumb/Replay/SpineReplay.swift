import FeatureCore
import OfflineStore
import Replay

/// `plumb replay --spine`: writes a training row for each row of a spine.
struct SpineReplay {
  private let plan: Plan
  private let selection: Selection
  private let path: String
  private let time: SpineTime

  init(_ plan: Plan, _ selection: Selection, path: String, timeColumn: String?) {
    self.plan = plan
    self.selection = selection
    self.path = path
    time = SpineTime(timeColumn ?? selection.source.source.timestamp.field, like: selection.source)
  }

  func run(
    _ paths: [String], out: String, format: FeatureTableFormat, letters: DeadLetterFile
  ) throws -> String {
    try selection.source.requireLines()
    let views = selection.views.map { JoinedView($0, source: selection.source) }
    let join = TrainingJoin(views, version: plan.version, time: time, hasAges: false, resources: .ofCommand())
    try join.readSpine(path: path)
    for note in join.leftOut { StandardError.print(note) }
    let files = EventArguments(paths, source: selection.views[0].source).files
    let records = try EventFeed(plan, progress: Progress.init).add(files, to: join, letters)
    let rows = try join.rows()
    // Before the rows: whoever sees those can read why others are missing.
    try letters.finish()
    try TrainingTable(rows).write(path: out, format: format)
    return "\(counted(records, "event")), \(counted(join.count, "row")); \(letters.summary)"
  }
}
