import FeatureCore
import OfflineStore
import Processor

/// What a capture has done, and how far it is.
public struct CaptureStatus: Sendable, Hashable {
  /// What it is doing.
  public enum Phase: String, Sendable {
    /// Not connected, or waiting to connect again.
    case connecting
    /// Reading the whole table.
    case copying
    /// Following its changes.
    case following
  }

  /// What it is doing.
  public var phase = Phase.connecting
  /// Rows of whole tables that were read.
  public var rowsRead = 0
  /// About how many rows the table has, as the database guesses.
  public var rowsExpected: Int?
  /// Records written, deletions among them.
  public var changes = 0
  /// Deletions written.
  public var deletions = 0
  /// Transactions of the log.
  public var commits = 0
  /// Bytes of the database's log between what it has and what is committed here; nil before anything was received.
  public var lagBytes: UInt64?
  /// Until when the topic has all that was committed in the database, in microseconds since 1970; nil before that is known.
  public var completeUntil: Int64?

  /// Nothing yet.
  public init() {}
}

/// How much a capture does at once.
public struct CaptureLimits: Sendable {
  /// The least time between two commits, and so the longest wait of a change for others that go with it, in milliseconds.
  public var commitIntervalMilliseconds: Int64 = 100
  /// Records of a transaction, beyond which the next end of a database transaction commits it.
  public var commitRecordsMax = 20_000
  /// Bytes for comparing a table with its topic.
  public var memoryBytes = 256 << 20
  /// Where what doesn't fit is put.
  public var temporaryFolder = "/tmp"
  /// Between two answers to the database, in milliseconds: a sixth of PostgreSQL's default patience.
  public var confirmIntervalMilliseconds: Int64 = 10_000

  /// The defaults.
  public init() {}
}

/// Captures a table: compares it with its topic, and then follows its changes. Rows, and how far they reach, are committed in
/// one transaction of the log; so after a crash at any point the topic has every change once. Time and both sides are
/// parameters.
public final class ReplicationCapture<Database: ReplicatedDatabase, Log: CaptureLog> {
  private let table: CapturedTable
  private let database: Database
  private let log: Log
  private let limits: CaptureLimits
  /// Microseconds since 1970.
  private let now: () -> Int64
  private let isStopping: () -> Bool
  private let observe: (CaptureStatus) -> Void
  private var status: CaptureStatus

  /// A capture of a table. `now` is the wall clock in microseconds since 1970: it paces commits and tells the lag, and is
  /// in no record.
  public init(
    _ table: CapturedTable, _ database: Database, _ log: Log, limits: CaptureLimits, status: CaptureStatus,
    now: @escaping () -> Int64, isStopping: @escaping () -> Bool, observe: @escaping (CaptureStatus) -> Void
  ) {
    self.table = table
    self.database = database
    self.log = log
    self.limits = limits
    self.status = status
    self.now = now
    self.isStopping = isStopping
    self.observe = observe
  }

  /// Captures until it is asked to stop, or with `once` until the topic has what the table had at the beginning:
  /// 1. reads how far the topic is,
  /// 2. asks the database whether it has every change since,
  /// 3. if not, compares the table with the topic and writes what differs,
  /// 4. follows the changes.
  ///
  /// `mustCompare` says why changes can't be followed although the database has them.
  public func run(once: Bool, mustCompare: String? = nil, report: (String) -> Void) throws(CaptureFault) {
    set(.connecting)
    var progress = try log.progress(of: table.topic)
    var availability = try onDatabase { () throws(CaptureError) in try database.connect() }
    if let mustCompare { availability = .lost(mustCompare) }
    status.rowsExpected = database.rowsEstimate
    let place: LogSequenceNumber
    switch (availability, progress?.place) {
    case (.all, let known?):
      place = known
      report("following \(database.tableName) from \(known)")
    case (.lost(let why), _):
      report(
        "changes of \(database.tableName) are lost (\(why)); what they came to is found by comparing the table with the topic "
          + "'\(table.topic)', but not what was in between")
      place = try compare(&progress, report)
    default:
      report("copying \(database.tableName) into the topic '\(table.topic)'")
      place = try compare(&progress, report)
    }
    if once && availability != .all { return }
    try follow(from: place, time: progress?.time ?? .min, once: once)
  }

  // MARK: Comparing

