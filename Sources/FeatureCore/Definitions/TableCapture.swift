/// Where the rows of a table source are captured from (`capture:`). It is about a topic's writer: no fingerprint has it.
public struct TableCapture: Sendable, Hashable {
  /// How changes are found.
  public enum Mode: String, Sendable, Hashable, CaseIterable {
    /// From the database's log of changes.
    case replicate
    /// By comparing the table with the topic, again and again.
    case diff
  }

  /// What becomes of the topic when the table is truncated, which names no rows; or when a comparison finds a table without rows.
  public enum OnTruncate: String, Sendable, Hashable, CaseIterable {
    /// The capture ends with an error.
    case stop
    /// Every row is deleted.
    case delete
  }

  /// What holds the table.
  public enum Origin: Sendable, Hashable {
    /// PostgreSQL, at a libpq address.
    case postgres(address: String)
    /// An SQLite database file.
    case sqlite(path: String)
    /// A file of rows, in a form that event files have.
    case file(path: String)
  }

  /// What holds the table.
  public var origin: Origin
  /// The table's name, as the database has it.
  public var table: String
  /// How changes are found.
  public var mode: Mode
  /// Microseconds from one comparison to the next.
  public var every: Int64
  /// What an emptied table does.
  public var onTruncate: OnTruncate

  /// Default of `every`: 5 minutes.
  public static let defaultEvery: Int64 = 300_000_000

  /// A capture from its parts.
  public init(
    _ origin: Origin, table: String, mode: Mode, every: Int64 = TableCapture.defaultEvery,
    onTruncate: OnTruncate = .stop
  ) {
    self.origin = origin
    self.table = table
    self.mode = mode
    self.every = every
    self.onTruncate = onTruncate
  }
}
