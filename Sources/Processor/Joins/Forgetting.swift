import FeatureCore

/// Right events are kept as long as a left one that has no outcome yet may have been followed by them. Those of a key are in a state of
/// their own, which its next event would clean up, but a key may never have another: so a last place comes behind the cursors on the
/// same log, and for each right event that it passes has its key forget what is over.
///
/// An event at r is over when the clock at the slowest cursor's place says r + `within` + `wait` + `allowed_lateness`. What that cursor
/// has yet to take stands behind its place, where the clock says as much at least; of a left event that r may follow, t is before r,
/// so that it comes too late for an outcome. And what stands before the place has its outcome and its correction.
extension JoinFold {
  /// Whether no left event can be followed any more by one of a time.
  func isOver(_ time: Int64) -> Bool {
    plan.lateness(of: time) <= progress.cursors[progress.cursors.count - 1].clock.passed
  }

  /// Lets the last place pass right events that are over, as far as one record of the head lets it come. An event that isn't over
  /// ends that; whatever else there is in the log is passed.
  func forget<Failure>(head: Int64, _ ports: Ports<Failure>) throws(Failure) {
    let index = plan.cursorCount
    let passed = progress.cursors[index - 1].clock.passed
    var steps = plan.followMax
    var bytes = Self.stepBytesMax
    while steps > 0, bytes > 0, progress.last.isPending(before: head) {
      if passed < readers[index].blocked { return }
      try readAhead(index, from: progress.last.offset, ports)
      let passable = passable(index, before: min(head, progress.last.end), steps)
      if passable.isEmpty { return }
      if rights.isStored {
        let missing = Set(over.lazy.map(\.key).filter { !self.rights.contains($0) }.map { Text($0) })
        if !missing.isEmpty { try ports.load(missing.sorted()) }
      }
      pass(passable, &steps, &bytes)
    }
    if progress.last.isPending(before: head) {
      progress.isBehind = true
    } else {
      progress.last = JoinProgress.Last()
      readers[index] = Reader()
    }
  }

  /// The next records that the last place may pass; `over` are the right events among them.
  private func passable(
    _ index: Int, before end: Int64, _ steps: Int
  ) -> Slice<UnsafeBufferPointer<LogRecord>> {
    let ahead = readers[index].ahead
    over.removeAll(keepingCapacity: true)
    rightBatch.removeAll()
    var next = ahead.startIndex
    while next < ahead.endIndex, ahead[next].offset < end, next - ahead.startIndex < steps,
      rightBatch.count < rightBatch.capacity
    {
      let record = ahead[next]
      if case .event(.right, let fields, let payload)? = JoinRecord(record.payload), let key = record.key {
        let rows = decode(payload, fields, key, into: rightBatch, rowFold)
        if let time = rows.lazy.map(rightBatch.time).max() {
          guard isOver(time) else {
            if next == ahead.startIndex { readers[index].blocked = plan.lateness(of: time) }
            break
          }
          over.append((next, key))
        }
      }
      next += 1
    }
    return ahead[..<next]
  }

  /// Passes records, as far as what is left of a step goes: whatever was read at once, it ends at the same place.
  private func pass(
    _ records: Slice<UnsafeBufferPointer<LogRecord>>, _ steps: inout Int, _ bytes: inout Int
  ) {
    var next = 0
    for index in records.indices {
      if bytes <= 0 { return }
      if next < over.count, over[next].index == index {
        bytes -= records[index].payload.count
        if let left = rights.forget(over[next].key, isOver: isOver) {
          forgotten.keys += 1
          forgotten.bytes += over[next].key.count + left
          bytes -= left
        }
        next += 1
      }
      steps -= 1
      progress.last.offset = records[index].offset + 1
    }
  }
}

// What is over changes nothing any more: whether it is forgotten yet is no difference between a store and a fold.
extension JoinFold {
  /// Whether bytes that a store has of a key say what is kept, of what may be needed yet.
  func agrees(_ key: [UInt8], _ found: [UInt8]?) -> Bool {
    func needed(_ bytes: [UInt8]?) -> [RightEvents.Event]? {
      guard let bytes else { return [] }
      return try? bytes.withUnsafeBytes { try RightEvents($0, plan) }.events.filter { !isOver($0.time) }
    }
    guard !isTable, let found = needed(found) else { return false }
    return found == needed(bytes(key))
  }

  /// The same of the progress, except for where the last place is.
  func agrees(progress bytes: [UInt8]) -> Bool {
    guard var found = try? bytes.withUnsafeBytes({ try JoinProgress($0, plan) }) else { return false }
    if found.last != progress.last { (found.last, found.isBehind) = (progress.last, progress.isBehind) }
    var (bytes, own): ([UInt8], [UInt8]) = ([], [])
    found.encode(plan, into: &bytes)
    progress.encode(plan, into: &own)
    return bytes == own
  }
}
