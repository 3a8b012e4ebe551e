/// The states of one view by entity key, all in memory.
///
/// An index of (hash, slot) pairs by open addressing, and a slab of entities by slot: probing a batch of keys
/// before folding it lets their cache misses overlap.
public struct StateTable: ~Copyable {
  /// A state, and where its key's bytes are: side by side, since whoever wants one wants the other.
  private struct Entity {
    var state: State
    let keyStart: Int
    var keyCount: Int
    /// Changed since the last `forgetChanges`.
    var isChanged = false
    /// There is a state, but it can't be read: nothing is folded.
    var isDamaged = false
    /// Its share of the table's bytes.
    var bytes: Int32
  }

  /// The upper half of a key's hash and its slot + 1 (0: free).
  private var index: ContiguousArray<UInt64>
  private var keyBytes: ContiguousArray<UInt8> = []
  private var entities: ContiguousArray<Entity> = []
  /// Slots of the changed entities, in the order of their first change.
  private var changed: ContiguousArray<Int> = []
  /// Keeps the loads that are there to fetch cache lines from being optimised away.
  private var touched: UInt64 = 0
  /// What the table itself needs for an entity, its place in the index included.
  private static let entityBytes = MemoryLayout<Entity>.stride + 24
  /// States whose cache lines are asked for at once: more than a core can wait for, few enough to stay in its cache.
  private static let touchedAhead = 32

  /// What keys are looked up by.
  let hasher: KeyHash
  /// About the bytes that its states have in memory.
  public private(set) var bytes = 0

  /// An empty table, looked up by a hash with the secret of a process.
  public init(secret: UInt64 = 0) {
    hasher = KeyHash(secret: secret)
    index = ContiguousArray(repeating: 0, count: 1024)
  }

  /// Entities.
  public var count: Int { entities.count }

  /// The slot of a key, or -1.
  @inline(__always)
  func find(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
    let mask = index.count - 1
    var position = Int(truncatingIfNeeded: hash) & mask
    while true {
      let entry = index[position]
      if entry == 0 { return -1 }
      if entry >> 32 == hash >> 32 {
        let slot = Int(entry & 0xFFFF_FFFF) - 1
        if isKey(key, slot) { return slot }
      }
      position = (position + 1) & mask
    }
  }

  /// How many places of the index are looked at to find a key: the work of a look-up.
  func probes(_ key: UnsafeRawBufferPointer) -> Int {
    let hash = hasher.hash(key)
    let slot = find(key, hash: hash)
    let mask = index.count - 1
    var position = Int(truncatingIfNeeded: hash) & mask
    var count = 1
    while index[position] != 0, Int(index[position] & 0xFFFF_FFFF) - 1 != slot {
      position = (position + 1) & mask
      count += 1
    }
    return count
  }

  /// Adds an entity that is not in the table; returns its slot.
  mutating func insert(_ key: UnsafeRawBufferPointer, hash: UInt64, _ state: State) -> Int {
    let slot = entities.count
    let size = Self.entityBytes + key.count + state.footprint
    bytes += size
    entities.append(
      Entity(state: state, keyStart: keyBytes.count, keyCount: key.count, bytes: Int32(clamping: size)))
    keyBytes.append(contentsOf: key)
    if entities.count * 2 > index.count { grow() }
    place(hash, slot)
    return slot
  }

  /// Changes the state of a slot in place.
  @inline(__always)
  mutating func update<Result>(_ slot: Int, _ body: (inout State) -> Result) -> Result {
    if !entities[slot].isChanged {
      entities[slot].isChanged = true
      changed.append(slot)
    }
    return body(&entities[slot].state)
  }

  /// Starts loading the place in the index where a key is looked for.
  @inline(__always)
  func touchIndex(_ hash: UInt64) -> UInt64 { index[Int(truncatingIfNeeded: hash) & (index.count - 1)] }

  /// Starts loading the state of a slot.
  @inline(__always)
  func touch(_ slot: Int) -> UInt64 { entities[slot].state.touch() }

  /// The state of an entity, if anything of it was folded.
  public func state(_ key: UnsafeRawBufferPointer) -> State? {
    let slot = find(key, hash: hasher.hash(key))
    return slot < 0 || entities[slot].isDamaged ? nil : entities[slot].state
  }

  /// Adds a state that was kept elsewhere; the entity must not be in the table.
  public mutating func insert(_ key: UnsafeRawBufferPointer, _ state: State) {
    _ = insert(key, hash: hasher.hash(key), state)
  }

  /// Notes that an entity's state can't be read; the entity must not be in the table.
  public mutating func insertDamaged(_ key: UnsafeRawBufferPointer) {
    let slot = insert(key, hash: hasher.hash(key), State(words: [0], cells: []))
    entities[slot].isDamaged = true
  }

