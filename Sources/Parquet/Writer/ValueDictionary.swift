import FeatureCore

/// The distinct values of a column chunk in order of first appearance, and for each value which of them it is.
struct ValueDictionary {
  /// For each value that is not null, its entry.
  private(set) var indices: [UInt32] = []
  /// For each entry, the first value that is it.
  private(set) var firsts: [UInt32] = []

  /// nil where the values are smaller without a dictionary, or their dictionary would be larger than `bytesMax`.
  init?(_ values: ColumnValues, bytesMax: Int) {
    guard values.count > 0, values.type != .bool else { return nil }
    let isSmall = values.type == .string ? build(texts: values, bytesMax) : build(words: values, bytesMax)
    guard isSmall else { return nil }
    let width = HybridEncoder.width(of: firsts.count - 1)
    let plain = (0..<values.count).reduce(0) { $0 + values.plainBytes($1) }
    let entries = firsts.reduce(0) { $0 + values.plainBytes(Int($1)) }
    guard entries + values.count * width / 8 < plain else { return nil }
  }

  /// False when the dictionary has grown too large.
  private mutating func build(words values: ColumnValues, _ bytesMax: Int) -> Bool {
    let words = values.words
    let entriesMax = bytesMax / 8
    var table = SlotTable()
    indices.reserveCapacity(words.count)
    for (index, word) in words.enumerated() {
      let hash = SlotTable.hash(word)
      let found = table.find(hash) { words[Int(firsts[Int($0)])] == word }
      if let entry = found {
        indices.append(entry)
        continue
      }
      guard firsts.count < entriesMax else { return false }
      indices.append(UInt32(firsts.count))
      firsts.append(UInt32(index))
      table.insert(hash) { SlotTable.hash(words[Int(firsts[Int($0)])]) }
    }
    return true
  }

  private mutating func build(texts values: ColumnValues, _ bytesMax: Int) -> Bool {
    var table = SlotTable()
    var bytes = 0
    indices.reserveCapacity(values.count)
    for index in 0..<values.count {
      let text = values.text(index)
      let hash = Hash64.hash(text)
      let found = table.find(hash) { compareBytes(values.text(Int(firsts[Int($0)])), text) == 0 }
      if let entry = found {
        indices.append(entry)
        continue
      }
      bytes += 4 + text.count
      guard bytes <= bytesMax else { return false }
      indices.append(UInt32(firsts.count))
      firsts.append(UInt32(index))
      table.insert(hash) { Hash64.hash(values.text(Int(firsts[Int($0)]))) }
    }
    return true
  }
}

/// Open addressing from a hash to the number of an entry: entries are numbered in the order of their insertion.
private struct SlotTable {
  /// 0 is free; else 1 more than the entry.
  private var slots = [UInt32](repeating: 0, count: 1 << 10)
  private var count = 0
  private var mask: UInt64 { UInt64(slots.count - 1) }

  @inline(__always)
  static func hash(_ word: UInt64) -> UInt64 {
    let mixed = (word ^ (word &>> 32)) &* 0x9E37_79B9_7F4A_7C15
    return mixed ^ (mixed &>> 29)
  }

  @inline(__always)
  func find(_ hash: UInt64, _ isEqual: (UInt32) -> Bool) -> UInt32? {
    var slot = hash & mask
    while true {
      let stored = slots[Int(slot)]
      if stored == 0 { return nil }
      if isEqual(stored - 1) { return stored - 1 }
      slot = (slot + 1) & mask
    }
  }

  /// Adds the next entry, which was not found. `hashOf` gives the hashes of all entries again when the table grows.
  @inline(__always)
  mutating func insert(_ hash: UInt64, _ hashOf: (UInt32) -> UInt64) {
    count += 1
    place(hash, UInt32(count))
    guard count * 2 > slots.count else { return }
    slots = [UInt32](repeating: 0, count: slots.count * 4)
    for entry in 0..<UInt32(count) { place(hashOf(entry), entry + 1) }
  }

  @inline(__always)
  private mutating func place(_ hash: UInt64, _ stored: UInt32) {
    var slot = hash & mask
    while slots[Int(slot)] != 0 { slot = (slot + 1) & mask }
    slots[Int(slot)] = stored
  }
}
