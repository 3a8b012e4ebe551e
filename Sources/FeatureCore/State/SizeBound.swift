/// How large the encoded states of a view can get.
public struct StateSizeBound: Hashable, Sendable {
  /// Tilings of event time.
  public var levels: Int
  /// Tiles of all levels, when every one holds something.
  public var tiles: Int
  /// Bytes of a state in which every tile and every sketch is full.
  public var bytes: Int
  /// About the bytes of a state after one event that every feature counts.
  public var bytesOfOneEvent: Int
}

extension ViewPlan {
  /// The bound of this view's states.
  public var sizeBound: StateSizeBound {
    // Format, fingerprint and as_of; a full as_of takes 9 bytes.
    let header = 1 + 8 + 9
    var bound = StateSizeBound(
      levels: layout.levels.count, tiles: 0, bytes: header + layout.triggers.count * TriggerProgress.bytesMax,
      bytesOfOneEvent: header + layout.triggers.count)
    for level in layout.levels {
      let columns = layout.columns(of: level).map(\.accumulator)
      let mask = (level.columnCount + 7) / 8
      let tiles = level.tiling.tilesMax
      bound.tiles += tiles
      // A count of tiles of up to 2 bytes.
      bound.bytes += 2 + tiles * (level.tiling.placeBytesMax + mask + columns.map(\.bytesMax).reduce(0, +))
      bound.bytesOfOneEvent += 2 + mask + columns.map(\.bytesOfOneEvent).reduce(0, +)
    }
    return bound
  }
}

extension ViewPlan {
  /// Bytes that the values of a snapshot take at most, each in a message of the snapshot.
  var valueBytesMax: Int { outputs.map { 6 + valueBytesMax(of: $0) }.reduce(0, +) }

  private func valueBytesMax(of output: Output) -> Int {
    if case .window(let level, let column, _, .countMap(let k)) = output.origin {
      // A control character is six in JSON, and a time has 27; quotes, colon, comma, and a count.
      let isText = layout.columns(of: layout.levels[level])[column].accumulator.isText
      return 8 + k * ((isText ? 6 * Limits.stateTextBytesMax : 27) + 4 + 19)
    }
    return switch output.type {
    case .scalar(.string): 6 + (output.isDerived ? Limits.derivedTextBytesMax : Limits.stateTextBytesMax)
    case .scalar: 11
    case .list(let type):
      elementsMax(of: output) * (3 + (type == .string ? 6 + Limits.stateTextBytesMax : 11)) + 6
    }
  }

  private func elementsMax(of output: Output) -> Int {
    guard case .window(let level, let column, _, let result) = output.origin else { return 0 }
    let accumulator = layout.columns(of: layout.levels[level])[column].accumulator
    switch result {
    case .top(let k), .topCounts(let k), .topErrors(let k): return k
    case .list: return accumulator.k
    case .histogram: return accumulator.bucketCount
    case .count, .sum, .product, .mean, .rootMean, .variance, .stddev, .extreme, .edge, .distinct,
      .latestTime,
      .decayed, .quantile, .topCertain, .countMap, .measure, .drift:
      return 0
    }
  }
}

extension Tiling {
  /// Bytes of a tile's place: a session's is a stretch of time, the others' is a distance in tiles.
  var placeBytesMax: Int { if case .session = self { 9 } else { 3 } }

  /// Tiles that can be kept at once: those that the longest window covers, and the one that its tail is in.
  var tilesMax: Int {
    switch self {
    case .hops(let hop, let retention): Int((retention + hop - 1) / hop) + 1
    case .lifetime, .session: 1
    case .days(_, let units):
      units.contains(.thisMonth) ? 37 : units.contains(.thisWeek) ? 8 : units.contains(.yesterday) ? 2 : 1
    }
  }
}

extension Accumulator {
  private static let varintMax = 9
  private static let timeMax = 9

  private var valueMax: Int {
    switch type {
    case .string: 2 + Limits.stateTextBytesMax
    case .double: 8
    case .bool: 1
    case .int64, .timestamp: 10
    }
  }

  /// Bytes of a full accumulator in one tile.
  var bytesMax: Int {
    switch kind {
    case .count: Self.varintMax
    case .sumInt64: 19
    case .sumDouble, .minDouble, .maxDouble, .product: 8
    case .meanInt64: Self.varintMax + 19
    case .meanDouble: Self.varintMax + 8
    case .moments: Self.varintMax + 16
    case .minInt64, .maxInt64: 10
    case .first, .last: Self.timeMax + valueMax
    case .decayed: Self.timeMax + 8
    case .latestTime: Self.timeMax
    case .histogram: bucketCount * Self.varintMax
    case .minText, .maxText, .rowValue, .rowText: valueMax
    case .firstList, .lastList, .lastDistinct: 1 + k * (Self.timeMax + valueMax)
    case .distinct: 1 + max(8 * Limits.distinctExactMax, DistinctSketch.denseBytes)
    // A bucket's distance of up to 3 bytes, and its count.
    case .quantiles: 3 + Limits.quantileBucketsMax * (3 + Self.varintMax)
    case .topCounts: 2 + TopCounts.capacity(k: k) * (valueMax + Self.varintMax)
    case .heavyHitters: 2 + counters * (valueMax + 2 * Self.varintMax)
    case .scores: 16 + 2 + ScoreSketch.binCount * (2 + 2 * Self.varintMax + 8)
    }
  }

  /// About the bytes of an accumulator that has seen one event: small numbers, texts of 8 bytes.
  fileprivate var bytesOfOneEvent: Int {
    let value = type == .double ? 8 : type == .string ? 9 : 2
    switch kind {
    case .count, .latestTime: return 1
    case .sumInt64, .minInt64, .maxInt64: return 2
    case .sumDouble, .minDouble, .maxDouble, .product: return 8
    case .meanInt64: return 3
    case .meanDouble, .decayed: return 9
    case .moments: return 17
    case .first, .last: return 1 + value
    case .histogram: return bucketCount
    case .minText, .maxText, .rowValue, .rowText: return value
    case .firstList, .lastList, .lastDistinct: return 2 + value
    case .distinct: return 9
    case .quantiles: return 6
    case .topCounts: return 2 + value
    case .heavyHitters: return 3 + value
    case .scores: return 29
    }
  }
}
