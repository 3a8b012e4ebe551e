/// Quantiles within a relative error, from a histogram whose buckets are as wide as their values are large.
///
/// A bucket holds the values that share sign, exponent and the first 7 bits of the mantissa, so an answer is off
/// by at most 1/256 (0.4 %) of the value. At `Limits.quantileBucketsMax` buckets, neighbours are joined in
/// pairs and the error doubles; with 1,024 buckets that is first needed when values fill 8 powers of two
/// densely. The resolution is a function of the set of buckets alone, so order and merging change nothing.
/// Masson, Rim, Lee, "DDSketch", 2019, with its bitwise mapping (no logarithm: the same on every machine), and
/// the uniform collapse of Epicoco et al., "UDDSketch", 2020. Magnitudes under 2.3e-308 count as zero.
///
/// Cell: `words[0]` is the count of halvings, then two words a bucket: its key (signed, ascending), its count.
enum QuantileSketch {
  private static let mantissaBits: UInt64 = 7

  @inline(__always)
  static func key(_ value: Double) -> Int64 {
    guard value.isNormal else { return 0 }
    let magnitude = Int64(value.magnitude.bitPattern >> (52 - mantissaBits))
    return value < 0 ? -magnitude : magnitude
  }

  @inline(__always)
  static func insert(_ value: Double, into cell: inout Cell) {
    if cell.words.isEmpty { cell.words.append(0) }
    add(count: 1, key: halve(key(value), cell.words[0]), into: &cell)
  }

  static func merge(_ other: Cell, into cell: inout Cell) {
    if cell.words.isEmpty { cell.words.append(0) }
    while cell.words[0] < other.words[0] { collapse(&cell) }
    for index in stride(from: 1, to: other.words.count, by: 2) {
      // Looked up for every bucket: adding one may collapse the cell.
      let shift = cell.words[0] - other.words[0]
      add(
        count: other.words[index + 1], key: halve(Int64(bitPattern: other.words[index]), shift), into: &cell)
    }
  }

  /// The value of rank `floor(q * (n - 1))`, as its bucket's middle.
  static func quantile(_ q: Double, _ cell: Cell) -> Double {
    var total: UInt64 = 0
    for index in stride(from: 2, to: cell.words.count, by: 2) { total += cell.words[index] }
    // Beyond 2^53 values the product may round up.
    let rank = min(UInt64(q * Double(total - 1)), total - 1)
    var seen: UInt64 = 0
    for index in stride(from: 1, to: cell.words.count, by: 2) {
      seen += cell.words[index + 1]
      if seen > rank { return middle(Int64(bitPattern: cell.words[index]), cell.words[0]) }
    }
    preconditionFailure("Cannot find rank \(rank) among \(total) values")
  }

  private static func add(count: UInt64, key: Int64, into cell: inout Cell) {
    var low = 0
    var high = (cell.words.count - 1) / 2
    while low < high {
      let middle = (low + high) / 2
      if Int64(bitPattern: cell.words[1 + 2 * middle]) < key { low = middle + 1 } else { high = middle }
    }
    let index = 1 + 2 * low
    if index < cell.words.count, Int64(bitPattern: cell.words[index]) == key {
      cell.words[index + 1] += count
      return
    }
    cell.words.insert(UInt64(bitPattern: key), at: index)
    cell.words.insert(count, at: index + 1)
    while (cell.words.count - 1) / 2 > Limits.quantileBucketsMax { collapse(&cell) }
  }

  /// Halves the resolution: joins buckets whose keys differ in the last bit only.
  private static func collapse(_ cell: inout Cell) {
    var joined: ContiguousArray<UInt64> = [cell.words[0] + 1]
    for index in stride(from: 1, to: cell.words.count, by: 2) {
      let key = UInt64(bitPattern: halve(Int64(bitPattern: cell.words[index]), 1))
      if joined.count > 1, joined[joined.count - 2] == key {
        joined[joined.count - 1] += cell.words[index + 1]
      } else {
        joined.append(key)
        joined.append(cell.words[index + 1])
      }
    }
    cell.words = joined
  }

  /// Halves a key towards zero `times` times, the same for both signs.
  @inline(__always)
  private static func halve(_ key: Int64, _ times: UInt64) -> Int64 {
    key < 0 ? -(-key >> Int64(times)) : key >> Int64(times)
  }

  private static func middle(_ key: Int64, _ halvings: UInt64) -> Double {
    let magnitude = key.magnitude
    if magnitude == 0 { return 0 }
    let shift = halvings + 52 - mantissaBits
    let low = Double(bitPattern: magnitude << shift)
    // The last bucket ends at the largest number: the next pattern would be infinity.
    let next = min((magnitude + 1) << shift, Double.greatestFiniteMagnitude.bitPattern)
    let middle = low / 2 + Double(bitPattern: next) / 2
    return key < 0 ? -middle : middle
  }
}
