import FeatureCore
import Processor

/// Captures a table: compares it with its topic, and then follows its changes. Rows, and how far they reach, are committed in
/// one transaction of the log; so after a crash at any point the topic has every change once. Time and both sides are
/// parameters.
public final class ReplicationCapture<Database: ReplicatedDatabase, Log: CaptureLog> {
  private let database: Database
  private let topic: TableTopic<Log>
  /// Microseconds since 1970.
  private let now: () -> Int64

  /// A capture of a table. `now` is the wall clock in microseconds since 1970: it paces commits and tells the lag, and is
  /// in no record.
  public init(
    _ table: CapturedTable, _ database: Database, _ log: Log, limits: CaptureLimits, status: CaptureStatus,
    now: @escaping () -> Int64, isStopping: @escaping () -> Bool, observe: @escaping (CaptureStatus) -> Void
  ) {
    self.database = database
    self.now = now
    topic = TableTopic(table, log, limits: limits, status: status, isStopping: isStopping, report: observe)
  }

  /// Captures until it is asked to stop, or with `once` until the topic has what the table had at the beginning:
  /// 1. reads how far the topic is,
  /// 2. asks the database whether it has every change since,
  /// 3. if not, compares the table with the topic and writes what differs,
  /// 4. follows the changes.
  ///
  /// `mustCompare` says why changes can't be followed although the database has them.
  public func run(once: Bool, mustCompare: String? = nil, report: (String) -> Void) throws(CaptureFault) {
    topic.enter(.connecting)
    var progress = try topic.progress()
    var availability = try onDatabase { () throws(CaptureError) in try database.connect() }
    if let mustCompare { availability = .lost(mustCompare) }
    topic.status.rowsExpected = database.rowsEstimate
    let place: LogSequenceNumber
    switch (availability, progress?.place) {
    case (.all, let known?):
      place = known
      report("following \(database.tableName) from \(known)")
    case (.lost(let why), _):
      report(
        "changes of \(database.tableName) are lost (\(why)); what they came to is found by comparing the table with the topic "
          + "'\(topic.table.topic)', but not what was in between")
      place = try compare(&progress, report)
    default:
      report("copying \(database.tableName) into the topic '\(topic.table.topic)'")
      place = try compare(&progress, report)
    }
    if once && availability != .all { return }
    try follow(from: place, time: progress?.time ?? .min, once: once)
  }

  // MARK: Comparing

  private func compare(
    _ progress: inout CaptureProgress?, _ report: (String) -> Void
  ) throws(CaptureFault) -> LogSequenceNumber {
    topic.enter(.copying)
    let before = topic.status.changes
    let comparison = try TopicComparison(topic, after: progress?.time ?? .min, isKeyUnique: true)
    var row = RowText(topic.table)
    var copied = CopyText(topic.table)
    let place = try database.copy {
      comparison.begin(at: $0)
    } _: { (line) throws(CaptureFault) in
      try onDatabase { () throws(CaptureError) in try copied.write(line, into: &row) }
      try comparison.add(row)
    }
    _ = try comparison.write(path: database.tableName, mayEmpty: true)
    try comparison.commit(place: place)
    progress = CaptureProgress(place: place, time: comparison.time)
    report(
      "the topic '\(topic.table.topic)' is what \(database.tableName) was at \(place): \(comparison.rows) rows, "
        + "\(comparison.known) records before, \(topic.status.changes - before) written")
    return place
  }

  // MARK: Following

