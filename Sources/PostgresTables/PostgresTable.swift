public import Capture
import CLibPQ
import FeatureCore

/// A table of PostgreSQL, captured by logical replication with the plugin `pgoutput`, through a slot and a publication that are
/// made if they are missing. One thread.
public final class PostgresTable: ReplicatedDatabase {
  private let conninfo: String
  private let requested: String
  private let table: CapturedTable
  private let name: String
  private var connection: PostgresConnection?
  private var stream: PostgresConnection?
  private var catalog = PostgresCatalog()
  /// How far the database's log reached when `connect` asked.
  public private(set) var end = LogSequenceNumber(0)

  /// About how many rows the table has, as it was last analysed.
  public var rowsEstimate: Int? { catalog.rowsEstimate }
  /// `schema.table`, as the database spells it.
  public var tableName: String { catalog.tableName }

  /// A table (`schema.table`, or `table` as the search path finds it) of the database at a libpq address. `app` and the topic
  /// name the slot and the publication.
  public init(conninfo: String, table requested: String, as table: CapturedTable, app: String) {
    self.conninfo = conninfo
    self.requested = requested
    self.table = table
    catalog.tableName = requested
    // Slots have lower-case letters, digits and underscores; the hash keeps different pairs apart.
    let readable = "\(app)_\(table.topic)".lowercased().map {
      $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_"
    }
    let hash = String(Hash64.hash("\(app.utf8.count):\(app)\(table.topic)"), radix: 16)
    name = "plumb_\(String(readable.prefix(38)))_\(String(repeating: "0", count: 16 - hash.count))\(hash)"
  }

  // MARK: Connecting

  /// See `ReplicatedDatabase`. Checks what replication needs, and names what is missing with the statement to run.
  public func connect() throws(CaptureError) -> ChangeAvailability {
    stream = nil
    let connection = try PostgresConnection(conninfo: conninfo, isReplication: false)
    self.connection = connection
    try checkServer(connection)
    let catalog = try PostgresCatalog(connection, requested)
    guard catalog.isTable else {
      throw CaptureError(
        .stop, "'\(requested)' is no table; what isn't one can be captured with \"mode: diff\"")
    }
    try catalog.check(table)
    self.catalog = catalog
    try checkKey(connection)
    try checkPublication(connection)
    return try slot(connection)
  }

  private func value(_ statement: String, _ attempt: String) throws(CaptureError) -> String? {
    guard let connection else { preconditionFailure("Cannot ask before connecting") }
    return try connection.execute(statement, attempt).first?.first ?? nil
  }

  private func checkServer(_ connection: PostgresConnection) throws(CaptureError) {
    let version = try value("SELECT current_setting('server_version_num')", "asking for the version")
    guard Int(version ?? "") ?? 0 >= 100_000 else {
      throw CaptureError(
        .stop, "PostgreSQL at \(connection.address) is older than 10: it has no logical replication")
    }
    let level = try value("SELECT current_setting('wal_level')", "asking for wal_level") ?? ""
    guard level == "logical" else {
      throw CaptureError(
        .stop,
        "PostgreSQL at \(connection.address) has wal_level '\(level)', and logical replication needs 'logical': run \"ALTER SYSTEM "
          + "SET wal_level = logical\" and restart it, or use \"mode: diff\"")
    }
    let may = try value(
      "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user", "asking for rights")
    guard may == "t" else {
      let role = try value("SELECT quote_ident(current_user)", "asking for rights") ?? "the role"
      throw CaptureError(
        .stop, "\(role) may not replicate: run \"ALTER ROLE \(role) REPLICATION\", or use \"mode: diff\"")
    }
    end = LogSequenceNumber(try value("SELECT pg_current_wal_lsn()", "asking for the log's end") ?? "") ?? end
  }

  /// The key has to be unique and in what the log says of old rows.
  private func checkKey(_ connection: PostgresConnection) throws(CaptureError) {
    let key = table.columns[table.key].name
    let place = "source '\(table.source)', key '\(key)'"
    let relation = "to_regclass(\(PostgresConnection.literal(requested)))"
    let unique = try connection.execute(
      """
      SELECT i.indisprimary, i.indisreplident FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = \
      i.indkey[0] WHERE i.indrelid = \(relation) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1 \
      AND a.attname = \(PostgresConnection.literal(key))
      """, "reading the keys of \(tableName)")
    guard !unique.isEmpty else {
      throw CaptureError(
        .stop,
        "\(place): nothing makes it unique in \(tableName), and a table source has one row a key; run \"ALTER TABLE \(tableName) ADD "
          + "PRIMARY KEY (\(PostgresConnection.quoted(key)))\", or name the column that is")
    }
    if catalog.columns.first(where: { $0.name == key })?.isNullable ?? true {
      throw CaptureError(
        .stop,
        "\(place): it may be null in \(tableName); run \"ALTER TABLE \(tableName) ALTER COLUMN \(PostgresConnection.quoted(key)) SET "
          + "NOT NULL\"")
    }
    let heirs = try connection.execute(
      "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = \(relation)",
      "looking for heirs of \(tableName)")
    if !catalog.isPartitioned, let heir = heirs.first?[0] {
      throw CaptureError(
        .stop,
        "\(place): \(tableName) has tables that inherit from it, such as \(heir), whose keys nothing keeps apart from its own and "
          + "whose changes are not its; capture a table without heirs, or make it a partitioned one")
    }
    let identity = try value(
      "SELECT relreplident FROM pg_class WHERE oid = \(relation)", "asking for the replica identity")
    let isKnown =
      switch identity {
      case "f": true
      case "d": unique.contains { $0[0] == "t" }
      case "i": unique.contains { $0[1] == "t" }
      default: false
      }
    guard isKnown else {
      throw CaptureError(
        .stop,
        "\(place): changes of \(tableName) don't name it; run \"ALTER TABLE \(tableName) REPLICA IDENTITY FULL\", or make it the "
          + "primary key")
    }
  }

