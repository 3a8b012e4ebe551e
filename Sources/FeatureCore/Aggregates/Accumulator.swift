/// What one column of a level keeps in a tile, and how.
///
/// A column is plain data, so that the loop over the columns of an event is a loop over a flat table with one
/// switch. Numbers live in words of the tile's row; lists and sketches in a `Cell` beside it.
struct Accumulator: Hashable, Sendable {
  enum Kind: UInt8, Sendable, CaseIterable {
    case count
    /// Two words: an Int128, low word first. Exact.
    case sumInt64
    case sumDouble
    /// A count, then a sum.
    case meanInt64
    case meanDouble
    /// Count, mean and sum of squared deviations: Welford 1962, merged after Chan, Golub, LeVeque 1979.
    case moments
    case minInt64, maxInt64, minDouble, maxDouble
    /// Time and value of the earliest or latest event.
    case first, last
    /// A reference time (the latest event's) and the sum as of then. Forward decay: Cormode et al., 2009.
    case decayed
    /// Time of the latest event.
    case latestTime
    /// A count a bucket.
    case histogram
    case product
    /// The value in a table's last row.
    case rowValue
    // Cells from here on.
    case minText, maxText
    case firstList, lastList, lastDistinct
    case distinct
    case quantiles
    case topCounts
    case heavyHitters
    case scores
    case rowText
  }

  var kind: Kind
  /// Type of the aggregated values.
  var type: ValueType
  /// Register of the filter, if there is one.
  var filter: RegisterIndex?
  /// Register of the value, if there is one.
  var value: RegisterIndex?
  /// Lists and top_k.
  var k = 0
  /// top_k with counters that know their errors.
  var counters = 0
  /// Decayed aggregates, in microseconds.
  var halfLife: Double = 0
  /// Histograms: the view's bucket table.
  var buckets = 0
  /// Histograms: words.
  var bucketCount = 0
  /// Histograms: whether the last bucket is of nulls.
  var countsNulls = false

  /// Words in a row.
  var wordCount: Int {
    switch kind {
    case .count, .sumDouble, .minInt64, .maxInt64, .minDouble, .maxDouble, .latestTime, .product, .rowValue: 1
    case .sumInt64, .meanDouble, .first, .last, .decayed: 2
    case .meanInt64, .moments: 3
    case .histogram: bucketCount
    case .minText, .maxText, .firstList, .lastList, .lastDistinct, .distinct, .quantiles, .topCounts,
      .heavyHitters, .rowText, .scores:
      0
    }
  }

  /// Whether it is of a table's last row: then a null replaces a value, and what comes later in the log replaces all.
  @inline(__always) var isOfRow: Bool { kind == .rowValue || kind == .rowText }
  /// Whether a null is something to it.
  @inline(__always) var takesNull: Bool { isOfRow || countsNulls }
  /// Whether it keeps a cell.
  var usesCell: Bool { wordCount == 0 }
  /// Whether its values are texts.
  @inline(__always) var isText: Bool { type == .string }
}

/// A register in a flat table: narrow, so that one that may be missing takes up no more than a word.
typealias RegisterIndex = Int32

/// Edges or values of a histogram's buckets.
enum BucketTable: Hashable, Sendable {
  /// Ascending edges; bucket i holds values from edge i - 1 up to, not including, edge i.
  case int64([Int64])
  /// Ascending edges.
  case double([Double])
  /// One bucket a text, and a last one for the rest.
  case texts([Text])

  /// Buckets.
  var bucketCount: Int {
    switch self {
    case .int64(let edges): edges.count + 1
    case .double(let edges): edges.count + 1
    case .texts(let texts): texts.count + 1
    }
  }

  func bucket(of scalar: Scalar) -> Int {
    switch self {
    case .int64(let edges): edges.firstIndex { scalar.int64 < $0 } ?? edges.count
    case .double(let edges): edges.firstIndex { scalar.double < $0 } ?? edges.count
    case .texts(let texts):
      texts.firstIndex { text in text.utf8.withUnsafeBytes { compareBytes($0, scalar.text) == 0 } }
        ?? texts.count
    }
  }
}

