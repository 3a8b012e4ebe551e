import EventFiles
import FeatureCore
import Parquet

// Spines from files.

extension TrainingJoin {
  /// Reads the rows of a file: CSV or NDJSON by its name, plain, gzip or zstd, or Parquet.
  public func readSpine(path: String) throws(TableError) {
    let name = [".gz", ".zst"].first(where: path.hasSuffix).map { String(path.dropLast($0.count)) } ?? path
    try readRows(path, name)
    try spine?.checkUnit()
  }

  private func readRows(_ path: String, _ name: String) throws(TableError) {
    if path.hasSuffix(".parquet") {
      try readParquet(path)
    } else if name.hasSuffix(".csv") {
      var reader = try CSVReader(path: path)
      let spine = try beginSpine(path, reader.columns)
      while try reader.next() { try spine.append(reader) }
    } else if [".ndjson", ".jsonl", ".json"].contains(where: name.hasSuffix) {
      try readLines(path)
    } else {
      throw TableError(
        path: path, problem: "is neither Parquet, CSV nor NDJSON by its name",
        remedy: "name it .parquet, .csv or .ndjson, or .csv.zst and the like")
    }
  }

  private func readParquet(_ path: String) throws(TableError) {
    var reader = try Self.reading { () throws(ParquetError) in try ParquetReader(ParquetInput(path: path)) }
    let spine = try beginSpine(path, reader.columns.map(\.name), types: reader.columns.map(\.type))
    try spine.check(reader.columns)
    var first: Int64 = 1
    while let batch = try Self.reading({ () throws(ParquetError) in try reader.next() }) {
      try spine.append(batch, first: first)
      first += Int64(batch.rowCount)
    }
  }

  private static func reading<Result: ~Copyable>(
    _ body: () throws(ParquetError) -> Result
  ) throws(TableError) -> Result {
    do throws(ParquetError) {
      return try body()
    } catch {
      throw TableError(path: error.path, problem: error.problem, remedy: error.remedy)
    }
  }

  private func readLines(_ path: String) throws(TableError) {
    var reader: LineReader
    do throws(EventFileError) {
      reader = try LineReader(path: path)
    } catch {
      throw TableError(error)
    }
    var decoder: EventDecoder?
    while let lines = try Self.next(&reader) {
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
    guard spine != nil else {
      throw TableError(
        path: path, line: 1, problem: "the spine is empty", remedy: "write one JSON object a line")
    }
  }

  private static func next(_ reader: inout LineReader) throws(TableError) -> LineBlock? {
    do throws(EventFileError) {
      return try reader.next()
    } catch {
      throw TableError(error)
    }
  }
}
