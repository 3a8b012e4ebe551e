import FeatureCore
import OfflineStore

/// `plumb replay --spine`: writes a training row for each row of a spine.
struct SpineReplay {
  private let selection: Selection
  private let path: String
  private let timeColumn: String

  init(_ selection: Selection, path: String, timeColumn: String?) {
    self.selection = selection
    self.path = path
    self.timeColumn = timeColumn ?? selection.source.source.timestamp.field
  }

  func run(
    _ paths: [String], out: String, format: TableFormat, letters: inout DeadLetterFile
  ) throws -> String {
    let (source, views) = (selection.source, selection.views)
    let spine = try Spine.read(path: path, timeColumn: timeColumn, source: source, views: views)
    let rowCount = spine.count
    let join = try PointInTimeJoin(spine, source: source)
    let records = try EventFeed(source).add(paths, to: join, &letters)
    let table = try TrainingTable(join.spine, join.results(), labels: nil, hasAges: false)
    // Before the rows: whoever sees those can read why others are missing.
    try letters.finish()
    try table.write(path: out, format: format)
    return "\(counted(records, "event")), \(counted(rowCount, "row")); \(letters.summary)"
  }
}
