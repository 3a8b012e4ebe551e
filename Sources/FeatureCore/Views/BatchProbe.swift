/// The entity keys of a batch and where their states are, looked up for all rows before any is folded.
///
/// Folding one event reads an index, an entity and a state: cache misses that wait for each other. Done for a
/// whole batch stage by stage, the misses of its events overlap instead.
struct BatchProbe: ~Copyable {
  /// What is known of a row's entity before the batch is folded.
  struct Entry {
    /// Was not in the table: an earlier row of the batch may add it.
    static let absent = -1
    /// The row has no valid key.
    static let keyless = -2

    var key: UnsafeRawBufferPointer
    var hash: UInt64
    var slot: Int
  }

  private var entries = UnsafeMutableBufferPointer<Entry>(start: nil, count: 0)
  /// Keys that are no text of their row.
  private let arena = TextArena()
  /// Rows whose key was asked for, by its hash, with open addressing; a power of two of them, at least twice the rows.
  private var firsts = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)
  private static let free: Int32 = -1
  /// Keeps the loads that are there to fetch cache lines from being optimised away.
  private var touched: UInt64 = 0

  init() {}

  deinit {
    entries.deallocate()
    firsts.deallocate()
  }

  /// What was found for a row.
  @inline(__always)
  subscript(_ row: Int) -> Entry { entries[row] }

  /// Looks up every row of a batch. The keys stay valid until the next call and no longer than the batch.
  mutating func look(_ batch: EventBatch, _ entity: [EntityColumn], in table: borrowing StateTable) {
    reserve(max(batch.capacity, batch.count))
    arena.reset()
    firsts.update(repeating: Self.free)
    var touched: UInt64 = 0
    for row in 0..<batch.count {
      if let key = try? EntityKey.make(batch.row(row), entity, arena: arena) {
        let hash = table.hasher.hash(key)
        entries[row] = Entry(key: key, hash: hash, slot: Entry.absent)
        touched &+= table.touchIndex(hash)
      } else {
        entries[row] = Entry(key: UnsafeRawBufferPointer(start: nil, count: 0), hash: 0, slot: Entry.keyless)
      }
    }
    for row in 0..<batch.count where entries[row].slot == Entry.absent {
      entries[row].slot = table.find(entries[row].key, hash: entries[row].hash)
    }
    for row in 0..<batch.count where entries[row].slot >= 0 { touched &+= table.touch(entries[row].slot) }
    self.touched &+= touched
  }

  /// Whether no row with this row's key was asked for since the look.
  mutating func isFirst(_ row: Int) -> Bool {
    let (hash, key) = (entries[row].hash, entries[row].key)
    var place = Int(truncatingIfNeeded: hash) & (firsts.count - 1)
    while firsts[place] != Self.free {
      let other = entries[Int(firsts[place])]
      if other.hash == hash, other.key.elementsEqual(key) { return false }
      place = (place + 1) & (firsts.count - 1)
    }
    firsts[place] = Int32(row)
    return true
  }

  private mutating func reserve(_ capacity: Int) {
    if entries.count >= capacity { return }
    entries.deallocate()
    entries = .allocate(capacity: capacity)
    firsts.deallocate()
    firsts = .allocate(capacity: 1 << (Int.bitWidth - (2 * capacity).leadingZeroBitCount))
    firsts.initialize(repeating: Self.free)
  }
}
