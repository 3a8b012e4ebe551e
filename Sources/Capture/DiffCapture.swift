import FeatureCore
import Processor

/// Captures a table that has no log of changes, by comparing it with its topic again and again. Only what differs is written;
/// after a crash at any point the next comparison finds what is left, so that the topic has every change once. Time and
/// both sides are parameters.
public final class DiffCapture<Table: ScannedTable, Log: CaptureLog> {
  private let scanned: Table
  private let topic: TableTopic<Log>
  private let every: Int64
  private let deletesAll: Bool
  /// Microseconds since 1970.
  private let now: () -> Int64
  private let sleep: () -> Void

  /// A capture of a table with `every` microseconds between two comparisons. `deletesAll`: a table without rows deletes those of
  /// the topic, and is no error. `now` is the wall clock in microseconds since 1970, and `sleep` lets a little of it pass.
  public init(
    _ table: CapturedTable, _ scanned: Table, _ log: Log, every: Int64, deletesAll: Bool,
    limits: CaptureLimits,
    status: CaptureStatus, now: @escaping () -> Int64, sleep: @escaping () -> Void,
    isStopping: @escaping () -> Bool, observe: @escaping (CaptureStatus) -> Void
  ) {
    self.scanned = scanned
    self.every = every
    self.deletesAll = deletesAll
    self.now = now
    self.sleep = sleep
    topic = TableTopic(table, log, limits: limits, status: status, isStopping: isStopping, report: observe)
  }

  /// Captures until it is asked to stop, or with `once` until the topic has what the table had at the beginning:
  /// 1. reads how far the topic is,
  /// 2. reads the topic, and the table as of a moment,
  /// 3. writes what differs,
  /// 4. waits, and goes on with 2 if the table may have changed.
  public func run(once: Bool, report: (String) -> Void) throws(CaptureFault) {
    topic.enter(.connecting)
    var time = try topic.progress()?.time ?? .min
    topic.enter(.copying)
    try compare(&time, isFirst: true, report)
    while !once {
      topic.enter(.following)
      try wait()
      let moment = now()
      if try onDatabase({ () throws(CaptureError) in try scanned.mayHaveChanged() }) {
        topic.enter(.comparing)
        try compare(&time, isFirst: false, report)
      } else {
        topic.status.completeUntil = moment
      }
    }
    topic.enter(.following)
  }

  private func compare(_ time: inout Int64, isFirst: Bool, _ report: (String) -> Void) throws(CaptureFault) {
    let before = topic.status
    // Nothing but the comparison keeps keys apart here.
    let comparison = try TopicComparison(topic, after: time, isKeyUnique: false)
    var moment = Int64.min
    try scanned.scan {
      moment = $0
      comparison.begin(at: $0)
    } _: { (row) throws(CaptureFault) in
      guard row.hasKey else { throw .database(noKey(comparison.rows + 1)) }
      topic.status.rowsExpected = scanned.rowsEstimate
      try comparison.add(row)
    }
    if try comparison.write(path: scanned.tableName, mayEmpty: deletesAll) {
      try comparison.commit(place: nil)
      time = comparison.time
    }
    topic.status.completeUntil = max(topic.status.completeUntil ?? moment, moment)
    let (changes, deletions) = (
      topic.status.changes - before.changes, topic.status.deletions - before.deletions
    )
    guard isFirst || changes > 0 else { return }
    report(
      "the topic '\(topic.table.topic)' is what \(scanned.tableName) was: \(comparison.rows) rows, \(comparison.known) records before, "
        + "\(changes) written, \(deletions) of them deletions")
  }

  private func wait() throws(CaptureFault) {
    let end = now() + every
    while now() < end {
      try topic.pause()
      sleep()
    }
    try topic.pause()
  }

  private func noKey(_ row: Int) -> CaptureError {
    let key = topic.table.columns[topic.table.key].name
    return CaptureError(
      .stop,
      "source '\(topic.table.source)', column '\(key)': row \(row) of \(scanned.tableName) has no value there, and it is the "
        + "key; capture a view without such rows, or name another column as 'key'")
  }
}
