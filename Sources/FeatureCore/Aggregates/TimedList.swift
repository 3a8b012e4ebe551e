/// The values of the `k` earliest or latest events (first_k, last_k, and first and last of texts), or the `k` values that came
/// last, each once (last_distinct_k).
///
/// Cell: two words an entry, its time and its value (for texts, their length, and the bytes in `bytes`), in
/// order of (time, arrival). Arrival is offset order, so equal times need no offset to break the tie.
enum TimedList {
  /// Which end is kept.
  enum End { case first, last }

  @inline(__always)
  static func insert(
    _ scalar: Scalar, isText: Bool, time: Int64, keeping end: End, k: Int, into cell: inout Cell
  ) {
    let count = cell.words.count / 2
    if count == k {
      switch end {
      case .first: if time >= self.time(cell, count - 1) { return }
      case .last: if time < self.time(cell, 0) { return }
      }
    }
    var position = count
    while position > 0, self.time(cell, position - 1) > time { position -= 1 }
    let text = isText ? stateText(scalar.text) : nil
    if let text { cell.insertText(text, at: textOffset(cell, position)) }
    let payload = text.map { UInt64($0.count) } ?? scalar.bits
    cell.words.insert(contentsOf: CollectionOfOne(UInt64(bitPattern: time)), at: 2 * position)
    cell.words.insert(payload, at: 2 * position + 1)
    if count == k { remove(at: end == .first ? count : 0, isText: isText, from: &cell) }
  }

  /// Inserts every entry of a later tile.
  static func merge(_ other: Cell, isText: Bool, keeping end: End, k: Int, into cell: inout Cell) {
    forEach(other, isText: isText) { time, scalar in
      insert(scalar, isText: isText, time: time, keeping: end, k: k, into: &cell)
    }
  }

  /// Keeps the `k` values whose latest events are the latest. What is dropped has k others after it and comes back only with
  /// an event of its own, so the order of events doesn't matter.
  static func insertDistinct(_ scalar: Scalar, isText: Bool, time: Int64, k: Int, into cell: inout Cell) {
    let value = isText ? Scalar.text(stateText(scalar.text)) : scalar
    if let entry = find(value, isText: isText, in: cell) {
      if self.time(cell, entry) > time { return }
      remove(at: entry, isText: isText, from: &cell)
    }
    insert(value, isText: isText, time: time, keeping: .last, k: k, into: &cell)
  }

  /// Inserts every entry of a later tile, where it isn't yet.
  static func mergeDistinct(_ other: Cell, isText: Bool, k: Int, into cell: inout Cell) {
    forEach(other, isText: isText) { time, scalar in
      insertDistinct(scalar, isText: isText, time: time, k: k, into: &cell)
    }
  }

  /// Whether no value stands twice.
  static func isDistinct(_ cell: Cell, isText: Bool) -> Bool {
    var entry = 0
    var isDistinct = true
    forEach(cell, isText: isText) { _, scalar in
      if find(scalar, isText: isText, in: cell) != entry { isDistinct = false }
      entry += 1
    }
    return isDistinct
  }

  /// The first entry with a value.
  private static func find(_ value: Scalar, isText: Bool, in cell: Cell) -> Int? {
    guard isText else { return (0..<(cell.words.count / 2)).first { cell.words[2 * $0 + 1] == value.bits } }
    return cell.bytes.withUnsafeBytes { bytes in
      var offset = 0
      for entry in 0..<(cell.words.count / 2) {
        let end = offset + Int(cell.words[2 * entry + 1])
        if compareBytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]), value.text) == 0 {
          return entry
        }
        offset = end
      }
      return nil
    }
  }

  /// Visits the entries in order.
  static func forEach(_ cell: Cell, isText: Bool, _ body: (Int64, Scalar) -> Void) {
    cell.bytes.withUnsafeBytes { bytes in
      var offset = 0
      for entry in 0..<(cell.words.count / 2) {
        let payload = cell.words[2 * entry + 1]
        if isText {
          let text = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(payload))])
          body(time(cell, entry), .text(text))
          offset += Int(payload)
        } else {
          body(time(cell, entry), Scalar(bits: payload))
        }
      }
    }
  }

  @inline(__always)
  private static func time(_ cell: Cell, _ entry: Int) -> Int64 { Int64(bitPattern: cell.words[2 * entry]) }

  private static func textOffset(_ cell: Cell, _ entry: Int) -> Int {
    var offset = 0
    for earlier in 0..<entry { offset += Int(cell.words[2 * earlier + 1]) }
    return offset
  }

  private static func remove(at entry: Int, isText: Bool, from cell: inout Cell) {
    if isText {
      let offset = textOffset(cell, entry)
      cell.bytes.removeSubrange(offset..<(offset + Int(cell.words[2 * entry + 1])))
    }
    cell.words.removeSubrange((2 * entry)..<(2 * entry + 2))
  }
}
