public import Capture
import CSQLite

/// Writes to a database of SQLite, which is made if there is none. One thread.
public final class SQLiteWriter {
  /// A value to write.
  public enum Value: Sendable, Hashable {
    /// A whole number.
    case integer(Int64)
    /// A number.
    case real(Double)
    /// A text.
    case text(String)
  }

  /// A statement with places for values (`?`).
  public final class Statement {
    fileprivate let statement: SQLiteStatement

    fileprivate init(_ statement: SQLiteStatement) { self.statement = statement }

    /// Runs it with a value for each place.
    public func run(_ values: [Value]) throws(CaptureError) {
      statement.reset()
      for (index, value) in values.enumerated() { try statement.bind(index, value) }
      while try statement.step() {}
    }
  }

  private let connection: SQLiteConnection

  /// Opens the database at a path, or makes it.
  public init(path: String) throws(CaptureError) {
    connection = try SQLiteConnection(path: path, mayCreate: true)
  }

  /// Runs statements that have no rows.
  public func execute(_ statements: String) throws(CaptureError) {
    try connection.execute(statements, "writing")
  }

  /// A statement that is run often.
  public func prepare(_ text: String) throws(CaptureError) -> Statement {
    Statement(try SQLiteStatement(connection, text, "writing"))
  }

  /// The one number that a statement gives.
  public func number(_ statement: String) throws(CaptureError) -> Int64? {
    try connection.texts(statement, "reading").first.flatMap { Int64($0) }
  }
}

extension SQLiteStatement {
  fileprivate func reset() { sqlite3_reset(raw) }

  fileprivate func bind(_ index: Int, _ value: SQLiteWriter.Value) throws(CaptureError) {
    let place = Int32(index + 1)
    let status =
      switch value {
      case .integer(let value): sqlite3_bind_int64(raw, place, value)
      case .real(let value): sqlite3_bind_double(raw, place, value)
      case .text(let text):
        // -1: SQLite copies it.
        sqlite3_bind_text(
          raw, place, text, Int32(text.utf8.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
      }
    guard status == SQLITE_OK else { throw connection.failure(attempt) }
  }
}