  private func checkPublication(_ connection: PostgresConnection) throws(CaptureError) {
    let literal = PostgresConnection.literal(name)
    // A partitioned table's changes under its own name.
    let option = catalog.isPartitioned ? " WITH (publish_via_partition_root = true)" : ""
    let create =
      "CREATE PUBLICATION \(PostgresConnection.quoted(name)) FOR TABLE \(catalog.quotedName)\(option)"
    let found = try connection.execute(
      "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = \(literal)",
      "looking for the publication \(name)")
    if found.isEmpty {
      do throws(CaptureError) {
        try connection.execute(create, "making the publication \(name)")
      } catch {
        guard error.remedy == .stop else { throw error }
        throw CaptureError(
          .stop, "\(error.description); have the owner of \(tableName) run \"\(create)\"")
      }
      return
    }
    let has = try connection.execute(
      "SELECT 1 FROM pg_publication_tables WHERE pubname = \(literal) AND to_regclass(format('%I.%I', schemaname, tablename)) = "
        + "to_regclass(\(PostgresConnection.literal(requested)))", "reading the publication \(name)")
    guard !has.isEmpty, found[0][0] == "t" else {
      throw CaptureError(
        .stop,
        "the publication \(name) doesn't publish every change of \(tableName); have its owner run \"DROP PUBLICATION "
          + "\(PostgresConnection.quoted(name))\"")
    }
  }

  private func slot(_ connection: PostgresConnection) throws(CaptureError) -> ChangeAvailability {
    let rows = try connection.execute(
      "SELECT plugin, database = current_database(), to_jsonb(s)->>'wal_status', to_jsonb(s)->>'invalidation_reason' FROM "
        + "pg_replication_slots s WHERE slot_name = \(PostgresConnection.literal(name))",
      "looking for the slot \(name)")
    guard let slot = rows.first else { return .none }
    guard slot[0] == "pgoutput", slot[1] == "t" else {
      throw CaptureError(
        .stop,
        "the slot \(name) is of another database or plugin; run \"SELECT pg_drop_replication_slot('\(name)')\" if nothing needs it"
      )
    }
    if slot[2] == "lost" {
      return .lost(
        "the slot \(name) is lost: max_slot_wal_keep_size is less than what was written while nothing captured"
      )
    }
    return .all
  }

  // MARK: Copying

  /// See `ReplicatedDatabase`. The slot's first place and the rows are of one snapshot.
  public func copy(
    _ begin: (_ time: Int64) throws(CaptureFault) -> Void,
    _ line: (UnsafeRawBufferPointer) throws(CaptureFault) -> Void
  ) throws(CaptureFault) -> LogSequenceNumber {
    guard let connection else { preconditionFailure("Cannot copy before connecting") }
    let start: LogSequenceNumber
    let time: Int64
    // Keeps the exported snapshot alive until it has been taken over.
    let exporting: PostgresConnection
    do throws(CaptureError) {
      exporting = try PostgresConnection(conninfo: conninfo, isReplication: true)
      try dropSlot(connection)
      let made = try exporting.execute(
        "CREATE_REPLICATION_SLOT \(PostgresConnection.quoted(name)) LOGICAL pgoutput EXPORT_SNAPSHOT",
        "making the slot \(name)")
      guard let row = made.first, row.count >= 3, let place = row[1].flatMap({ LogSequenceNumber($0) }),
        let snapshot = row[2]
      else { throw CaptureError(.stop, "PostgreSQL made the slot \(name) without a snapshot") }
      start = place
      try connection.execute(
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "
          + PostgresConnection.literal(snapshot), "reading \(tableName) as of the slot \(name)")
      let now = try value(
        "SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint", "asking for the time")
      time = Int64(now ?? "") ?? 0
    } catch { throw .database(error) }
    try withExtendedLifetime(exporting) { () throws(CaptureFault) in
      try begin(time)
      try connection.copy(
        catalog.copyStatement(table), "copying \(tableName)", failure: CaptureFault.database, line)
    }
    do throws(CaptureError) { try connection.execute("COMMIT", "ending the copy of \(tableName)") } catch {
      throw .database(error)
    }
    return start
  }

  private func dropSlot(_ connection: PostgresConnection) throws(CaptureError) {
    try connection.execute(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = \(PostgresConnection.literal(name))",
      "dropping the slot \(name)")
  }

  // MARK: Following

  /// See `ReplicatedDatabase`.
  public func start(at place: LogSequenceNumber) throws(CaptureError) {
    let stream = try PostgresConnection(conninfo: conninfo, isReplication: true)
    try stream.startStreaming(
      "START_REPLICATION SLOT \(PostgresConnection.quoted(name)) LOGICAL \(place) (proto_version '1', publication_names "
        + "\(PostgresConnection.literal(PostgresConnection.quoted(name))))",
      "following \(tableName) through the slot \(name)")
    self.stream = stream
    connection = nil
  }

  /// See `ReplicatedDatabase`.
  public func receive(timeoutMilliseconds: Int) throws(CaptureError) -> UnsafeRawBufferPointer? {
    guard let stream else { preconditionFailure("Cannot receive before starting") }
    return try stream.receive(timeoutMilliseconds: timeoutMilliseconds)
  }

  /// See `ReplicatedDatabase`.
  public func answer(_ bytes: [UInt8]) throws(CaptureError) {
    guard let stream else { preconditionFailure("Cannot answer before starting") }
    try stream.send(bytes)
  }
}
