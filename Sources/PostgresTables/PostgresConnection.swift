import CLibPQ
import Capture
import Glibc

/// One connection to PostgreSQL. The C handle's one owner; one thread.
final class PostgresConnection {
  private let raw: OpaquePointer
  /// What `receive` lent.
  private var lent: UnsafeMutablePointer<CChar>?

  /// Times and numbers print as `PgValueWriter` reads them, whatever the role's defaults are.
  private static let options =
    "-c datestyle=ISO -c timezone=UTC -c extra_float_digits=1 -c intervalstyle=postgres -c bytea_output=hex "
    + "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"

  /// Connects. `conninfo` is a URI or keywords, as libpq takes them; nothing of it is in an error. `replication` makes it a
  /// connection of streaming replication.
  init(conninfo: String, isReplication: Bool) throws(CaptureError) {
    var problem: UnsafeMutablePointer<CChar>?
    let parsed = PQconninfoParse(conninfo, &problem)
    // libpq's words quote parts of what it can't read, which may be the password.
    PQfreemem(problem)
    guard let parsed else {
      throw CaptureError(
        .stop,
        "the database's address can't be read: write postgresql://user@host:5432/database, or keywords as libpq takes them"
      )
    }
    PQconninfoFree(parsed)
    var settings: [(String, String)] = [
      ("connect_timeout", "10"), ("keepalives_idle", "10"), ("keepalives_interval", "5"),
      ("keepalives_count", "3"), ("tcp_user_timeout", "30000"),
      ("fallback_application_name", "plumb capture"),
      ("dbname", conninfo), ("client_encoding", "UTF8"), ("options", Self.options),
    ]
    if isReplication { settings.append(("replication", "database")) }
    let names = settings.map { strdup($0.0) }
    let values = settings.map { strdup($0.1) }
    defer { for text in names + values { free(text) } }
    let connection = (names.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { names in
      (values.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { values in
        PQconnectdbParams(names.baseAddress, values.baseAddress, 1)
      }
    }
    guard let connection else { throw CaptureError(.retry, "connecting to PostgreSQL: out of memory") }
    raw = connection
    guard PQstatus(raw) == CONNECTION_OK else {
      throw CaptureError(.retry, "connecting to PostgreSQL at \(Self.address(raw)): \(Self.message(raw))")
    }
  }

  deinit {
    PQfreemem(lent)
    PQfinish(raw)
  }

  /// Where the connection goes, without user and password.
  var address: String { Self.address(raw) }

  private static func address(_ raw: OpaquePointer) -> String {
    let host = PQhost(raw).map { String(cString: $0) } ?? ""
    let port = PQport(raw).map { String(cString: $0) } ?? ""
    let database = PQdb(raw).map { String(cString: $0) } ?? ""
    return "\(host):\(port)/\(database)"
  }

  private static func message(_ raw: OpaquePointer) -> String {
    String(cString: PQerrorMessage(raw)).split(separator: "\n").joined(separator: "; ")
  }

  /// What a statement can fail of: of a connection that is gone, or of itself.
  private func failure(_ attempt: String, _ result: OpaquePointer?) -> CaptureError {
    let state = result.flatMap { PQresultErrorField($0, Int32(UInt8(ascii: "C"))) }.map {
      String(cString: $0)
    }
    let isGone = PQstatus(raw) != CONNECTION_OK
    // Connections, resources, operators and locks: these pass. The rest is ours or the administrator's.
    let passes = ["08", "53", "57", "55", "40"].contains { state?.hasPrefix($0) ?? false }
    return CaptureError(isGone || passes ? .retry : .stop, "\(attempt): \(Self.message(raw))")
  }

  // MARK: Statements

  /// Runs a statement of constant text and quoted names; its rows, with nil for null.
  @discardableResult
  func execute(_ statement: String, _ attempt: String) throws(CaptureError) -> [[String?]] {
    let result = PQexec(raw, statement)
    defer { PQclear(result) }
    let status = PQresultStatus(result)
    guard status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK else { throw failure(attempt, result) }
    return (0..<PQntuples(result)).map { row in
      (0..<PQnfields(result)).map { column in
        PQgetisnull(result, row, column) != 0 ? nil : String(cString: PQgetvalue(result, row, column))
      }
    }
  }

  /// A name as an identifier of SQL.
  static func quoted(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }

  /// A text as a literal of SQL.
  static func literal(_ text: String) -> String {
    "'\(text.replacing("'", with: "''"))'"
  }

  // MARK: Copying

  /// Runs a `COPY ... TO STDOUT`, and calls with every line.
  func copy<Failure>(
    _ statement: String, _ attempt: String, failure make: (CaptureError) -> Failure,
    _ line: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    let result = PQexec(raw, statement)
    defer { PQclear(result) }
    guard PQresultStatus(result) == PGRES_COPY_OUT else { throw make(failure(attempt, result)) }
    while true {
      var buffer: UnsafeMutablePointer<CChar>?
      let count = PQgetCopyData(raw, &buffer, 0)
      defer { PQfreemem(buffer) }
      if count == -1 { break }
      guard count >= 0, let buffer else { throw make(failure(attempt, nil)) }
      try line(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
    }
    let end = PQgetResult(raw)
    defer { PQclear(end) }
    guard PQresultStatus(end) == PGRES_COMMAND_OK else { throw make(failure(attempt, end)) }
    PQclear(PQgetResult(raw))
  }

  // MARK: Streaming

  /// Runs `START_REPLICATION`.
  func startStreaming(_ statement: String, _ attempt: String) throws(CaptureError) {
    let result = PQexec(raw, statement)
    defer { PQclear(result) }
    guard PQresultStatus(result) == PGRES_COPY_BOTH else { throw failure(attempt, result) }
  }

  /// The next message of a stream, borrowed until the next call; nil after `timeoutMilliseconds` without one.
  func receive(timeoutMilliseconds: Int) throws(CaptureError) -> UnsafeRawBufferPointer? {
    var mayWait = true
    while true {
      PQfreemem(lent)
      lent = nil
      let count = PQgetCopyData(raw, &lent, 1)
      if count > 0, let lent { return UnsafeRawBufferPointer(start: lent, count: Int(count)) }
      guard count == 0 else { throw ended() }
      guard mayWait else { return nil }
      mayWait = false
      guard wait(Int32(clamping: timeoutMilliseconds)) else { return nil }
      guard PQconsumeInput(raw) == 1 else { throw failure("receiving changes", nil) }
    }
  }

  /// Why a stream is over.
  private func ended() -> CaptureError {
    let result = PQgetResult(raw)
    defer { PQclear(result) }
    var error = failure("receiving changes", result)
    if error.description.hasSuffix(": ") { error.description += "the server ended the stream" }
    // A server that shuts down ends streams in order; one that can't decode says so.
    if result == nil || PQresultStatus(result) == PGRES_COMMAND_OK { error.remedy = .retry }
    return error
  }

  private func wait(_ milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: PQsocket(raw), events: Int16(POLLIN), revents: 0)
    return entry.fd >= 0 ? poll(&entry, 1, milliseconds) > 0 : true
  }

  func send(_ bytes: [UInt8]) throws(CaptureError) {
    let sent = bytes.withUnsafeBytes {
      PQputCopyData(raw, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count))
    }
    guard sent == 1, PQflush(raw) == 0 else { throw failure("answering the database", nil) }
  }
}
