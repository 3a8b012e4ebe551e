import EventFiles
public import FeatureCore

// Spines from files.
extension Spine {
  /// Reads a file, CSV or NDJSON by its name, plain, gzip or zstd. `timeColumn` holds the rows' time.
  public static func read(
    path: String, timeColumn: String, source: SourcePlan, views: [ViewPlan]
  ) throws(TableError) -> Spine {
    let name = [".gz", ".zst"].first(where: path.hasSuffix).map { String(path.dropLast($0.count)) } ?? path
    if name.hasSuffix(".csv") {
      var reader = try CSVReader(path: path)
      var spine = try Spine(
        path: path, columns: reader.columns, timeColumn: timeColumn, source: source, views: views)
      while try reader.next() { try spine.append(reader) }
      return spine
    }
    guard [".ndjson", ".jsonl", ".json"].contains(where: name.hasSuffix) else {
      throw TableError(
        path: path, problem: "is neither CSV nor NDJSON by its name",
        remedy: "name it .csv or .ndjson, or .csv.zst and the like")
    }
    do {
      return try readLines(path: path, timeColumn: timeColumn, source: source, views: views)
    } catch let error as EventFileError {
      throw TableError(error)
    } catch let error as TableError {
      throw error
    } catch {
      preconditionFailure("Cannot fail for another reason: \(error)")
    }
  }

  private static func readLines(
    path: String, timeColumn: String, source: SourcePlan, views: [ViewPlan]
  ) throws -> Spine {
    var reader = try LineReader(path: path)
    guard let first = try reader.next() else {
      throw TableError(
        path: path, line: 1, problem: "the spine is empty", remedy: "write one JSON object a line")
    }
    try check(first[0], path)
    var spine = try Spine(
      path: path, columns: columns(ofFirst: first[0].bytes, path: path), timeColumn: timeColumn,
      source: source, views: views)
    try spine.append(first)
    while let lines = try reader.next() { try spine.append(lines) }
    return spine
  }

  private mutating func append(_ lines: LineBlock) throws(TableError) {
    for line in lines {
      try Self.check(line, path)
      try append(json: line.bytes, number: line.number)
    }
  }

  private static func check(_ line: Line, _ path: String) throws(TableError) {
    guard line.isOversized else { return }
    throw TableError(
      path: path, line: line.number, problem: "the row is larger than \(Limits.recordBytesMax) bytes",
      remedy: "leave out columns that training does not need")
  }
}
