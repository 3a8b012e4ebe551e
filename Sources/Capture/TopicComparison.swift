import OfflineStore
import Processor

/// One comparison of a table, as it was at a moment, with its topic: writes the rows that are new or different, and deletes
/// those that are gone, in transactions of bounded size and time: none is open for longer than it takes to read
/// `CaptureLimits.commitRecordsMax` records, since brokers end those that are open for too long.
///
/// A transaction before the last says that the topic isn't what the table was yet, so that after a crash another comparison
/// writes what is left.
final class TopicComparison<Log: CaptureLog> {
  private let topic: TableTopic<Log>
  private let comparison: TableComparison
  private let copiesStraight: Bool
  /// Records that the topic had.
  private(set) var known = 0
  /// Rows that the table has.
  private(set) var rows = 0
  /// The time of what is written: a whole millisecond, which deletions need.
  private(set) var time: Int64
  /// What follows a row's content: its time.
  private var ending: [UInt8] = []
  private var value = RowBytes()
  /// What the open transaction has; nil if none is open.
  private var pending: (records: Int, bytes: Int)?
  /// Whether anything was written.
  private var hasWritten = false

  /// Reads the topic, whose latest time is `time`. `isKeyUnique`: the database keeps keys apart, so that rows go straight into an
  /// empty topic.
  init(_ topic: TableTopic<Log>, after time: Int64, isKeyUnique: Bool) throws(CaptureFault) {
    self.topic = topic
    self.time = time
    let timeLabel = RowText.timeLabel(topic.table)
    let comparison = TableComparison(
      memoryBytes: topic.limits.memoryBytes, folder: topic.limits.temporaryFolder
    ) { RowContent.latest($0, $1, timeLabel: timeLabel) }
    var known = 0
    try topic.forEachRecord { (key, value, sequence) throws(CaptureFault) in
      guard let key else { return }
      known += 1
      try onTable { () throws(TableError) in try comparison.add(known: value, key: key, sequence: sequence) }
    }
    self.comparison = comparison
    self.known = known
    copiesStraight = isKeyUnique && known == 0
  }

  /// The rows that follow are the table's as of a moment.
  func begin(at moment: Int64) {
    time = max(time, moment)
    time += (1_000 - time % 1_000) % 1_000
    ending = RowText.timeLabel(topic.table) + "\(time)}".utf8
  }

  func add(_ row: borrowing RowText) throws(CaptureFault) {
    try row.withBytes { (content) throws(CaptureFault) in
      try row.withKey { (key) throws(CaptureFault) in
        if copiesStraight { return try put(content, key: key) }
        try onTable { () throws(TableError) in try comparison.add(current: content, key: key) }
      }
    }
    rows += 1
    topic.status.rowsRead += 1
    if topic.status.rowsRead % 4_096 == 0 { try topic.pause() }
  }

  /// Writes what differs; all but the last records are committed. Returns whether there are any. A table without any row is an
  /// error unless `mayEmpty`: half of a file, or the wrong database, must not delete what the topic has.
  func write(path: String, mayEmpty: Bool) throws(CaptureFault) -> Bool {
    try comparison.forEachChange(
      path: path, failure: tableFault, interval: topic.limits.commitRecordsMax
    ) { () throws(CaptureFault) in
      try commitPending()
      try topic.pause()
    } _: { (change) throws(CaptureFault) in
      if rows == 0, !mayEmpty { throw .database(emptied(path)) }
      if let content = change.value { return try put(content, key: change.key) }
      try makeRoom(change.key.count)
      try topic.delete(key: change.key, at: time)
    }
    return hasWritten
  }

  /// Commits the last records, and how far the topic is with them.
  func commit(place: LogSequenceNumber?) throws(CaptureFault) {
    if pending == nil { try topic.begin() }
    pending = nil
    try topic.commit(CaptureProgress(place: place, time: time))
  }

  private func commitPending() throws(CaptureFault) {
    if pending != nil { try commit(place: nil) }
  }

  private func emptied(_ path: String) -> CaptureError {
    CaptureError(
      .stop,
      "\(path) has no rows, and its topic '\(topic.table.topic)' has some: if they are gone for good, set \"on_truncate: delete\""
    )
  }

  private func put(_ content: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) throws(CaptureFault) {
    value.removeAll()
    value.append(content)
    value.append(ending)
    try makeRoom(key.count + value.count)
    try value.withBytes { (value) throws(CaptureFault) in try topic.send(key: key, value: value) }
  }

  /// Room for one more record in the open transaction.
  private func makeRoom(_ bytes: Int) throws(CaptureFault) {
    if let full = pending,
      full.records >= topic.limits.commitRecordsMax || full.bytes + bytes > topic.limits.commitBytesMax
    {
      try commit(place: nil)
      try topic.pause()
    }
    if pending == nil { try topic.begin() }
    pending = ((pending?.records ?? 0) + 1, (pending?.bytes ?? 0) + bytes)
    hasWritten = true
  }
}

private func onTable(_ body: () throws(TableError) -> Void) throws(CaptureFault) {
  do throws(TableError) { try body() } catch { throw tableFault(error) }
}

private func tableFault(_ error: TableError) -> CaptureFault {
  .database(CaptureError(.stop, error.description))
}
