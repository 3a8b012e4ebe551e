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
    let spine = try readSpine()
    let rowCount = spine.count
    let columns = spine.columns
    let join = try PointInTimeJoin(spine, source: selection.source, views: selection.views, path: path)
    var writer = try TableWriter(path: out, format: format, columns: columns + join.featureNames)
    let schema = selection.source.schema
    try readEvents(paths) { path, lines in
      for line in lines {
        guard !line.isOversized else {
          try letters.append(.oversized(line.bytes, sequence: line.number), path: path)
          continue
        }
        var failures: [DeadLetter] = []
        do throws(DecodeFailure) {
          try join.add(line.bytes, sequence: line.number) { failures.append(DeadLetter($0)) }
        } catch {
          failures.append(DeadLetter(error, schema, line.bytes, sequence: line.number))
        }
        for failure in failures { try letters.append(failure, path: path) }
      }
    }
    try join.write(to: &writer)
    try writer.finish()
    return "\(join.records) events, \(rowCount) rows; \(letters.summary)"
  }

  private func readSpine() throws -> Spine {
    if path.hasSuffix(".csv") {
      var reader = try CSVReader(path: path)
      var spine = try makeSpine(reader.columns)
      while try reader.next() { try spine.append(reader) }
      return spine
    }
    guard [".ndjson", ".jsonl", ".json"].contains(where: path.hasSuffix) else {
      throw TableError(
        path: path, problem: "is neither CSV nor NDJSON by its name", remedy: "name it .csv or .ndjson")
    }
    var reader = try LineReader(path: path)
    guard let first = try reader.next() else {
      throw TableError(
        path: path, line: 1, problem: "the spine is empty", remedy: "write one JSON object a line")
    }
    var spine = try makeSpine(Spine.columns(ofFirst: first[0].bytes, path: path))
    for line in first { try spine.append(json: line.bytes, number: line.number) }
    while let lines = try reader.next() {
      for line in lines { try spine.append(json: line.bytes, number: line.number) }
    }
    return spine
  }

  private func makeSpine(_ columns: [String]) throws(TableError) -> Spine {
    try Spine(
      path: path, columns: columns, timeColumn: timeColumn, source: selection.source, views: selection.views)
  }
}

extension DeadLetter {
  /// Of a record that is larger than any record may be.
  static func oversized(_ beginning: UnsafeRawBufferPointer, sequence: Int64) -> DeadLetter {
    DeadLetter(
      sequence: sequence, reason: DecodeFailure.Reason.oversized.rawValue, view: nil,
      message: "the record is larger than \(Limits.recordBytesMax) bytes", payload: beginning)
  }

  /// Of a record that a view can't use.
  init(_ failure: JoinFailure) {
    self.init(
      sequence: failure.sequence, reason: failure.view.code, view: failure.view.view,
      message: failure.view.message, payload: failure.payload)
  }

  /// Of a record that can't be decoded.
  init(_ failure: DecodeFailure, _ schema: EventSchema, _ payload: UnsafeRawBufferPointer, sequence: Int64) {
    self.init(
      sequence: sequence, reason: failure.reason.rawValue, view: nil, message: failure.message(schema),
      payload: payload)
  }
}
