extension ViewPlan {
  /// The values of the view's features at a moment, in the order of `features`: the only way from a state to
  /// values (online, offline and in training data).
  ///
  /// `state` is nil for an entity of which nothing was folded. Precondition: `time` is not before the state's
  /// as_of; servers pass `max(now, state.asOf)`. A value that its type cannot hold (an integer sum beyond int64,
  /// a double overflow) is null.
  public func evaluate(_ state: State?, at time: EventTime) -> [FeatureValue] {
    var values: [FeatureValue] = []
    evaluate(state, at: time, into: &values)
    return values
  }

  /// The same, replacing what an array holds: its memory is used again.
  public func evaluate(_ state: State?, at time: EventTime, into values: inout [FeatureValue]) {
    evaluate(state, at: time, reading, into: &values)
  }

  /// The same of the outputs that a reading has; the others are null.
  func evaluate(_ state: State?, at time: EventTime, _ reading: Reading, into values: inout [FeatureValue]) {
    precondition(state.map { $0.asOf <= time } ?? true, "Cannot evaluate a state before its as_of")
    values.removeAll(keepingCapacity: true)
    for _ in outputs { values.append(.null) }
    if let state {
      values.withUnsafeMutableBufferPointer { read(state, at: time.microseconds, reading, into: $0) }
    }
    for window in reading.windows where values[window.output].isNull {
      let nothing = window.result.isCount ? FeatureValue.int64(0) : .null
      values[window.output] = nothing.isNull ? outputs[window.output].fallback : nothing
    }
    if !reading.derived.isEmpty { derive(reading.derived, into: &values, at: time) }
  }

