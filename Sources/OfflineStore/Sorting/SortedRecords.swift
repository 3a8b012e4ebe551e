/// The records of finished sorters, or one part of them, in order: a merge of what is in memory and on disk. One thread;
/// several may read different parts.
final class SortedRecords {
  /// Bytes of all buffers together, and of one at least and at most.
  private static let buffersBytes = 1 << 23
  private static let bufferBytes = (min: 1 << 12, max: 1 << 18)

  /// A heap: the run with the smallest key comes first.
  @exclusivity(unchecked) private var runs: [RunReader] = []
  @exclusivity(unchecked) private var hasBegun = false

  init(_ sorters: [RecordSorter], part: Int = 0) throws(TableError) {
    let count = sorters.reduce(0) { $0 + $1.runs.count }
    let bytes = max(Self.bufferBytes.min, min(Self.bufferBytes.max, Self.buffersBytes / max(1, count)))
    for sorter in sorters {
      // In the order in which they were made: what is in memory came last.
      var readers: [RunReader] = []
      for run in sorter.runs {
        guard let file = sorter.file else { preconditionFailure("Cannot read a run without a file") }
        let end = part + 1 < run.starts.count ? run.starts[part + 1] : run.end
        readers.append(RunReader(file, run.starts[part]..<end, bufferBytes: bytes))
      }
      readers.append(RunReader(sorter, part: part))
      for reader in readers where try reader.advance() {
        reader.number = runs.count
        runs.append(reader)
      }
    }
    for index in runs.indices.reversed() { sink(index) }
  }

  /// Goes to the next record; nil behind the last. Its bytes are borrowed until the next call.
  func next() throws(TableError) -> (key: SortKey, payload: UnsafeRawBufferPointer)? {
    if hasBegun, let last = runs.first {
      if try !last.advance() {
        runs[0] = runs[runs.count - 1]
        runs.removeLast()
      }
      if runs.count > 1 { sink(0) }
    }
    hasBegun = true
    return runs.first.map { ($0.key, $0.payload) }
  }

  private func sink(_ start: Int) {
    var index = start
    while true {
      var smallest = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < runs.count && runs[child].comes(before: runs[smallest]) {
        smallest = child
      }
      if smallest == index { return }
      runs.swapAt(index, smallest)
      index = smallest
    }
  }
}

/// A sorted sequence of records: in memory or in a file.
private final class RunReader {
  private static let headerBytes = MemoryLayout<SortKey>.size + 4

  @exclusivity(unchecked) private(set) var key = SortKey(first: 0, second: 0, third: 0)
  @exclusivity(unchecked) private(set) var payload = UnsafeRawBufferPointer(start: nil, count: 0)

  /// Among those that are merged: of equal keys that of the lower number comes first.
  var number = 0

  @inline(__always)
  func comes(before other: RunReader) -> Bool {
    key == other.key ? number < other.number : key < other.key
  }

  private let sorter: RecordSorter?
  private let entries: UnsafeBufferPointer<RecordSorter.Entry>
  @exclusivity(unchecked) private var next = 0

  private let file: SpillFile?
  /// What of the file is still to be read into the buffer.
  private var rest: Range<Int>
  private var buffer: UnsafeMutableRawBufferPointer
  /// What of the buffer has not been used.
  @exclusivity(unchecked) private var unread = 0..<0

  init(_ sorter: RecordSorter, part: Int) {
    self.sorter = sorter
    entries = sorter.entries(part)
    file = nil
    rest = 0..<0
    buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  init(_ file: SpillFile, _ range: Range<Int>, bufferBytes: Int) {
    sorter = nil
    entries = UnsafeBufferPointer(start: nil, count: 0)
    self.file = file
    rest = range
    buffer = .allocate(byteCount: bufferBytes, alignment: 16)
  }

  deinit { buffer.deallocate() }

  /// Goes to the next record; false behind the last.
  func advance() throws(TableError) -> Bool {
    if let sorter {
      guard next < entries.count else { return false }
      key = entries[next].key
      payload = sorter.payload(entries[next])
      next += 1
      return true
    }
    guard try has(Self.headerBytes) else { return false }
    let length = Int(
      buffer.loadUnaligned(fromByteOffset: unread.lowerBound + Self.headerBytes - 4, as: UInt32.self))
    guard try has(Self.headerBytes + length) else { preconditionFailure("Cannot read half a record") }
    key = buffer.loadUnaligned(fromByteOffset: unread.lowerBound, as: SortKey.self)
    let start = unread.lowerBound + Self.headerBytes
    payload = UnsafeRawBufferPointer(rebasing: buffer[start..<(start + length)])
    unread = (start + length)..<unread.upperBound
    return true
  }

  /// Whether there are so many bytes; then they are in the buffer.
  private func has(_ count: Int) throws(TableError) -> Bool {
    if unread.count >= count { return true }
    guard unread.count + rest.count >= count, let file else { return false }
    let larger =
      count > buffer.count
      ? UnsafeMutableRawBufferPointer.allocate(byteCount: count * 2, alignment: 16) : buffer
    // The two may overlap.
    UnsafeMutableRawBufferPointer(rebasing: larger[0..<unread.count])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[unread]))
    if larger.baseAddress != buffer.baseAddress {
      buffer.deallocate()
      buffer = larger
    }
    let added = min(buffer.count - unread.count, rest.count)
    try file.read(
      at: rest.lowerBound,
      into: UnsafeMutableRawBufferPointer(rebasing: buffer[unread.count..<(unread.count + added)]))
    rest = (rest.lowerBound + added)..<rest.upperBound
    unread = 0..<(unread.count + added)
    return true
  }
}
