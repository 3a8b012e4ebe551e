import FeatureCore
import Parquet

/// A table of an export.
struct ExportTable {
  /// The folder of its files, such as `view=users`.
  var name: String
  var columns: [ParquetColumn]
  /// What its files say of themselves.
  var metadata: [(String, String)]
}

/// What becomes of a record.
enum ExportFate {
  case row(table: Int)
  /// Written again.
  case repeated
  /// Of a table that is not chosen.
  case other
  /// Made by another version of the definitions.
  case ofVersion(Int64)
  /// None of the topic's kind, or made by other definitions of this version.
  case unreadable
}

/// The tables that a topic's records become.
protocol ExportTables: AnyObject {
  var tables: [ExportTable] { get }

  /// What becomes of a record, and notes it for those that follow.
  func judge(_ value: UnsafeRawBufferPointer, _ filter: inout RepeatFilter) -> ExportFate

  /// Appends the row of a record to its table. False, and nothing appended, if its content is not that table's.
  func append(
    _ value: UnsafeRawBufferPointer, _ table: Int, committedAt: EventTime, to file: ExportFile
  ) throws(TableError) -> Bool
}

extension ExportTable {
  /// What readers make of the folders' names.
  static let folders: Set<String> = ["view", "service", "date"]

  /// Refuses columns that every table has, or that readers make of the folders' names.
  static func check(_ columns: [ParquetColumn], taken: [ParquetColumn], _ owner: String, _ folder: String)
    throws(TableError)
  {
    let taken = Set(taken.map(\.name)).union(folders)
    guard let name = columns.map(\.name).first(where: taken.contains) else { return }
    throw TableError(
      path: folder, problem: "'\(name)' of \(owner) has the name of a column of every export",
      remedy: "rename it in the definitions, or export other views with --view")
  }
}

/// The snapshot topic's tables, a view each.
final class SnapshotTables: ExportTables {
  let tables: [ExportTable]
  private let views: [SnapshotTable]
  /// Views of the definitions that are not chosen.
  private let others: Set<Text>
  private let version: Int64

  init(
    _ views: [ViewPlan], others: [ViewPlan], version: Int64, hasStates: Bool, folder: String
  ) throws(TableError) {
    var tables: [SnapshotTable] = []
    for view in views { tables.append(try SnapshotTable(view, hasStates: hasStates, folder: folder)) }
    self.views = tables
    self.tables = tables.map { table in
      ExportTable(
        name: "view=\(table.view.name)", columns: table.columns,
        metadata: [
          ("plumb.view", table.view.name), ("plumb.fingerprint", fingerprintText(table.view.fingerprint)),
        ])
    }
    self.others = Set(others.map { Text($0.name) })
    self.version = version
  }

  func judge(_ value: UnsafeRawBufferPointer, _ filter: inout RepeatFilter) -> ExportFate {
    guard let record = SnapshotRecord(value) else { return .unreadable }
    guard record.version == version else { return .ofVersion(record.version) }
    guard let table = views.firstIndex(where: { $0.view.name.utf8.elementsEqual(record.view) }) else {
      return others.contains(Text(record.view)) ? .other : .unreadable
    }
    return filter.takes(record) ? .row(table: table) : .repeated
  }

  func append(
    _ value: UnsafeRawBufferPointer, _ table: Int, committedAt: EventTime, to file: ExportFile
  ) throws(TableError) -> Bool {
    guard let record = SnapshotRecord(value) else { return false }
    return try views[table].append(record, committedAt: committedAt, to: file)
  }
}
