/// What measures of a classifier are computed from: counts of both labels and the sum of scores, by bin of the score.
///
/// A score and its label are one double: the magnitude is the score, from 0 to 1, the sign is clear for a true label. A bin is
/// 1/16 of the score's logit from -16 to 16, so that bins are as fine where scores are rare events' as in the middle.
/// Sums of doubles are made in the order of events, as all are; bins and counts don't depend on it.
///
/// Cell: `words[0]` is the sum of log losses, `words[1]` that of squared errors; then four words a bin that holds something, in
/// ascending order: its number, true labels, false labels, and the sum of its scores.
enum ScoreSketch {
  static let binCount = 512
  static let headerWords = 2
  static let binWords = 4
  private static let binsPerLogit = 16.0
  /// Neighbouring bins that make one group of the expected calibration error: a logit of 1.
  private static let binsPerGroup = 16
  /// Scores of 0 and 1 lose as much as these, as in scikit-learn.
  private static let leastScore = 0x1p-52

  static func bin(_ score: Double) -> Int {
    if score <= 0 { return 0 }
    if score >= 1 { return binCount - 1 }
    let logit = PortableMath.ln(score / (1 - score))
    return Int(min(max(PortableMath.floor((logit + 16) * binsPerLogit), 0), Double(binCount - 1)))
  }

  static func insert(_ signed: Double, into cell: inout Cell) {
    let isTrue = signed.sign == .plus
    let score = signed.magnitude
    if cell.words.isEmpty { cell.words.append(contentsOf: [0, 0]) }
    let clipped = min(max(score, leastScore), 1 - leastScore)
    addDouble(-PortableMath.ln(isTrue ? clipped : 1 - clipped), to: 0, of: &cell)
    let error = isTrue ? 1 - score : score
    addDouble(error * error, to: 1, of: &cell)
    add(UInt64(bin(score)), isTrue ? 1 : 0, isTrue ? 0 : 1, score, from: headerWords, into: &cell)
  }

  static func merge(_ other: Cell, into cell: inout Cell) {
    for word in 0..<headerWords { addDouble(Double(bitPattern: other.words[word]), to: word, of: &cell) }
    var place = headerWords
    for index in stride(from: headerWords, to: other.words.count, by: binWords) {
      place = add(
        other.words[index], other.words[index + 1], other.words[index + 2],
        Double(bitPattern: other.words[index + 3]), from: place, into: &cell)
    }
  }

  /// Adds to a bin that isn't before word `start`; returns the bin's first word.
  @discardableResult
  private static func add(
    _ bin: UInt64, _ trues: UInt64, _ falses: UInt64, _ sum: Double, from start: Int, into cell: inout Cell
  ) -> Int {
    var low = 0
    var high = (cell.words.count - start) / binWords
    while low < high {
      let middle = (low + high) / 2
      if cell.words[start + binWords * middle] < bin { low = middle + 1 } else { high = middle }
    }
    let index = start + binWords * low
    if index == cell.words.count || cell.words[index] != bin {
      cell.words.insert(contentsOf: [bin, trues, falses, sum.bitPattern], at: index)
    } else {
      cell.words[index + 1] += trues
      cell.words[index + 2] += falses
      addDouble(sum, to: index + 3, of: &cell)
    }
    return index
  }

  private static func addDouble(_ value: Double, to word: Int, of cell: inout Cell) {
    cell.words[word] = (Double(bitPattern: cell.words[word]) + value).bitPattern
  }
}

/// A measure of scores against labels, named like its aggregate.
enum ScoreMeasure: String, Hashable, Sendable, CaseIterable {
  case auc
  case aucBound = "auc_bound"
  case prAUC = "pr_auc"
  case expectedAUC = "expected_auc"
  case logLoss = "log_loss"
  case normalizedEntropy = "normalized_entropy"
  case calibration
  case ece
  case brier
}

extension ScoreSketch {
  private struct Bin {
    var number: Int
    var trues: Double
    var falses: Double
    var sum: Double
    var count: Double { trues + falses }
  }

