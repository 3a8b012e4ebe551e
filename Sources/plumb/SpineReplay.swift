import EventFiles
import FeatureCore
import OfflineStore
import Processor

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
    let columns = spine.columns
    let join = try PointInTimeJoin(spine, source: source, views: views, path: path)
    var writer = try TableWriter(path: out, format: format, columns: columns + join.featureNames)
    var records = 0
    try readEvents(paths) { path, lines in
      records += lines.count
      for line in lines { try add(line, of: path, to: join, &letters) }
    }
    try join.write(to: &writer)
    // Before the rows: whoever sees those can read why others are missing.
    try letters.finish()
    try writer.finish()
    return "\(counted(records, "event")), \(counted(rowCount, "row")); \(letters.summary)"
  }

  private func add(
    _ line: Line, of path: String, to join: PointInTimeJoin, _ letters: inout DeadLetterFile
  ) throws(TableError) {
    guard !line.isOversized else {
      return try letters.append(.oversized(line.bytes, sequence: line.number), path: path)
    }
    var failures: [DeadLetter] = []
    do throws(DecodeFailure) {
      try join.add(line.bytes, sequence: line.number) {
        failures.append(DeadLetter($0.view, $0.payload, sequence: $0.sequence))
      }
    } catch {
      failures.append(DeadLetter(error, selection.source.schema, line.bytes, sequence: line.number))
    }
    for failure in failures { try letters.append(failure, path: path) }
  }
}
