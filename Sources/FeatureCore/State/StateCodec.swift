/// The canonical bytes of a state, format 1. docs/state-format.md describes it for other languages.
///
/// Unique: two states are equal if and only if their bytes are. Decoding refuses what encoding never makes, so a
/// damaged or foreign value is noticed instead of folded further.
struct StateCodec {
  static let format: UInt8 = 1

  let layout: StateLayout
  let fingerprint: UInt64
  /// The zones whose rules are in the fingerprint.
  let zones: [String]

  /// Appends the bytes of a state.
  func encode(_ state: State, into writer: inout ByteWriter) {
    let asOf = state.asOf.microseconds
    writer.byte(Self.format)
    writer.fixed(fingerprint)
    writer.signed(asOf)
    state.words.withUnsafeBufferPointer { words in
      var row = words.baseAddress! + layout.headerWords
      var cell = 0
      for (index, level) in layout.levels.enumerated() {
        encode(level, rows: state.rowCount(index), row, state.cells, cell, asOf: asOf, &writer)
        row += state.rowCount(index) * level.stride
        cell += state.rowCount(index) * level.cellCount
      }
    }
    for (index, clock) in layout.triggers.enumerated() {
      state.progress(index, layout).encode(clock, asOf: asOf, into: &writer)
    }
  }

  private func encode(
    _ level: Level, rows: Int, _ first: UnsafePointer<UInt64>, _ cells: ContiguousArray<Cell>,
    _ firstCell: Int, asOf: Int64, _ writer: inout ByteWriter
  ) {
    writer.varint(UInt64(rows))
    let columns = layout.columns(of: level)
    var row = first
    var cell = firstCell
    var previous: Int64?
    for _ in 0..<rows {
      encodeTile(Int64(bitPattern: row[0]), after: previous, level.tiling, asOf: asOf, &writer)
      previous = Int64(bitPattern: row[0])
      encodeMask(row + 1, level, &writer)
      for index in 0..<columns.count where row[1 + (index >> 6)] >> UInt64(index & 63) & 1 == 1 {
        let column = columns[index]
        if column.cell < 0 {
          column.accumulator.encode(row + column.word, asOf: asOf, into: &writer)
        } else {
          column.accumulator.encode(cells[cell + column.cell], asOf: asOf, into: &writer)
        }
      }
      row += level.stride
      cell += level.cellCount
    }
  }

  /// The tile's distance: for the oldest, back from as_of; for the others, on from the one before, less one.
  @inline(__always)
  private func encodeTile(
    _ tile: Int64, after previous: Int64?, _ tiling: Tiling, asOf: Int64, _ writer: inout ByteWriter
  ) {
    switch tiling {
    case .lifetime: break
    case .session: writer.varint(UInt64(asOf - tile))
    case .hops, .days:
      if let previous {
        writer.varint(UInt64(tile - previous - 1))
      } else {
        writer.varint(UInt64(layout.tile(of: asOf, tiling) - tile))
      }
    }
  }

  /// A bit a column, in as many bytes as it takes.
  @inline(__always)
  private func encodeMask(_ mask: UnsafePointer<UInt64>, _ level: Level, _ writer: inout ByteWriter) {
    for byte in 0..<((level.columnCount + 7) / 8) {
      writer.byte(UInt8(truncatingIfNeeded: mask[byte >> 3] >> UInt64((byte & 7) * 8)))
    }
  }

