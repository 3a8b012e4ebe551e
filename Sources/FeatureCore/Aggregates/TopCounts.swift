/// The most frequent values, with a bounded number of counters.
///
/// Exact while a tile has no more distinct values than counters. Beyond, every counter is lowered by the
/// smallest until one is free: a count is then low by at most events / (counters + 1), and a value more
/// frequent than that is never lost. Misra & Gries, 1982; merging by Agarwal et al., "Mergeable summaries", 2012.
///
/// Cell: two words a counter, its value (for texts, their length, and the bytes in `bytes`) and its count, in
/// ascending order of values.
enum TopCounts {
  /// Counters that a tile keeps for the `k` most frequent values.
  static func capacity(k: Int) -> Int { max(Limits.topCountersMin, 4 * k) }

  static func insert(_ scalar: Scalar, _ type: ValueType, count: UInt64, k: Int, into cell: inout Cell) {
    add(scalar, type, count: count, into: &cell)
    trim(type, to: capacity(k: k), &cell)
  }

  static func merge(_ other: Cell, _ type: ValueType, k: Int, into cell: inout Cell) {
    forEach(other, type) { scalar, count in add(scalar, type, count: count, into: &cell) }
    trim(type, to: capacity(k: k), &cell)
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

  private static func add(_ scalar: Scalar, _ type: ValueType, count: UInt64, into cell: inout Cell) {
    let text = type == .string ? stateText(scalar.text) : nil
    let (entry, offset, found) = text.map { find($0, cell) } ?? find(scalar.int64, cell)
    if found {
      cell.words[2 * entry + 1] += count
      return
    }
    if let text { cell.insertText(text, at: offset) }
    cell.words.insert(text.map { UInt64($0.count) } ?? scalar.bits, at: 2 * entry)
    cell.words.insert(count, at: 2 * entry + 1)
  }

  private static func find(_ value: Int64, _ cell: Cell) -> (entry: Int, offset: Int, found: Bool) {
    var low = 0
    var high = cell.words.count / 2
    while low < high {
      let middle = (low + high) / 2
      if Int64(bitPattern: cell.words[2 * middle]) < value { low = middle + 1 } else { high = middle }
    }
    let found = 2 * low < cell.words.count && Int64(bitPattern: cell.words[2 * low]) == value
    return (low, 0, found)
  }

  private static func find(
    _ text: UnsafeRawBufferPointer, _ cell: Cell
  ) -> (entry: Int, offset: Int, found: Bool) {
    cell.bytes.withUnsafeBytes { bytes in
      var offset = 0
      for entry in 0..<(cell.words.count / 2) {
        let count = Int(cell.words[2 * entry])
        let order = compareBytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]), text)
        if order >= 0 { return (entry, offset, order == 0) }
        offset += count
      }
      return (cell.words.count / 2, offset, false)
    }
  }

  private static func trim(_ type: ValueType, to capacity: Int, _ cell: inout Cell) {
    let count = cell.words.count / 2
    guard count > capacity else { return }
    let counts = (0..<count).map { cell.words[2 * $0 + 1] }.sorted(by: >)
    let excess = counts[capacity]
    var kept = Cell()
    forEach(cell, type) { scalar, count in
      guard count > excess else { return }
      if type == .string { kept.bytes.append(contentsOf: scalar.text) }
      kept.words.append(type == .string ? UInt64(scalar.length) : scalar.bits)
      kept.words.append(count - excess)
    }
    cell = kept
  }
}
