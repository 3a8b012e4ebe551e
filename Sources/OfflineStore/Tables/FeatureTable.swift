public import FeatureCore
public import Parquet

/// The forms of a written table of features.
public enum FeatureTableFormat: String, Sendable, CaseIterable {
  /// As `TableFormat` has it.
  case ndjson
  /// As `TableFormat` has it.
  case csv
  /// Parquet (zstd).
  case parquet

  /// The form of a file by its name's ending; without one NDJSON. Any other ending is an error, not a file that is not what it
  /// is called.
  public init(path: String) throws(TableError) {
    switch Self.ending(path) {
    case "parquet": self = .parquet
    case "csv": self = .csv
    case "ndjson", "jsonl", "json", nil: self = .ndjson
    case let other?:
      throw TableError(
        path: path, problem: "tables are not written as .\(other)",
        remedy: "name it .parquet, .csv or .ndjson")
    }
  }

  /// What a name ends with that says a form: up to eight letters and digits behind a point, the first a letter. Dates, numbers
  /// and what `mktemp` makes are none.
  private static func ending(_ path: String) -> String? {
    let name = path.lowercased().split(separator: "/", omittingEmptySubsequences: false).last ?? ""
    guard let point = name.lastIndex(of: "."), point > name.startIndex else { return nil }
    let ending = name[name.index(after: point)...]
    guard (1...8).contains(ending.count), ending.first?.isLetter == true,
      ending.allSatisfy({ $0.isLetter || $0.isNumber })
    else { return nil }
    return String(ending)
  }
}

/// Writes rows of typed columns to a file that appears whole or not at all.
public struct FeatureTable: ~Copyable {
  private var text: TableWriter?
  private let parquet: ExportFile?

  /// Begins a table. The file takes its name at `finish`; without it nothing is left behind. `-` is the standard output.
  public init(path: String, format: FeatureTableFormat, columns: [ParquetColumn]) throws(TableError) {
    let writer: TableWriter?
    let file: ExportFile?
    switch format {
    case .parquet:
      if let name = Self.twice(columns) {
        throw TableError(
          path: path, problem: "two columns are called '\(name)', which Parquet cannot hold",
          remedy: "rename the feature, or write CSV or NDJSON")
      }
      writer = nil
      file = try ExportFile(path: path, columns: columns)
    case .csv, .ndjson:
      writer = try TableWriter(
        path: path, format: format == .csv ? .csv : .ndjson, columns: columns.map(\.name))
      file = nil
    }
    parquet = file
    text = writer
  }

  /// Writes a row of one value a column, each of the column's type or null.
  public mutating func write(_ row: [FeatureValue]) throws(TableError) {
    guard let parquet else {
      try text?.write(row)
      return
    }
    for value in row { parquet.append(value) }
    try parquet.endRow()
  }

  /// Completes the file.
  public consuming func finish() throws(TableError) {
    try parquet?.finish()
    try text.take()?.finish()
  }

  private static func twice(_ columns: [ParquetColumn]) -> String? {
    var seen = Set<String>()
    return columns.first { !seen.insert($0.name).inserted }?.name
  }
}

extension ViewPlan {
  /// The columns of a table of its features, with `place` between the entity's and theirs.
  public func tableColumns(place: [ParquetColumn] = []) -> [ParquetColumn] {
    entity.map { ParquetColumn($0.name, .scalar($0.type)) } + place
      + features.map { ParquetColumn($0.name, $0.type) }
  }
}
