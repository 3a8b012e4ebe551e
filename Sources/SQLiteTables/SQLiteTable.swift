public import Capture
import FeatureCore
import Glibc

/// A table or a view of an SQLite database, read whole in one read transaction. One thread.
public final class SQLiteTable: ScannedTable {
  private let path: String
  private let requested: String
  private let table: CapturedTable
  /// Microseconds since 1970.
  private let now: () -> Int64
  private var connection: SQLiteConnection?
  /// The file that the connection is of: another may have taken its name.
  private var file: FileIdentity?
  /// The database's version at the latest whole scan.
  private var version: String?
  private var wasOpened = false

  /// See `ScannedTable`.
  public private(set) var rowsEstimate: Int?
  /// See `ScannedTable`.
  public var tableName: String { "\(path)/\(requested)" }

  /// A table of the database at a path. `now` is the wall clock, in microseconds since 1970.
  public init(path: String, table requested: String, as table: CapturedTable, now: @escaping () -> Int64) {
    self.path = path
    self.requested = requested
    self.table = table
    self.now = now
  }

  /// See `ScannedTable`. Every commit of another connection counts, whatever table it was of.
  public func mayHaveChanged() throws(CaptureError) -> Bool {
    guard let connection, let version, FileIdentity(path) == file else { return true }
    return try dataVersion(connection) != version
  }

  /// See `ScannedTable`.
  public func scan(
    _ begin: (_ time: Int64) -> Void, _ row: (borrowing RowText) throws(CaptureFault) -> Void
  ) throws(CaptureFault) {
    do throws(CaptureFault) {
      try scanOnce(begin, row)
    } catch {
      // Whatever it was, the next scan begins with a connection of its own.
      connection = nil
      throw error
    }
  }

  private func scanOnce(
    _ begin: (_ time: Int64) -> Void, _ row: (borrowing RowText) throws(CaptureFault) -> Void
  ) throws(CaptureFault) {
    let statement: SQLiteStatement
    let connection: SQLiteConnection
    let seen: String
    do throws(CaptureError) {
      connection = try connected()
      let attempt = "reading the table \(requested)"
      try connection.execute("BEGIN", attempt)
      // The first read fixes what the transaction sees, so that the clock isn't before it.
      _ = try connection.texts("SELECT count(*) FROM main.sqlite_schema", attempt)
      try checkColumns(connection)
      seen = try dataVersion(connection)
      rowsEstimate = try countedRows(connection)
      statement = try SQLiteStatement(connection, selection, attempt)
    } catch { throw .database(error) }
    begin(now())
    let writer = SQLiteValueWriter(table: table, tableName: tableName)
    var text = RowText(table)
    var number = 0
    while try onDatabase({ () throws(CaptureError) in try statement.step() }) {
      number += 1
      text.begin()
      for column in table.columns.indices {
        do throws(CaptureError) {
          try writer.write(statement.value(column), column, row: number, into: &text)
        } catch { throw .database(error) }
      }
      text.endContent()
      try row(text)
    }
    try onDatabase { () throws(CaptureError) in try connection.execute("COMMIT", "ending the read") }
    version = seen
  }

  private func connected() throws(CaptureError) -> SQLiteConnection {
    let found = FileIdentity(path)
    guard let found else {
      throw CaptureError(
        wasOpened ? .retry : .stop,
        "source '\(table.source)': there is no SQLite database '\(path)' that can be read; correct 'sqlite' of its 'capture'"
      )
    }
    if let connection, found == file { return connection }
    let opened = try SQLiteConnection(path: path)
    connection = opened
    file = found
    version = nil
    wasOpened = true
    return opened
  }

  private func dataVersion(_ connection: SQLiteConnection) throws(CaptureError) -> String {
    try connection.texts("PRAGMA data_version", "asking for the version").first ?? ""
  }

  private var quotedName: String { "main.\(SQLiteConnection.quoted(requested))" }

  private func checkColumns(_ connection: SQLiteConnection) throws(CaptureError) {
    let columns = try connection.texts(
      "PRAGMA main.table_xinfo(\(SQLiteConnection.quoted(requested)))", column: 1,
      "reading the columns of \(requested)")
    if columns.isEmpty {
      let tables = try connection.texts(
        "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') ORDER BY name",
        "looking for tables")
      throw CaptureError(
        .stop,
        "source '\(table.source)': \(path) has no table '\(requested)'; it has \(tables.joined(separator: ", "))"
      )
    }
    // Names are SQL's: their case doesn't matter.
    let known = Set(columns.map { $0.lowercased() })
    if let missing = table.columns.first(where: { !known.contains($0.name.lowercased()) }) {
      throw CaptureError(
        .stop,
        "source '\(table.source)': the table \(requested) of \(path) has no column '\(missing.name)'; it has "
          + columns.joined(separator: ", "))
    }
  }

  /// A table's rows are counted much faster than they are read; a view's are not.
  private func countedRows(_ connection: SQLiteConnection) throws(CaptureError) -> Int? {
    let name = requested.replacing("'", with: "''")
    let isView = try connection.texts(
      "SELECT 1 FROM main.sqlite_schema WHERE type = 'view' AND lower(name) = lower('\(name)')",
      "looking for the table \(requested)")
    guard isView.isEmpty else { return nil }
    return try connection.texts("SELECT count(*) FROM \(quotedName)", "counting the rows of \(requested)")
      .first.flatMap { Int($0) }
  }

  private var selection: String {
    // Behind a table's name a quoted one is a column, and never a text.
    let names = table.columns.map { "captured.\(SQLiteConnection.quoted($0.name))" }
    return "SELECT \(names.joined(separator: ", ")) FROM \(quotedName) AS captured"
  }
}

private func onDatabase<Result>(_ body: () throws(CaptureError) -> Result) throws(CaptureFault) -> Result {
  do throws(CaptureError) { return try body() } catch { throw .database(error) }
}

/// Which file stands under a name.
private struct FileIdentity: Equatable {
  let device: UInt64
  let number: UInt64

  /// nil: there is none.
  init?(_ path: String) {
    var found = stat()
    guard stat(path, &found) == 0 else { return nil }
    device = UInt64(found.st_dev)
    number = UInt64(found.st_ino)
  }
}
