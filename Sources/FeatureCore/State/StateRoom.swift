/// Whether a state may take another event: no state gets larger than a stated number of bytes.
///
/// The decision depends on the state and the event's time alone, so every fold of a log makes it alike. Sizes are upper bounds
/// that don't depend on as_of: a time in a state, which is encoded as its distance to as_of, counts as nine bytes.
struct StateRoom: Sendable {
  /// No state of the view can get so large that it has to be asked.
  let isAlways: Bool
  /// Bytes that one event adds at most.
  let growthMax: Int
  /// Bytes that each of many events adds at most: a sketch of distinct values becomes dense once in many.
  let growthUsual: Int
  let bytesMax: Int
  /// Bytes that a state of one event has at most.
  let oneEventMax: Int
  /// By level: bytes of a row without its cells, and of a row whose cells are full.
  private let rows: [(fixed: Int, full: Int)]
  /// Format, fingerprint and as_of, which takes up to 9 bytes, and where the triggers are.
  private let headerBytes: Int
  /// A count of rows of up to 2 bytes.
  private static let levelBytes = 2

  init(_ layout: StateLayout, bytesMax: Int) {
    self.bytesMax = bytesMax
    var rows: [(fixed: Int, full: Int)] = []
    var (growth, usual) = (0, 0)
    headerBytes = 1 + 8 + 9 + layout.triggers.count * TriggerProgress.bytesMax
    var fullest = headerBytes
    for level in layout.levels {
      let columns = layout.columns(of: level).map(\.accumulator)
      let fixed =
        level.tiling.placeBytesMax + (level.columnCount + 7) / 8
        + columns.filter { !$0.usesCell }.map(\.bytesMax).reduce(0, +)
      let cells = columns.filter(\.usesCell)
      let full = fixed + cells.map(\.cellBytesMax).reduce(0, +)
      rows.append((fixed, full))
      growth += fixed + cells.map(\.cellGrowthMax).reduce(0, +)
      usual += fixed + cells.map(\.cellGrowthUsual).reduce(0, +)
      fullest += Self.levelBytes + level.tiling.tilesMax * full
    }
    self.rows = rows
    growthMax = growth
    growthUsual = usual
    oneEventMax = headerBytes + layout.levels.count * Self.levelBytes + growth
    isAlways = fullest + growth <= bytesMax
  }

  /// Whether an event of a time may be folded into a state. Always into one that holds nothing: `check` refuses views of which
  /// one event needs more than half of a state.
  func admits(_ time: Int64, _ state: State, _ layout: StateLayout) -> Bool {
    var bound = headerBytes + growthMax
    var isEmpty = true
    for index in rows.indices {
      let count = state.rowCount(index)
      if count > 0 { isEmpty = false }
      bound += Self.levelBytes + count * rows[index].full
    }
    return isEmpty || bound <= bytesMax || bytes(state, after: time, layout) + growthMax <= bytesMax
  }

  /// An upper bound of the bytes of a state once an event of a time has dropped what no window sees any more.
  private func bytes(_ state: State, after time: Int64, _ layout: StateLayout) -> Int {
    let asOf = max(time, state.asOf.microseconds)
    var bytes = headerBytes
    var place = LevelPlace(index: 0, words: layout.headerWords, cells: 0)
    while place.index < layout.levels.count {
      let level = layout.levels[place.index]
      let columns = layout.columns(of: level)
      bytes += Self.levelBytes
      for row in firstRow(level, place, state, asOf: asOf, time: time, layout)..<state.rowCount(place.index) {
        bytes += rows[place.index].fixed
        for column in columns where column.cell >= 0 {
          bytes += column.accumulator.bytes(
            of: state.cells[place.cells + row * level.cellCount + column.cell])
        }
      }
      place.skip(level, in: state)
    }
    return bytes
  }

  /// The first row that is still there once as_of is `asOf`.
  private func firstRow(
    _ level: Level, _ place: LevelPlace, _ state: State, asOf: Int64, time: Int64, _ layout: StateLayout
  ) -> Int {
    let count = state.rowCount(place.index)
    switch level.tiling {
    case .lifetime: return 0
    case .session(let gap): return time - state.asOf.microseconds > gap ? count : 0
    case .hops, .days:
      let first = layout.firstTile(asOf: asOf, level.tiling)
      var row = 0
      while row < count, Int64(bitPattern: state.words[place.words + row * level.stride]) < first { row += 1 }
      return row
    }
  }
}

extension Accumulator {
  /// Bytes of a value in a cell at most.
  private var cellValueMax: Int { isText ? Limits.stateTextBytesMax : 0 }

  /// An upper bound of the bytes of a cell.
  fileprivate func bytes(of cell: Cell) -> Int {
    if kind == .distinct {
      return cell.bytes.isEmpty ? 3 + 8 * cell.words.count : DistinctSketch.denseBytes + 1
    }
    return 3 + 10 * cell.words.count + cell.bytes.count
  }

  /// The largest `bytes(of:)`.
  fileprivate var cellBytesMax: Int {
    switch kind {
    case .minText, .maxText, .rowText: 3 + 10 + cellValueMax
    case .firstList, .lastList, .lastDistinct: 3 + k * (20 + cellValueMax)
    case .distinct: DistinctSketch.denseBytes + 1
    case .quantiles: 3 + 10 * (2 * Limits.quantileBucketsMax + 1)
    case .topCounts: 3 + TopCounts.capacity(k: k) * (20 + cellValueMax)
    case .heavyHitters: 3 + counters * (30 + cellValueMax)
    case .scores: 3 + 10 * (ScoreSketch.headerWords + ScoreSketch.binWords * ScoreSketch.binCount)
    case .count, .sumInt64, .sumDouble, .meanInt64, .meanDouble, .moments, .minInt64, .maxInt64, .minDouble,
      .maxDouble, .first, .last, .decayed, .latestTime, .histogram, .product, .rowValue:
      0
    }
  }

  /// By how much each of many events raises it at most.
  fileprivate var cellGrowthUsual: Int {
    kind == .distinct ? 8 + DistinctSketch.denseBytes / Limits.distinctExactMax : cellGrowthMax
  }

  /// By how much one event raises `bytes(of:)` at most.
  fileprivate var cellGrowthMax: Int {
    switch kind {
    case .distinct: DistinctSketch.denseBytes - 8 * Limits.distinctExactMax
    case .scores: 3 + 10 * (ScoreSketch.headerWords + ScoreSketch.binWords)
    case .minText, .maxText, .rowText, .firstList, .lastList, .lastDistinct, .quantiles, .topCounts,
      .heavyHitters:
      3 + 30 + cellValueMax
    case .count, .sumInt64, .sumDouble, .meanInt64, .meanDouble, .moments, .minInt64, .maxInt64, .minDouble,
      .maxDouble, .first, .last, .decayed, .latestTime, .histogram, .product, .rowValue:
      0
    }
  }
}
