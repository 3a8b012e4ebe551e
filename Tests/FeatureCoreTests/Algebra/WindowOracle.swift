@testable import FeatureCore

/// docs/semantics.md taken literally: keeps every event, and computes every value from scratch.
struct WindowOracle {
  let features: [Feature]
  private(set) var events: [TestEvent] = []
  /// First event time and members of the current session, by gap.
  private var sessions: [Int64: (start: Int64, members: [Int])] = [:]
  private(set) var asOf = Int64.min
  /// The local day of each event, by zone.
  private var days: [String: [Int64]] = [:]

  init(_ features: [Feature]) { self.features = features }

  mutating func add(_ event: TestEvent) {
    for case .aggregate(let aggregate) in features.map(\.computation) {
      for case .session(let gap) in aggregate.windows.map(\.span) { extend(gap, event) }
      for case .calendar(_, let zone) in aggregate.windows.map(\.span)
      where days[zone, default: []].count == events.count {
        days[zone, default: []].append(Self.day(event.time, TestZones.all[zone]!))
      }
    }
    events.append(event)
    asOf = max(asOf, event.time)
  }

  private mutating func extend(_ gap: Int64, _ event: TestEvent) {
    if sessions[gap]?.members.last == events.count { return }
    guard let session = sessions[gap], event.time - asOf <= gap else {
      sessions[gap] = (event.time, [events.count])
      return
    }
    if session.start - event.time > gap { return }
    sessions[gap] = (min(session.start, event.time), session.members + [events.count])
  }

  /// The values of all features at a moment.
  func values(at time: Int64) -> [Answer] {
    var seen: [Window: [(tile: Int64, event: Int)]] = [:]
    var grouped: [TileKey: [[Sample]]] = [:]
    return features.flatMap { feature -> [Answer] in
      guard case .aggregate(let aggregate) = feature.computation else { return [] }
      return aggregate.windows.map { window in
        // Features share what they see, only to save the tests' time.
        let key = TileKey(
          window: window, value: aggregate.value, label: aggregate.label,
          isScore: aggregate.function.scoreMeasure != nil, isDrift: aggregate.function.driftMeasure != nil,
          filter: aggregate.filter)
        let visible = seen[window] ?? self.seen(window.span, at: time)
        seen[window] = visible
        let tiles = grouped[key] ?? self.tiles(aggregate, visible)
        grouped[key] = tiles
        return value(of: aggregate, tiles, at: time)
      }
    }
  }

  private struct TileKey: Hashable {
    var window: Window
    var value: String?
    var label: String?
    var isScore: Bool
    var isDrift: Bool
    var filter: String?
  }

  /// The events that a window sees, in log order, each with its tile.
  private func seen(_ span: Window.Span, at time: Int64) -> [(tile: Int64, event: Int)] {
    switch span {
    case .lifetime: return events.indices.map { (0, $0) }
    case .sliding(let length, let hop):
      let hop = hop ?? Self.defaultHop(length)
      let begin = floor(time - length, to: hop)
      return events.indices.filter { events[$0].time >= begin }.map { (floor(events[$0].time, to: hop), $0) }
    case .shifted(let length, let hop, let offset):
      let hop = hop ?? Self.defaultHop(length)
      let (begin, end) = (floor(time - offset - length, to: hop), floor(time - offset, to: hop))
      return events.indices.filter { begin..<end ~= events[$0].time }.map {
        (floor(events[$0].time, to: hop), $0)
      }
    case .session(let gap):
      guard let session = sessions[gap], time - asOf <= gap else { return [] }
      return session.members.map { (0, $0) }
    case .calendar(let unit, let zone):
      let today = Self.day(time, TestZones.all[zone]!)
      let first = firstDay(unit, today)
      let last = unit == .yesterday ? today - 1 : today
      return (days[zone] ?? []).enumerated().filter { first...last ~= $0.element }.map {
        ($0.element, $0.offset)
      }
    }
  }

  /// Grouped by tile, ascending; only the events that count, each with its value.
  private func tiles(_ aggregate: Aggregate, _ seen: [(tile: Int64, event: Int)]) -> [[Sample]] {
    var tiles: [Int64: [Sample]] = [:]
    for (tile, index) in seen {
      if aggregate.filter != nil, events[index]["f"] != .bool(true) { continue }
      let value = aggregate.value.map { events[index][$0] }
      if value == .some(.null), aggregate.function.driftMeasure == nil { continue }
      let label = aggregate.label.map { events[index][$0] }
      if label == .some(.null) { continue }
      let sample = Sample(
        time: events[index].time, order: index, value: value ?? .null, label: label ?? .bool(false))
      if aggregate.function.scoreMeasure != nil, !(0...1 ~= sample.number) { continue }
      tiles[tile, default: []].append(sample)
    }
    return tiles.sorted { $0.key < $1.key }.map(\.value)
  }

  private static func defaultHop(_ length: Int64) -> Int64 {
    let second: Int64 = 1_000_000
    if length >= 12 * 86_400 * second { return 86_400 * second }
    if length >= 12 * 3600 * second { return 3600 * second }
    if length >= 3600 * second { return 300 * second }
    return length >= 600 * second ? 60 * second : 10 * second
  }