  private func follow(from place: LogSequenceNumber, time: Int64, once: Bool) throws(CaptureFault) {
    try onDatabase { () throws(CaptureError) in try database.start(at: place) }
    topic.enter(.following)
    var stream = ChangeStream(topic.table, relationName: database.tableName, after: place, time: time)
    var follower = Follower(place)
    var silence = Silence(since: now())
    try ask(&silence, follower)
    while true {
      // What is not whole yet is sent again by the database.
      if topic.isAskedToStop && follower.isWhole {
        try commitPending(&follower, stream.time)
        try confirm(follower, wantsAnswer: false)
        throw .stopping
      }
      let wait = follower.records > 0 ? max(0, follower.due - now()) / 1_000 : 250
      let message = try onDatabase { () throws(CaptureError) in
        try database.receive(timeoutMilliseconds: Int(wait))
      }
      var wantsAnswer = false
      if let message {
        silence.since = now()
        switch try onDatabase({ () throws(CaptureError) in try ReplicationMessage(message) }) {
        case .keepalive(let end, let wants):
          wantsAnswer = wants
          silence.hear()
          follower.serverEnd = max(follower.serverEnd, end)
          // Whatever other tables' changes the log holds: nothing of it is missing here.
          if follower.isWhole, follower.records == 0 { follower.confirmed = max(follower.confirmed, end) }
        case .data(let bytes):
          try take(bytes, &stream, &follower)
        }
      } else {
        // Nothing waits, and nothing came after it had answered.
        if follower.isWhole, follower.records == 0, let answered = silence.answered {
          topic.status.completeUntil = max(topic.status.completeUntil ?? answered, answered)
        }
        topic.observe()
        try onDatabase { () throws(CaptureError) in
          try silence.check(at: now(), topic.limits.answerPatienceMilliseconds, of: database.tableName)
        }
      }
      if follower.isWhole, follower.records > 0,
        follower.records >= topic.limits.commitRecordsMax || now() >= follower.due
      {
        try commitPending(&follower, stream.time)
        wantsAnswer = true
      }
      if now() - silence.asked >= topic.limits.questionIntervalMilliseconds * 1_000 {
        try ask(&silence, follower)
      } else if wantsAnswer {
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

  /// Whether the database still answers: one that stands still says as little as one in which nothing happens. All times
  /// in microseconds.
  private struct Silence {
    /// When it sent something last.
    var since: Int64
    /// When it was asked for an answer last.
    var asked = Int64.min / 2
    /// The question that it hasn't answered yet.
    var open: Int64?
    /// The latest question that it has answered.
    var answered: Int64?

    init(since: Int64) { self.since = since }

    mutating func ask(at now: Int64) {
      asked = now
      open = open ?? now
    }

    /// What it says of itself answers the question, if there is one.
    mutating func hear() {
      answered = open ?? answered
      open = nil
    }

    func check(at now: Int64, _ patienceMilliseconds: Int64, of table: String) throws(CaptureError) {
      if let open, now - max(since, open) >= patienceMilliseconds * 1_000 {
        throw CaptureError(
          .retry, "the database of \(table) has not answered for \(patienceMilliseconds / 1_000) s")
      }
    }
  }

  private func ask(_ silence: inout Silence, _ follower: Follower) throws(CaptureFault) {
    silence.ask(at: now())
    try confirm(follower, wantsAnswer: true)
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
      follower.due = max(now(), follower.lastCommit + topic.limits.commitIntervalMilliseconds * 1_000)
      try topic.begin()
    }
    follower.records += 1
    if case .deletion(let key) = outcome { return try delete(key, at: stream.time) }
    if case .moved(let old) = outcome { try delete(old, at: stream.time) }
    try stream.row.withKey { (key) throws(CaptureFault) in
      try stream.row.withBytes { (value) throws(CaptureFault) in try topic.send(key: key, value: value) }
    }
  }

  private func commitPending(_ follower: inout Follower, _ time: Int64) throws(CaptureFault) {
    guard follower.records > 0 else { return }
    try topic.commit(CaptureProgress(place: follower.end, time: time))
    follower.records = 0
    follower.lastCommit = now()
    follower.confirmed = max(follower.confirmed, follower.end)
    topic.status.completeUntil = max(topic.status.completeUntil ?? time, time)
  }

  private func confirm(_ follower: Follower, wantsAnswer: Bool) throws(CaptureFault) {
    topic.status.lagBytes = follower.serverEnd.value - min(follower.serverEnd.value, follower.confirmed.value)
    topic.observe()
    let answer = ReplicationMessage.standbyStatus(follower.confirmed, now: now(), wantsAnswer: wantsAnswer)
    try onDatabase { () throws(CaptureError) in try database.answer(answer) }
  }

  private func delete(_ key: [UInt8], at time: Int64) throws(CaptureFault) {
    try key.span.bytes.withUnsafeBytes { (key: UnsafeRawBufferPointer) throws(CaptureFault) -> Void in
      try topic.delete(key: key, at: time)
    }
  }
}
