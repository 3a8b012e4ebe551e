public import FeatureCore

/// Counts of a run.
public struct RunCounts: Hashable, Sendable {
  /// Records read.
  public var records = 0
  /// Records that no view could use.
  public var undecodable = 0
  /// Dead letters, which may be several for one record: one a view.
  public var deadLetters = 0
  /// Records folded, added over views.
  public var folded = 0
  /// Records that were late, added over views.
  public var late = 0
  /// Records left out since an earlier one had their event's id.
  public var duplicates = 0
  /// The largest event time folded.
  public var asOf: EventTime?

  /// Nothing yet.
  public init() {}
}

/// Folds the records of one source, decoded in batches, into the states of some of its views.
///
/// The fold of a log whatever it is read from: batches come in log order. The size of a batch changes no result; it lets
/// cache misses overlap.
public final class BatchProcessor {
  /// The source.
  public let source: SourcePlan
  /// The views.
  public var views: [ViewPlan] { folds.map(\.view) }

  /// Called with every trigger of a view that fires.
  public var onFiring: ((ViewPlan, Firing) -> Void)?

  private let folds: [ViewFold]
  private let tables: [TableBox]
  private let deadLetter: (DeadLetter) -> Void
  private let until: EventTime
  /// What the times of the events look like.
  @exclusivity(unchecked) public private(set) var unitGuess: UnitGuess
  private let seen: SeenEvents?
  @exclusivity(unchecked) private var duplicates = 0
  @exclusivity(unchecked) private var records = 0
  @exclusivity(unchecked) private var undecodable = 0
  private var deadLetters = 0

  /// A class around a table, so that an array can hold tables, which can't be copied.
  private final class TableBox {
    var table: StateTable
    init(secret: UInt64) { table = StateTable(secret: secret) }
  }

  /// A processor of one source's records. `deadLetter` is called for what can't be used, in log order within a
  /// view; the views must all be of the source. Events after `until` are left out.
  /// `hashSecret` is as in `WorkerLimits`.
  public init(
    _ source: SourcePlan, views: [ViewPlan], until: EventTime = EventTime(microseconds: .max),
    hashSecret: UInt64 = 0, deadLetter: @escaping (DeadLetter) -> Void
  ) {
    self.source = source
    self.until = until
    unitGuess = UnitGuess(source.source.timestamp.unit)
    seen = SeenEvents(source, hashSecret: hashSecret)
    folds = views.map(ViewFold.init)
    tables = views.map { _ in TableBox(secret: hashSecret) }
    self.deadLetter = deadLetter
  }

  /// Folds the next records of the log, which have been decoded by the source's schema: the rows of a batch, and what could not
  /// be decoded. `payload` says what a record was, by its sequence.
  public func fold(
    _ batch: EventBatch, records count: Int, failures: [(sequence: Int64, failure: DecodeFailure)],
    payload: (Int64) -> UnsafeRawBufferPointer
  ) {
    records += count
    for (sequence, failure) in failures { refuse(failure, payload(sequence), sequence) }
    fold(batch, payload)
  }

  private func refuse(_ failure: DecodeFailure, _ payload: UnsafeRawBufferPointer, _ sequence: Int64) {
    undecodable += 1
    unitGuess.note(failure, source.schema)
    send(DeadLetter(failure, source.schema, payload, sequence: sequence))
  }

  /// What was done so far.
  public var counts: RunCounts {
    var counts = RunCounts()
    counts.records = records
    counts.undecodable = undecodable
    counts.deadLetters = deadLetters
    counts.duplicates = duplicates
    for fold in folds {
      counts.folded += fold.counts.folded
      counts.late += fold.counts.late
    }
    counts.asOf = folds.compactMap(\.latest).max()
    return counts
  }

  /// Entities of a view.
  public func entityCount(_ view: Int) -> Int { tables[view].table.count }

  /// Visits the states of a view in ascending order of key bytes.
  public func forEachState<Failure>(
    _ view: Int, _ body: (UnsafeRawBufferPointer, State) throws(Failure) -> Void
  ) throws(Failure) {
    try tables[view].table.forEachSorted(body)
  }

  private func fold(_ batch: EventBatch, _ payload: (Int64) -> UnsafeRawBufferPointer) {
    for row in 0..<batch.count { unitGuess.note(batch.time(row)) }
    if let seen { duplicates += seen.sift(batch) { refuse(seen.conflict, payload($0), $0) } }
    if until.microseconds < .max { batch.removeRows(from: 0) { batch.time($0) <= until.microseconds } }
    for (fold, box) in zip(folds, tables) {
      fold.fold(batch, into: &box.table) { row, failure in
        send(DeadLetter(failure, payload(batch.sequence(row)), sequence: batch.sequence(row)))
      }
      for firing in fold.takeFirings() { onFiring?(fold.view, firing) }
    }
  }

  private func send(_ letter: DeadLetter) {
    deadLetters += 1
    deadLetter(letter)
  }
}
