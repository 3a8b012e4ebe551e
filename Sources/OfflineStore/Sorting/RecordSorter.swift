import Glibc

/// A record's place in the order: by the first word, then the second, then the third.
struct SortKey: Comparable {
  var first: UInt64
  var second: UInt64
  var third: UInt64

  @inline(__always)
  static func < (lhs: SortKey, rhs: SortKey) -> Bool {
    if lhs.first != rhs.first { return lhs.first < rhs.first }
    if lhs.second != rhs.second { return lhs.second < rhs.second }
    return lhs.third < rhs.third
  }
}

/// Sorts records: in memory as far as the budget goes, else in runs on disk, which `SortedRecords` merges. Records with
/// equal keys keep the order in which they came.
final class RecordSorter {
  struct Entry {
    var key: SortKey
    /// Of the record's length and bytes: it grows with every record.
    var offset: Int

    @inline(__always)
    static func < (lhs: Entry, rhs: Entry) -> Bool {
      lhs.key == rhs.key ? lhs.offset < rhs.offset : lhs.key < rhs.key
    }
  }

  /// A sorted sequence of records in the file: key, length, bytes. `starts[part]` is where a part begins.
  struct Run {
    var starts: [Int]
    var end: Int
  }

  /// Keys are cut into parts by the highest bits of their first word, so that several threads can read one each.
  let parts: Int
  private let partShift: UInt64
  private let budget: MemoryBudget
  // Exclusivity is not checked for each record: nothing calls back into a sorter.
  @exclusivity(unchecked) private var bytes = GrowingBytes()
  @exclusivity(unchecked) private var entryBytes = GrowingBytes()
  @exclusivity(unchecked) private(set) var runs: [Run] = []
  private(set) var file: SpillFile?

  private static let firstBytes = 4_096

  /// A sorter whose memory counts towards a budget. `parts` is a power of two.
  init(_ budget: MemoryBudget, parts: Int = 1) {
    precondition(parts > 0 && parts & (parts - 1) == 0, "Cannot cut keys into \(parts) parts")
    self.budget = budget
    self.parts = parts
    partShift = UInt64(64 - parts.trailingZeroBitCount)
    budget.add(self)
  }

  deinit {
    budget.remove(self)
    budget.giveBack(bytes.capacity + entryBytes.capacity)
  }

  /// Adds a record of at most so many bytes, which `write` writes and counts.
  @inline(__always)
  func append(
    _ key: SortKey, bytesMax: Int, _ write: (UnsafeMutableRawPointer) -> Int
  ) throws(TableError) {
    let entrySize = MemoryLayout<Entry>.stride
    while !bytes.hasRoom(4 + bytesMax) || !entryBytes.hasRoom(entrySize) { try grow(4 + bytesMax) }
    let start = bytes.count
    let count = write(bytes.end + 4)
    bytes.end.storeBytes(of: UInt32(count), as: UInt32.self)
    bytes.count += 4 + count
    entryBytes.end.storeBytes(of: Entry(key: key, offset: start), as: Entry.self)
    entryBytes.count += entrySize
  }

  /// Ends the appending. What is in memory stays there.
  func finish() throws(TableError) {
    budget.remove(self)
    sort()
    try file?.flush()
  }

  private func grow(_ wanted: Int) throws(TableError) {
    let growsBytes = !bytes.hasRoom(wanted)
    let capacity = growsBytes ? bytes.capacity : entryBytes.capacity
    let target = max(capacity * 2, Self.firstBytes, growsBytes ? bytes.count + wanted : 0)
    let before = runs.count
    try budget.makeRoom(target - capacity)
    // It may have been this one that was spilled.
    guard runs.count == before else { return }
    if growsBytes { bytes.grow(to: target) } else { entryBytes.grow(to: target) }
    budget.take(target - capacity)
  }

  // MARK: Reading

  /// The entries of a part, sorted, after `finish`.
  func entries(_ part: Int) -> UnsafeBufferPointer<Entry> {
    let all = UnsafeBufferPointer(entries)
    guard parts > 1 else { return all }
    let start = all.partitioningIndex { self.part($0.key) >= part }
    return UnsafeBufferPointer(rebasing: all[start..<all.partitioningIndex { self.part($0.key) > part }])
  }

  /// The bytes of an entry.
  @inline(__always)
  func payload(_ entry: Entry) -> UnsafeRawBufferPointer {
    let start = bytes.bytes.baseAddress! + entry.offset
    return UnsafeRawBufferPointer(start: start + 4, count: Int(start.loadUnaligned(as: UInt32.self)))
  }

