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

  private let source: SourcePlan
  private let hashSecret: UInt64
  private var events: SeenEvents
  /// Records that were decided to be duplicates, from the first that is not folded yet, ascending.
  private var found: [(offset: Int64, isConflict: Bool)] = []

  /// A filter of a partition's records from an offset on; nil if the source has no rule. `hashSecret` is as in
  /// `WorkerLimits`.
  public init?(_ source: SourcePlan, from offset: Int64, hashSecret: UInt64 = 0) {
    guard let events = SeenEvents(source, hashSecret: hashSecret) else { return nil }
    self.events = events
    self.source = source
    self.hashSecret = hashSecret
    seen = offset
  }

  /// Forgets everything, to be shown the records from an offset on, up to one.
  func restart(from offset: Int64, to end: Int64) {
    guard let events = SeenEvents(source, hashSecret: hashSecret) else {
      preconditionFailure("Cannot filter without a rule")
    }
    self.events = events
    events.window.reserve(records: Int(clamping: end - offset))
    (seen, counts) = (offset, DuplicateCounts())
    found.removeAll()
  }

  /// The timestamp, in milliseconds, whose first record is the first that matters after a record of `time`.
  func start(of time: Int64) -> Int64 { events.window.start(of: time) }

  /// Makes room for so many records, which are about to be shown.
  public func reserve(records: Int) { events.window.reserve(records: records) }

  /// Bytes that the ids take up.
  public var idBytes: Int { events.window.bytes }

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
    let (events, window, seen) = (events, events.window, seen)
    guard let last = records.last, last.offset >= seen else { return }
    var row = 0
    while row < batch.count, records[Int(batch.sequence(row))].offset < seen { row += 1 }
    let withoutBefore = events.withoutID
    let identities = events.identify(batch, from: row)
    var (next, duplicates, conflicts) = (0, 0, 0)
    for record in 0..<records.count where records[record].offset >= seen {
      if let time = records[record].timestampMilliseconds { window.advance(to: time) }
      guard next < identities.count, Int(identities[next].sequence) == record else { continue }
      // A log without timestamps has no time that passes.
      if identities[next].hasID, !window.hasTime { window.advance(to: 0) }
      if let verdict = events.judge(identities, next), verdict != .new {
        duplicates += 1
        if verdict == .conflict { conflicts += 1 }
        found.append((records[record].offset, verdict == .conflict))
      }
      next += 1
    }
    counts.duplicates += duplicates
    counts.conflicts += conflicts
    counts.withoutID += events.withoutID - withoutBefore
    self.seen = last.offset + 1
  }
}
