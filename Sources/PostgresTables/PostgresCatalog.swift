import Capture
import FeatureCore

/// What PostgreSQL's catalog says of a table that is captured.
struct PostgresCatalog {
  struct Column {
    var name: String
    var type: UInt32
    var isEnum: Bool
    var typeName: String
    var isNullable: Bool
  }

  /// `schema.table`, as the database spells it.
  var tableName = ""
  /// The same for SQL.
  private(set) var quotedName = ""
  private(set) var columns: [Column] = []
  /// Whether it has rows of its own, and isn't a view.
  private(set) var isTable = false
  private(set) var isPartitioned = false
  /// About how many rows it has, as it was last analysed.
  private(set) var rowsEstimate: Int?

  /// Of nothing yet.
  init() {}

  /// Looks for what a name (`schema.table`, or `table` as the search path finds it) stands for.
  init(_ connection: PostgresConnection, _ requested: String) throws(CaptureError) {
    let relation = "to_regclass(\(PostgresConnection.literal(requested)))"
    let found = try connection.execute(
      "SELECT n.nspname, c.relname, c.relkind, has_table_privilege(c.oid, 'SELECT'), c.reltuples::bigint FROM pg_class c JOIN "
        + "pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = \(relation)",
      "looking for the table \(requested)")
    guard let row = found.first, let schema = row[0], let table = row[1], let kind = row[2],
      ["r", "p", "v", "m", "f"].contains(kind)
    else {
      throw CaptureError(
        .stop,
        "there is no table '\(requested)' at \(connection.address): name it as schema.table, quoted as in SQL"
      )
    }
    guard row[3] == "t" else {
      throw CaptureError(
        .stop, "the role may not read \(requested): run \"GRANT SELECT ON \(requested) TO <the role>\"")
    }
    isTable = kind == "r" || kind == "p"
    isPartitioned = kind == "p"
    // Nobody counts the rows of a view.
    rowsEstimate = kind == "v" ? nil : row[4].flatMap { Int($0) }.flatMap { $0 < 0 ? nil : $0 }
    tableName = "\(schema).\(table)"
    quotedName = "\(PostgresConnection.quoted(schema)).\(PostgresConnection.quoted(table))"
    // A domain counts as what it is made of.
    let rows = try connection.execute(
      """
      WITH RECURSIVE base(attnum, attname, oid, required) AS (
        SELECT a.attnum, a.attname, a.atttypid, a.attnotnull FROM pg_attribute a
        WHERE a.attrelid = \(relation) AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT b.attnum, b.attname, t.typbasetype, b.required FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
      SELECT b.attname, t.oid, t.typtype = 'e', format_type(t.oid, NULL), NOT b.required
      FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd' ORDER BY b.attnum
      """, "reading the columns of \(tableName)")
    columns = rows.map { row in
      Column(
        name: row[0] ?? "", type: UInt32(row[1] ?? "") ?? 0, isEnum: row[2] == "t", typeName: row[3] ?? "",
        isNullable: row[4] == "t")
    }
  }

  /// Refuses a table that lacks columns of a source, or has some of other types.
  func check(_ table: CapturedTable) throws(CaptureError) {
    for declared in table.columns {
      guard let found = columns.first(where: { $0.name == declared.name }) else {
        throw CaptureError(
          .stop,
          "source '\(table.source)': the table \(tableName) has no column '\(declared.name)'; it has "
            + columns.map(\.name).joined(separator: ", "))
      }
      guard PgTypes.fits(declared.type, found.type, isEnum: found.isEnum) else {
        let cast = PgTypes.cast(declared.name, to: declared.type)
        throw CaptureError(
          .stop,
          "source '\(table.source)', column '\(declared.name)': a \(found.typeName) is no \(declared.type.rawValue); declare another "
            + "type, or "
            + (isTable
              ? "add a column that is one: ALTER TABLE \(tableName) ADD COLUMN <name> <type> GENERATED ALWAYS AS (\(cast)) STORED"
              : "let the view have \(cast)"))
      }
    }
  }

  /// Reads a source's columns of every row, as lines that `CopyText` takes.
  func copyStatement(_ table: CapturedTable) -> String {
    let names = table.columns.map { PostgresConnection.quoted($0.name) }.joined(separator: ", ")
    // A partitioned table's rows are its partitions'.
    return "COPY (SELECT \(names) FROM \(quotedName)) TO STDOUT"
  }
}