  /// The state of a slot.
  func state(_ slot: Int) -> State { entities[slot].state }

  /// Whether the state of a slot can't be read.
  @inline(__always)
  func isDamaged(_ slot: Int) -> Bool { entities[slot].isDamaged }

  /// Takes an entity out of the table; nil if it isn't there, or can't be read.
  public mutating func remove(_ key: UnsafeRawBufferPointer) -> State? {
    let slot = find(key, hash: hasher.hash(key))
    if slot < 0 || entities[slot].isDamaged { return nil }
    // The slot stays behind, with a key that nothing equals.
    entities[slot].keyCount = -1
    let state = entities[slot].state
    entities[slot].state = State(words: [], cells: [])
    bytes -= Int(entities[slot].bytes)
    entities[slot].bytes = 0
    return state
  }

  /// Visits the entities that were changed since `forgetChanges`, in the order of their first change. They lie all over
  /// the memory: touched some at a time before they are visited, their cache misses overlap.
  public mutating func forEachChanged<Failure>(
    _ body: (UnsafeRawBufferPointer, State) throws(Failure) -> Void
  ) throws(Failure) {
    var start = 0
    while start < changed.count {
      let end = min(start + Self.touchedAhead, changed.count)
      for slot in changed[start..<end] { touched &+= touch(slot) }
      for slot in changed[start..<end] { try visit(slot, body) }
      start = end
    }
  }

  /// How many entities were changed since `forgetChanges`.
  public var changedCount: Int { changed.count }

  /// The bytes of a slot's key and state.
  func stateBytes(_ slot: Int) -> Int { max(0, entities[slot].keyCount) + entities[slot].state.memoryBytes }

  /// The bytes of the state of a slot that is not changed yet, else 0.
  func unchangedBytes(_ slot: Int) -> Int { entities[slot].isChanged ? 0 : stateBytes(slot) }

  /// The bytes that changed entities have in memory, leaving out the first `start` of them.
  public func changedBytes(from start: Int) -> Int {
    changed[start...].reduce(0) { $0 + max(0, entities[$1].keyCount) + entities[$1].state.memoryBytes }
  }

  /// From here on, changes are counted anew; `bytes` has taken them in.
  public mutating func forgetChanges() {
    for slot in changed {
      entities[slot].isChanged = false
      let size = Self.entityBytes + max(0, entities[slot].keyCount) + entities[slot].state.footprint
      bytes += size - Int(entities[slot].bytes)
      entities[slot].bytes = Int32(clamping: size)
    }
    changed.removeAll(keepingCapacity: true)
  }

  /// Visits every entity in ascending order of key bytes.
  public func forEachSorted<Failure>(
    _ body: (UnsafeRawBufferPointer, State) throws(Failure) -> Void
  ) throws(Failure) {
    let order = keyBytes.withUnsafeBytes { bytes in
      entities.indices.filter { entities[$0].keyCount >= 0 && !entities[$0].isDamaged }
        .sorted { compareBytes(key($0, bytes), key($1, bytes)) < 0 }
    }
    for slot in order { try visit(slot, body) }
  }

  private func visit<Failure>(
    _ slot: Int, _ body: (UnsafeRawBufferPointer, State) throws(Failure) -> Void
  ) throws(Failure) {
    let start = entities[slot].keyStart
    let bytes = keyBytes.span.bytes.extracting(start..<(start + entities[slot].keyCount))
    try bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(Failure) -> Void in
      try body(bytes, entities[slot].state)
    }
  }

  @inline(__always)
  private func key(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let start = entities[slot].keyStart
    return UnsafeRawBufferPointer(rebasing: bytes[start..<(start + entities[slot].keyCount)])
  }

  @inline(__always)
  private func isKey(_ key: UnsafeRawBufferPointer, _ slot: Int) -> Bool {
    guard entities[slot].keyCount == key.count else { return false }
    return keyBytes.withUnsafeBytes { TextOperations.equalBytes(self.key(slot, $0), key) }
  }

  private mutating func place(_ hash: UInt64, _ slot: Int) {
    let mask = index.count - 1
    var position = Int(truncatingIfNeeded: hash) & mask
    while index[position] != 0 { position = (position + 1) & mask }
    index[position] = (hash >> 32) << 32 | UInt64(slot + 1)
  }

  private mutating func grow() {
    precondition(entities.count < 1 << 31, "Cannot hold more than 2^31 entities in one table")
    index = ContiguousArray(repeating: 0, count: index.count * 2)
    for slot in 0..<(entities.count - 1) where entities[slot].keyCount >= 0 {
      place(keyBytes.withUnsafeBytes { hasher.hash(key(slot, $0)) }, slot)
    }
  }
}
