import FeatureCore

/// The records of a join's log between its slowest cursor and its head, for whoever folds it without a log to read again.
final class JoinMemory {
  private struct Kept {
    var record: LogRecord
    var bytes: UnsafeMutableRawBufferPointer
  }

  private var kept: [Kept] = []
  private var handed: [UnsafeMutableBufferPointer<LogRecord>?]

  init(cursors: Int) { handed = Array(repeating: nil, count: cursors) }

  deinit {
    for kept in kept { kept.bytes.deallocate() }
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
    let found = kept.lazy.map(\.record).drop { $0.offset < offset }.prefix(JoinFold.readMax)
    handed[cursor]?.deallocate()
    let records = UnsafeMutableBufferPointer<LogRecord>.allocate(capacity: found.count)
    _ = records.initialize(from: found)
    handed[cursor] = records
    return UnsafeBufferPointer(records)
  }

  /// Forgets what lies before an offset: every cursor has taken it. What was read of it is not used any more.
  func drop(before offset: Int64) {
    let gone = kept.prefix { $0.record.offset < offset }
    // Often enough that memory is bounded, seldom enough that it costs nothing.
    guard gone.count >= 1_000 else { return }
    for kept in gone { kept.bytes.deallocate() }
    kept.removeFirst(gone.count)
  }
}
