import FeatureCore

/// The fold of one partition of a join's log, whoever reads it: what follows it where, and which records it makes.
///
/// Of an outcome join the head keeps right events by key and lets left events pass; a cursor comes behind on the same log
/// and takes each left event once both streams have come far enough. So the log is the queue: nothing waits in memory or in
/// the store, whatever the horizon. Behind the cursors the last place forgets right events (`Forgetting.swift`).
final class JoinFold {
  let plan: JoinPlan
  let topic: String
  @exclusivity(unchecked) var progress: JoinProgress
  private(set) var hasProgressed = true
  let rights: RightEventsCache
  /// The rows of a table that is joined.
  let rows: StateCache
  let rowFold: ViewFold
  private let leftFold: ViewFold
  private let leftJudge: RecordJudge
  private let rightJudge: RecordJudge
  private let leftBatch: EventBatch
  let rightBatch: EventBatch
  /// Those of the cursors, and that of the last place.
  @exclusivity(unchecked) var readers: [Reader]
  /// What a cursor is about to take; the rows are those of `leftBatch`.
  @exclusivity(unchecked) private var steps: [Step] = []
  /// What the last place is about to pass: right events that are over, by their index among what was read.
  @exclusivity(unchecked) var over: [(index: Int, key: UnsafeRawBufferPointer)] = []
  /// What was forgotten while the last record was folded: how many keys have changed, and the bytes that they have left.
  @exclusivity(unchecked) var forgotten = (keys: 0, bytes: 0)
  @exclusivity(unchecked) private var record: [UInt8] = []
  private var values: [FeatureValue] = []

  /// What of a place needs no storing: it is found again.
  struct Reader {
    /// Records that were read and not taken.
    var ahead = UnsafeBufferPointer<LogRecord>(start: nil, count: 0)[...]
    /// What the streams have to come to before the next event may be taken.
    var blocked = Int64.min
  }

  /// What a record of the log is to a cursor.
  private enum Step {
    case left(rows: Range<Int>, fields: RecordFields, payload: UnsafeRawBufferPointer)
    case mark(JoinMark)
    case other
  }

  /// Bytes that a cursor takes for one record of the head, besides the plan's `followMax`.
  static let stepBytesMax = 8 << 20
  /// Records that a cursor reads at once.
  static let readMax = 1_000

  /// A fold of a join that begins with nothing. `isStored`: somebody stores what changes.
  init(_ plan: Plan, join index: Int, _ limits: WorkerLimits, isStored: Bool) {
    self.plan = plan.joins[index]
    topic = plan.sources[self.plan.source].source.topic
    progress = JoinProgress(self.plan)
    rights = RightEventsCache(countMax: limits.cachedStatesMax, isStored: isStored)
    rows = StateCache(capacity: limits.cachedStatesMax, secret: limits.hashSecret)
    rowFold = ViewFold(self.plan.right)
    leftFold = ViewFold(self.plan.left)
    leftJudge = RecordJudge(plan.sources[self.plan.left.source])
    rightJudge = RecordJudge(plan.sources[self.plan.right.source])
    leftBatch = EventBatch(plan.sources[self.plan.left.source].schema, capacity: limits.batchRecords)
    rightBatch = EventBatch(plan.sources[self.plan.right.source].schema, capacity: limits.batchRecords)
    readers = (0..<self.plan.readerCount).map { _ in Reader() }
  }

  var isTable: Bool { plan.join.kind == .table }

  /// Goes on from what was stored.
  func resume(_ progress: JoinProgress) {
    self.progress = progress
    hasProgressed = false
  }

  /// What has changed is on its way to the store.
  func seal(bytesMax bytes: Int) {
    hasProgressed = false
    rights.seal(bytesMax: bytes)
    rows.seal(bytesMax: bytes)
  }

  /// What the store has of a key.
  func insert(_ key: [UInt8], _ bytes: UnsafeRawBufferPointer) throws(StateError) {
    if isTable {
      let state = try plan.right.decode(bytes)
      key.withUnsafeBytes { rows.young.insert($0, state) }
    } else {
      let events = try RightEvents(bytes, plan)
      key.withUnsafeBytes { rights.insert($0, events) }
    }
  }

  /// The store has nothing of a key.
  func insertNothing(_ key: [UInt8]) {
    if !isTable { key.withUnsafeBytes { rights.insert($0, RightEvents()) } }
  }

  /// Whether what the store has of a key is in memory.
  func hasInMemory(_ key: Text) -> Bool {
    key.utf8.withUnsafeBytes { bytes in
      isTable ? rows.young.state(bytes) != nil || rows.promote(key.utf8) : rights.contains(bytes)
    }
  }

