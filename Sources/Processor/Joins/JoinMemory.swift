import FeatureCore

/// The records of a join's log between its slowest reader and its head, for whoever folds it without a log to read again.
///
/// Behind the cursors only right events are looked at: of the others the bytes are forgotten, and what stays is that there was one.
final class JoinMemory {
  private struct Kept {
    var record: LogRecord
    /// Of a right event.
    var isRight: Bool
  }

  private var kept: [Kept] = []
  /// How many of them are forgotten already.
  private var gone = 0
  /// The bytes of right events, and those of the others.
  private var rights = RecordChunks()
  private var others = RecordChunks()
  /// The reader behind the cursors.
  private let last: Int
  /// What each reader has read last.
  private let handed: [UnsafeMutablePointer<LogRecord>]

  init(_ plan: JoinPlan) {
    last = plan.cursorCount
    handed = (0..<plan.readerCount).map { _ in .allocate(capacity: JoinFold.readMax) }
  }

  deinit { for records in handed { records.deallocate() } }

  func append(_ record: LogRecord) {
    if handed.isEmpty { return }
    var copy = record
    let isRight = record.key != nil && JoinRecord.isOfRight(record.payload)
    if isRight {
      rights.keep(&copy)
    } else {
      others.keep(&copy)
    }
    kept.append(Kept(record: copy, isRight: isRight))
  }

  func read(_ reader: Int, from offset: Int64) -> UnsafeBufferPointer<LogRecord> {
    var count = 0
    for kept in kept[place(of: offset)...].prefix(JoinFold.readMax) {
      var record = kept.record
      if reader == last, !kept.isRight { (record.key, record.value) = (nil, nil) }
      (handed[reader] + count).initialize(to: record)
      count += 1
    }
    return UnsafeBufferPointer(start: handed[reader], count: count)
  }

  /// The index of the first record from an offset on.
  private func place(of offset: Int64) -> Int {
    var (low, high) = (gone, kept.count)
    while low < high {
      let middle = (low + high) / 2
      if kept[middle].record.offset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Forgets what nobody needs any more of a fold that has come to an offset. What was read of it is not used any more.
  func drop(_ progress: JoinProgress, head: Int64) {
    others.drop(before: progress.firstPending ?? head)
    let first = progress.firstNeeded ?? head
    rights.drop(before: first)
    while gone < kept.count, kept[gone].record.offset < first { gone += 1 }
    // Seldom enough that moving what stays costs nothing.
    guard gone >= 1_000, gone > kept.count / 2 else { return }
    kept.removeFirst(gone)
    gone = 0
  }
}

/// The bytes of records in the order of their offsets, many in one piece of memory.
private struct RecordChunks: ~Copyable {
  private struct Chunk {
    var memory: UnsafeMutableRawBufferPointer
    var used = 0
    /// Of the last record in it.
    var offset = Int64.min
  }

  private var chunks: [Chunk] = []
  /// How many of them are free again, for what comes next.
  private var spare: [UnsafeMutableRawBufferPointer] = []
  private static let chunkBytes = 1 << 18

  init() {}

  deinit {
    for chunk in chunks { chunk.memory.deallocate() }
    for memory in spare { memory.deallocate() }
  }

  /// Copies the bytes of a record, which then is what it was.
  mutating func keep(_ record: inout LogRecord) {
    let (keyCount, valueCount) = (record.key?.count ?? 0, record.value?.count ?? 0)
    let room = room(keyCount + valueCount, record.offset)
    if let key = record.key {
      room.copyMemory(from: key)
      record.key = UnsafeRawBufferPointer(rebasing: room[..<keyCount])
    }
    if let value = record.value {
      UnsafeMutableRawBufferPointer(rebasing: room[keyCount...]).copyMemory(from: value)
      record.value = UnsafeRawBufferPointer(rebasing: room[keyCount...])
    }
  }

  private mutating func room(_ count: Int, _ offset: Int64) -> UnsafeMutableRawBufferPointer {
    if chunks.last.map({ $0.memory.count - $0.used < count }) ?? true {
      let memory =
        count <= Self.chunkBytes
        ? spare.popLast() ?? .allocate(byteCount: Self.chunkBytes, alignment: 8)
        : .allocate(byteCount: count, alignment: 8)
      chunks.append(Chunk(memory: memory))
    }
    let last = chunks.count - 1
    let start = chunks[last].used
    chunks[last].used += count
    chunks[last].offset = offset
    return UnsafeMutableRawBufferPointer(rebasing: chunks[last].memory[start..<(start + count)])
  }

  /// Forgets the bytes of records before an offset.
  mutating func drop(before offset: Int64) {
    var count = 0
    while count < chunks.count, chunks[count].offset < offset { count += 1 }
    if count == 0 { return }
    for chunk in chunks[..<count] {
      if chunk.memory.count == Self.chunkBytes, spare.count < 4 {
        spare.append(chunk.memory)
      } else {
        chunk.memory.deallocate()
      }
    }
    chunks.removeFirst(count)
  }
}