  /// Reads what the windows see, level after level, as they stand in the state.
  private func read(
    _ state: State, at time: Int64, _ reading: Reading, into values: UnsafeMutableBufferPointer<FeatureValue>
  ) {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: layout.strideMax) { merged in
      state.words.withUnsafeBufferPointer { words in
        guard let words = words.baseAddress, let merged = merged.baseAddress else { return }
        var place = LevelPlace(index: 0, words: layout.headerWords, cells: 0)
        for group in reading.groups {
          while place.index < group.level { place.skip(layout.levels[place.index], in: state) }
          let level = layout.levels[group.level]
          guard let tile = firstTile(group.span, state, at: time, level.tiling) else { continue }
          let rows = words + place.words
          var end = state.rowCount(group.level)
          if let tile = endTile(group.span, at: time, level.tiling) {
            while end > 0, Int64(bitPattern: rows[(end - 1) * level.stride]) >= tile { end -= 1 }
          }
          var first = 0
          while first < end, Int64(bitPattern: rows[first * level.stride]) < tile { first += 1 }
          if first >= end { continue }
          merge(level, rows, first..<end, into: merged)
          for window in reading.windows[group.windows] {
            values[window.output] = value(window, level, first..<end, state, place, at: time, merged)
          }
        }
      }
    }
  }

  /// Merges tiles in their order into one row, bit by bit of their masks: most tiles hold little. Columns that keep
  /// cells are left out.
  private func merge(
    _ level: Level, _ rows: UnsafePointer<UInt64>, _ tiles: Range<Int>, into merged: AccumulatorWords
  ) {
    let columns = layout.columns(of: level)
    for word in 0..<level.maskWords { merged[1 + word] = 0 }
    for index in tiles {
      let row = rows + index * level.stride
      for word in 0..<level.maskWords {
        let known = merged[1 + word]
        merged[1 + word] = known | row[1 + word]
        var bits = row[1 + word]
        while bits != 0 {
          let bit = bits.trailingZeroBitCount
          bits &= bits &- 1
          let column = columns[word * 64 + bit]
          if column.cell >= 0 { continue }
          column.accumulator.merge(
            row + column.word, fresh: known >> UInt64(bit) & 1 == 0, into: merged + column.word)
        }
      }
    }
  }

  /// The value of a column of merged tiles; null if none of them holds anything of it.
  private func value(
    _ window: WindowOutput, _ level: Level, _ tiles: Range<Int>, _ state: State, _ place: LevelPlace,
    at time: Int64, _ merged: AccumulatorWords
  ) -> FeatureValue {
    guard merged[1 + (window.column >> 6)] >> UInt64(window.column & 63) & 1 == 1 else { return .null }
    let column = layout.columns[level.firstColumn + window.column]
    if case .drift(let measure, let baseline) = window.result {
      let counts = UnsafeBufferPointer(start: merged + column.word, count: column.accumulator.bucketCount)
      return .double(Drift.value(measure, counts, baseline.map { baselines[$0] }))
    }
    if column.cell < 0 {
      return column.accumulator.value(merged + column.word, Cell(), window.result, at: time)
    }
    let cell = cell(column, window.column, level, tiles, state, place)
    return column.accumulator.value(merged, cell, window.result, at: time)
  }

  /// Merges the cells of a column, tile after tile.
  private func cell(
    _ column: Column, _ index: Int, _ level: Level, _ tiles: Range<Int>, _ state: State, _ place: LevelPlace
  ) -> Cell {
    var cell = Cell()
    var isEmpty = true
    for tile in tiles {
      let mask = state.words[place.words + tile * level.stride + 1 + (index >> 6)]
      guard mask >> UInt64(index & 63) & 1 == 1 else { continue }
      column.accumulator.merge(
        state.cells[place.cells + tile * level.cellCount + column.cell], fresh: isEmpty, into: &cell)
      isEmpty = false
    }
    return cell
  }

  /// The first tile that a window sees; nil if it sees none.
  func firstTile(_ span: WindowSpan, _ state: State, at time: Int64, _ tiling: Tiling) -> Int64? {
    switch span {
    case .sliding(let length, let hop): return floorDivide(time - length, hop)
    case .shifted(let length, let hop, let offset): return floorDivide(time - offset - length, hop)
    case .all: return .min
    case .session(let gap): return time - state.asOf.microseconds <= gap ? .min : nil
    case .calendar(let unit):
      guard case .days(let zone, _) = tiling else { preconditionFailure("Cannot see days in \(tiling)") }
      return ZoneCalendar.firstDay(of: unit, containing: layout.calendars[zone].day(time))
    }
  }

  /// The first tile behind those that a window sees; nil if it sees up to now.
  private func endTile(_ span: WindowSpan, at time: Int64, _ tiling: Tiling) -> Int64? {
    switch span {
    case .shifted(_, let hop, let offset): return floorDivide(time - offset, hop)
    case .calendar(.yesterday):
      guard case .days(let zone, _) = tiling else { preconditionFailure("Cannot see days in \(tiling)") }
      return layout.calendars[zone].day(time)
    case .sliding, .calendar, .all, .session: return nil
    }
  }

  /// Computes the derived features, each after those that it names.
  private func derive(_ order: [Int], into values: inout [FeatureValue], at time: EventTime) {
    let arena = TextArena()
    for index in order {
      guard case .derived(let feature) = outputs[index].origin else { continue }
      let value = derive(feature, values, at: time, arena)
      values[index] = value.isNull ? outputs[index].fallback : value
    }
  }

  func derive(
    _ feature: DerivedFeature, _ values: [FeatureValue], at time: EventTime, _ arena: TextArena
  ) -> FeatureValue {
    let operands = feature.operands.map { $0 == DerivedFeature.now ? .timestamp(time) : values[$0] }
    let value = feature.program.value(of: feature.result, columns: operands, arena: arena)
    if case .string(let text) = value, text.utf8.count > Limits.derivedTextBytesMax { return .null }
    return value
  }
}

extension LevelPlace {
  /// Goes on to the next level.
  @inline(__always)
  mutating func skip(_ level: Level, in state: State) {
    let rows = state.rowCount(index)
    index += 1
    words += rows * level.stride
    cells += rows * level.cellCount
  }
}