  /// What the store has of a key can't be read.
  func insertDamaged(_ key: [UInt8]) {
    key.withUnsafeBytes { bytes in
      if isTable { rows.young.insertDamaged(bytes) } else { rights.insertDamaged(bytes) }
    }
  }

  /// The keys that have changed since the last commit, with what writes their bytes: none of a key of which nothing is kept any more.
  func forEachChanged(_ body: (UnsafeRawBufferPointer, (inout [UInt8]) -> Void) -> Void) {
    rows.young.forEachChanged { key, state in body(key) { plan.right.encode(state, into: &$0) } }
    rights.forEachChanged { key, events in body(key) { events.encode(plan, into: &$0) } }
  }

  /// The keys that something is kept of, in ascending order.
  var keys: [[UInt8]] {
    var keys = rights.sortedKeys
    rows.young.forEachSorted { key, _ in keys.append(Array(key)) }
    return keys
  }

  /// The bytes of what is kept of a key.
  func bytes(_ key: [UInt8]) -> [UInt8]? {
    if isTable { return key.withUnsafeBytes { rows.young.state($0) }.map(plan.right.encode) }
    var bytes: [UInt8] = []
    key.withUnsafeBytes { rights[$0] }?.encode(plan, into: &bytes)
    return bytes.isEmpty ? nil : bytes
  }

  // MARK: The head

  /// The keys whose right events or rows have to be in memory before records of the head are folded.
  func keys(of records: UnsafeBufferPointer<LogRecord>) -> [Text] {
    var seen: Set<Text> = []
    var keys: [Text] = []
    for record in records {
      guard let key = record.key, case .event(let side, _, _)? = JoinRecord(record.payload),
        isTable || side == .right
      else { continue }
      if seen.insert(Text(key)).inserted { keys.append(Text(key)) }
    }
    return keys
  }

  /// What a fold may need: a reader's next records, keys in memory, and somewhere for what it makes.
  struct Ports<Failure: Error> {
    /// Some records of a cursor or of the last place from an offset on, at least one; valid until its next read.
    var read: (_ reader: Int, _ from: Int64) throws(Failure) -> UnsafeBufferPointer<LogRecord>
    /// Has the right events of keys in memory.
    var load: ([Text]) throws(Failure) -> Void
    /// Takes what is made: a record of the join, or a dead letter of a record of its log.
    var make: (Output) throws(Failure) -> Void
  }

  enum Output {
    case record(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
    /// Of a record of the join's log with the headers of the event in it, which are those that its source declares.
    case letter(LogRecord, EventSchema, DeadLetter)

    static func letter(
      _ record: LogRecord, _ fields: RecordFields, _ schema: EventSchema, _ letter: DeadLetter
    ) -> Output {
      var record = record
      record.headers = fields.headers
      return .letter(record, schema, letter)
    }
  }

  /// Folds a record of the head, and lets the cursors follow. `isSilent`: nothing is made.
  func fold<Failure>(
    _ record: LogRecord, isSilent: Bool, _ ports: Ports<Failure>
  ) throws(Failure) {
    hasProgressed = true
    progress.isBehind = false
    forgotten = (0, 0)
    switch JoinRecord(record.payload) {
    case .mark(let mark): progress.clock.note(mark)
    case .event(let side, let fields, let payload):
      guard let key = record.key else { break }
      switch side {
      case .left:
        for cursor in progress.cursors.indices {
          if progress.cursors[cursor].pending == 0 { progress.cursors[cursor].offset = record.offset }
          progress.cursors[cursor].pending += 1
        }
        if isTable, !isSilent { try join(record, key, fields, payload, ports) }
      case .right:
        try keep(record, key, fields, payload, isSilent, ports)
        if !isTable { progress.last.note(record.offset) }
      }
    case .turn, nil: break
    }
    for cursor in progress.cursors.indices {
      try follow(cursor, head: record.offset + 1, isSilent: isSilent, ports)
    }
    if !isTable { try forget(head: record.offset + 1, ports) }
  }

  /// The rows of a side's record that were forwarded under its key.
  func decode(
    _ payload: UnsafeRawBufferPointer, _ fields: RecordFields, _ key: UnsafeRawBufferPointer,
    into batch: EventBatch, _ fold: ViewFold
  ) -> Range<Int> {
    let first = batch.count
    // Its source's task has judged it; what it refused was told.
    do throws(DecodeFailure) {
      try batch.append(payload, sequence: 0, record: fields)
    } catch { return first..<first }
    // A record of one event was forwarded for it.
    if batch.schema.each == nil { return first..<batch.count }
    let judge = batch === leftBatch ? leftJudge : rightJudge
    batch.removeRows(from: first) { row in
      if batch.schema.hasElementTimes, judge.refuses(batch.time(row), fields) { return false }
      guard (try? fold.takes(batch.row(row))) == true, let own = try? fold.key(of: batch.row(row)) else {
        return false
      }
      return own.elementsEqual(key)
    }
    return first..<batch.count
  }

