import FeatureCore

/// The right events of a task's keys that are in memory. What hasn't changed since the last commit was sealed may go.
final class RightEventsCache {
  private struct Entry {
    var events = RightEvents()
    /// Changed since the last commit was sealed.
    var isChanged = false
    /// The events that the store has can't be read.
    var isDamaged = false
  }

  private var entries: [KeyBytes: Entry] = [:]
  /// In the order of their first change.
  private var changed: [KeyBytes] = []
  /// Keys that the commit before has left without events.
  private var emptied: [KeyBytes] = []
  private var bytes = 0
  private let countMax: Int
  /// Whether there is a store, which is told what has changed, and has what is not in memory.
  let isStored: Bool
  /// Whether any were dropped: the store has some that are not in memory.
  private(set) var hasEvicted = false

  init(countMax: Int, isStored: Bool) {
    self.countMax = countMax
    self.isStored = isStored
  }

  deinit { for key in entries.keys { key.deallocate() } }

  /// The keys that have events in memory, in ascending order.
  var sortedKeys: [[UInt8]] {
    entries.filter { !$0.value.events.events.isEmpty }.keys.sorted().map { Array($0.bytes) }
  }

  /// nil: not in memory.
  subscript(key: UnsafeRawBufferPointer) -> RightEvents? { entries[KeyBytes(bytes: key)]?.events }

  /// Whether what is to be known of a key is in memory.
  func contains(_ key: UnsafeRawBufferPointer) -> Bool { entries[KeyBytes(bytes: key)] != nil }

  func isDamaged(_ key: UnsafeRawBufferPointer) -> Bool {
    entries[KeyBytes(bytes: key)]?.isDamaged ?? false
  }

  /// What the store has of a key that isn't in memory.
  func insert(_ key: UnsafeRawBufferPointer, _ events: RightEvents) {
    precondition(!contains(key), "Cannot load a key that is in memory")
    bytes += events.bytes
    entries[KeyBytes(copying: key)] = Entry(events: events)
  }

  /// What the store has of a key that isn't in memory can't be read.
  func insertDamaged(_ key: UnsafeRawBufferPointer) {
    insert(key, RightEvents())
    entries[KeyBytes(bytes: key)]?.isDamaged = true
  }

  /// Adds an event of a key that is in memory or has none in the store; false: there is no room.
  func add(_ event: RightEvents.Event, to key: UnsafeRawBufferPointer, isOver: (Int64) -> Bool) -> Bool {
    if !contains(key) { insert(key, RightEvents()) }
    var isAdded = false
    change(key) { isAdded = $0.insert(event, isOver: isOver) }
    return isAdded
  }

  /// Forgets the events of a key that are over. Returns the bytes of the others; nil: there were none.
  func forget(_ key: UnsafeRawBufferPointer, isOver: (Int64) -> Bool) -> Int? {
    guard let first = self[key]?.events.first, isOver(first.time) else { return nil }
    change(key) { $0.forget(isOver) }
    return self[key]?.bytes ?? 0
  }

  private func change(_ key: UnsafeRawBufferPointer, _ body: (inout RightEvents) -> Void) {
    guard let place = entries.index(forKey: KeyBytes(bytes: key)) else { return }
    bytes -= entries.values[place].events.bytes
    body(&entries.values[place].events)
    bytes += entries.values[place].events.bytes
    if !isStored {
      if entries.values[place].events.events.isEmpty { remove(entries.keys[place]) }
    } else if !entries.values[place].isChanged {
      entries.values[place].isChanged = true
      changed.append(entries.keys[place])
    }
  }

  private func remove(_ key: KeyBytes) {
    guard let entry = entries.removeValue(forKey: key) else { return }
    bytes -= entry.events.bytes
    key.deallocate()
  }

  /// The keys that have changed since the last commit was sealed, in an order that doesn't depend on the process.
  func forEachChanged(_ body: (UnsafeRawBufferPointer, RightEvents) -> Void) {
    for key in changed.sorted() { body(key.bytes, entries[key]?.events ?? RightEvents()) }
  }

  /// What has changed is on its way to the store. It stays in memory until the next call; the store has the rest, and nothing of
  /// the keys that had no events left.
  func seal(bytesMax: Int) {
    for key in emptied {
      if let entry = entries[key], entry.events.events.isEmpty, !entry.isChanged { remove(key) }
    }
    emptied = changed.filter { entries[$0]?.events.events.isEmpty ?? false }
    if entries.count > countMax || bytes > bytesMax { evict() }
    for key in changed { entries[key]?.isChanged = false }
    changed.removeAll(keepingCapacity: true)
  }

  private func evict() {
    hasEvicted = hasEvicted || !entries.isEmpty
    var kept: [KeyBytes: Entry] = [:]
    for (key, entry) in entries {
      if entry.isChanged {
        kept[key] = entry
      } else {
        bytes -= entry.events.bytes
        key.deallocate()
      }
    }
    entries = kept
  }
}

/// The bytes of a key, borrowed to look one up, or in memory of their own.
private struct KeyBytes: Hashable, Comparable {
  let bytes: UnsafeRawBufferPointer

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// A copy, which its owner deallocates.
  init(copying bytes: UnsafeRawBufferPointer) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    copy.copyMemory(from: bytes)
    self.bytes = UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])
  }

  func deallocate() { bytes.deallocate() }

  static func == (one: Self, other: Self) -> Bool { one.bytes.elementsEqual(other.bytes) }
  static func < (one: Self, other: Self) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }
  func hash(into hasher: inout Hasher) { hasher.combine(bytes: bytes) }
}