/// The words of one accumulator in a row: what the switch over kinds works on.
typealias AccumulatorWords = UnsafeMutablePointer<UInt64>

extension Accumulator {
  /// Folds one event into the words. `fresh`: nothing has been folded into them since they were zeroed.
  @inline(__always)
  func fold(
    _ scalar: Scalar, time: Int64, fresh: Bool, bucketTables: [BucketTable], into words: AccumulatorWords
  ) {
    switch kind {
    case .count: words[0] &+= 1
    case .sumInt64: addInt128(scalar.int64, words)
    case .sumDouble: addDouble(scalar.double, words, fresh: fresh)
    case .product: multiply(type == .int64 ? Double(scalar.int64) : scalar.double, words, fresh: fresh)
    case .meanInt64:
      words[0] &+= 1
      addInt128(scalar.int64, words + 1)
    case .meanDouble:
      words[0] &+= 1
      addDouble(scalar.double, words + 1, fresh: fresh)
    case .moments: addToMoments(type == .int64 ? Double(scalar.int64) : scalar.double, words)
    case .minInt64: if fresh || scalar.int64 < Int64(bitPattern: words[0]) { words[0] = scalar.bits }
    case .maxInt64: if fresh || scalar.int64 > Int64(bitPattern: words[0]) { words[0] = scalar.bits }
    case .minDouble: if fresh || scalar.double < Double(bitPattern: words[0]) { words[0] = scalar.bits }
    case .maxDouble: if fresh || scalar.double > Double(bitPattern: words[0]) { words[0] = scalar.bits }
    case .first: if fresh || time < Int64(bitPattern: words[0]) { store(time, scalar.bits, words) }
    case .last: if fresh || time >= Int64(bitPattern: words[0]) { store(time, scalar.bits, words) }
    case .decayed: addDecayed(decayedInput(scalar), at: time, fresh: fresh, words)
    case .latestTime:
      if fresh || time > Int64(bitPattern: words[0]) { words[0] = UInt64(bitPattern: time) }
    case .histogram:
      let isNull = countsNulls && !scalar.isValue
      words[isNull ? bucketCount - 1 : bucketTables[buckets].bucket(of: scalar)] &+= 1
    case .rowValue: words[0] = scalar.bits
    case .minText, .maxText, .firstList, .lastList, .lastDistinct, .distinct, .quantiles, .topCounts,
      .heavyHitters, .rowText, .scores:
      break
    }
  }

  /// Merges a later tile's words. `fresh` as in `fold`.
  func merge(_ other: UnsafePointer<UInt64>, fresh: Bool, into words: AccumulatorWords) {
    if fresh {
      for word in 0..<wordCount { words[word] = other[word] }
      return
    }
    switch kind {
    case .count: words[0] &+= other[0]
    case .sumInt64: addInt128(other, words)
    case .sumDouble: addDouble(Double(bitPattern: other[0]), words, fresh: false)
    case .product: multiply(Double(bitPattern: other[0]), words, fresh: false)
    case .meanInt64:
      words[0] &+= other[0]
      addInt128(other + 1, words + 1)
    case .meanDouble:
      words[0] &+= other[0]
      addDouble(Double(bitPattern: other[1]), words + 1, fresh: false)
    case .moments: mergeMoments(other, words)
    case .minInt64: if Int64(bitPattern: other[0]) < Int64(bitPattern: words[0]) { words[0] = other[0] }
    case .maxInt64: if Int64(bitPattern: other[0]) > Int64(bitPattern: words[0]) { words[0] = other[0] }
    case .minDouble: if Double(bitPattern: other[0]) < Double(bitPattern: words[0]) { words[0] = other[0] }
    case .maxDouble: if Double(bitPattern: other[0]) > Double(bitPattern: words[0]) { words[0] = other[0] }
    case .first: if Int64(bitPattern: other[0]) < Int64(bitPattern: words[0]) { copyTwo(other, words) }
    case .last: if Int64(bitPattern: other[0]) >= Int64(bitPattern: words[0]) { copyTwo(other, words) }
    case .decayed:
      addDecayed(Double(bitPattern: other[1]), at: Int64(bitPattern: other[0]), fresh: false, words)
    case .latestTime:
      words[0] = UInt64(bitPattern: max(Int64(bitPattern: words[0]), Int64(bitPattern: other[0])))
    case .histogram: for bucket in 0..<bucketCount { words[bucket] &+= other[bucket] }
    case .rowValue: words[0] = other[0]
    case .minText, .maxText, .firstList, .lastList, .lastDistinct, .distinct, .quantiles, .topCounts,
      .heavyHitters, .rowText, .scores:
      break
    }
  }

