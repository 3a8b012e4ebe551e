public import EventFiles
public import FeatureCore

/// Why an event has not been taken by all that it was for.
public enum EventFailure {
  /// It is longer than a record may be.
  case oversized
  /// It can't be decoded.
  case undecodable(DecodeFailure)
  /// A view, the label or the choice of rows can't use it.
  case unusable(ViewFailure)
}

/// Adds events to a join. One thread; a join has as many feeds as workers.
public final class JoinFeed {
  /// Events whose cache misses overlap.
  private static let batchRows = 256

  private let worker: Int
  /// By index of the source; nil for those that nothing is joined of.
  private var sources: [SourceFeed?] = []

  /// `isAlone`: every event comes to it, in their order; else it leaves the rows to who puts them in order.
  init(
    _ lanes: [JoinLane], rows: (index: Int, source: SourcePlan, events: SpineEvents)?, worker: Int,
    isAlone: Bool
  ) {
    self.worker = worker
    for lane in lanes {
      if case .served = lane.purpose { continue }
      feed(lane.source, at: lane.sourceIndex).targets.append(FeedTarget(lane, worker: worker))
    }
    guard let rows else { return }
    let feed = feed(rows.source, at: rows.index)
    feed.rows = isAlone ? .made(rows.events) : .chosen(ViewFold(rows.events.choice))
  }

  /// What the times of a source's lines look like; nil if there were none.
  public func unitGuess(source index: Int) -> UnitGuess? {
    index < sources.count ? sources[index]?.guess : nil
  }

  private func feed(_ source: SourcePlan, at index: Int) -> SourceFeed {
    while sources.count <= index { sources.append(nil) }
    let feed =
      sources[index]
      ?? SourceFeed(
        EventBatch(source.schema, capacity: Self.batchRows), source.source.timestamp.unit, SeenEvents(source))
    sources[index] = feed
    return feed
  }

  /// Adds the events of lines of a source; if it tells duplicates, all of its lines in their order to one feed. `order`, and what follows it for the lines behind the first, decides among
  /// events of one time: it is their place in the log, the same however the log is read. Tells `fail` which lines can't be
  /// used, and why, in the order of the lines. Returns the lines that rows are still to be made of, if there are several
  /// feeds: `TrainingJoin.add` takes them.
  @discardableResult
  public func add(
    _ lines: LineBlock, source index: Int, order: Int64, fail: (Line, EventFailure) -> Void
  ) throws(TableError) -> RowLines {
    var rows = RowLines()
    guard index < sources.count, let source = sources[index] else { return rows }
    var failures: [(line: Int, failure: EventFailure)] = []
    var start = 0
    while start < lines.count {
      let end = min(lines.count, start + source.batch.recordsMax)
      let known = failures.count
      source.batch.removeAll()
      for position in start..<end {
        guard !lines[position].isOversized else {
          failures.append((position, .oversized))
          continue
        }
        do throws(DecodeFailure) {
          try source.batch.append(lines[position].bytes, sequence: Int64(position)) {
            failures.append((position, .undecodable($0)))
          }
        } catch {
          failures.append((position, .undecodable(error)))
        }
      }
      for case (_, .undecodable(let failure)) in failures[known...] { source.note(failure) }
      source.sift { failures.append((Int($0), .undecodable($1))) }
      source.noteTimes()
      try source.add(source.batch, order: { order + $0 }, place: nil) {
        failures.append((Int($0), .unusable($1)))
      }
      for position in source.chosen(fail: { failures.append(($0, .unusable($1))) }) {
        rows.append(lines[position].bytes)
      }
      start = end
    }
    if failures.isEmpty { return rows }
    // A stable order: a line may have several.
    for (_, failure) in failures.enumerated().sorted(by: {
      ($0.element.line, $0.offset) < ($1.element.line, $1.offset)
    }) {
      fail(lines[failure.line], failure.failure)
    }
    return rows
  }

  /// Adds events that have been decoded by the source's schema. `order` says the place in the log of a row's sequence;
  /// `place` is needed where views are compared; `fail` is told the sequences of those that can't be used.
  public func add(
    _ batch: EventBatch, source index: Int, order: (Int64) -> Int64, place: ((Int64) -> LogPlace)? = nil,
    fail: (Int64, EventFailure) -> Void
  ) throws(TableError) {
    guard index < sources.count, let source = sources[index] else { return }
    try source.add(batch, order: order, place: place) { fail($0, .unusable($1)) }
  }

  /// Adds a record of the log that the view of a comparison folds from, decoded by the source's schema.
  public func addForwarded(
    _ batch: EventBatch, row index: Int, to view: ViewPlan, order: Int64, offset: Int64
  ) throws(TableError) {
    guard view.source < sources.count, let source = sources[view.source] else { return }
    for target in source.targets where target.lane.view === view {
      try target.addForwarded(batch, index, order: order, offset: offset)
    }
  }
}

/// What the events of a source are for.
private final class SourceFeed {
  /// What becomes of the events that are rows.
  enum Rows {
    case none
    case made(SpineEvents)
    /// Their lines are told.
    case chosen(ViewFold)
  }

  let batch: EventBatch
  var targets: [FeedTarget] = []
  var rows = Rows.none
  private(set) var guess: UnitGuess

