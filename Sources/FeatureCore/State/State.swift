/// Everything kept for one (view, entity key).
///
/// In memory it is one array of words: as_of, the count of rows of each level, where each trigger is, then the rows of
/// each level in ascending order of tiles. Cells stand beside it in the same order. So a sparse entity is one small
/// allocation, a fold touches few cache lines, and the order of tiles is the order in memory.
/// Only a view's `fold` makes and changes states; `StateCodec` turns them into their canonical bytes.
public struct State: Sendable {
  var words: ContiguousArray<UInt64>
  var cells: ContiguousArray<Cell>

  init(words: ContiguousArray<UInt64>, cells: ContiguousArray<Cell>) {
    self.words = words
    self.cells = cells
  }

  /// The state after a first event at `asOf` has been announced but not folded.
  init(asOf: Int64, layout: StateLayout) {
    words = ContiguousArray(repeating: 0, count: layout.headerWords)
    words[0] = UInt64(bitPattern: asOf)
    cells = []
  }

  /// The largest event time that has been folded.
  public var asOf: EventTime { EventTime(microseconds: Int64(bitPattern: words[0])) }

  /// About as many bytes as it has in memory; its encoding is rarely larger.
  var memoryBytes: Int {
    words.count * 8 + cells.reduce(0) { $0 + $1.words.count * 8 + $1.bytes.count }
  }

  /// About the bytes that it takes up: what it holds, and the headers of its arrays and their places in the heap.
  var footprint: Int {
    var bytes =
      words.capacity * 8 + 48 + cells.capacity * MemoryLayout<Cell>.stride + (cells.isEmpty ? 0 : 48)
    for cell in cells {
      if cell.words.capacity > 0 { bytes += cell.words.capacity * 8 + 48 }
      if cell.bytes.capacity > 0 { bytes += cell.bytes.capacity + 48 }
    }
    return bytes
  }

  /// States up to this size are given exactly the memory they need. Beyond, copying one for every new tile would
  /// cost more than the memory.
  private static let exactWordsMax = 128

  /// Rows of a level.
  @inline(__always)
  func rowCount(_ level: Int) -> Int { Int(words[1 + level]) }

  /// Reads the cache lines that a fold will need: the header, and at the end the latest tile of the last level.
  /// Done for a whole batch before its folds, the misses overlap.
  @inline(__always)
  func touch() -> UInt64 { words[0] &+ words[words.count - 1] }
}

/// Where a level's rows and cells begin.
struct LevelPlace {
  var index: Int
  var words: Int
  var cells: Int
}

extension State {
  /// Folds one event: `registers` hold the values and filters of the view's program for it.
  ///
  /// Returns whether the event was late: seen by no window but lifetime ones.
  @inline(__always)
  mutating func fold(
    _ registers: UnsafePointer<Scalar>, time: Int64, layout: StateLayout
  ) -> Bool {
    let previous = Int64(bitPattern: words[0])
    let advanced = time > previous
    if advanced { words[0] = UInt64(bitPattern: time) }
    let asOf = max(time, previous)
    var place = LevelPlace(index: 0, words: layout.headerWords, cells: 0)
    var hasWindows = false
    var isSeen = false
    while place.index < layout.levels.count {
      let level = layout.levels[place.index]
      if advanced { expire(level, place, asOf: asOf, layout) }
      let row = locate(level, place, time: time, previous: previous, asOf: asOf, layout)
      if case .lifetime = level.tiling {
      } else {
        hasWindows = true
        if row.position >= 0 { isSeen = true }
      }
      if row.position >= 0 {
        fold(registers, time: time, level, place, row, layout)
        if level.hasRowValues { dropIfEmpty(level, place) }
      }
      let rows = rowCount(place.index)
      place.index += 1
      place.words += rows * level.stride
      place.cells += rows * level.cellCount
    }
    return hasWindows && !isSeen
  }

