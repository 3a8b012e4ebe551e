public import FeatureCore

/// What was found of a source's duplicates.
public struct DuplicateCounts: Hashable, Sendable {
  /// Records that an earlier one has brought already.
  public var duplicates = 0
  /// Of these, records with other values than the earlier one.
  public var conflicts = 0
  /// Records without an id, which are folded.
  public var withoutID = 0
}

/// Takes the events out of a partition's records that have come before. Each record is decided once, in the order of the
/// offsets, however often it is fetched: until it is folded the decision is kept.
public final class DuplicateFilter {
  /// What was found since the last `takeCounts`.
  private var counts = DuplicateCounts()
  /// The offset behind the last record that was decided.
  private(set) var seen: Int64

  /// Places whose cache lines are asked for at once: more than a core can wait for, few enough to stay in its cache.
  private static let touchedAhead = 32

  private let source: SourcePlan
  private var events: SeenEvents
  /// Records that were decided to be duplicates, from the first that is not folded yet, ascending.
  private var found: [(offset: Int64, isConflict: Bool)] = []
  /// The events of a record of the batch, and what identifies them.
  private var identities: ContiguousArray<(record: Int, identity: SeenEvents.Identity?)> = []

  /// A filter of a partition's records from an offset on; nil if the source has no rule.
  public init?(_ source: SourcePlan, from offset: Int64) {
    guard let events = SeenEvents(source) else { return nil }
    self.events = events
    self.source = source
    seen = offset
  }

  /// Forgets everything, to be shown the records from an offset on.
  func restart(from offset: Int64) {
    guard let events = SeenEvents(source) else { preconditionFailure("Cannot filter without a rule") }
    self.events = events
    (seen, counts) = (offset, DuplicateCounts())
    found.removeAll()
  }

  /// The timestamp, in milliseconds, whose first record is the first that matters after a record of `time`.
  func start(of time: Int64) -> Int64 { events.window.start(of: time) }

  /// What was found since the last call.
  func takeCounts() -> DuplicateCounts {
    defer { counts = DuplicateCounts() }
    return counts
  }

  /// Takes duplicates out of a batch of decoded records, which follow those of the batch before; returns the dead letters
  /// of those with other values. What is in no row, because it can't be used, may be sent again.
  public func sift(
    _ records: UnsafeBufferPointer<LogRecord>, _ batch: EventBatch
  ) -> [(record: Int, letter: DeadLetter)] {
    guard let first = records.first else { return [] }
    if !found.isEmpty { found.removeAll { $0.offset < first.offset } }
    decide(records, batch)
    if found.isEmpty { return [] }
    var letters: [(record: Int, letter: DeadLetter)] = []
    // Both ascend.
    var place = 0
    var last = -1
    batch.removeRows(from: 0) { row in
      let record = Int(batch.sequence(row))
      let offset = records[record].offset
      while place < found.count, found[place].offset < offset { place += 1 }
      guard place < found.count, found[place].offset == offset else { return true }
      if found[place].isConflict, record != last {
        letters.append(
          (
            record,
            DeadLetter(events.conflict, batch.schema, records[record].payload, sequence: Int64(record))
          ))
      }
      last = record
      return false
    }
    return letters
  }

  /// Remembers the ids of decoded records from before the first that is folded.
  func learn(_ records: UnsafeBufferPointer<LogRecord>, _ batch: EventBatch) {
    decide(records, batch)
    found.removeAll()
    counts = DuplicateCounts()
  }

  /// Decides the records of a batch that have not been decided.
  private func decide(_ records: UnsafeBufferPointer<LogRecord>, _ batch: EventBatch) {
    guard let last = records.last, last.offset >= seen else { return }
    identify(records, batch)
    let withoutBefore = events.withoutID
    var next = 0
    for record in 0..<records.count where records[record].offset >= seen {
      if let time = records[record].timestampMilliseconds { events.window.advance(to: time) }
      guard next < identities.count, identities[next].record == record else { continue }
      if next % Self.touchedAhead == 0 { touch(from: next) }
      let identity = identities[next].identity
      next += 1
      guard let identity else { continue }
      note(identity, records[record])
    }
    counts.withoutID += events.withoutID - withoutBefore
    seen = last.offset + 1
  }

  private func note(_ identity: SeenEvents.Identity, _ record: LogRecord) {
    // A log without timestamps has no time that passes.
    if record.timestampMilliseconds == nil, !events.window.hasTime { events.window.advance(to: 0) }
    let verdict = events.window.note(identity.id, content: identity.content)
    if verdict == .new { return }
    counts.duplicates += 1
    if verdict == .conflict { counts.conflicts += 1 }
    found.append((record.offset, verdict == .conflict))
  }

  /// Starts loading the places of the next identities, so that their cache misses overlap.
  private func touch(from next: Int) {
    for index in next..<min(next + Self.touchedAhead, identities.count) {
      if let identity = identities[index].identity { events.window.touch(identity.id) }
    }
  }

  /// Finds the identities of the records that are to be decided.
  private func identify(_ records: UnsafeBufferPointer<LogRecord>, _ batch: EventBatch) {
    identities.removeAll(keepingCapacity: true)
    var row = 0
    while row < batch.count {
      let record = Int(batch.sequence(row))
      var end = row + 1
      while end < batch.count, Int(batch.sequence(end)) == record { end += 1 }
      if records[record].offset >= seen {
        identities.append((record, events.identity(batch, row..<end)))
      }
      row = end
    }
  }
}
