import BrokerCore

typealias Place = BrokerCore.TopicPartition

/// A record that a reader of committed records sees.
struct VisibleRecord {
  var offset: Int64
  var record: Record
}

/// What such a reader sees of a partition, read once as it becomes stable. It keeps what retention removes: the
/// oracle has to know it.
final class VisibleLog {
  let place: Place
  private let partition: Partition
  private(set) var records: [VisibleRecord] = []
  /// Where reading goes on.
  private(set) var end: Int64 = 0
  /// Where it began when the run did.
  private(set) var first: Int64 = 0

  init(_ place: Place, _ partition: Partition) {
    self.place = place
    self.partition = partition
  }

  var logStart: Int64 { partition.logStartOffset }
  /// Behind whatever was written, be it stable or not.
  var next: Int64 { partition.nextOffset }

  /// Begins with what is left, and forgets what was there before.
  func restart() {
    first = logStart
    end = first
    records = []
  }

  /// Reads what has become stable.
  func sync() {
    let stable = partition.lastStableOffset
    guard stable > end else { return }
    guard
      let fetched = try? partition.read(
        from: end, maxBytes: .max, isolation: .readCommitted, firstWhole: true)
    else { preconditionFailure("Cannot read \(place) from \(end)") }
    for batch in fetched.batches where batch.baseOffset >= end && batch.baseOffset < stable {
      append(batch, fetched.aborted)
    }
    end = stable
  }

  private func append(_ batch: StoredBatch, _ aborted: [AbortedTransaction]) {
    let header = batch.bytes.withUnsafeBytes { try? BatchHeader(checking: $0) }
    guard let header, let found = try? RecordBatch.records(in: batch.bytes) else {
      preconditionFailure("Cannot read a batch of \(place)")
    }
    if header.isControl { return }
    let isAborted = aborted.contains {
      $0.producerId == header.producerId && $0.firstOffset <= batch.baseOffset
        && batch.baseOffset < $0.lastOffset
    }
    if header.isTransactional && isAborted { return }
    for (offset, record) in found { records.append(VisibleRecord(offset: offset, record: record)) }
  }

  /// The index of the first record at or behind an offset.
  func index(from offset: Int64) -> Int {
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].offset >= offset { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