extension Scalar {
  /// A borrowed scalar of a feature's value, its text copied into an arena.
  init(_ value: FeatureValue, in arena: TextArena) {
    switch value {
    case .null: self = .null
    case .int64(let value): self = .int64(value)
    case .double(let value): self = .double(value)
    case .bool(let value): self = .bool(value)
    case .timestamp(let time): self = .int64(time.microseconds)
    case .string(let text):
      let room = arena.allocate(text.utf8.count)
      room.copyBytes(from: text.utf8)
      self = .text(UnsafeRawBufferPointer(room))
    case .list: preconditionFailure("Cannot use a list in an expression")
    }
  }
}

extension Accumulator {
  /// The value of merged tiles, at least one of which held something.
  func value(
    _ words: UnsafePointer<UInt64>, _ cell: Cell, _ result: ResultKind, at time: Int64
  ) -> FeatureValue {
    switch result {
    case .count: return .int64(Int64(bitPattern: words[0]))
    case .sum: return kind == .sumInt64 ? exactSum(words) : finite(Double(bitPattern: words[0]))
    case .mean:
      let sum = kind == .meanInt64 ? int128Value(words + 1) : Double(bitPattern: words[1])
      return finite(sum / Double(words[0]))
    case .rootMean: return finite((Double(bitPattern: words[1]) / Double(words[0])).squareRoot())
    case .drift: preconditionFailure("Cannot compare without a baseline")
    case .measure(let measure): return ScoreSketch.value(measure, cell).map(finite) ?? .null
    case .variance: return variance(words).map(finite) ?? .null
    case .stddev: return variance(words).map { finite($0.squareRoot()) } ?? .null
    case .extreme:
      return usesCell ? .string(Text(utf8: Array(cell.bytes))) : FeatureValue(Scalar(bits: words[0]), type)
    case .edge: return usesCell ? entries(cell)[0] : FeatureValue(Scalar(bits: words[1]), type)
    case .list: return .list(entries(cell))
    case .distinct: return .int64(DistinctSketch.estimate(cell))
    case .histogram: return .list((0..<bucketCount).map { .int64(Int64(bitPattern: words[$0])) })
    case .product: return finite(Double(bitPattern: words[0]))
    case .latestTime: return .double(Double(time - Int64(bitPattern: words[0])) / 1_000_000)
    case .decayed: return finite(Double(bitPattern: words[1]) * decay(time - Int64(bitPattern: words[0])))
    case .quantile(let q): return .double(QuantileSketch.quantile(q, cell))
    case .top(let k):
      guard kind == .heavyHitters else { return .list(TopCounts.top(cell, type, k: k)) }
      return .list(HeavyHitters.ranked(cell, type).prefix(k).map(\.value))
    case .topCounts(let k):
      return .list(HeavyHitters.ranked(cell, type).prefix(k).map { .int64(Int64($0.certain)) })
    case .topErrors(let k):
      return .list(HeavyHitters.ranked(cell, type).prefix(k).map { .int64(Int64($0.error)) })
    case .countMap(let k): return .string(HeavyHitters.object(cell, type, k: k))
    case .topCertain(let k):
      return .int64(Int64(HeavyHitters.certain(cell, type, k: k, counters: counters)))
    }
  }

  private func entries(_ cell: Cell) -> [FeatureValue] {
    var values: [FeatureValue] = []
    TimedList.forEach(cell, isText: isText) { _, scalar in values.append(FeatureValue(scalar, type)) }
    return values
  }

  private func finite(_ value: Double) -> FeatureValue { value.isFinite ? .double(value) : .null }

  private func exactSum(_ words: UnsafePointer<UInt64>) -> FeatureValue {
    let low = Int64(bitPattern: words[0])
    return Int64(bitPattern: words[1]) == low >> 63 ? .int64(low) : .null
  }

  private func variance(_ words: UnsafePointer<UInt64>) -> Double? {
    words[0] < 2 ? nil : Double(bitPattern: words[2]) / Double(words[0] - 1)
  }
}

/// The nearest double to a 128-bit integer.
private func int128Value(_ words: UnsafePointer<UInt64>) -> Double {
  Double(Int128(Int64(bitPattern: words[1])) << 64 | Int128(words[0]))
}
