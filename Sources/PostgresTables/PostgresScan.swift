public import Capture

/// A table or a view of PostgreSQL, read whole in one snapshot. Needs nothing but the right to read it. One thread.
public final class PostgresScan: ScannedTable {
  private let conninfo: String
  private let requested: String
  private let table: CapturedTable
  private var catalog = PostgresCatalog()

  /// See `ScannedTable`: as it was last analysed.
  public var rowsEstimate: Int? { catalog.rowsEstimate }
  /// See `ScannedTable`.
  public var tableName: String { catalog.tableName }

  /// A table (`schema.table`, or `table` as the search path finds it) of the database at a libpq address.
  public init(conninfo: String, table requested: String, as table: CapturedTable) {
    self.conninfo = conninfo
    self.requested = requested
    self.table = table
    catalog.tableName = requested
  }

  /// See `ScannedTable`: PostgreSQL doesn't tell.
  public func mayHaveChanged() -> Bool { true }

  /// See `ScannedTable`.
  public func scan(
    _ begin: (_ time: Int64) -> Void, _ row: (borrowing RowText) throws(CaptureFault) -> Void
  ) throws(CaptureFault) {
    let connection: PostgresConnection
    let time: Int64
    do throws(CaptureError) {
      connection = try PostgresConnection(conninfo: conninfo, isReplication: false)
      let attempt = "reading \(requested)"
      try connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", attempt)
      // The first statement fixes what the transaction sees, so that the clock isn't before it.
      catalog = try PostgresCatalog(connection, requested)
      try catalog.check(table)
      let now = try connection.execute(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", "asking for the time")
      guard let text = now.first?.first, let read = text.flatMap({ Int64($0) }) else {
        throw CaptureError(.stop, "PostgreSQL at \(connection.address) doesn't tell the time")
      }
      time = read
    } catch { throw .database(error) }
    begin(time)
    var lines = CopyText(table)
    var text = RowText(table)
    try connection.copy(
      catalog.copyStatement(table), "reading \(tableName)", failure: CaptureFault.database
    ) { (line) throws(CaptureFault) in
      do throws(CaptureError) { try lines.write(line, into: &text) } catch { throw .database(error) }
      try row(text)
    }
  }
}
