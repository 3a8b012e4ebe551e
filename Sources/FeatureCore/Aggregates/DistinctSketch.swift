/// Distinct values: the exact set of their 64-bit hashes up to a bound, then a HyperLogLog of 4,096 registers.
///
/// Both forms, and the moment of the change, are functions of the set of values alone: neither order nor
/// repetition nor merging changes a bit. Standard error of the dense form: 1.04 / sqrt(4096) = 1.6 %.
/// Flajolet et al., "HyperLogLog", 2007; the estimator is Ertl's, "New cardinality estimation algorithms for
/// HyperLogLog sketches", 2017 (algorithm 6), which needs neither bias tables nor logarithms.
///
/// Cell: sparse, the hashes ascending in `words`; dense, a byte a register in `bytes`.
enum DistinctSketch {
  static let precision = 12
  static let registerCount = 1 << precision
  /// Bytes of the encoded dense form.
  static let denseBytes = registerCount * 6 / 8
  /// Largest register: the 52 hash bits after the index are all zero.
  static let registerMax = 64 - precision + 1

  @inline(__always)
  static func hash(_ scalar: Scalar, _ type: ValueType) -> UInt64 {
    switch type {
    case .string: Hash64.hash(scalar.text)
    // 0.0 and -0.0 are equal, so they are one value.
    case .double: Hash64.hash(scalar.double == 0 ? 0 : scalar.bits)
    default: Hash64.hash(scalar.bits)
    }
  }

  @inline(__always)
  static func insert(_ hash: UInt64, into cell: inout Cell) {
    if !cell.bytes.isEmpty {
      raise(hash, &cell.bytes)
      return
    }
    let position = lowerBound(cell.words, hash)
    if position < cell.words.count, cell.words[position] == hash { return }
    cell.words.insert(hash, at: position)
    if cell.words.count > Limits.distinctExactMax { densify(&cell) }
  }

  static func merge(_ other: Cell, into cell: inout Cell) {
    for hash in other.words { insert(hash, into: &cell) }
    guard !other.bytes.isEmpty else { return }
    if cell.bytes.isEmpty { densify(&cell) }
    for register in 0..<registerCount {
      cell.bytes[register] = max(cell.bytes[register], other.bytes[register])
    }
  }

  /// The count, exact while sparse.
  static func estimate(_ cell: Cell) -> Int64 {
    if cell.bytes.isEmpty { return Int64(cell.words.count) }
    var histogram = [Double](repeating: 0, count: registerMax + 1)
    for register in cell.bytes { histogram[Int(register)] += 1 }
    let m = Double(registerCount)
    var z = m * tau(1 - histogram[registerMax] / m)
    for k in stride(from: registerMax - 1, through: 1, by: -1) { z = 0.5 * (z + histogram[k]) }
    z += m * sigma(histogram[0] / m)
    // 1 / (2 ln 2)
    let alpha = 0.721_347_520_444_481_7
    // Bytes that no set of values makes may claim more.
    return Int64(min(alpha * m * m / z, 0x1p62).rounded())
  }

  private static func densify(_ cell: inout Cell) {
    cell.bytes = ContiguousArray(repeating: 0, count: registerCount)
    for hash in cell.words { raise(hash, &cell.bytes) }
    cell.words = []
  }

  @inline(__always)
  private static func raise(_ hash: UInt64, _ registers: inout ContiguousArray<UInt8>) {
    let index = Int(hash >> UInt64(64 - precision))
    // The sentinel bit ends the count of zeros at the last hash bit.
    let rest = (hash << UInt64(precision)) | (1 << UInt64(precision - 1))
    let rank = UInt8(rest.leadingZeroBitCount + 1)
    if rank > registers[index] { registers[index] = rank }
  }

  private static func lowerBound(_ words: ContiguousArray<UInt64>, _ hash: UInt64) -> Int {
    var low = 0
    var high = words.count
    while low < high {
      let middle = (low + high) / 2
      if words[middle] < hash { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func sigma(_ start: Double) -> Double {
    if start == 1 { return .infinity }
    var x = start
    var y = 1.0
    var z = x
    while true {
      x *= x
      let previous = z
      z += x * y
      y += y
      if z == previous { return z }
    }
  }

  private static func tau(_ start: Double) -> Double {
    if start == 0 || start == 1 { return 0 }
    var x = start
    var y = 1.0
    var z = 1 - x
    while true {
      x = x.squareRoot()
      let previous = z
      y *= 0.5
      z -= (1 - x) * (1 - x) * y
      if z == previous { return z / 3 }
    }
  }
}
