/// A trigger that has fired.
public struct Firing: Sendable {
  /// Index of the trigger among the view's.
  public var trigger: Int
  /// The entity's key.
  public var key: [UInt8] = []
  /// The hop boundary at which the condition held for the last of the hops in a row.
  public var at: EventTime
  /// The largest event time of the state that was evaluated.
  public var asOf: EventTime
  /// The beginning of the longest window that the condition needs; nil if one of them has no fixed length.
  public var from: EventTime?
  /// The values of the features that the condition names, in the order of `TriggerPlan.features`.
  public var values: [FeatureValue]
  /// The row of the event that closed the hop, in the batch that was folded.
  public var row = 0

  /// A firing from its parts.
  public init(
    trigger: Int, key: [UInt8] = [], at: EventTime, asOf: EventTime, from: EventTime?, values: [FeatureValue]
  ) {
    self.trigger = trigger
    self.key = key
    self.at = at
    self.asOf = asOf
    self.from = from
    self.values = values
  }
}

/// Evaluates the triggers of a view at the hop boundaries that events close.
///
/// An event closes the boundaries after as_of and up to its own time. At each of them the condition is asked of the state as
/// it is before the event; where no window sees anything else than at the boundary before, the answer is the same and is
/// not computed again. Pure, as the fold that it is part of.
final class TriggerFold {
  private let view: ViewPlan
  private let layout: StateLayout
  private let clocks: [TriggerClock]
  private let arena = TextArena()
  private var values: [FeatureValue] = []
  /// Fired, and not taken yet.
  private(set) var firings: [Firing] = []
  /// How many of them are said to be of an event.
  private var named = 0

  init(_ view: ViewPlan) {
    self.view = view
    layout = view.layout
    clocks = view.triggers.map(\.clock)
  }

  /// Whether some have fired of which nobody has said by which event.
  @inline(__always) var hasUnnamed: Bool { named < firings.count }

  /// Says of which entity and event those are that have fired just now.
  func name(_ key: UnsafeRawBufferPointer, row: Int) {
    for index in named..<firings.count {
      firings[index].key = Array(key)
      firings[index].row = row
    }
    named = firings.count
  }

  /// What has fired since the last call.
  func take() -> [Firing] {
    if firings.isEmpty { return [] }
    var taken: [Firing] = []
    swap(&taken, &firings)
    named = 0
    return taken
  }

  /// Closes what an event of a time closes in a state that it is not folded into yet.
  @inline(__always)
  func close(_ state: inout State, before time: Int64) {
    let asOf = state.asOf.microseconds
    if time <= asOf { return }
    for index in 0..<clocks.count {
      let first = clocks[index].boundary(notAfter: asOf) + 1
      let last = clocks[index].boundary(notAfter: time)
      if first <= last { close(index, first...last, &state) }
    }
  }

  private func close(_ index: Int, _ boundaries: ClosedRange<Int64>, _ state: inout State) {
    let trigger = view.triggers[index]
    let clock = trigger.clock
    var progress = state.progress(index, layout)
    defer { state.setProgress(progress, index, layout) }
    var next = boundaries.lowerBound
    if let fired = progress.fired {
      guard let rearmed = clock.rearmed(after: fired) else { return }
      next = max(next, rearmed)
    }
    var evaluations = 0
    while next <= boundaries.upperBound {
      if evaluations == Limits.triggerEvaluationsMax {
        // A run doesn't go on over what was not looked at.
        progress.run = 0
        return
      }
      evaluations += 1
      let holds = holds(trigger, state, at: next * clock.every)
      let change = min(nextChange(trigger, state, after: next), boundaries.upperBound + 1)
      if !holds {
        progress.run = 0
      } else if Int64(progress.run) + (change - next) >= Int64(clock.hops) {
        let at = next + Int64(clock.hops - progress.run) - 1
        fire(index, trigger, state, at: at * clock.every)
        // One event fires a trigger once, however long the silence was that it ends.
        progress = TriggerProgress(fired: at)
        return
      } else {
        progress.run += Int(change - next)
      }
      next = change
    }
  }

