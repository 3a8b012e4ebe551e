public import Processor

/// The log as a capture uses it: one producer with transactions, and what was committed before. One thread.
public protocol CaptureLog: AnyObject {
  /// How far a topic has been captured; nil if nothing was. Waits until a predecessor's transaction has ended.
  func progress(of topic: String) throws(CaptureFault) -> CaptureProgress?
  /// Calls with every committed record of a topic that there is now, in the order of each key's records; `sequence` ascends
  /// with it.
  func forEachRecord(
    of topic: String,
    _ body: (_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ sequence: Int64)
      throws(CaptureFault) ->
      Void
  ) throws(CaptureFault)

  /// Begins a transaction.
  func begin() throws(LogError)
  /// Adds a record; a nil value deletes the key at `timestampMilliseconds`.
  func send(
    topic: String, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?, timestampMilliseconds: Int64?
  ) throws(LogError)
  /// Commits what was added, and how far the topic has been captured with it.
  func commit(_ progress: CaptureProgress, of topic: String) throws(LogError)
}

/// A database that tells of a table's changes. One thread.
public protocol ReplicatedDatabase: AnyObject {
  /// What the database has of the changes since some progress.
  func connect() throws(CaptureError) -> ChangeAvailability
  /// Begins to keep changes, and calls with every row of the table as of then, as a line of `COPY` in text format. Returns
  /// from where on changes are kept.
  func copy(
    _ begin: (_ time: Int64) throws(CaptureFault) -> Void,
    _ line: (UnsafeRawBufferPointer) throws(CaptureFault) -> Void
  ) throws(CaptureFault) -> LogSequenceNumber
  /// Begins to receive changes from a place on.
  func start(at place: LogSequenceNumber) throws(CaptureError)
  /// The next message, borrowed until the next call; nil after `timeoutMilliseconds` without one.
  func receive(timeoutMilliseconds: Int) throws(CaptureError) -> UnsafeRawBufferPointer?
  /// Sends an answer of streaming replication.
  func answer(_ bytes: [UInt8]) throws(CaptureError)
  /// How far the database's log reached at the latest `connect`.
  var end: LogSequenceNumber { get }
  /// About how many rows the table has; nil if nobody has counted.
  var rowsEstimate: Int? { get }
  /// `schema.table`, as the database spells it.
  var tableName: String { get }
}

/// A table that is read whole, again and again. One thread.
public protocol ScannedTable: AnyObject {
  /// What messages call it.
  var tableName: String { get }
  /// About how many rows it has, as far as that is known by now; nil if nobody has counted.
  var rowsEstimate: Int? { get }
  /// Whether something may have changed since the latest `scan` that ended well.
  func mayHaveChanged() throws(CaptureError) -> Bool
  /// Calls with every row, all as of one moment; first with a time that is not before that moment, in microseconds since 1970.
  func scan(
    _ begin: (_ time: Int64) -> Void, _ row: (borrowing RowText) throws(CaptureFault) -> Void
  ) throws(CaptureFault)
}

/// What a database has of the changes since a capture's progress.
public enum ChangeAvailability: Sendable, Hashable {
  /// Every one.
  case all
  /// It keeps none yet.
  case none
  /// It had to give some up, and says why.
  case lost(String)
}

/// What ended an attempt to capture.
public enum CaptureFault: Error, Sendable {
  /// The database's fault, or the table's.
  case database(CaptureError)
  /// The log's.
  case log(LogError)
  /// The capture is asked to stop.
  case stopping
}
