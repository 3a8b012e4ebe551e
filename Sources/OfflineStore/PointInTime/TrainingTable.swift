import FeatureCore
import Parquet

/// Training rows: the spine's columns, its label, and the features of its views with their ages.
public struct TrainingTable {
  private let spine: SpineRows
  private let views: [ViewRows]
  private let labels: [Bool]?
  private let hasAges: Bool
  /// The columns that are added to the spine's.
  private let added: [ParquetColumn]

  /// A table of a join's results. The features of one view keep their names; those of several are named
  /// `<view>__<feature>`, and likewise the columns `as_of` and `age_seconds`.
  public init(
    _ spine: SpineRows, _ views: [ViewRows], labels: [Bool]?, hasAges: Bool = true
  ) throws(TableError) {
    self.spine = spine
    self.views = views
    self.labels = labels
    self.hasAges = hasAges
    var added = labels == nil ? [] : [ParquetColumn("label", .scalar(.int64), isRequired: true)]
    let plans = views.map(\.view)
    for view in plans {
      added += view.features.map { ParquetColumn(Self.name($0.name, view, of: plans), $0.type) }
      guard hasAges else { continue }
      added.append(ParquetColumn(Self.name("as_of", view, of: plans), .scalar(.timestamp)))
      added.append(ParquetColumn(Self.name("age_seconds", view, of: plans), .scalar(.double)))
    }
    self.added = added
    try spine.check(added.map(\.name))
  }

  /// The names of the features of some views.
  static func featureNames(_ views: [ViewPlan]) -> [String] {
    views.flatMap { view in view.features.map { name($0.name, view, of: views) } }
  }

  private static func name(_ column: String, _ view: ViewPlan, of views: [ViewPlan]) -> String {
    views.count == 1 ? column : "\(view.name)__\(column)"
  }

  /// Writes the rows in the spine's order, as text.
  public func write(path: String, format: TableFormat) throws(TableError) {
    var writer = try TableWriter(path: path, format: format, columns: spine.columns + added.map(\.name))
    for row in spine.times.indices {
      for column in spine.columns.indices {
        switch spine.fields[row * spine.columns.count + column] {
        case .null: writer.append(.null)
        case .text(let text): writer.append(.string(text))
        case .literal(let text): writer.append(json: text)
        }
      }
      forEachAdded(row) { writer.append($0) }
      try writer.endRow()
    }
    try writer.finish()
  }

  /// Writes the rows in the spine's order, as a Parquet file. The spine's columns have the type of their values: declared,
  /// or bool, int64 or double if all values look so, else string.
  public func writeParquet(path: String) throws(TableError) {
    let columns = spine.columns.indices.map { SpineColumn(spine, $0) }
    let file = try ExportFile(
      path: path, columns: columns.map { ParquetColumn($0.name, .scalar($0.type)) } + added)
    for row in spine.times.indices {
      for column in columns { file.append(column.value(spine, row: row)) }
      forEachAdded(row) { file.append($0) }
      try file.endRow()
    }
    try file.finish()
  }

  private func forEachAdded(_ row: Int, _ body: (FeatureValue) -> Void) {
    if let labels { body(.int64(labels[row] ? 1 : 0)) }
    for view in views {
      for value in view.features(row) { body(value) }
      guard hasAges else { continue }
      let asOf = view.asOf[row]
      body(asOf.map { .timestamp($0) } ?? .null)
      body(asOf.map { .double(Double(spine.times[row] - $0.microseconds) / 1e6) } ?? .null)
    }
  }
}

/// A column of a spine as it is written to a Parquet file.
private struct SpineColumn {
  let name: String
  let type: ValueType
  private let index: Int
  private let isTime: Bool

  init(_ spine: SpineRows, _ index: Int) {
    self.index = index
    name = spine.columns[index]
    isTime = index == spine.timeColumn
    let declared = spine.declared[index]
    if isTime {
      type = .timestamp
    } else if let declared, declared != .timestamp {
      type = declared
    } else {
      type = Self.common(
        stride(from: index, to: spine.fields.count, by: spine.columns.count).lazy.map { spine.fields[$0] })
    }
  }

  /// The narrowest type that holds all values.
  private static func common(_ fields: some Sequence<Spine.Field>) -> ValueType {
    var type: ValueType?
    for field in fields {
      guard let own = own(field) else { continue }
      switch (type, own) {
      case (nil, _): type = own
      case (.int64, .double), (.double, .int64): type = .double
      case (let known, _) where known == own: break
      default: return .string
      }
    }
    return type ?? .string
  }

  private static func own(_ field: Spine.Field) -> ValueType? {
    switch field {
    case .null: return nil
    case .text: return .string
    case .literal(let text):
      if text == "true" || text == "false" { return .bool }
      return text.utf8.withUnsafeBytes {
        NumberText.int64($0) != nil ? .int64 : NumberText.double($0) != nil ? .double : .string
      }
    }
  }

  func value(_ spine: SpineRows, row: Int) -> FeatureValue {
    if isTime { return .timestamp(EventTime(microseconds: spine.times[row])) }
    let text: Text
    switch spine.fields[row * spine.columns.count + index] {
    case .null: return .null
    case .text(let value), .literal(let value): text = value
    }
    return text.utf8.withUnsafeBytes { bytes in
      switch type {
      case .bool: .bool(text == "true")
      case .int64: NumberText.int64(bytes).map { .int64($0) } ?? .null
      case .double: NumberText.double(bytes).map { .double($0) } ?? .null
      case .string, .timestamp: .string(text)
      }
    }
  }
}
