/// The most frequent values, with a bounded number of counters that know how wrong they may be.
///
/// Space-Saving (Metwally, Agrawal & El Abbadi, 2005) with errors: a new value takes over the smallest counter, and what
/// that had counted is its error. So a value has occurred at least `count - error` and at most `count` times. Values are
/// ranked by what is certain of them: a newcomer that has inherited a large counter doesn't stand before one that has
/// earned it. Merging adds both sides' counts and errors; a value that one side has no counter for may have occurred
/// there as often as its smallest counter says (after Agarwal et al., "Mergeable summaries", 2012).
///
/// Cell: three words a counter, its value (for texts, their length, and the bytes in `bytes`), its count and its error,
/// in ascending order of values.
enum HeavyHitters {
  private static let stride = 3

  static func insert(_ scalar: Scalar, _ type: ValueType, counters: Int, into cell: inout Cell) {
    let text = type == .string ? stateText(scalar.text) : nil
    var (place, isThere) = find(scalar, text, cell)
    if isThere {
      cell.words[stride * place.entry + 1] += 1
      return
    }
    var inherited: UInt64 = 0
    if cell.words.count / stride == counters {
      inherited = removeSmallest(chosenBy: hash(scalar, text), type, moving: &place, from: &cell)
    }
    if let text { cell.insertText(text, at: place.offset) }
    let payload = text.map { UInt64($0.count) } ?? scalar.bits
    cell.words.insert(contentsOf: [payload, inherited + 1, inherited], at: stride * place.entry)
  }

  /// One pass over both sides, whose values ascend.
  static func merge(_ other: Cell, _ type: ValueType, counters: Int, into cell: inout Cell) {
    let (unseenHere, unseenThere) = (unseen(cell, counters), unseen(other, counters))
    var merged = Cell()
    merged.words.reserveCapacity(cell.words.count + other.words.count)
    let (left, right) = (entries(cell, type), entries(other, type))
    var (first, second) = (0, 0)
    while first < left.count || second < right.count {
      let order =
        first == left.count
        ? 1 : second == right.count ? -1 : compare(left[first].scalar, right[second].scalar, type)
      if order == 0 {
        let (a, b) = (left[first], right[second])
        append(Entry(scalar: a.scalar, count: a.count + b.count, error: a.error + b.error), type, to: &merged)
      } else {
        var entry = order < 0 ? left[first] : right[second]
        let inherited = order < 0 ? unseenThere : unseenHere
        entry.count += inherited
        entry.error += inherited
        append(entry, type, to: &merged)
      }
      if order <= 0 { first += 1 }
      if order >= 0 { second += 1 }
    }
    withExtendedLifetime((cell, other)) {}
    cell = trimmed(merged, type, to: counters)
  }