  private func floor(_ value: Int64, to unit: Int64) -> Int64 { value - ((value % unit) + unit) % unit }

  /// The latest day whose midnight the local clock has reached.
  static func day(_ time: Int64, _ rules: TimeZoneRules) -> Int64 {
    var offset = rules.initialOffsetSeconds
    var latest = Int64.min
    for transition in rules.transitions where transition.atSeconds * 1_000_000 <= time {
      latest = max(latest, localDay(transition.atSeconds * 1_000_000 - 1, offset))
      offset = transition.offsetSeconds
    }
    return max(latest, localDay(time, offset))
  }

  private static func localDay(_ time: Int64, _ offset: Int64) -> Int64 {
    let local = time + offset * 1_000_000
    return (local - ((local % 86_400_000_000) + 86_400_000_000) % 86_400_000_000) / 86_400_000_000
  }

  private func firstDay(_ unit: CalendarUnit, _ day: Int64) -> Int64 {
    switch unit {
    case .today: return day
    case .yesterday: return day - 1
    // Day 4 was a Monday.
    case .thisWeek: return (day - 6...day).first { ($0 - 4) % 7 == 0 }!
    case .thisMonth: return Self.months[Self.months.partitioningIndex { $0 > day } - 1]
    }
  }

  /// The first days of all months of the years 0 to 10,000, by counting.
  private static let months: [Int64] = {
    var firsts: [Int64] = []
    // The day of 0000-01-01 in the proleptic Gregorian calendar.
    var day: Int64 = -719_528
    for year in 0...10_000 {
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      for days in [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as [Int64] {
        firsts.append(day)
        day += days
      }
    }
    return firsts
  }()
}

extension Array {
  /// The first index at which a predicate holds that holds from there on.
  fileprivate func partitioningIndex(_ holds: (Element) -> Bool) -> Int {
    var range = 0..<count
    while !range.isEmpty {
      let middle = (range.lowerBound + range.upperBound) / 2
      range = holds(self[middle]) ? range.lowerBound..<middle : (middle + 1)..<range.upperBound
    }
    return range.lowerBound
  }
}

/// What one event gives to an aggregate.
struct Sample {
  var time: Int64
  var order: Int
  var value: FeatureValue
  var label = FeatureValue.null

  var number: Double {
    switch value {
    case .int64(let value): Double(value)
    case .double(let value): value
    default: 1
    }
  }
}

/// What an oracle knows of a value: all of it, or bounds.
enum Answer {
  case exactly(FeatureValue)
  case near(Double, relative: Double)
  case within(Double, Double)
  /// Of the most frequent values, when there were more than counters: how often each value occurs, and by how
  /// much a counter may be high.
  case top(Int, of: [FeatureValue: Int], high: Double)
  /// A JSON object of the `k` largest of these counts, in descending order.
  case countMap([Text: Int64], k: Int)

  func allows(_ found: FeatureValue) -> Bool {
    switch (self, found) {
    case (.exactly(let value), _): value.isIdentical(to: found)
    case (.within(let value, let distance), .double(let found)): abs(found - value) <= distance
    case (.near(let value, let relative), .double(let found)):
      abs(found - value) <= abs(value) * relative || (abs(value) < 0x1p-1022 && found == 0)
    case (.near(let value, let relative), .int64(let found)):
      abs(Double(found) - value) <= value * relative
    case (.top(let k, let counts, let high), .list(let list)): Self.isTop(list, k, counts, high)
    case (.countMap(let counts, let k), .string(let text)): Self.isObject(text.utf8, counts, k)
    default: false
    }
  }

  private static func isObject(_ json: [UInt8], _ counts: [Text: Int64], _ k: Int) -> Bool {
    var left = counts.map { name, count in
      var member: [UInt8] = []
      ValueText.appendJSONString(name.utf8, to: &member)
      return (count: count, text: member + Array(":\(count)".utf8))
    }
    left.sort { $0.count > $1.count }
    var rest = json[...]
    for index in 0..<min(k, counts.count) {
      guard rest.popFirst() == UInt8(ascii: index == 0 ? "{" : ","),
        let found = left.firstIndex(where: {
          rest.starts(with: $0.text) && [0x2C, 0x7D].contains(rest.dropFirst($0.text.count).first)
        }), left[found].count == left[0].count
      else { return false }
      rest = rest.dropFirst(left[found].text.count)
      left.remove(at: found)
    }
    return rest.elementsEqual("}".utf8)
  }

  private static func isTop(_ list: [FeatureValue], _ k: Int, _ counts: [FeatureValue: Int], _ high: Double)
    -> Bool
  {
    guard list.count == min(k, counts.count), Set(list).count == list.count else { return false }
    let listed = list.map { counts[$0] ?? 0 }
    guard !listed.contains(0) else { return false }
    // What comes too early, or is listed at all, may have been counted too high, but by no more than that.
    var limit = Double.infinity
    for count in listed {
      guard Double(count) <= limit else { return false }
      limit = min(limit, Double(count) + high)
    }
    return counts.allSatisfy { list.contains($0.key) || Double($0.value) <= limit }
  }
}
