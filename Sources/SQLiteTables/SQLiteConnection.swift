import CSQLite
import Capture

/// One connection to an SQLite database. The C handle's one owner; one thread.
final class SQLiteConnection {
  let path: String
  fileprivate let raw: OpaquePointer

  /// How long a statement waits for other connections' locks, in milliseconds.
  private static let patienceMilliseconds: Int32 = 10_000

  /// Opens a database file that exists; with `mayCreate` also one that doesn't.
  init(path: String, mayCreate: Bool = false) throws(CaptureError) {
    self.path = path
    var opened: OpaquePointer?
    // Not read-only: what a writer that was killed left behind is rolled back by whoever comes next. SQLite opens files that
    // can't be written for reading all the same.
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (mayCreate ? SQLITE_OPEN_CREATE : 0)
    let status = sqlite3_open_v2(path, &opened, flags, nil)
    guard status == SQLITE_OK, let opened else {
      let message = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
      sqlite3_close_v2(opened)
      throw CaptureError(.retry, "opening the SQLite database \(path): \(message)")
    }
    raw = opened
    sqlite3_busy_timeout(raw, Self.patienceMilliseconds)
  }

  deinit { sqlite3_close_v2(raw) }

  /// A name as an identifier of SQL.
  static func quoted(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }

  /// What the latest call failed of.
  func failure(_ attempt: String) -> CaptureError {
    // Locks, memory and the disk: these pass. The rest is ours, the database's or the administrator's.
    let passing = [SQLITE_BUSY, SQLITE_LOCKED, SQLITE_NOMEM, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_SCHEMA]
    let passes = passing.contains(sqlite3_errcode(raw))
    return CaptureError(
      passes ? .retry : .stop, "\(attempt) in \(path): \(String(cString: sqlite3_errmsg(raw)))")
  }

  /// Runs a statement that has no rows.
  func execute(_ statement: String, _ attempt: String) throws(CaptureError) {
    guard sqlite3_exec(raw, statement, nil, nil, nil) == SQLITE_OK else { throw failure(attempt) }
  }

  /// The first value of each row of a statement.
  func texts(_ statement: String, column: Int = 0, _ attempt: String) throws(CaptureError) -> [String] {
    let rows = try SQLiteStatement(self, statement, attempt)
    var texts: [String] = []
    while try rows.step() {
      texts.append(rows.text(column).map { String(decoding: $0, as: UTF8.self) } ?? "")
    }
    return texts
  }
}

/// A prepared statement. The C handle's one owner; one thread.
final class SQLiteStatement {
  let raw: OpaquePointer
  let connection: SQLiteConnection
  let attempt: String

  init(_ connection: SQLiteConnection, _ text: String, _ attempt: String) throws(CaptureError) {
    var prepared: OpaquePointer?
    guard sqlite3_prepare_v2(connection.raw, text, -1, &prepared, nil) == SQLITE_OK, let prepared else {
      throw connection.failure(attempt)
    }
    raw = prepared
    self.connection = connection
    self.attempt = attempt
  }

  deinit { sqlite3_finalize(raw) }

  /// Goes to the next row; false behind the last.
  func step() throws(CaptureError) -> Bool {
    switch sqlite3_step(raw) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default: throw connection.failure(attempt)
    }
  }

  /// A value of the row, as it is stored.
  enum Value {
    case null
    case integer(Int64)
    case real(Double)
    /// Borrowed until the next step; valid UTF-8 only if whoever wrote it took care.
    case text(UnsafeRawBufferPointer)
    case blob
  }

  func value(_ column: Int) -> Value {
    let index = Int32(column)
    switch sqlite3_column_type(raw, index) {
    case SQLITE_INTEGER: return .integer(sqlite3_column_int64(raw, index))
    case SQLITE_FLOAT: return .real(sqlite3_column_double(raw, index))
    case SQLITE_TEXT: return .text(text(column) ?? UnsafeRawBufferPointer(start: nil, count: 0))
    case SQLITE_BLOB: return .blob
    default: return .null
    }
  }

  /// A value as text; nil for null.
  func text(_ column: Int) -> UnsafeRawBufferPointer? {
    sqlite3_column_text(raw, Int32(column)).map {
      UnsafeRawBufferPointer(start: $0, count: Int(sqlite3_column_bytes(raw, Int32(column))))
    }
  }
}
