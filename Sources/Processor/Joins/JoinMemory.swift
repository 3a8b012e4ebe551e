import FeatureCore

/// The records of a join's log between its slowest cursor and its head, for whoever folds it without a log to read again.
final class JoinMemory {
  private struct Kept {
    var record: LogRecord
    var bytes: UnsafeMutableRawBufferPointer
  }

  private var kept: [Kept] = []
  /// How many of them are forgotten already.
  private var gone = 0
  private var handed: [UnsafeMutableBufferPointer<LogRecord>?]

  init(cursors: Int) { handed = Array(repeating: nil, count: cursors) }

  deinit {
    for kept in kept[gone...] { kept.bytes.deallocate() }
    for records in handed { records?.deallocate() }
  }

  func append(_ record: LogRecord) {
    let (keyCount, valueCount) = (record.key?.count ?? 0, record.value?.count ?? 0)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, keyCount + valueCount), alignment: 1)
    var copy = record
    if let key = record.key {
      bytes.copyBytes(from: key)
      copy.key = UnsafeRawBufferPointer(rebasing: bytes[..<keyCount])
    }
    if let value = record.value {
      UnsafeMutableRawBufferPointer(rebasing: bytes[keyCount...]).copyBytes(from: value)
      copy.value = UnsafeRawBufferPointer(rebasing: bytes[keyCount..<(keyCount + valueCount)])
    }
    kept.append(Kept(record: copy, bytes: bytes))
  }

  func read(_ cursor: Int, from offset: Int64) -> UnsafeBufferPointer<LogRecord> {
    let found = kept[place(of: offset)...].prefix(JoinFold.readMax)
    handed[cursor]?.deallocate()
    let records = UnsafeMutableBufferPointer<LogRecord>.allocate(capacity: found.count)
    _ = records.initialize(from: found.lazy.map(\.record))
    handed[cursor] = records
    return UnsafeBufferPointer(records)
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

  /// Forgets what lies before an offset: every cursor has taken it. What was read of it is not used any more.
  func drop(before offset: Int64) {
    while gone < kept.count, kept[gone].record.offset < offset {
      kept[gone].bytes.deallocate()
      gone += 1
    }
    // Seldom enough that moving what stays costs nothing.
    guard gone >= 1_000, gone > kept.count / 2 else { return }
    kept.removeFirst(gone)
    gone = 0
  }
}
