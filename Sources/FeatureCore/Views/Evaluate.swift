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
    precondition(state.map { $0.asOf <= time } ?? true, "Cannot evaluate a state before its as_of")
    values.removeAll(keepingCapacity: true)
    for _ in outputs { values.append(.null) }
    if let state { read(state, at: time.microseconds, into: &values) }
    for window in windows where values[window.output] == .null {
      let nothing = window.result.isCount ? FeatureValue.int64(0) : .null
      values[window.output] = nothing == .null ? outputs[window.output].fallback : nothing
    }
    if !derivedOrder.isEmpty { derive(into: &values) }
  }

  /// Reads what the windows see, level after level, as they stand in the state.
  private func read(_ state: State, at time: Int64, into values: inout [FeatureValue]) {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: layout.strideMax) { merged in
      state.words.withUnsafeBufferPointer { words in
        var place = LevelPlace(index: 0, words: layout.headerWords, cells: 0)
        for window in windows {
          while place.index < window.level { place.skip(layout.levels[place.index], in: state) }
          let first = firstTile(window.span, state, at: time, layout.levels[window.level].tiling)
          guard let first else { continue }
          values[window.output] = value(
            window, from: first, state, words.baseAddress! + place.words, place, at: time,
            merged.baseAddress!)
        }
      }
    }
  }

  /// Merges the tiles from `first` on, in their order, and turns the result into a value; null if none of them
  /// holds anything.
  private func value(
    _ window: WindowOutput, from first: Int64, _ state: State, _ rows: UnsafePointer<UInt64>,
    _ place: LevelPlace, at time: Int64, _ words: AccumulatorWords
  ) -> FeatureValue {
    let level = layout.levels[window.level]
    let column = layout.columns[level.firstColumn + window.column]
    let maskWord = 1 + (window.column >> 6)
    let bit = UInt64(1) << UInt64(window.column & 63)
    var cell = Cell()
    var isEmpty = true
    var row = rows
    for index in 0..<state.rowCount(window.level) {
      defer { row += level.stride }
      guard Int64(bitPattern: row[0]) >= first, row[maskWord] & bit != 0 else { continue }
      if column.cell < 0 {
        column.accumulator.merge(row + column.word, fresh: isEmpty, into: words)
      } else {
        column.accumulator.merge(
          state.cells[place.cells + index * level.cellCount + column.cell], fresh: isEmpty, into: &cell)
      }
      isEmpty = false
    }
    return isEmpty ? .null : column.accumulator.value(words, cell, window.result, at: time)
  }

  /// The first tile that a window sees; nil if it sees none.
  private func firstTile(_ span: WindowSpan, _ state: State, at time: Int64, _ tiling: Tiling) -> Int64? {
    switch span {
    case .sliding(let length, let hop): return floorDivide(time - length, hop)
    case .all: return .min
    case .session(let gap): return time - state.asOf.microseconds <= gap ? .min : nil
    case .calendar(let unit):
      guard case .days(let zone, _) = tiling else { preconditionFailure("Cannot see days in \(tiling)") }
      return ZoneCalendar.firstDay(of: unit, containing: layout.calendars[zone].day(time))
    }
  }

  /// Computes the derived features, each after those that it names.
  private func derive(into values: inout [FeatureValue]) {
    let arena = TextArena()
    for index in derivedOrder {
      guard case .derived(let feature) = outputs[index].origin else { continue }
      let value = derive(feature, values, arena)
      values[index] = value == .null ? outputs[index].fallback : value
    }
  }

  private func derive(_ feature: DerivedFeature, _ values: [FeatureValue], _ arena: TextArena) -> FeatureValue
  {
    withUnsafeTemporaryAllocation(of: Scalar.self, capacity: feature.program.registerCount) { registers in
      let base = registers.baseAddress!
      feature.program.prepare(base)
      for (column, operand) in feature.operands.enumerated() {
        base[column] = Scalar(values[operand], in: arena)
      }
      feature.program.run(base, arena: arena)
      let result = base[feature.result.index]
      // Nothing can be dead-lettered at evaluation: a failed computation has no value.
      return result.isValue ? FeatureValue(result, feature.result.type) : .null
    }
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
    case .variance: return variance(words).map(finite) ?? .null
    case .stddev: return variance(words).map { finite($0.squareRoot()) } ?? .null
    case .extreme:
      return usesCell ? .string(Text(utf8: Array(cell.bytes))) : FeatureValue(Scalar(bits: words[0]), type)
    case .edge: return usesCell ? entries(cell)[0] : FeatureValue(Scalar(bits: words[1]), type)
    case .list: return .list(entries(cell))
    case .distinct: return .int64(DistinctSketch.estimate(cell))
    case .histogram: return .list((0..<bucketCount).map { .int64(Int64(bitPattern: words[$0])) })
    case .latestTime: return .double(Double(time - Int64(bitPattern: words[0])) / 1_000_000)
    case .decayed: return finite(Double(bitPattern: words[1]) * decay(time - Int64(bitPattern: words[0])))
    case .quantile(let q): return .double(QuantileSketch.quantile(q, cell))
    case .top(let k): return .list(TopCounts.top(cell, type, k: k))
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