  /// Folds one event into the cell.
  func fold(_ scalar: Scalar, time: Int64, fresh: Bool, into cell: inout Cell) {
    switch kind {
    case .minText: keepText(stateText(scalar.text), fresh: fresh, into: &cell) { $0 < 0 }
    case .maxText: keepText(stateText(scalar.text), fresh: fresh, into: &cell) { $0 > 0 }
    case .firstList:
      TimedList.insert(scalar, isText: isText, time: time, keeping: .first, k: k, into: &cell)
    case .lastList:
      TimedList.insert(scalar, isText: isText, time: time, keeping: .last, k: k, into: &cell)
    case .lastDistinct: TimedList.insertDistinct(scalar, isText: isText, time: time, k: k, into: &cell)
    case .distinct: DistinctSketch.insert(DistinctSketch.hash(scalar, type), into: &cell)
    case .quantiles:
      QuantileSketch.insert(type == .int64 ? Double(scalar.int64) : scalar.double, into: &cell)
    case .topCounts: TopCounts.insert(scalar, type, k: k, into: &cell)
    case .heavyHitters: HeavyHitters.insert(scalar, type, counters: counters, into: &cell)
    case .scores: ScoreSketch.insert(scalar.double, into: &cell)
    case .rowText:
      if scalar.isValue {
        keepText(stateText(scalar.text), fresh: true, into: &cell) { _ in true }
      } else {
        cell = Cell()
      }
    case .count, .sumInt64, .sumDouble, .meanInt64, .meanDouble, .moments, .minInt64, .maxInt64, .minDouble,
      .maxDouble, .first,
      .last, .decayed, .latestTime, .histogram, .product, .rowValue:
      preconditionFailure("Cannot fold into a cell when the accumulator is \(kind)")
    }
  }

  /// Merges a later tile's cell.
  func merge(_ other: Cell, fresh: Bool, into cell: inout Cell) {
    if fresh {
      cell = other
      return
    }
    switch kind {
    case .minText: other.bytes.withUnsafeBytes { keepText($0, fresh: false, into: &cell) { $0 < 0 } }
    case .maxText: other.bytes.withUnsafeBytes { keepText($0, fresh: false, into: &cell) { $0 > 0 } }
    case .firstList: TimedList.merge(other, isText: isText, keeping: .first, k: k, into: &cell)
    case .lastList: TimedList.merge(other, isText: isText, keeping: .last, k: k, into: &cell)
    case .lastDistinct: TimedList.mergeDistinct(other, isText: isText, k: k, into: &cell)
    case .distinct: DistinctSketch.merge(other, into: &cell)
    case .quantiles: QuantileSketch.merge(other, into: &cell)
    case .topCounts: TopCounts.merge(other, type, k: k, into: &cell)
    case .heavyHitters: HeavyHitters.merge(other, type, counters: counters, into: &cell)
    case .scores: ScoreSketch.merge(other, into: &cell)
    case .rowText: cell = other
    case .count, .sumInt64, .sumDouble, .meanInt64, .meanDouble, .moments, .minInt64, .maxInt64, .minDouble,
      .maxDouble, .first,
      .last, .decayed, .latestTime, .histogram, .product, .rowValue:
      preconditionFailure("Cannot merge cells when the accumulator is \(kind)")
    }
  }

