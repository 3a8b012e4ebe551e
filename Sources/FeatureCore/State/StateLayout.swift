/// One column of a level: an accumulator and its place in a row.
struct Column: Sendable {
  var accumulator: Accumulator
  /// First word of the accumulator in a row.
  var word = 0
  /// Index among the cells of a row, or -1.
  var cell = -1
}

/// One tiling of event time and the columns that are kept a tile.
///
/// A row is the tile's index, a mask of the columns that hold something, and the columns' words.
struct Level: Sendable {
  var tiling: Tiling
  var firstColumn: Int
  var columnCount: Int
  /// Words of a row.
  var stride: Int
  /// Cells of a row.
  var cellCount: Int
  /// Whether it keeps a table's last row, which may come to hold nothing.
  var hasRowValues = false

  /// Words of the mask.
  @inline(__always) var maskWords: Int { (columnCount + 63) / 64 }
}

/// Where everything stands in the states of a view: immutable tables that the fold loops over.
final class StateLayout: Sendable {
  nonisolated(unsafe) let levels: UnsafeBufferPointer<Level>
  nonisolated(unsafe) let columns: UnsafeBufferPointer<Column>
  let bucketTables: [BucketTable]
  let calendars: [ZoneCalendar]
  /// The clocks of the view's triggers.
  let triggers: [TriggerClock]

  /// Words before the first row: as_of, the count of rows of each level, then two words a trigger.
  let headerWords: Int
  /// Words of the widest row.
  let strideMax: Int

  init(
    levels groups: [(tiling: Tiling, accumulators: [Accumulator])], bucketTables: [BucketTable],
    calendars: [ZoneCalendar], triggers: [TriggerClock] = []
  ) {
    var levels: [Level] = []
    var columns: [Column] = []
    for group in groups {
      var level = Level(
        tiling: group.tiling, firstColumn: columns.count, columnCount: group.accumulators.count, stride: 0,
        cellCount: 0)
      level.stride = 1 + level.maskWords
      for accumulator in group.accumulators {
        var column = Column(accumulator: accumulator, word: level.stride)
        level.stride += accumulator.wordCount
        if accumulator.isOfRow { level.hasRowValues = true }
        if accumulator.usesCell {
          column.cell = level.cellCount
          level.cellCount += 1
        }
        columns.append(column)
      }
      levels.append(level)
    }
    self.levels = UnsafeBufferPointer(Self.copy(levels))
    self.columns = UnsafeBufferPointer(Self.copy(columns))
    self.bucketTables = bucketTables
    self.calendars = calendars
    self.triggers = triggers
    headerWords = 1 + levels.count + 2 * triggers.count
    strideMax = levels.map(\.stride).max() ?? 0
  }

  deinit {
    levels.deallocate()
    columns.deallocate()
  }

  /// The columns of a level.
  @inline(__always)
  func columns(of level: Level) -> UnsafeBufferPointer<Column> {
    UnsafeBufferPointer(rebasing: columns[level.firstColumn..<(level.firstColumn + level.columnCount)])
  }

  /// Index of the tile that a time falls into. Not for sessions.
  @inline(__always)
  func tile(of time: Int64, _ tiling: Tiling) -> Int64 {
    switch tiling {
    case .hops(let hop, _): floorDivide(time, hop)
    case .lifetime: 0
    case .days(let zone, _): calendars[zone].day(time)
    case .session: preconditionFailure("Cannot number the tiles of a session")
    }
  }

  /// Index of the first tile that a window can still see when the state's as_of is `asOf`. Not for sessions.
  @inline(__always)
  func firstTile(asOf: Int64, _ tiling: Tiling) -> Int64 {
    switch tiling {
    case .hops(let hop, let retention): floorDivide(asOf - retention, hop)
    case .lifetime: 0
    case .days(let zone, let units): units.firstDay(containing: calendars[zone].day(asOf))
    case .session: preconditionFailure("Cannot number the tiles of a session")
    }
  }

  /// Whether a tile can still be seen; without a division for hops.
  @inline(__always)
  func isSeen(_ tile: Int64, asOf: Int64, _ tiling: Tiling) -> Bool {
    switch tiling {
    // tile >= floor((asOf - retention) / hop), multiplied out.
    case .hops(let hop, let retention): (tile + 1) * hop > asOf - retention
    case .lifetime, .session: true
    case .days: tile >= firstTile(asOf: asOf, tiling)
    }
  }

  private static func copy<Element>(_ elements: [Element]) -> UnsafeMutableBufferPointer<Element> {
    let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
    _ = buffer.initialize(from: elements)
    return buffer
  }
}