  private func keep<Failure>(
    _ record: LogRecord, _ key: UnsafeRawBufferPointer, _ fields: RecordFields,
    _ payload: UnsafeRawBufferPointer, _ isSilent: Bool, _ ports: Ports<Failure>
  ) throws(Failure) {
    rightBatch.removeAll()
    let found = decode(payload, fields, key, into: rightBatch, rowFold)
    if isTable {
      for row in found {
        do throws(ViewFailure) {
          _ = try rowFold.fold(rightBatch, row: row, into: &rows.young)
        } catch {
          if isSilent { continue }
          let letter = DeadLetter(error, payload, sequence: 0)
          try ports.make(.letter(record, fields, rightBatch.schema, letter))
        }
      }
      return
    }
    for row in found {
      let event = RightEvents.Event(
        time: rightBatch.time(row), offset: record.offset, passed: progress.clock.passed,
        fields: plan.carriedMembers(rightBatch.row(row)))
      let isDamaged = rights.isDamaged(key)
      if !isDamaged, rights.add(event, to: key, isOver: isOver) { continue }
      if isSilent { continue }
      let letter = letter(isDamaged ? .damaged : .full, payload)
      try ports.make(.letter(record, fields, rightBatch.schema, letter))
    }
  }

  /// Gives a left event the row that the table has now.
  private func join<Failure>(
    _ record: LogRecord, _ key: UnsafeRawBufferPointer, _ fields: RecordFields,
    _ payload: UnsafeRawBufferPointer, _ ports: Ports<Failure>
  ) throws(Failure) {
    leftBatch.removeAll()
    let state = rows.young.state(key)
    for row in decode(payload, fields, key, into: leftBatch, leftFold) {
      let time = EventTime(microseconds: max(leftBatch.time(row), state?.asOf.microseconds ?? .min))
      plan.right.evaluate(state, at: time, into: &values)
      plan.write(leftBatch.row(row), to: &self.record) { $0 += plan.carriedMembers(values) }
      try make(record, fields, payload, ports)
    }
  }

  /// Makes the record that was written.
  private func make<Failure>(
    _ source: LogRecord, _ fields: RecordFields, _ payload: UnsafeRawBufferPointer, _ ports: Ports<Failure>
  ) throws(Failure) {
    // Taken out so that it has one owner, and keeps its memory.
    var record: [UInt8] = []
    swap(&record, &self.record)
    defer { swap(&record, &self.record) }
    guard record.count <= Limits.recordBytesMax else {
      let letter = DeadLetter.oversized(payload, sequence: 0)
      return try ports.make(.letter(source, fields, leftBatch.schema, letter))
    }
    guard let key = source.key else { return }
    try record.span.bytes.withUnsafeBytes { (bytes) throws(Failure) in
      try ports.make(.record(key: key, value: bytes))
    }
  }

  // MARK: The cursors

  /// Lets a cursor take what has become due, as far as one record of the head lets it come.
  private func follow<Failure>(
    _ index: Int, head: Int64, isSilent: Bool, _ ports: Ports<Failure>
  ) throws(Failure) {
    var steps = plan.followMax
    var bytes = Self.stepBytesMax
    while steps > 0, bytes > 0, progress.cursors[index].pending > 0 {
      if progress.clock.passed < readers[index].blocked { return }
      try readAhead(index, from: progress.cursors[index].offset, ports)
      let taken = takeable(index, before: head, &steps, &bytes)
      if taken.isEmpty { return }
      try take(taken, index, isSilent: isSilent, ports)
      readers[index].ahead = readers[index].ahead[taken.endIndex...]
    }
    if progress.cursors[index].pending > 0 {
      progress.isBehind = true
    } else {
      progress.cursors[index].clock = progress.clock
      readers[index] = Reader()
    }
  }

  /// Has a reader's next record among those that were read.
  func readAhead<Failure>(
    _ index: Int, from offset: Int64, _ ports: Ports<Failure>
  ) throws(Failure) {
    var ahead = readers[index].ahead
    while let first = ahead.first, first.offset < offset { ahead.removeFirst() }
    if ahead.isEmpty { ahead = try ports.read(index, offset)[...] }
    readers[index].ahead = ahead
  }