  private func compare(
    _ progress: inout CaptureProgress?, _ report: (String) -> Void
  ) throws(CaptureFault) -> LogSequenceNumber {
    set(.copying)
    let table = table
    let comparison = TableComparison(memoryBytes: limits.memoryBytes, folder: limits.temporaryFolder) {
      RowContent.latest($0, $1, table)
    }
    var known = 0
    let before = status.changes
    try log.forEachRecord(of: table.topic) { (key, value, sequence) throws(CaptureFault) in
      guard let key else { return }
      known += 1
      try onTable { () throws(TableError) in try comparison.add(known: value, key: key, sequence: sequence) }
    }
    var time = progress?.time ?? .min
    var row = RowText(table)
    var copied = CopyText()
    let writer = PgValueWriter(table: table)
    // Against an empty topic every row is a difference, and the database keeps keys apart.
    let isFirst = known == 0
    var batch = Batch(time: time, field: table.timeField)
    let place = try database.copy { (snapshotTime) throws(CaptureFault) in
      // Whole milliseconds, which deletions need.
      time = max(time, snapshotTime)
      time += (1_000 - time % 1_000) % 1_000
      batch = Batch(time: time, field: table.timeField)
      if isFirst { try onLog { () throws(LogError) in try log.begin() } }
    } _: { (line) throws(CaptureFault) in
      do throws(CaptureError) { try copied.write(line, writer, into: &row) } catch {
        throw .database(error)
      }
      try row.bytes.span.bytes.withUnsafeBytes {
        (bytes: UnsafeRawBufferPointer) throws(CaptureFault) -> Void in
        try row.key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(CaptureFault) -> Void in
          if isFirst { return try put(bytes, key: key, &batch) }
          try onTable { () throws(TableError) in try comparison.add(current: bytes, key: key) }
        }
      }
      status.rowsRead += 1
      if status.rowsRead % 4_096 == 0 { try pause() }
    }
    if !isFirst { try write(comparison, &batch) }
    progress = CaptureProgress(place: place, time: time)
    try commit(progress ?? CaptureProgress(place: place, time: time))
    report(
      "the topic '\(table.topic)' is what \(database.tableName) was at \(place): \(status.rowsRead) rows, \(known) records before, "
        + "\(status.changes - before) written")
    return place
  }

  /// Rows of one time that are written in transactions of bounded size.
  private struct Batch {
    let time: Int64
    /// What follows a row's content: its time.
    let ending: [UInt8]
    var value: [UInt8] = []
    /// Records in the open transaction.
    var records = 0

    init(time: Int64, field: String) {
      self.time = time
      var ending = Array(",".utf8)
      var name = field
      name.withUTF8 { RowText.appendQuoted(UnsafeRawBufferPointer($0), to: &ending) }
      self.ending = ending + ":\(time)}".utf8
    }
  }

  private func put(
    _ content: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, _ batch: inout Batch
  ) throws(CaptureFault) {
    batch.value.removeAll(keepingCapacity: true)
    batch.value.append(contentsOf: content)
    batch.value += batch.ending
    try send(key: key, value: batch.value)
    try added(&batch)
  }

  private func added(_ batch: inout Batch) throws(CaptureFault) {
    batch.records += 1
    guard batch.records >= limits.commitRecordsMax else { return }
    batch.records = 0
    // Until all of it is there, another attempt has to compare again: it writes what is left.
    try commit(CaptureProgress(place: nil, time: batch.time))
    try pause()
    try onLog { () throws(LogError) in try log.begin() }
  }

  private func write(_ comparison: TableComparison, _ batch: inout Batch) throws(CaptureFault) {
    try onLog { () throws(LogError) in try log.begin() }
    try comparison.forEachChange(path: database.tableName, failure: tableFault) {
      (change) throws(CaptureFault) in
      if let content = change.value {
        try put(content, key: change.key, &batch)
      } else {
        try delete(Array(change.key), at: batch.time)
        try added(&batch)
      }
    }
  }

  private func onTable(_ body: () throws(TableError) -> Void) throws(CaptureFault) {
    do throws(TableError) { try body() } catch { throw tableFault(error) }
  }

  // MARK: Following

  private func follow(from place: LogSequenceNumber, time: Int64, once: Bool) throws(CaptureFault) {
    try onDatabase { () throws(CaptureError) in try database.start(at: place) }
    set(.following)
    var stream = ChangeStream(table, relationName: database.tableName, after: place, time: time)
    var follower = Follower(place)
    var lastConfirmation = now()
    if once { try confirm(follower, wantsAnswer: true) }
    while true {
      // What is not whole yet is sent again by the database.
      if isStopping() && follower.isWhole {
        try commitPending(&follower, stream.time)
        try confirm(follower, wantsAnswer: false)
        throw .stopping
      }
      let wait = follower.records > 0 ? max(0, follower.due - now()) / 1_000 : 250
      let message = try onDatabase { () throws(CaptureError) in
        try database.receive(timeoutMilliseconds: Int(wait))
      }
      var wantsAnswer = false
      if message == nil, follower.isWhole, follower.records == 0 {
        // Nothing comes, and nothing waits.
        status.completeUntil = now()
        observe(status)
      }
      if let message {
        switch try onDatabase({ () throws(CaptureError) in try ReplicationMessage(message) }) {
        case .keepalive(let end, let wants):
          wantsAnswer = wants
          follower.serverEnd = max(follower.serverEnd, end)
          // Whatever other tables' changes the log holds: nothing of it is missing here.
          if follower.isWhole, follower.records == 0 { follower.confirmed = max(follower.confirmed, end) }
        case .data(let bytes):
          try take(bytes, &stream, &follower)
        }
      }
      if follower.isWhole, follower.records > 0,
        follower.records >= limits.commitRecordsMax || now() >= follower.due
      {
        try commitPending(&follower, stream.time)
        wantsAnswer = true
      }
      if wantsAnswer || now() - lastConfirmation >= limits.confirmIntervalMilliseconds * 1_000 {
        lastConfirmation = now()
        try confirm(follower, wantsAnswer: false)
      }
      if once, follower.isWhole, follower.records == 0, follower.confirmed >= database.end {
        return try confirm(follower, wantsAnswer: false)
      }
    }
  }

  /// What has been received and is not committed yet.
  private struct Follower {
    /// Whether no database transaction is half received.
    var isWhole = true
    /// Records in the open transaction of the log.
    var records = 0
    /// When they have to be committed, in microseconds.
    var due: Int64 = 0
    /// When something was committed last, in microseconds.
    var lastCommit = Int64.min / 2
    /// Behind the last whole transaction.
    var end: LogSequenceNumber
    /// What the database may forget.
    var confirmed: LogSequenceNumber
    /// How far the database's log reaches.
    var serverEnd: LogSequenceNumber

    init(_ place: LogSequenceNumber) {
      end = place
      confirmed = place
      serverEnd = place
    }
  }

  private func take(
    _ bytes: UnsafeRawBufferPointer, _ stream: inout ChangeStream, _ follower: inout Follower
  ) throws(CaptureFault) {
    let outcome = try onDatabase { () throws(CaptureError) in try stream.take(bytes) }
    switch outcome {
    case .nothing: return
    case .began:
      follower.isWhole = false
      return
    case .committed(let end):
      follower.isWhole = true
      follower.end = max(follower.end, end)
      follower.serverEnd = max(follower.serverEnd, end)
      if follower.records == 0 { follower.confirmed = max(follower.confirmed, end) }
      return
    case .row, .deletion, .moved: break
    }
    if follower.records == 0 {
      // A change that comes alone doesn't wait for others.
      follower.due = max(now(), follower.lastCommit + limits.commitIntervalMilliseconds * 1_000)
      try onLog { () throws(LogError) in try log.begin() }
    }
    follower.records += 1
    if case .deletion(let key) = outcome { return try delete(key, at: stream.time) }
    if case .moved(let old) = outcome { try delete(old, at: stream.time) }
    try stream.row.key.span.bytes.withUnsafeBytes {
      (key: UnsafeRawBufferPointer) throws(CaptureFault) -> Void in
      try send(key: key, value: stream.row.bytes)
    }
  }

  private func commitPending(_ follower: inout Follower, _ time: Int64) throws(CaptureFault) {
    guard follower.records > 0 else { return }
    try commit(CaptureProgress(place: follower.end, time: time))
    follower.records = 0
    follower.lastCommit = now()
    follower.confirmed = max(follower.confirmed, follower.end)
    status.completeUntil = max(status.completeUntil ?? time, time)
  }

  private func confirm(_ follower: Follower, wantsAnswer: Bool) throws(CaptureFault) {
    status.lagBytes = follower.serverEnd.value - min(follower.serverEnd.value, follower.confirmed.value)
    observe(status)
    let answer = ReplicationMessage.standbyStatus(follower.confirmed, now: now(), wantsAnswer: wantsAnswer)
    try onDatabase { () throws(CaptureError) in try database.answer(answer) }
  }

  // MARK: Writing

  private func send(key: UnsafeRawBufferPointer, value: [UInt8]) throws(CaptureFault) {
    try onLog { () throws(LogError) in
      try value.span.bytes.withUnsafeBytes { (value: UnsafeRawBufferPointer) throws(LogError) -> Void in
        try log.send(topic: table.topic, key: key, value: value, timestampMilliseconds: nil)
      }
    }
    status.changes += 1
  }

  private func delete(_ key: [UInt8], at time: Int64) throws(CaptureFault) {
    try onLog { () throws(LogError) in
      try key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(LogError) -> Void in
        try log.send(topic: table.topic, key: key, value: nil, timestampMilliseconds: time / 1_000)
      }
    }
    status.changes += 1
    status.deletions += 1
  }

  private func commit(_ progress: CaptureProgress) throws(CaptureFault) {
    try onLog { () throws(LogError) in try log.commit(progress, of: table.topic) }
    status.commits += 1
    observe(status)
  }

  private func set(_ phase: CaptureStatus.Phase) {
    status.phase = phase
    observe(status)
  }

  private func pause() throws(CaptureFault) {
    observe(status)
    if isStopping() { throw .stopping }
  }

  private func onLog<Result>(_ body: () throws(LogError) -> Result) throws(CaptureFault) -> Result {
    do throws(LogError) { return try body() } catch { throw .log(error) }
  }

  private func onDatabase<Result>(_ body: () throws(CaptureError) -> Result) throws(CaptureFault) -> Result {
    do throws(CaptureError) { return try body() } catch { throw .database(error) }
  }
}

private func tableFault(_ error: TableError) -> CaptureFault {
  .database(CaptureError(.stop, error.description))
}