  /// nil where it isn't defined: for want of a true label, or of a false one.
  static func value(_ measure: ScoreMeasure, _ cell: Cell) -> Double? {
    var bins: [Bin] = []
    var (trues, count, scores) = (0.0, 0.0, 0.0)
    for index in stride(from: headerWords, to: cell.words.count, by: binWords) {
      let bin = Bin(
        number: Int(cell.words[index]), trues: Double(cell.words[index + 1]),
        falses: Double(cell.words[index + 2]), sum: Double(bitPattern: cell.words[index + 3]))
      bins.append(bin)
      trues += bin.trues
      count += bin.count
      scores += bin.sum
    }
    let logLoss = Double(bitPattern: cell.words[0]) / count
    let hasBoth = trues > 0 && trues < count
    switch measure {
    case .auc: return hasBoth ? area(bins.map { ($0.trues, $0.falses) }) : nil
    case .aucBound:
      // Within a bin half of the pairs count as right: so many are wrong by at most a half each.
      let tied: Double = bins.reduce(0) { $0 + $1.trues * $1.falses }
      return hasBoth ? tied / 2 / (trues * (count - trues)) : nil
    case .prAUC: return trues > 0 ? averagePrecision(bins, trues) : nil
    case .expectedAUC:
      // Each event as so much of a true label as its score says; a sum can be rounded above its count.
      let expected = bins.map { (trues: $0.sum, falses: max(0, $0.count - $0.sum)) }
      // Scores below the normal numbers promise nothing.
      let isDefined = expected.contains { $0.trues >= 0x1p-1022 } && expected.contains { $0.falses > 0 }
      return isDefined ? area(expected) : nil
    case .logLoss: return logLoss
    case .normalizedEntropy:
      let rate = trues / count
      let entropy = -(rate * PortableMath.ln(rate) + (1 - rate) * PortableMath.ln(1 - rate))
      return hasBoth ? logLoss / entropy : nil
    case .calibration: return trues > 0 ? scores / trues : nil
    case .ece: return calibrationError(bins) / count
    case .brier: return Double(bitPattern: cell.words[1]) / count
    }
  }

  /// The share of pairs of a true and a false label in which the true one is in the higher bin; in the same bin, half.
  private static func area(_ bins: [(trues: Double, falses: Double)]) -> Double {
    var (right, trues, falses) = (0.0, 0.0, 0.0)
    for bin in bins {
      right += bin.trues * (falses + bin.falses / 2)
      trues += bin.trues
      falses += bin.falses
    }
    return right / (trues * falses)
  }

  /// The precision at each bin, from the highest on, weighted by the recall that it adds.
  private static func averagePrecision(_ bins: [Bin], _ trues: Double) -> Double {
    var (sum, found, seen) = (0.0, 0.0, 0.0)
    for bin in bins.reversed() {
      found += bin.trues
      seen += bin.count
      sum += bin.trues * found / seen
    }
    return sum / trues
  }

  /// The distances between scores and true labels of each group, added up.
  private static func calibrationError(_ bins: [Bin]) -> Double {
    var (total, distance, group) = (0.0, 0.0, 0)
    for bin in bins {
      if bin.number / binsPerGroup != group {
        total += distance.magnitude
        (distance, group) = (0, bin.number / binsPerGroup)
      }
      distance += bin.sum - bin.trues
    }
    return total + distance.magnitude
  }
}

extension ScoreSketch {
  static func encode(_ cell: Cell, into writer: inout ByteWriter) {
    for word in 0..<headerWords { writer.fixed(cell.words[word]) }
    writer.varint(UInt64((cell.words.count - headerWords) / binWords))
    for index in stride(from: headerWords, to: cell.words.count, by: binWords) {
      writer.varint(cell.words[index] - (index == headerWords ? 0 : cell.words[index - binWords] + 1))
      writer.varint(cell.words[index + 1])
      writer.varint(cell.words[index + 2])
      writer.fixed(cell.words[index + 3])
    }
  }

  static func decode(into cell: inout Cell, _ reader: inout ByteReader) throws(StateError) {
    let (losses, errors) = (try sum(&reader), try sum(&reader))
    cell.words.append(contentsOf: [losses.bitPattern, errors.bitPattern])
    let bins = try reader.count(atMost: binCount)
    guard bins > 0 else { throw reader.corrupt("scores hold nothing") }
    cell.words.reserveCapacity(headerWords + binWords * bins)
    var next: UInt64 = 0
    var total: UInt64 = 0
    for _ in 0..<bins {
      let distance = try reader.varint()
      guard distance < UInt64(binCount) - next else { throw reader.corrupt("a bin is out of range") }
      let (trues, falses) = (try reader.varint(), try reader.varint())
      guard trues <= Limits.tileEventsMax - total, falses <= Limits.tileEventsMax - total - trues,
        trues + falses > 0
      else { throw reader.corrupt("a count is out of range") }
      total += trues + falses
      let scores = try sum(&reader)
      guard scores <= Double(trues + falses) else { throw reader.corrupt("scores are above 1") }
      cell.words.append(contentsOf: [next + distance, trues, falses, scores.bitPattern])
      next += distance + 1
    }
    // The log loss of the least score is 36.
    guard losses <= 64 * Double(total), errors <= Double(total) else {
      throw reader.corrupt("a sum is out of range")
    }
  }

  /// A sum of what can't be negative.
  private static func sum(_ reader: inout ByteReader) throws(StateError) -> Double {
    let value = Double(bitPattern: try reader.fixed())
    guard value.isFinite, value.sign == .plus else { throw reader.corrupt("a sum is out of range") }
    return value
  }
}