  /// A row to fold into: its position among the level's rows (-1: no window sees the tile), and whether
  /// it has to be made first.
  private struct Row {
    var position: Int
    var tile: Int64
    var isNew: Bool
    static let unseen = Row(position: -1, tile: 0, isNew: false)
  }

  /// Drops the tiles that no window can see any more.
  @inline(__always)
  private mutating func expire(_ level: Level, _ place: LevelPlace, asOf: Int64, _ layout: StateLayout) {
    let rows = rowCount(place.index)
    if rows == 0 || layout.isSeen(tile(level, place, 0), asOf: asOf, level.tiling) { return }
    removeUnseen(level, place, rows: rows, asOf: asOf, layout)
  }

  private mutating func removeUnseen(
    _ level: Level, _ place: LevelPlace, rows: Int, asOf: Int64, _ layout: StateLayout
  ) {
    let first = layout.firstTile(asOf: asOf, level.tiling)
    var expired = 1
    while expired < rows, tile(level, place, expired) < first { expired += 1 }
    words.removeSubrange(place.words..<(place.words + expired * level.stride))
    cells.removeSubrange(place.cells..<(place.cells + expired * level.cellCount))
    words[1 + place.index] = UInt64(rows - expired)
  }

  @inline(__always)
  private func tile(_ level: Level, _ place: LevelPlace, _ row: Int) -> Int64 {
    Int64(bitPattern: words[place.words + row * level.stride])
  }

  @inline(__always)
  private mutating func locate(
    _ level: Level, _ place: LevelPlace, time: Int64, previous: Int64, asOf: Int64, _ layout: StateLayout
  ) -> Row {
    let rows = rowCount(place.index)
    if case .session(let gap) = level.tiling {
      return locateSession(level, place, time: time, previous: previous, gap: gap)
    }
    if rows > 0, case .hops(let hop, _) = level.tiling {
      // Most events fall into the latest tile, which needs no division to see.
      let latest = tile(level, place, rows - 1)
      let offset = time - latest * hop
      if offset >= 0, offset < hop { return Row(position: rows - 1, tile: latest, isNew: false) }
    }
    let tile = layout.tile(of: time, level.tiling)
    if !layout.isSeen(tile, asOf: asOf, level.tiling) { return .unseen }
    var position = rows
    while position > 0, self.tile(level, place, position - 1) > tile { position -= 1 }
    if position > 0, self.tile(level, place, position - 1) == tile {
      return Row(position: position - 1, tile: tile, isNew: false)
    }
    return Row(position: position, tile: tile, isNew: true)
  }

  /// A session goes on while the gaps between events are at most `gap`. Its tile is numbered by its first
  /// event's time; its last event's is always as_of, since every event that is not late belongs to it.
  private mutating func locateSession(
    _ level: Level, _ place: LevelPlace, time: Int64, previous: Int64, gap: Int64
  ) -> Row {
    if rowCount(place.index) == 0 {
      let row = Row(position: 0, tile: time, isNew: false)
      insert(row, level, place)
      return row
    }
    let start = tile(level, place, 0)
    if time < start - gap { return .unseen }
    let isOver = time - previous > gap
    if isOver { clear(level, place) }
    let row = Row(position: 0, tile: isOver ? time : min(start, time), isNew: false)
    words[place.words] = UInt64(bitPattern: row.tile)
    return row
  }

  /// Forgets what a level's only row holds.
  private mutating func clear(_ level: Level, _ place: LevelPlace) {
    for word in place.words..<(place.words + level.stride) { words[word] = 0 }
    for cell in place.cells..<(place.cells + level.cellCount) { cells[cell] = Cell() }
  }

  private mutating func insert(_ row: Row, _ level: Level, _ place: LevelPlace) {
    let offset = place.words + row.position * level.stride
    // Small states, which are nearly all of memory, grow by what they need instead of doubling.
    if words.count < Self.exactWordsMax { words.reserveCapacity(words.count + level.stride) }
    words.insert(contentsOf: repeatElement(0, count: level.stride), at: offset)
    words[offset] = UInt64(bitPattern: row.tile)
    cells.insert(
      contentsOf: repeatElement(Cell(), count: level.cellCount),
      at: place.cells + row.position * level.cellCount)
    words[1 + place.index] = UInt64(rowCount(place.index) + 1)
  }

