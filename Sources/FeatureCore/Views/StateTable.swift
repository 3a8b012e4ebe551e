/// The states of one view by entity key, all in memory.
///
/// An index of (hash, slot) pairs by open addressing, and slabs of keys and states by slot: probing a batch of
/// keys before folding it lets their cache misses overlap.
public struct StateTable: ~Copyable {
  /// The upper half of a key's hash and its slot + 1 (0: free).
  private var index: ContiguousArray<UInt64>
  private var keyBytes: ContiguousArray<UInt8> = []
  private var keyEnds: ContiguousArray<Int> = [0]
  private var states: ContiguousArray<State> = []

  /// An empty table.
  public init() { index = ContiguousArray(repeating: 0, count: 1024) }

  /// Entities.
  public var count: Int { states.count }

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

  /// Adds an entity that is not in the table; returns its slot.
  mutating func insert(_ key: UnsafeRawBufferPointer, hash: UInt64, _ state: State) -> Int {
    let slot = states.count
    states.append(state)
    keyBytes.append(contentsOf: key)
    keyEnds.append(keyBytes.count)
    if states.count * 2 > index.count { grow() }
    place(hash, slot)
    return slot
  }

  /// Changes the state of a slot in place.
  @inline(__always)
  mutating func update<Result>(_ slot: Int, _ body: (inout State) -> Result) -> Result { body(&states[slot]) }

  /// Starts loading the state of a slot.
  @inline(__always)
  func touch(_ slot: Int) -> UInt64 { states[slot].touch() }

  /// The state of an entity, if anything of it was folded.
  public func state(_ key: UnsafeRawBufferPointer) -> State? {
    let slot = find(key, hash: Hash64.hash(key))
    return slot < 0 ? nil : states[slot]
  }

  /// Visits every entity in ascending order of key bytes.
  public func forEachSorted<Failure>(
    _ body: (UnsafeRawBufferPointer, State) throws(Failure) -> Void
  ) throws(Failure) {
    let order = keyBytes.withUnsafeBytes { bytes in
      states.indices.sorted { compareBytes(key($0, bytes), key($1, bytes)) < 0 }
    }
    for slot in order {
      let state = states[slot]
      let bytes = keyBytes.span.bytes.extracting(keyEnds[slot]..<keyEnds[slot + 1])
      try bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(Failure) -> Void in
        try body(bytes, state)
      }
    }
  }

  private func key(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[keyEnds[slot]..<keyEnds[slot + 1]])
  }

  @inline(__always)
  private func isKey(_ key: UnsafeRawBufferPointer, _ slot: Int) -> Bool {
    let start = keyEnds[slot]
    guard keyEnds[slot + 1] - start == key.count else { return false }
    return keyBytes.withUnsafeBytes {
      compareBytes(UnsafeRawBufferPointer(rebasing: $0[start..<(start + key.count)]), key) == 0
    }
  }

  private mutating func place(_ hash: UInt64, _ slot: Int) {
    let mask = index.count - 1
    var position = Int(truncatingIfNeeded: hash) & mask
    while index[position] != 0 { position = (position + 1) & mask }
    index[position] = (hash >> 32) << 32 | UInt64(slot + 1)
  }

  private mutating func grow() {
    precondition(states.count < 1 << 31, "Cannot hold more than 2^31 entities in one table")
    index = ContiguousArray(repeating: 0, count: index.count * 2)
    for slot in 0..<(states.count - 1) {
      place(keyBytes.withUnsafeBytes { Hash64.hash(key(slot, $0)) }, slot)
    }
  }
}
