/// The most frequent values, with a bounded number of counters.
///
/// Exact while there are no more distinct values than counters. Beyond, a new value takes over the smallest counter
/// and counts on from there: Space-Saving, Metwally, Agrawal & El Abbadi, 2005. No count is ever low, and the
/// counts add up to no more than the events, so the smallest of `c` counters is at most events / c: that bounds by
/// how much a count is high, and how frequent a value without a counter can be. Merging keeps all of this (after
/// Agarwal et al., "Mergeable summaries", 2012), so a window's bound is the one of a single tile with its events.
///
/// Cell: two words a counter, its value (for texts, their length, and the bytes in `bytes`) and its count, in
/// ascending order of values.
enum TopCounts {
  /// Counters that a tile keeps for the `k` most frequent values.
  static func capacity(k: Int) -> Int { max(Limits.topCountersMin, 4 * k) }

  static func insert(_ scalar: Scalar, _ type: ValueType, k: Int, into cell: inout Cell) {
    let text = type == .string ? stateText(scalar.text) : nil
    var place = text.map { find($0, cell) } ?? find(scalar.int64, cell)
    if place.found {
      cell.words[2 * place.entry + 1] += 1
      return
    }
    let isFull = cell.words.count / 2 == capacity(k: k)
    let count = isFull ? removeSmallest(type, moving: &place, from: &cell) : 0
    put(text, scalar, count: count + 1, at: place, in: &cell)
  }

  /// A value that one side has no counter for may have occurred there as often as its smallest counter says, so
  /// that is added. Without, a value that every tile but the first is full of could lose against those of the
  /// first again and again.
  static func merge(_ other: Cell, _ type: ValueType, k: Int, into cell: inout Cell) {
    let capacity = capacity(k: k)
    let unseenHere = largestUnseen(cell, capacity)
    let unseenThere = largestUnseen(other, capacity)
    for entry in 0..<(cell.words.count / 2) { cell.words[2 * entry + 1] += unseenThere }
    var place = Place()
    forEach(other, type) { scalar, count in
      let text = type == .string ? scalar.text : nil
      place = text.map { find($0, cell, from: place) } ?? find(scalar.int64, cell)
      if place.found {
        cell.words[2 * place.entry + 1] += count - unseenThere
      } else {
        put(text, scalar, count: count + unseenHere, at: place, in: &cell)
      }
    }
    trim(type, to: capacity, &cell)
  }

  /// Visits the counters in ascending order of values.
  static func forEach(_ cell: Cell, _ type: ValueType, _ body: (Scalar, UInt64) -> Void) {
    cell.bytes.withUnsafeBytes { bytes in
      var offset = 0
      for entry in 0..<(cell.words.count / 2) {
        let payload = cell.words[2 * entry]
        if type == .string {
          let text = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(payload))])
          body(.text(text), cell.words[2 * entry + 1])
          offset += Int(payload)
        } else {
          body(Scalar(bits: payload), cell.words[2 * entry + 1])
        }
      }
    }
  }

  /// The `k` most frequent values, the most frequent first; equally frequent ones ascending.
  static func top(_ cell: Cell, _ type: ValueType, k: Int) -> [FeatureValue] {
    var entries: [(rank: Int, count: UInt64, value: FeatureValue)] = []
    forEach(cell, type) { scalar, count in entries.append((entries.count, count, FeatureValue(scalar, type)))
    }
    entries.sort { ($1.count, $0.rank) < ($0.count, $1.rank) }
    return entries.prefix(k).map(\.value)
  }

  /// Where a value's counter is, or belongs.
  private struct Place {
    var entry = 0
    /// Of its text in `bytes`.
    var offset = 0
    var found = false
  }

  private static func find(_ value: Int64, _ cell: Cell) -> Place {
    var low = 0
    var high = cell.words.count / 2
    while low < high {
      let middle = (low + high) / 2
      if Int64(bitPattern: cell.words[2 * middle]) < value { low = middle + 1 } else { high = middle }
    }
    let found = 2 * low < cell.words.count && Int64(bitPattern: cell.words[2 * low]) == value
    return Place(entry: low, found: found)
  }

  /// `start`: a place that is not behind the text's.
  private static func find(
    _ text: UnsafeRawBufferPointer, _ cell: Cell, from start: Place = Place()
  ) -> Place {
    cell.bytes.withUnsafeBytes { bytes in
      var offset = start.offset
      for entry in start.entry..<(cell.words.count / 2) {
        let count = Int(cell.words[2 * entry])
        let order = compareBytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]), text)
        if order >= 0 { return Place(entry: entry, offset: offset, found: order == 0) }
        offset += count
      }
      return Place(entry: cell.words.count / 2, offset: offset)
    }
  }

  private static func put(
    _ text: UnsafeRawBufferPointer?, _ scalar: Scalar, count: UInt64, at place: Place, in cell: inout Cell
  ) {
    if let text { cell.insertText(text, at: place.offset) }
    cell.words.insert(text.map { UInt64($0.count) } ?? scalar.bits, at: 2 * place.entry)
    cell.words.insert(count, at: 2 * place.entry + 1)
  }

  /// Removes the smallest counter and returns its count. Of several it is the one of the largest value, because a
  /// list prefers the smaller ones. `place` moves with what is behind.
  private static func removeSmallest(
    _ type: ValueType, moving place: inout Place, from cell: inout Cell
  ) -> UInt64 {
    var entry = 0
    var count = UInt64.max
    for candidate in 0..<(cell.words.count / 2) where cell.words[2 * candidate + 1] <= count {
      entry = candidate
      count = cell.words[2 * candidate + 1]
    }
    if type == .string {
      let offset = (0..<entry).reduce(0) { $0 + Int(cell.words[2 * $1]) }
      let length = Int(cell.words[2 * entry])
      cell.bytes.removeSubrange(offset..<(offset + length))
      if entry < place.entry { place.offset -= length }
    }
    cell.words.removeSubrange((2 * entry)..<(2 * entry + 2))
    if entry < place.entry { place.entry -= 1 }
    return count
  }

  /// How often a value may have occurred that has no counter.
  private static func largestUnseen(_ cell: Cell, _ capacity: Int) -> UInt64 {
    let count = cell.words.count / 2
    guard count == capacity else { return 0 }
    return (0..<count).reduce(.max) { min($0, cell.words[2 * $1 + 1]) }
  }

  /// Keeps the largest counters, of equal ones those of the smaller values.
  private static func trim(_ type: ValueType, to capacity: Int, _ cell: inout Cell) {
    let count = cell.words.count / 2
    guard count > capacity else { return }
    let counts = (0..<count).map { cell.words[2 * $0 + 1] }.sorted(by: >)
    let smallest = counts[capacity - 1]
    var ties = counts[..<capacity].count { $0 == smallest }
    var kept = Cell()
    forEach(cell, type) { scalar, count in
      guard count > smallest || (count == smallest && ties > 0) else { return }
      if count == smallest { ties -= 1 }
      if type == .string { kept.bytes.append(contentsOf: scalar.text) }
      kept.words.append(type == .string ? UInt64(scalar.length) : scalar.bits)
      kept.words.append(count)
    }
    cell = kept
  }
}