  /// Drops the level's only row if nothing is left in it: no state has a row that holds nothing.
  private mutating func dropIfEmpty(_ level: Level, _ place: LevelPlace) {
    guard rowCount(place.index) == 1 else { return }
    for word in 0..<level.maskWords where words[place.words + 1 + word] != 0 { return }
    words.removeSubrange(place.words..<(place.words + level.stride))
    cells.removeSubrange(place.cells..<(place.cells + level.cellCount))
    words[1 + place.index] = 0
  }

  /// Folds the event into the columns that take it.
  @inline(__always)
  private mutating func fold(
    _ registers: UnsafePointer<Scalar>, time: Int64, _ level: Level, _ place: LevelPlace, _ row: Row,
    _ layout: StateLayout
  ) {
    let columns = layout.columns(of: level)
    var index = 0
    while index < columns.count, !columns[index].accumulator.takes(registers) { index += 1 }
    if index == columns.count { return }
    if row.isNew { insert(row, level, place) }
    let start = place.words + row.position * level.stride
    if level.cellCount > 0 {
      foldCells(registers, time: time, columns, start, place.cells + row.position * level.cellCount)
    }
    words.withUnsafeMutableBufferPointer { words in
      let row = words.baseAddress! + start
      while index < columns.count {
        if columns[index].accumulator.takes(registers) {
          columns[index].fold(registers, time: time, index, row, layout.bucketTables)
        }
        index += 1
      }
    }
  }

  /// Folds the event into a row's cells: before its words, which say what is fresh.
  private mutating func foldCells(
    _ registers: UnsafePointer<Scalar>, time: Int64, _ columns: UnsafeBufferPointer<Column>, _ start: Int,
    _ cellStart: Int
  ) {
    for (index, column) in columns.enumerated() where column.cell >= 0 {
      let accumulator = column.accumulator
      guard accumulator.takes(registers) else { continue }
      let fresh = words[start + 1 + (index >> 6)] & (1 << UInt64(index & 63)) == 0
      accumulator.fold(
        accumulator.input(registers), time: time, fresh: fresh, into: &cells[cellStart + column.cell])
    }
  }
}

extension Accumulator {
  /// Whether the event counts here: the filter is true and the value is not null.
  @inline(__always)
  func takes(_ registers: UnsafePointer<Scalar>) -> Bool {
    if let filter, !registers[Int(filter)].isTrue { return false }
    guard let value else { return true }
    return registers[Int(value)].isValue || takesNull && !registers[Int(value)].isKept
  }

  /// The event's value; null for aggregates of events.
  @inline(__always)
  func input(_ registers: UnsafePointer<Scalar>) -> Scalar {
    if let value { registers[Int(value)] } else { .null }
  }
}

extension Column {
  /// Folds an event into the column's words, if it has any, and sets its bit in the row's mask.
  @inline(__always)
  func fold(
    _ registers: UnsafePointer<Scalar>, time: Int64, _ index: Int, _ row: UnsafeMutablePointer<UInt64>,
    _ bucketTables: [BucketTable]
  ) {
    let mask = row + 1 + (index >> 6)
    let bit = UInt64(1) << UInt64(index & 63)
    let fresh = mask.pointee & bit == 0
    let input = accumulator.input(registers)
    if !input.isValue, accumulator.isOfRow {
      // Only a table's row takes a null: it has no value now.
      mask.pointee &= ~bit
      for empty in 0..<accumulator.wordCount { row[word + empty] = 0 }
      return
    }
    mask.pointee |= bit
    accumulator.fold(input, time: time, fresh: fresh, bucketTables: bucketTables, into: row + word)
  }
}
