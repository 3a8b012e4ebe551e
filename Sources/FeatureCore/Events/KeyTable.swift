/// The keys that a decoder knows: the declared ones, and undeclared ones that it has met.
///
/// Producers write the same keys in the same order, so every slot remembers which one came after it, and a
/// guess that holds costs a comparison of a few words instead of a scan and a look-up. Guesses change the
/// speed and nothing else. The memory is fixed: when the undeclared slots are full, all of them are
/// forgotten.
final class KeyTable {
  /// A key. `"name":` is its token.
  struct Slot {
    /// The declared column; -1 for undeclared keys, -2 - n for node n.
    var column: Int32 = -1
    /// The slot that came next the last time.
    var next: Int32
    /// The last event that had it; in the start slot, the current event. So duplicates are found without
    /// clearing anything between events.
    var lastEvent: UInt64 = 0
    /// How the value is read.
    var reader = ValueReader.skip
    /// Words of the token; 0 if it can't be guessed, because it is long or must be written with escapes.
    var words: UInt8 = 0
    /// Bytes of the token.
    var length: UInt8 = 0
    /// The bits of the last word that belong to the token.
    var lastMask: UInt64 = 0
    /// The bytes of the name, in memory of the table.
    var name = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  private static let learntMax = 64
  private static let tokenWords = 8
  private static let nameBytesMax = tokenWords * 8 - 3

  private let slots: UnsafeMutablePointer<Slot>
  private let tokens: UnsafeMutablePointer<UInt64>
  private let names: UnsafeMutableRawBufferPointer
  /// Slots by the hash of their names, open addressing; -1 is free.
  private let buckets: UnsafeMutableBufferPointer<Int32>
  private let columnCount: Int
  private var learntCount = 0

  /// The slot before the first key of a record.
  let start: Int
  /// The slot of keys that have none.
  private let stranger: Int

  /// The members of an object that are read.
  init(_ members: [(name: String, target: RecordShape.Target)]) {
    columnCount = members.count
    start = columnCount + Self.learntMax
    stranger = start + 1
    let count = stranger + 1
    slots = .allocate(capacity: count)
    slots.initialize(repeating: Slot(next: Int32(stranger)), count: count)
    tokens = .allocate(capacity: count * Self.tokenWords)
    tokens.initialize(repeating: 0, count: count * Self.tokenWords)
    var bucketCount = 64
    while bucketCount < 2 * count { bucketCount *= 2 }
    buckets = .allocate(capacity: bucketCount)
    names = .allocate(byteCount: members.reduce(0) { $0 + $1.name.utf8.count }, alignment: 1)
    declare(members)
    forgetLearnt()
  }

  deinit {
    slots.deallocate()
    tokens.deallocate()
    buckets.deallocate()
    names.deallocate()
  }

  /// The slots; the address is that of the table's life.
  var slotMemory: UnsafeMutablePointer<Slot> { slots }
  /// The tokens, `tokenWords` a slot.
  var tokenMemory: UnsafeMutablePointer<UInt64> { tokens }

  /// Whether the token of a slot stands here.
  @inline(__always)
  static func stands(
    _ slot: UnsafeMutablePointer<Slot>, _ index: Int, _ tokens: UnsafeMutablePointer<UInt64>,
    in json: JSONBytes, _ at: Int
  ) -> Bool {
    let last = Int(slot.pointee.words) - 1
    guard last >= 0 else { return false }
    let token = tokens + index * tokenWords
    var word = 0
    while word < last {
      guard json.word(at + 8 * word) == token[word] else { return false }
      word += 1
    }
    return (json.word(at + 8 * last) ^ token[last]) & slot.pointee.lastMask == 0
  }

