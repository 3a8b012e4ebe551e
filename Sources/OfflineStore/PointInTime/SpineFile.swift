import EventFiles
import FeatureCore
import Parquet

// Spines from files.

extension TrainingJoin {
  /// Reads the rows of a file, which is Parquet, CSV with a header, JSON objects one a line or a JSON array of them, by its
  /// content; text may be packed with gzip, zstd or xz.
  public func readSpine(path: String) throws(TableError) {
    var source = try Self.open(path)
    let (content, beginning) = try Self.content(&source)
    switch content {
    case .parquet: try readParquet(path)
    case .text:
      let delimiter = CSVEvents.delimiter(beginning, mark: timeColumn) ?? UInt8(ascii: ",")
      var reader = try CSVReader(input: InputBytes(source), delimiter: delimiter)
      let spine = try beginSpine(path, reader.columns)
      while try reader.next() { try spine.append(reader) }
    case .array:
      let reader = ArrayReader(source)
      try readObjects(path) { body in try reader.next(body) }
    case .lines:
      var reader = LineReader(source)
      try readObjects(path) { body in
        guard let lines = try reader.next() else { return false }
        try body(lines)
        return true
      }
    case .empty:
      throw TableError(
        path: path, line: 1, problem: "the spine is empty",
        remedy: "write a header and rows, or one JSON object a line")
    }
    try spine?.checkUnit()
  }

  private static func open(_ path: String) throws(TableError) -> ByteSource {
    do throws(EventFileError) {
      return try ByteSource(path: path, inputBytes: 1 << 18)
    } catch {
      throw TableError(error)
    }
  }

  private static func content(
    _ source: inout ByteSource
  ) throws(TableError) -> (content: FileContent, beginning: [UInt8]) {
    do throws(EventFileError) { return try FileContent.of(&source) } catch { throw TableError(error) }
  }

  private func readParquet(_ path: String) throws(TableError) {
    let contents = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader.contents(ParquetInput(path: path))
    }
    let chosen = try readable(contents, path)
    var reader = try TableError.ofParquet { () throws(ParquetError) in
      try ParquetReader(ParquetInput(path: path), columns: chosen)
    }
    let spine = try beginSpine(path, reader.columns.map(\.name), types: reader.columns.map(\.type))
    try spine.check(reader.columns)
    var first: Int64 = 1
    while let batch = try TableError.ofParquet({ () throws(ParquetError) in try reader.next() }) {
      try spine.append(batch, first: first)
      first += Int64(batch.rowCount)
    }
  }

  /// The columns that are carried along; those that cannot be are noted, and an error if the join is about them.
  private func readable(
    _ contents: [(name: String, problem: String?)], _ path: String
  ) throws(TableError) -> [String] {
    let needed = neededColumns
    for (name, problem) in contents {
      guard let problem else { continue }
      guard !needed.contains(name) else {
        throw TableError(
          path: path, problem: "column '\(name)' cannot be read: \(problem)",
          remedy: "cast it when the file is written")
      }
      leftOut.append("\(path): column '\(name)' is left out: \(problem)")
    }
    return contents.filter { $0.problem == nil }.map(\.name)
  }

  /// Reads rows that are JSON objects. `next` calls with some of them; it returns false behind the last.
  private func readObjects(
    _ path: String, _ next: ((LineBlock) throws -> Void) throws -> Bool
  ) throws(TableError) {
    var decoder: EventDecoder?
    do {
      while try next({ lines in try append(lines, path, &decoder) }) {}
    } catch let error as EventFileError {
      throw TableError(error)
    } catch let error as TableError {
      throw error
    } catch {
      preconditionFailure("Cannot have read a file with \(error)")
    }
    guard spine != nil else {
      throw TableError(
        path: path, line: 1, problem: "the spine is empty", remedy: "write one JSON object a line")
    }
  }

  private func append(_ lines: LineBlock, _ path: String, _ decoder: inout EventDecoder?) throws(TableError) {
    for line in lines {
      guard !line.isOversized else {
        throw TableError(
          path: path, line: line.number, problem: "the row is larger than \(Limits.recordBytesMax) bytes",
          remedy: "leave out columns that training does not need")
      }
      let spine: SpineTable
      if let begun = self.spine {
        spine = begun
      } else {
        spine = try beginSpine(path, SpineTable.columns(ofFirst: line.bytes, path: path))
      }
      var own = decoder ?? EventDecoder(spine.schema)
      try spine.append(json: line.bytes, number: line.number, &own)
      decoder = own
    }
  }
}
