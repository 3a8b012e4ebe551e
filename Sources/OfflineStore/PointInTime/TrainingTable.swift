import FeatureCore
import Parquet

/// Writes training rows: the spine's columns, its label, and the features of its views with their ages. Memory holds one
/// row, or one row group.
public struct TrainingTable {
  /// Bytes of a row group in memory: readers like them large, and a join's memory is small.
  private static let rowGroupBytes = 32 << 20

  private let rows: JoinedRows
  private var spine: SpineTable { rows.spine }
  private var added: TrainingColumns { rows.added }

  /// A table of a join's rows, to be written once.
  public init(_ rows: JoinedRows) { self.rows = rows }

  /// Writes the rows in the spine's order.
  public func write(path: String, format: FeatureTableFormat) throws(TableError) {
    switch format {
    case .parquet: try writeParquet(path: path)
    case .csv: try writeText(path: path, format: .csv)
    case .ndjson: try writeText(path: path, format: .ndjson)
    }
  }

  /// Writes the rows in the spine's order, as text.
  private func writeText(path: String, format: TableFormat) throws(TableError) {
    let service = try ServedColumns(added, spine)
    var writer = try TableWriter(path: path, format: format, columns: spine.columns + added.names)
    var number = 0
    try rows.forEach { (row) throws(TableError) in
      number += 1
      for (index, field) in row.fields.enumerated() {
        switch field {
        case .value(let value): writer.append(try text(value, column: index, row: number))
        case .literal(let text): writer.append(json: text)
        }
      }
      forEachAdded(row, service) { writer.append($0) }
      try writer.endRow()
    }
    try writer.finish()
  }

  /// A value of the spine as text has it: a double that is no number is missing, an infinite one has no text.
  private func text(_ value: FeatureValue, column: Int, row: Int) throws(TableError) -> FeatureValue {
    switch value {
    case .double(let double) where double.isNaN: return .null
    case .double(let double) where double.isInfinite:
      throw TableError(
        path: spine.path,
        problem: "column '\(spine.columns[column])', row \(row): CSV and NDJSON cannot hold \(double)",
        remedy: "name the output .parquet, or leave the column out")
    case .list(let values):
      var list: [FeatureValue] = []
      for value in values { list.append(try text(value, column: column, row: row)) }
      return .list(list)
    default: return value
    }
  }

  /// Writes the rows in the spine's order, as a Parquet file. The spine's columns have their types in the file or the
  /// definitions; others are bool, int64 or double if all values look so, else string.
  public func writeParquet(path: String) throws(TableError) {
    let service = try ServedColumns(added, spine)
    let types = spine.types
    let columns = zip(spine.columns, types).map { ParquetColumn($0, $1.type) }
    var options = ParquetOptions()
    options.rowGroupBytes = Self.rowGroupBytes
    let file = try ExportFile(path: path, columns: columns + added.columns, options: options)
    let timeColumn = spine.timeColumn
    try rows.forEach { (row) throws(TableError) in
      for (index, field) in row.fields.enumerated() {
        file.append(index == timeColumn ? .timestamp(row.time) : types[index].value(field))
      }
      forEachAdded(row, service) { file.append($0) }
      try file.endRow()
    }
    try file.finish()
  }

  private func forEachAdded(_ row: JoinedRow, _ service: ServedColumns?, _ body: (FeatureValue) -> Void) {
    if let label = row.label { body(.int64(label ? 1 : 0)) }
    if let service { return service.values(row).forEach(body) }
    for features in row.features {
      for value in features.values { body(value) }
      guard added.hasAges else { continue }
      body(features.asOf.map { .timestamp($0) } ?? .null)
      body(
        features.asOf.map { .double(Double(row.time.microseconds - $0.microseconds) / 1e6) } ?? .null)
    }
  }
}

/// The columns of a service for the rows of a join: what a request at the row's time would have been answered.
private struct ServedColumns {
  private let service: ServicePlan
  /// Of each input, the spine's column, and how its values are typed.
  private let inputs: [(column: Int, seen: SpineColumnType, type: ValueType)]

  /// nil if the join is not about a service.
  init?(_ added: TrainingColumns, _ spine: SpineTable) throws(TableError) {
    guard let service = added.service else { return nil }
    var inputs: [(column: Int, seen: SpineColumnType, type: ValueType)] = []
    for input in service.service.inputs {
      guard let column = spine.columns.firstIndex(of: input.name) else {
        throw TableError(
          path: spine.path,
          problem: "the service '\(service.name)' has the input '\(input.name)', and there is no such column",
          remedy: "add it, with what requests bring along")
      }
      inputs.append((column, spine.types[column], input.type))
    }
    self.service = service
    self.inputs = inputs
  }

  func values(_ row: JoinedRow) -> [FeatureValue] {
    let features = zip(service.reads, row.features).map { read, features in
      guard read.isSilent(since: features.asOf, at: row.time) else { return features.values }
      // As a request would have been told.
      return [FeatureValue](repeating: .null, count: features.values.count)
    }
    return service.values(
      features: features,
      inputs: inputs.map { Self.converted($0.seen.value(row.fields[$0.column]), to: $0.type) },
      at: row.time)
  }

  /// A value of a column as the input's type; null if it is none.
  private static func converted(_ value: FeatureValue, to type: ValueType) -> FeatureValue {
    switch (value, type) {
    case (.int64, .int64), (.double, .double), (.bool, .bool), (.string, .string), (.timestamp, .timestamp):
      value
    case (.int64(let number), .double): .double(Double(number))
    case (.int64(let number), .string): .string(Text("\(number)"))
    default: .null
    }
  }
}
