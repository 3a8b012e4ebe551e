public import FeatureCore

/// Why an event has not been taken by all that it was for.
public enum EventFailure {
  /// It can't be decoded.
  case undecodable(DecodeFailure)
  /// A view, the label or the choice of rows can't use it.
  case unusable(ViewFailure)
}

/// Adds events to a join. One thread; a join has as many feeds as workers.
public final class JoinFeed {
  private struct Target {
    let lane: JoinLane
    let fold: ViewFold
  }

  private struct SourceFeed {
    let batch: EventBatch
    let targets: [Target]
    let rows: SpineEvents?
  }

  private let worker: Int
  /// By index of the source; nil for those that nothing is joined of.
  private var sources: [SourceFeed?] = []

  init(_ lanes: [JoinLane], rows: (index: Int, source: SourcePlan, events: SpineEvents)?, worker: Int) {
    self.worker = worker
    for lane in lanes {
      if case .served = lane.purpose { continue }
      add(lane.source, at: lane.sourceIndex, [Target(lane: lane, fold: ViewFold(lane.view))], nil)
    }
    if let rows { add(rows.source, at: rows.index, [], rows.events) }
  }

  private func add(_ source: SourcePlan, at index: Int, _ targets: [Target], _ rows: SpineEvents?) {
    while sources.count <= index { sources.append(nil) }
    let known = sources[index]
    sources[index] = SourceFeed(
      batch: known?.batch ?? EventBatch(source.schema, capacity: 1),
      targets: (known?.targets ?? []) + targets, rows: known?.rows ?? rows)
  }

  /// Adds an event of a source. `order` decides among events of one time: it is their place in the log, the same however
  /// the log is read. Tells `fail` why it can't be used.
  public func add(
    _ payload: UnsafeRawBufferPointer, source index: Int, order: Int64, fail: (EventFailure) -> Void
  ) throws(TableError) {
    guard index < sources.count, let source = sources[index] else { return }
    let batch = source.batch
    batch.removeAll()
    do throws(DecodeFailure) {
      try batch.append(payload, sequence: order)
    } catch {
      return fail(.undecodable(error))
    }
    try add(batch, row: 0, source, order, nil, fail)
  }

  /// Adds an event that has been decoded by the source's schema. Its place is needed where views are compared.
  public func add(
    _ batch: EventBatch, row: Int, source index: Int, order: Int64, place: LogPlace? = nil,
    fail: (EventFailure) -> Void
  ) throws(TableError) {
    guard index < sources.count, let source = sources[index] else { return }
    try add(batch, row: row, source, order, place, fail)
  }

  /// Adds a record of the log that the view of a comparison folds from, decoded by the source's schema.
  public func addForwarded(
    _ batch: EventBatch, row index: Int, to view: ViewPlan, order: Int64, offset: Int64
  ) throws(TableError) {
    guard view.source < sources.count, let source = sources[view.source] else { return }
    for target in source.targets where target.lane.view === view {
      guard let (key, hash) = Self.taken(batch.row(index), time: batch.time(index), target, { _ in }) else {
        continue
      }
      try target.lane.add(
        worker: worker, key: key, hash: hash, time: batch.time(index), order: order,
        bytesMax: ComparedRecord.headerBytes + target.fold.inputBytesMax
      ) { bytes in
        ComparedRecord.writeForwarded(offset: offset, to: bytes)
        return ComparedRecord.headerBytes + target.fold.writeInputs(to: bytes + ComparedRecord.headerBytes)
      }
    }
  }

  private func add(
    _ batch: EventBatch, row index: Int, _ source: SourceFeed, _ order: Int64, _ place: LogPlace?,
    _ fail: (EventFailure) -> Void
  ) throws(TableError) {
    let (row, time) = (batch.row(index), batch.time(index))
    for target in source.targets {
      guard let (key, hash) = Self.taken(row, time: time, target, fail) else { continue }
      if case .compared(let forwarded) = target.lane.purpose {
        guard let place else { preconditionFailure("Cannot compare events without their places") }
        var offset: Int64? = place.offset
        if let forwarded { offset = forwarded.mayHaveLost(key, arrived: place.arrived) ? -1 : nil }
        try target.lane.add(
          worker: worker, key: key, hash: hash, time: time, order: order,
          bytesMax: ComparedRecord.headerBytes + target.fold.inputBytesMax
        ) { bytes in
          ComparedRecord.writeEvent(offset: offset, arrived: place.arrived, to: bytes)
          return ComparedRecord.headerBytes + target.fold.writeInputs(to: bytes + ComparedRecord.headerBytes)
        }
        continue
      }
      try target.lane.add(
        worker: worker, key: key, hash: hash, time: time, order: order, bytesMax: target.fold.inputBytesMax
      ) { target.fold.writeInputs(to: $0) }
    }
    try source.rows?.add(row) { fail(.unusable($0)) }
  }

  /// The key of an event that a lane wants.
  @inline(__always)
  private static func taken(
    _ row: UnsafePointer<Scalar>, time: Int64, _ target: Target, _ fail: (EventFailure) -> Void
  ) -> (key: UnsafeRawBufferPointer, hash: UInt64)? {
    do throws(ViewFailure) {
      guard try target.fold.takes(row) else { return nil }
      let key = try target.fold.key(of: row)
      let hash = Hash64.hash(key)
      return target.lane.wants(hash, time: time) ? (key, hash) : nil
    } catch {
      fail(.unusable(error))
      return nil
    }
  }
}
