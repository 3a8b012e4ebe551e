/// Sorts bytes by two words, within a budget of memory and else on disk. Records of equal words come in the order in which
/// they were added.
public final class DiskSort {
  private let sorter: RecordSorter
  private var records: SortedRecords?
  private var count: UInt64 = 0

  /// A sort that holds so many bytes in memory, and the rest in nameless files of a folder.
  public init(_ resources: JoinResources) {
    sorter = RecordSorter(MemoryBudget(limit: resources.memoryBytes, folder: resources.folder))
  }

  /// Adds a record.
  public func add(_ first: UInt64, _ second: UInt64, _ bytes: UnsafeRawBufferPointer) throws(TableError) {
    precondition(records == nil, "Cannot add to what is being read")
    try sorter.append(SortKey(first: first, second: second, third: count), bytesMax: bytes.count) { room in
      UnsafeMutableRawBufferPointer(start: room, count: bytes.count).copyMemory(from: bytes)
      return bytes.count
    }
    count += 1
  }

  /// The next record in order, once all have been added; nil behind the last. Its bytes are valid until the next call.
  public func next() throws(TableError) -> (first: UInt64, second: UInt64, bytes: UnsafeRawBufferPointer)? {
    if records == nil {
      try sorter.finish()
      records = try SortedRecords([sorter])
    }
    return try records?.next().map { ($0.key.first, $0.key.second, $0.payload) }
  }
}