  /// The next records that a cursor may take. A left event that isn't due ends them.
  private func takeable(
    _ index: Int, before head: Int64, _ steps: inout Int, _ bytes: inout Int
  ) -> Slice<UnsafeBufferPointer<LogRecord>> {
    let ahead = readers[index].ahead
    var end = ahead.startIndex
    leftBatch.removeAll()
    self.steps.removeAll(keepingCapacity: true)
    while end < ahead.endIndex, ahead[end].offset < head, steps > 0, bytes > 0,
      leftBatch.count < leftBatch.capacity
    {
      let record = ahead[end]
      let step = step(record)
      if case .left(let rows, _, _) = step {
        var due = Int64.min
        for row in rows { due = max(due, plan.due(leftBatch.time(row), cursor: index)) }
        if due > progress.clock.passed {
          readers[index].blocked = due
          break
        }
      }
      self.steps.append(step)
      steps -= 1
      bytes -= record.payload.count
      end += 1
    }
    return ahead[..<end]
  }

  private func step(_ record: LogRecord) -> Step {
    switch JoinRecord(record.payload) {
    case .mark(let mark): return .mark(mark)
    case .event(.left, let fields, let payload):
      guard let key = record.key else { return .other }
      let rows = decode(payload, fields, key, into: leftBatch, leftFold)
      return .left(rows: rows, fields: fields, payload: payload)
    case .event, .turn, nil: return .other
    }
  }

  private func take<Failure>(
    _ records: Slice<UnsafeBufferPointer<LogRecord>>, _ index: Int, isSilent: Bool, _ ports: Ports<Failure>
  ) throws(Failure) {
    if !isSilent, rights.isStored {
      var keys: Set<Text> = []
      for (record, step) in zip(records, steps) {
        guard case .left = step, let key = record.key, !rights.contains(key) else { continue }
        keys.insert(Text(key))
      }
      if !keys.isEmpty { try ports.load(keys.sorted()) }
    }
    for (record, step) in zip(records, steps) {
      switch step {
      case .mark(let mark): progress.cursors[index].clock.note(mark)
      case .left(let rows, let fields, let payload):
        progress.cursors[index].pending -= 1
        if !isSilent { try tell(record, rows, fields, payload, index, ports) }
      case .other: break
      }
      progress.cursors[index].offset = record.offset + 1
    }
  }

  /// Makes the outcome of a left event, or its correction.
  private func tell<Failure>(
    _ record: LogRecord, _ rows: Range<Int>, _ fields: RecordFields, _ payload: UnsafeRawBufferPointer,
    _ index: Int, _ ports: Ports<Failure>
  ) throws(Failure) {
    guard case .outcome(let within, _, _) = plan.join.kind, let key = record.key else { return }
    let isDamaged = rights.isDamaged(key)
    let events = rights[key]
    for row in rows {
      let time = leftBatch.time(row)
      if progress.cursors[index].clock.passed >= plan.lateness(of: time) || isDamaged {
        let fault: Fault = isDamaged ? .damaged : .late
        if index == 0 {
          try ports.make(.letter(record, fields, leftBatch.schema, letter(fault, payload)))
        }
        continue
      }
      func outcome(_ cursor: Int) -> RightEvents.Event? {
        events?.first(after: time, within: within, offset: record.offset, due: plan.due(time, cursor: cursor))
      }
      let told = outcome(index)
      if index > 0, told == outcome(0) { continue }
      plan.write(leftBatch.row(row), to: &self.record) {
        plan.appendOutcome(told, revision: Int64(index), to: &$0)
      }
      try make(record, fields, payload, ports)
    }
  }

  // MARK: What can't be used

  private enum Fault { case late, full, damaged }

  private func letter(_ fault: Fault, _ payload: UnsafeRawBufferPointer) -> DeadLetter {
    switch fault {
    case .late:
      DeadLetter(
        sequence: 0, reason: DeadLetter.lateForJoin, view: plan.name,
        message:
          "join '\(plan.name)': the event came after its outcome was due, and what followed it may be forgotten; allow more "
          + "with 'allowed_lateness', or send it in time", payload: payload)
    case .full:
      DeadLetter(
        sequence: 0, reason: DeadLetter.joinFull, view: plan.name,
        message:
          "join '\(plan.name)': its key has \(RightEvents.eventsMax) events, or as many bytes, within reach already; narrow "
          + "'where', or join on more columns", payload: payload)
    case .damaged:
      DeadLetter(
        sequence: 0, reason: "state_damaged", view: plan.name,
        message: "join '\(plan.name)': what the store has of its key is damaged", payload: payload)
    }
  }
}