  @inline(__always)
  private func decayedInput(_ scalar: Scalar) -> Double {
    if value == nil { return 1 }
    return type == .int64 ? Double(scalar.int64) : scalar.double
  }

  @inline(__always)
  private func addDecayed(_ input: Double, at time: Int64, fresh: Bool, _ words: AccumulatorWords) {
    let reference = Int64(bitPattern: words[0])
    let sum = Double(bitPattern: words[1])
    if fresh {
      store(time, input.bitPattern, words)
    } else if time >= reference {
      store(time, stableBits(sum * decay(time - reference) + input), words)
    } else {
      words[1] = stableBits(sum + input * decay(reference - time))
    }
  }

  /// The factor by which a value shrinks in some microseconds.
  @inline(__always)
  func decay(_ microseconds: Int64) -> Double {
    microseconds == 0 ? 1 : PortableMath.exp2(-Double(microseconds) / halfLife)
  }

  private func keepText(
    _ text: UnsafeRawBufferPointer, fresh: Bool, into cell: inout Cell, if better: (Int) -> Bool
  ) {
    if fresh || better(cell.bytes.withUnsafeBytes({ compareBytes(text, $0) })) {
      cell.bytes.replaceSubrange(0..., with: text)
    }
  }
}

/// The bits of a sum that may have overflowed: processors differ in the sign of the NaN that infinities make.
@inline(__always)
private func stableBits(_ value: Double) -> UInt64 {
  value.isNaN ? Double.nan.bitPattern : value.bitPattern
}

@inline(__always)
private func store(_ time: Int64, _ bits: UInt64, _ words: AccumulatorWords) {
  words[0] = UInt64(bitPattern: time)
  words[1] = bits
}

@inline(__always)
private func copyTwo(_ other: UnsafePointer<UInt64>, _ words: AccumulatorWords) {
  words[0] = other[0]
  words[1] = other[1]
}

@inline(__always)
private func addDouble(_ value: Double, _ words: AccumulatorWords, fresh: Bool) {
  words[0] = fresh ? value.bitPattern : stableBits(Double(bitPattern: words[0]) + value)
}

private func multiply(_ value: Double, _ words: AccumulatorWords, fresh: Bool) {
  words[0] = fresh ? value.bitPattern : stableBits(Double(bitPattern: words[0]) * value)
}

@inline(__always)
private func addInt128(_ value: Int64, _ words: AccumulatorWords) {
  let (low, carry) = words[0].addingReportingOverflow(UInt64(bitPattern: value))
  words[0] = low
  words[1] = words[1] &+ UInt64(bitPattern: value >> 63) &+ (carry ? 1 : 0)
}

@inline(__always)
private func addInt128(_ other: UnsafePointer<UInt64>, _ words: AccumulatorWords) {
  let (low, carry) = words[0].addingReportingOverflow(other[0])
  words[0] = low
  words[1] = words[1] &+ other[1] &+ (carry ? 1 : 0)
}

@inline(__always)
private func addToMoments(_ value: Double, _ words: AccumulatorWords) {
  words[0] &+= 1
  let mean = Double(bitPattern: words[1])
  let delta = value - mean
  let newMean = mean + delta / Double(words[0])
  words[1] = stableBits(newMean)
  words[2] = stableBits(Double(bitPattern: words[2]) + delta * (value - newMean))
}

private func mergeMoments(_ other: UnsafePointer<UInt64>, _ words: AccumulatorWords) {
  let count = Double(words[0])
  let otherCount = Double(other[0])
  let total = count + otherCount
  let mean = Double(bitPattern: words[1])
  let delta = Double(bitPattern: other[1]) - mean
  words[0] &+= other[0]
  words[1] = stableBits(mean + delta * otherCount / total)
  let deviations = Double(bitPattern: words[2]) + Double(bitPattern: other[2])
  words[2] = stableBits(deviations + delta * delta * count * otherCount / total)
}