  private var entries: UnsafeMutableBufferPointer<Entry> {
    let count = entryBytes.count / MemoryLayout<Entry>.stride
    return UnsafeMutableBufferPointer(
      start: entryBytes.base?.assumingMemoryBound(to: Entry.self), count: count)
  }

  @inline(__always)
  private func part(_ key: SortKey) -> Int { parts == 1 ? 0 : Int(key.first >> partShift) }

  private func sort() {
    EntrySort.sort(entries)
  }
}

extension RecordSorter: Spilling {
  /// Without records there is nothing to gain: what an empty sorter holds is the least that it needs.
  var spillableBytes: Int { entryBytes.count == 0 ? 0 : bytes.capacity + entryBytes.capacity }

  private func spillFile() throws(TableError) -> SpillFile {
    if let file { return file }
    let file = try SpillFile(folder: budget.folder)
    self.file = file
    return file
  }

  func spill() throws(TableError) {
    if entryBytes.count > 0 {
      let file = try spillFile()
      sort()
      var run = Run(starts: [], end: 0)
      for entry in entries {
        while run.starts.count <= part(entry.key) { run.starts.append(file.byteCount) }
        try withUnsafeBytes(of: entry.key) { (key) throws(TableError) in try file.append(key) }
        let payload = payload(entry)
        try file.append(UnsafeRawBufferPointer(start: payload.baseAddress! - 4, count: payload.count + 4))
      }
      while run.starts.count < parts { run.starts.append(file.byteCount) }
      run.end = file.byteCount
      runs.append(run)
    }
    budget.giveBack(bytes.capacity + entryBytes.capacity)
    bytes.release()
    entryBytes.release()
  }
}

/// Sorts entries whose first words are spread evenly, as hashes and row numbers are: each into its bucket, in place, then
/// the few of each bucket among themselves.
enum EntrySort {
  typealias Entries = UnsafeMutableBufferPointer<RecordSorter.Entry>

  private static let bucketsMax = 1 << 16
  private static let bucketEntries = 8

  static func sort(_ entries: Entries) {
    guard entries.count > 2 * bucketEntries else { return insert(entries) }
    var (low, high) = (UInt64.max, UInt64.min)
    for entry in entries { (low, high) = (min(low, entry.key.first), max(high, entry.key.first)) }
    guard low < high else { return order(entries) }
    let wanted = max(2, min(bucketsMax, entries.count / bucketEntries))
    // The highest bits in which first words differ.
    let shift = UInt64(
      max(0, 64 - (high - low).leadingZeroBitCount - (Int.bitWidth - wanted.leadingZeroBitCount)))
    let bucket = { (entry: RecordSorter.Entry) in Int((entry.key.first - low) >> shift) }
    let ends = distribute(entries, count: Int((high - low) >> shift) + 1, bucket)
    var start = 0
    for end in ends {
      let own = Entries(rebasing: entries[start..<end])
      if own.count > 4 * bucketEntries { order(own) } else { insert(own) }
      start = end
    }
  }

  private static func order(_ entries: Entries) {
    var entries = entries
    entries.sort { $0 < $1 }
  }

  /// Moves each entry into its bucket; returns where the buckets end.
  @inline(__always)
  private static func distribute(
    _ entries: Entries, count: Int, _ bucket: (RecordSorter.Entry) -> Int
  ) -> [Int] {
    var ends = [Int](repeating: 0, count: count)
    for entry in entries { ends[bucket(entry)] += 1 }
    var total = 0
    var heads = ends
    for index in ends.indices {
      heads[index] = total
      total += ends[index]
      ends[index] = total
    }
    for index in 0..<count {
      while heads[index] < ends[index] {
        var entry = entries[heads[index]]
        var target = bucket(entry)
        while target != index {
          swap(&entry, &entries[heads[target]])
          heads[target] += 1
          target = bucket(entry)
        }
        entries[heads[index]] = entry
        heads[index] += 1
      }
    }
    return ends
  }

  private static func insert(_ entries: Entries) {
    guard entries.count > 1 else { return }
    for index in 1..<entries.count {
      let entry = entries[index]
      var place = index
      while place > 0, entry < entries[place - 1] {
        entries[place] = entries[place - 1]
        place -= 1
      }
      entries[place] = entry
    }
  }
}

extension UnsafeBufferPointer<RecordSorter.Entry> {
  /// The first index for which a condition holds that holds for everything behind it too.
  fileprivate func partitioningIndex(_ condition: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if condition(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