  private func holds(_ trigger: TriggerPlan, _ state: State, at time: Int64) -> Bool {
    let time = EventTime(microseconds: time)
    view.evaluate(state, at: time, trigger.reading, into: &values)
    arena.reset()
    return view.derive(trigger.condition, values, at: time, arena) == .bool(true)
  }

  private func fire(_ index: Int, _ trigger: TriggerPlan, _ state: State, at time: Int64) {
    firings.append(
      Firing(
        trigger: index, at: EventTime(microseconds: time), asOf: state.asOf,
        from: trigger.reading.beginning(at: time),
        values: trigger.features.map { values[$0] }))
  }

  /// The number of the first boundary after one at which the condition may have another value.
  private func nextChange(_ trigger: TriggerPlan, _ state: State, after boundary: Int64) -> Int64 {
    if trigger.readsClock { return boundary + 1 }
    let clock = trigger.clock
    let change = view.nextChange(of: trigger.reading, state, after: boundary * clock.every)
    return change == .max ? .max : max(boundary + 1, clock.boundary(notBefore: change))
  }
}

extension Reading {
  /// The beginning of the longest of its windows at a moment; nil if one of them has no fixed length.
  fileprivate func beginning(at time: Int64) -> EventTime? {
    var beginning = time
    for group in groups {
      switch group.span {
      case .sliding(let length, let hop): beginning = min(beginning, floorDivide(time - length, hop) * hop)
      case .shifted(let length, let hop, let offset):
        beginning = min(beginning, floorDivide(time - offset - length, hop) * hop)
      case .calendar, .all, .session: return nil
      }
    }
    return EventTime(microseconds: beginning)
  }
}

extension ViewPlan {
  /// The values of the features that a trigger's condition names, in the order of `TriggerPlan.features`: those that `evaluate`
  /// gives, without the others.
  public func values(of trigger: TriggerPlan, in state: State, at time: EventTime) -> [FeatureValue] {
    var values: [FeatureValue] = []
    evaluate(state, at: time, trigger.reading, into: &values)
    return trigger.features.map { values[$0] }
  }

  /// The first moment after `time` at which some window of a reading sees other tiles of a state than at `time`, or an earlier
  /// one; `.max` if there is none.
  fileprivate func nextChange(of reading: Reading, _ state: State, after time: Int64) -> Int64 {
    var next = Int64.max
    var place = LevelPlace(index: 0, words: layout.headerWords, cells: 0)
    for group in reading.groups {
      while place.index < group.level { place.skip(layout.levels[place.index], in: state) }
      let level = layout.levels[group.level]
      guard let first = firstTile(group.span, state, at: time, level.tiling),
        let seen = state.firstRow(from: first, level, place)
      else { continue }
      switch group.span {
      case .sliding(let length, let hop): next = min(next, (seen + 1) * hop + length)
      case .shifted(let length, let hop, let offset):
        next = min(next, (seen + 1) * hop + length + offset)
        let end = floorDivide(time - offset, hop)
        if let coming = state.firstRow(from: end, level, place) {
          next = min(next, (coming + 1) * hop + offset)
        }
      case .calendar:
        guard case .days(let zone, _) = level.tiling else {
          preconditionFailure("Cannot see days in \(level.tiling)")
        }
        next = min(next, layout.calendars[zone].nextDay(after: time))
      case .session(let gap): next = min(next, state.asOf.microseconds + gap + 1)
      case .all: break
      }
    }
    return next
  }
}

extension State {
  /// The first tile of a level that is not before a tile; nil if there is none.
  fileprivate func firstRow(from tile: Int64, _ level: Level, _ place: LevelPlace) -> Int64? {
    for row in 0..<rowCount(place.index) {
      let found = Int64(bitPattern: words[place.words + row * level.stride])
      if found >= tile { return found }
    }
    return nil
  }
}