  /// Reads any key with its colon, and learns from it. Returns its slot and where the value starts.
  @inline(never)
  func read(
    _ json: JSONBytes, _ at: Int, after previous: Int, _ arena: TextArena
  ) throws(DecodeFailure) -> (slot: Int, at: Int) {
    guard json[at] == Byte.quote else { throw json.malformed(at, .expectedKey) }
    let key = try json.string(at + 1)
    let slot =
      key.hasEscapes
      ? findEscaped(json, at + 1, key.end, arena) : findOrLearn(json.slice(at + 1, key.end))
    slots[previous].next = Int32(slot)
    return (slot, try json.skipColon(key.end + 1))
  }

  private func findEscaped(_ json: JSONBytes, _ start: Int, _ end: Int, _ arena: TextArena) -> Int {
    let room = arena.allocate(end - start)
    defer { arena.trim(room, to: 0) }
    let count = json.unescape(start, end, into: room)
    return find(UnsafeRawBufferPointer(rebasing: room[..<count])).slot ?? stranger
  }

  private func findOrLearn(_ name: UnsafeRawBufferPointer) -> Int {
    if let slot = find(name).slot { return slot }
    guard name.count <= Self.nameBytesMax else { return stranger }
    if learntCount == Self.learntMax { forgetLearnt() }
    let slot = columnCount + learntCount
    learntCount += 1
    setToken(slot, name)
    slots[slot].name = UnsafeRawBufferPointer(
      start: UnsafeRawPointer(tokens + slot * Self.tokenWords) + 1, count: name.count)
    buckets[find(name).bucket] = Int32(slot)
    return slot
  }

  /// The slot of a name, and the bucket that has it or is free for it. At most half of the buckets are taken.
  private func find(_ name: UnsafeRawBufferPointer) -> (slot: Int?, bucket: Int) {
    let mask = buckets.count - 1
    var bucket = Int(truncatingIfNeeded: Hash64.hash(name)) & mask
    while buckets[bucket] >= 0 {
      let slot = Int(buckets[bucket])
      if compareBytes(slots[slot].name, name) == 0 { return (slot, bucket) }
      bucket = (bucket + 1) & mask
    }
    return (nil, bucket)
  }

  private func declare(_ members: [(name: String, target: RecordShape.Target)]) {
    var used = 0
    for (index, member) in members.enumerated() {
      let name = UnsafeMutableRawBufferPointer(rebasing: names[used..<(used + member.name.utf8.count)])
      name.copyBytes(from: member.name.utf8)
      used += name.count
      slots[index].name = UnsafeRawBufferPointer(name)
      slots[index].column = member.target.node >= 0 ? -2 - member.target.node : member.target.column
      slots[index].reader = member.target.reader
      let isPlain = name.allSatisfy { $0 >= Byte.space && $0 != Byte.quote && $0 != Byte.backslash }
      if isPlain, name.count <= Self.nameBytesMax { setToken(index, slots[index].name) }
    }
  }

  private func setToken(_ slot: Int, _ name: UnsafeRawBufferPointer) {
    let words = tokens + slot * Self.tokenWords
    words.update(repeating: 0, count: Self.tokenWords)
    let bytes = UnsafeMutableRawBufferPointer(start: words, count: Self.tokenWords * 8)
    bytes[0] = Byte.quote
    for index in name.indices { bytes[index + 1] = name[index] }
    bytes[name.count + 1] = Byte.quote
    bytes[name.count + 2] = Byte.colon
    for index in 0..<Self.tokenWords { words[index] = UInt64(littleEndian: words[index]) }
    let length = name.count + 3
    slots[slot].length = UInt8(length)
    slots[slot].words = UInt8((length + 7) / 8)
    slots[slot].lastMask = ~0 >> (63 & (64 - 8 * UInt64(length % 8)))
  }

  /// Guesses that name a forgotten slot fail until it is learnt anew, and then fail or hold like any other.
  private func forgetLearnt() {
    learntCount = 0
    buckets.initialize(repeating: -1)
    for slot in columnCount..<start { slots[slot].words = 0 }
    for slot in 0..<columnCount { buckets[find(slots[slot].name).bucket] = Int32(slot) }
  }
}