  /// Of lines, which have to come in their order.
  private let seen: SeenEvents?

  init(_ batch: EventBatch, _ unit: TimeUnit, _ seen: SeenEvents?) {
    self.batch = batch
    self.seen = seen
    guess = UnitGuess(unit)
  }

  /// Takes the rows out that have come before; tells the sequences of those that say something else than before.
  func sift(_ refuse: (Int64, DecodeFailure) -> Void) {
    if let seen { _ = seen.sift(batch) { refuse($0, seen.conflict) } }
  }

  func note(_ failure: DecodeFailure) { guess.note(failure, batch.schema) }

  func noteTimes() {
    for row in 0..<batch.count { guess.note(batch.time(row)) }
  }

  func add(
    _ batch: EventBatch, order: (Int64) -> Int64, place: ((Int64) -> LogPlace)?,
    fail: (Int64, ViewFailure) -> Void
  ) throws(TableError) {
    for target in targets {
      if case .compared(let forwarded) = target.lane.purpose {
        guard let place else { preconditionFailure("Cannot compare events without their places") }
        try target.add(batch, order: order, place: place, forwarded, fail: fail)
      } else {
        try target.add(batch, order: order, fail: fail)
      }
    }
    guard case .made(let rows) = rows else { return }
    for index in 0..<batch.count {
      try rows.add(batch.row(index)) { fail(batch.sequence(index), $0) }
    }
  }

  /// The sequences of the events in the batch that are rows, if only their lines are told; each once.
  func chosen(fail: (Int, ViewFailure) -> Void) -> [Int] {
    guard case .chosen(let filter) = rows else { return [] }
    var chosen: [Int] = []
    for index in 0..<batch.count {
      let sequence = Int(batch.sequence(index))
      do throws(ViewFailure) {
        if try filter.takes(batch.row(index)), chosen.last != sequence { chosen.append(sequence) }
      } catch {
        fail(sequence, error)
      }
    }
    return chosen
  }
}

/// A lane that events are added to.
private final class FeedTarget {
  let lane: JoinLane
  private let fold: ViewFold
  private let worker: Int

  init(_ lane: JoinLane, worker: Int) {
    self.lane = lane
    self.worker = worker
    fold = ViewFold(lane.view)
  }

  func add(
    _ batch: EventBatch, order: (Int64) -> Int64, fail: (Int64, ViewFailure) -> Void
  ) throws(TableError) {
    let (lane, fold, worker) = (lane, fold, worker)
    for index in 0..<batch.count {
      let time = batch.time(index)
      guard let (key, hash) = taken(batch, index, time: time, fail) else { continue }
      try lane.add(
        worker: worker, key: key, hash: hash, time: time, order: order(batch.sequence(index)),
        bytesMax: fold.inputBytesMax
      ) { fold.writeInputs(to: $0) }
    }
  }

  /// Adds events to a lane that compares.
  func add(
    _ batch: EventBatch, order: (Int64) -> Int64, place: (Int64) -> LogPlace, _ forwarded: ForwardedLog?,
    fail: (Int64, ViewFailure) -> Void
  ) throws(TableError) {
    for index in 0..<batch.count {
      let (time, sequence) = (batch.time(index), batch.sequence(index))
      guard let (key, hash) = taken(batch, index, time: time, fail) else { continue }
      let place = place(sequence)
      var offset: Int64? = place.offset
      if let forwarded { offset = forwarded.mayHaveLost(key, arrived: place.arrived) ? -1 : nil }
      try lane.add(
        worker: worker, key: key, hash: hash, time: time, order: order(sequence),
        bytesMax: ComparedRecord.headerBytes + fold.inputBytesMax
      ) { bytes in
        ComparedRecord.writeEvent(offset: offset, arrived: place.arrived, to: bytes)
        return ComparedRecord.headerBytes + fold.writeInputs(to: bytes + ComparedRecord.headerBytes)
      }
    }
  }

  /// Adds a record of the log that the lane's view folds from.
  func addForwarded(
    _ batch: EventBatch, _ index: Int, order: Int64, offset: Int64
  ) throws(TableError) {
    let time = batch.time(index)
    guard let (key, hash) = taken(batch, index, time: time, { _, _ in }) else { return }
    try lane.add(
      worker: worker, key: key, hash: hash, time: time, order: order,
      bytesMax: ComparedRecord.headerBytes + fold.inputBytesMax
    ) { bytes in
      ComparedRecord.writeForwarded(offset: offset, to: bytes)
      return ComparedRecord.headerBytes + fold.writeInputs(to: bytes + ComparedRecord.headerBytes)
    }
  }

  /// The key of an event that the lane wants.
  @inline(__always)
  private func taken(
    _ batch: EventBatch, _ index: Int, time: Int64, _ fail: (Int64, ViewFailure) -> Void
  ) -> (key: UnsafeRawBufferPointer, hash: UInt64)? {
    do throws(ViewFailure) {
      guard try fold.takes(batch.row(index)) else { return nil }
      let key = try fold.key(of: batch.row(index))
      let hash = Hash64.hash(key)
      return lane.wants(hash, time: time) ? (key, hash) : nil
    } catch {
      fail(batch.sequence(index), error)
      return nil
    }
  }
}