  /// The state that has these bytes.
  func decode(_ bytes: UnsafeRawBufferPointer) throws(StateError) -> State {
    var reader = ByteReader(bytes)
    let format = try reader.byte()
    guard format == Self.format else { throw StateError(kind: .unknownFormat(format), offset: 0) }
    let found = try reader.fixed()
    guard found == fingerprint else {
      throw StateError(kind: .otherDefinitions(found: found, expected: fingerprint, zones: zones), offset: 1)
    }
    let asOf = try reader.signed()
    guard Limits.eventTimeMin...Limits.eventTimeMax ~= asOf else {
      throw reader.corrupt("as_of is out of range")
    }
    var state = State(asOf: asOf, layout: layout)
    // About two bytes a word: nearly every state gets along with this one allocation.
    state.words.reserveCapacity(layout.headerWords + bytes.count / 2)
    for (index, level) in layout.levels.enumerated() {
      let rows = try decodeLevel(level, asOf: asOf, into: &state, &reader)
      state.words[1 + index] = UInt64(rows)
    }
    for (index, clock) in layout.triggers.enumerated() {
      let progress = try TriggerProgress(clock, asOf: asOf, from: &reader)
      state.setProgress(progress, index, layout)
    }
    guard reader.isAtEnd else { throw reader.corrupt("there are bytes after the last level") }
    return state
  }

  private func decodeLevel(
    _ level: Level, asOf: Int64, into state: inout State, _ reader: inout ByteReader
  ) throws(StateError) -> Int {
    let rows = try reader.count(atMost: rowLimit(level.tiling))
    let columns = layout.columns(of: level)
    var previous: Int64?
    for _ in 0..<rows {
      let start = state.words.count
      let tile = try decodeTile(after: previous, level.tiling, asOf: asOf, &reader)
      previous = tile
      state.words.append(contentsOf: repeatElement(0, count: level.stride))
      state.words[start] = UInt64(bitPattern: tile)
      try decodeMask(level, at: start + 1, &state, &reader)
      for index in 0..<columns.count {
        let column = columns[index]
        let isSet = state.words[start + 1 + (index >> 6)] >> UInt64(index & 63) & 1 == 1
        if column.cell >= 0 {
          let cell = isSet ? try column.accumulator.decodeCell(asOf: asOf, &reader) : Cell()
          state.cells.append(cell)
        } else if isSet {
          try column.accumulator.decode(at: start + column.word, asOf: asOf, into: &state.words, &reader)
        }
      }
    }
    return rows
  }

  private func rowLimit(_ tiling: Tiling) -> Int {
    switch tiling {
    case .lifetime, .session: 1
    case .hops, .days: Limits.tilesPerWindowMax + 2
    }
  }

  private func decodeTile(
    after previous: Int64?, _ tiling: Tiling, asOf: Int64, _ reader: inout ByteReader
  ) throws(StateError) -> Int64 {
    if case .lifetime = tiling { return 0 }
    let distance = try reader.varint()
    // Twice the range of event times: no sum below can overflow.
    guard distance < 1 << 60 else { throw reader.corrupt("a tile is out of range") }
    if case .session = tiling {
      let start = asOf - Int64(distance)
      guard start >= Limits.eventTimeMin else { throw reader.corrupt("a session begins before time does") }
      return start
    }
    let latest = layout.tile(of: asOf, tiling)
    let tile = previous.map { $0 + 1 + Int64(distance) } ?? latest - Int64(distance)
    guard tile <= latest, tile >= layout.firstTile(asOf: asOf, tiling) else {
      throw reader.corrupt("a tile is outside the windows")
    }
    return tile
  }

  private func decodeMask(
    _ level: Level, at word: Int, _ state: inout State, _ reader: inout ByteReader
  ) throws(StateError) {
    var any = false
    for byte in 0..<((level.columnCount + 7) / 8) {
      let bits = try reader.byte()
      let valid = level.columnCount - byte * 8 >= 8 ? 0xFF : UInt8(1 << (level.columnCount - byte * 8)) &- 1
      guard bits & ~valid == 0 else { throw reader.corrupt("a mask has bits beyond the last column") }
      if bits != 0 { any = true }
      state.words[word + (byte >> 3)] |= UInt64(bits) << UInt64((byte & 7) * 8)
    }
    if case .session = level.tiling { return }
    guard any else { throw reader.corrupt("a tile holds nothing") }
  }
}