  /// Visits the counters in ascending order of values.
  static func forEach(
    _ cell: Cell, _ type: ValueType, _ body: (_ scalar: Scalar, _ count: UInt64, _ error: UInt64) -> Void
  ) {
    cell.bytes.withUnsafeBytes { bytes in
      var offset = 0
      for index in Swift.stride(from: 0, to: cell.words.count, by: stride) {
        let payload = cell.words[index]
        var scalar = Scalar(bits: payload)
        if type == .string {
          scalar = .text(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(payload))]))
          offset += Int(payload)
        }
        body(scalar, cell.words[index + 1], cell.words[index + 2])
      }
    }
  }

  /// A value with its counter.
  struct Ranked {
    var value: FeatureValue
    /// How often it has occurred at least.
    var certain: UInt64
    /// How much more often, at most.
    var error: UInt64
    /// Decides between equals, whatever the values look like.
    var hash: UInt64
  }

  /// All values: those that have certainly occurred most often first.
  static func ranked(_ cell: Cell, _ type: ValueType) -> [Ranked] {
    var ranked: [Ranked] = []
    forEach(cell, type) { scalar, count, error in
      ranked.append(
        Ranked(
          value: FeatureValue(scalar, type), certain: count - error, error: error,
          hash: hash(scalar, type == .string ? scalar.text : nil)))
    }
    return ranked.sorted { ($1.certain, $0.error, $0.hash) < ($0.certain, $1.error, $1.hash) }
  }

  /// The `k` first values with what is certain of their counts, as the text of a JSON object.
  static func object(_ cell: Cell, _ type: ValueType, k: Int) -> Text {
    var json: [UInt8] = []
    for entry in ranked(cell, type).prefix(k) {
      json.append(json.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
      var name: [UInt8] = []
      ValueText.appendPlain(entry.value, to: &name)
      ValueText.appendJSONString(name, to: &json)
      json.append(UInt8(ascii: ":"))
      ValueText.appendInteger(Int64(entry.certain), to: &json)
    }
    json.append(UInt8(ascii: "}"))
    return Text(utf8: json)
  }

  /// How many of the `k` first values are certainly where they are: none behind them may have occurred more often.
  static func certain(_ cell: Cell, _ type: ValueType, k: Int, counters: Int) -> Int {
    let ranked = ranked(cell, type)
    // The most that one behind may have occurred; of all that have no counter to begin with.
    var most = [UInt64](repeating: unseen(cell, counters), count: ranked.count + 1)
    for index in ranked.indices.reversed() {
      most[index] = max(most[index + 1], ranked[index].certain + ranked[index].error)
    }
    let shown = min(k, ranked.count)
    return (0..<shown).first { ranked[$0].certain < most[$0 + 1] } ?? shown
  }

  // MARK: Counters

  private struct Entry {
    var scalar: Scalar
    var count: UInt64
    var error: UInt64
  }

  private struct Place {
    var entry = 0
    /// Of its text in `bytes`.
    var offset = 0
  }

  /// The counters; texts are in the cell, which must outlive them.
  private static func entries(_ cell: Cell, _ type: ValueType) -> [Entry] {
    var entries: [Entry] = []
    entries.reserveCapacity(cell.words.count / stride)
    forEach(cell, type) { entries.append(Entry(scalar: $0, count: $1, error: $2)) }
    return entries
  }

  private static func append(_ entry: Entry, _ type: ValueType, to cell: inout Cell) {
    if type == .string { cell.bytes.append(contentsOf: entry.scalar.text) }
    cell.words.append(type == .string ? UInt64(entry.scalar.length) : entry.scalar.bits)
    cell.words.append(entry.count)
    cell.words.append(entry.error)
  }

  private static func compare(_ lhs: Scalar, _ rhs: Scalar, _ type: ValueType) -> Int {
    if type == .string { return compareBytes(lhs.text, rhs.text) }
    return lhs.int64 < rhs.int64 ? -1 : lhs.int64 == rhs.int64 ? 0 : 1
  }

  private static func hash(_ scalar: Scalar, _ text: UnsafeRawBufferPointer?) -> UInt64 {
    if let text { return Hash64.hash(text) }
    return withUnsafeBytes(of: scalar.bits.littleEndian) { Hash64.hash($0) }
  }

  private static func find(
    _ scalar: Scalar, _ text: UnsafeRawBufferPointer?, _ cell: Cell
  ) -> (Place, isThere: Bool) {
    guard let text else { return find(scalar.int64, cell) }
    return cell.bytes.withUnsafeBytes { bytes in
      var offset = 0
      for entry in 0..<(cell.words.count / stride) {
        let count = Int(cell.words[stride * entry])
        let order = compareBytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]), text)
        if order >= 0 { return (Place(entry: entry, offset: offset), order == 0) }
        offset += count
      }
      return (Place(entry: cell.words.count / stride, offset: offset), false)
    }
  }

  private static func find(_ value: Int64, _ cell: Cell) -> (Place, isThere: Bool) {
    var low = 0
    var high = cell.words.count / stride
    while low < high {
      let middle = (low + high) / 2
      if Int64(bitPattern: cell.words[stride * middle]) < value { low = middle + 1 } else { high = middle }
    }
    let isThere =
      stride * low < cell.words.count && Int64(bitPattern: cell.words[stride * low]) == value
    return (Place(entry: low), isThere)
  }

  /// How often a value may have occurred that has no counter.
  private static func unseen(_ cell: Cell, _ counters: Int) -> UInt64 {
    guard cell.words.count / stride == counters else { return 0 }
    var smallest = UInt64.max
    for index in Swift.stride(from: 1, to: cell.words.count, by: stride) {
      smallest = min(smallest, cell.words[index])
    }
    return smallest
  }

  /// Removes a smallest counter and returns its count. Of several, the newcomer's hash chooses: the order of values would
  /// favour those at one end. `place` moves with what is behind.
  private static func removeSmallest(
    chosenBy hash: UInt64, _ type: ValueType, moving place: inout Place, from cell: inout Cell
  ) -> UInt64 {
    let total = cell.words.count / stride
    let count = unseen(cell, total)
    let ties = (0..<total).count { cell.words[stride * $0 + 1] == count }
    var left = hash % UInt64(ties)
    var entry = 0
    while true {
      if cell.words[stride * entry + 1] == count {
        if left == 0 { break }
        left -= 1
      }
      entry += 1
    }
    if type == .string {
      let offset = (0..<entry).reduce(0) { $0 + Int(cell.words[stride * $1]) }
      let length = Int(cell.words[stride * entry])
      cell.bytes.removeSubrange(offset..<(offset + length))
      if entry < place.entry { place.offset -= length }
    }
    cell.words.removeSubrange((stride * entry)..<(stride * (entry + 1)))
    if entry < place.entry { place.entry -= 1 }
    return count
  }

  /// Keeps the largest counters; of equal ones some that are spread evenly over the order of values.
  private static func trimmed(_ cell: Cell, _ type: ValueType, to counters: Int) -> Cell {
    let total = cell.words.count / stride
    guard total > counters else { return cell }
    let counts = (0..<total).map { cell.words[stride * $0 + 1] }.sorted(by: >)
    let smallest = counts[counters - 1]
    let larger = counts.count { $0 > smallest }
    let ties = counts.count { $0 == smallest }
    let wanted = counters - larger
    var tie = 0
    var kept = Cell()
    kept.words.reserveCapacity(stride * counters)
    for entry in entries(cell, type) {
      if entry.count < smallest { continue }
      if entry.count == smallest {
        tie += 1
        // The share of ties that have been kept rises with them.
        if tie * wanted / ties == (tie - 1) * wanted / ties { continue }
      }
      append(entry, type, to: &kept)
    }
    withExtendedLifetime(cell) {}
    return kept
  }
}
