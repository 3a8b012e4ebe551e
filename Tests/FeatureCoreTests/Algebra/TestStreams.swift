import Foundation
import TestSupport

@testable import FeatureCore

/// Generated definitions and event streams: everything that a seed decides.
struct TestStreams {
  var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  private static let second: Int64 = 1_000_000
  private static let hour: Int64 = 3_600_000_000
  private static let day: Int64 = 86_400_000_000

  static let windows: [Window] = [
    .last("10s"), .last("1m"), .last("10m"), .last("1h"), .last("24h"), .last("7d"), .last("12d"),
    .last("400d"),
    Window(name: "24h_by_7m", span: .sliding(length: 24 * hour, hop: 7 * 60 * second)),
    Window(name: "1h_by_17s", span: .sliding(length: hour, hop: 17 * second)),
    Window(name: "10s_by_10s", span: .sliding(length: 10 * second, hop: 10 * second)),
    Window(name: "30s_by_odd", span: .sliding(length: 30 * second, hop: 7_000_001)),
    .last("7d", offset: "24h"), .last("10s", offset: "1h"), .last("24h", offset: "10s"),
    Window(name: "odd_ago", span: .shifted(length: 30 * second, hop: 7_000_001, offset: 61_000_003)),
    .lifetime, .calendar(.yesterday),
    Window(name: "yesterday_berlin", span: .calendar(.yesterday, zone: "Europe/Berlin")),
    Window(name: "yesterday_apia", span: .calendar(.yesterday, zone: "Pacific/Apia")),
    .calendar(.today), .calendar(.thisWeek), .calendar(.thisMonth),
    Window(name: "today_berlin", span: .calendar(.today, zone: "Europe/Berlin")),
    Window(name: "week_berlin", span: .calendar(.thisWeek, zone: "Europe/Berlin")),
    Window(name: "month_berlin", span: .calendar(.thisMonth, zone: "Europe/Berlin")),
    Window(name: "today_st_johns", span: .calendar(.today, zone: "America/St_Johns")),
    Window(name: "week_st_johns", span: .calendar(.thisWeek, zone: "America/St_Johns")),
    Window(name: "month_apia", span: .calendar(.thisMonth, zone: "Pacific/Apia")),
    Window(name: "today_apia", span: .calendar(.today, zone: "Pacific/Apia")),
    .session("10s"), .session("30m"), .session("2d"), .session("400d"),
  ]

  /// Every aggregate over every type that it takes, with and without a filter: over 64 columns a level.
  static func features(_ windows: [Window]) -> [Feature] {
    var features: [Feature] = []
    for filter in [nil, "f"] as [String?] {
      func add(
        _ function: Aggregate.Function, _ value: String?, label: String? = nil, k: Int? = nil,
        counters: Int? = nil,
        q: Double? = nil,
        halfLife: Int64? = nil, buckets: [Literal]? = nil, baseline: Baseline? = nil
      ) {
        let aggregate = Aggregate(
          function, value: value, label: label, where: filter, windows: windows, k: k, counters: counters,
          q: q,
          halfLife: halfLife,
          buckets: buckets, baseline: baseline)
        features.append(Feature("x\(features.count)_\(function.rawValue)", .aggregate(aggregate)))
      }
      add(.count, nil)
      add(.secondsSinceLast, nil)
      add(.decayedCount, nil, halfLife: hour)
      for value in ["s", "i", "d", "b", "t"] {
        add(.count, value)
        add(.first, value)
        add(.last, value)
        add(.firstK, value, k: 3)
        add(.lastK, value, k: 2)
        add(.countDistinct, value)
        add(.min, value)
        add(.max, value)
        if value != "d" {
          add(.topK, value, k: 4)
          add(.lastDistinctK, value, k: 3)
          // More counters than a stream has values.
          for function in [Aggregate.Function.topKCounts, .topKErrors, .topKCertain] {
            add(function, value, k: 4, counters: 1_000)
          }
          add(.countBy, value, k: 2, counters: 1_000)
        }
      }
      for value in ["i", "d", "small"] {
        add(.sum, value)
        add(.product, value)
        add(.mean, value)
        add(.variance, value)
        add(.stddev, value)
        add(.approxQuantile, value, q: 0.95)
        add(.approxQuantile, value, q: value == "i" ? 0 : 1)
        add(.decayedSum, value, halfLife: 30 * day)
        add(.decayedSum, value, halfLife: 1)
      }
      for measure in [
        Aggregate.Function.auc, .aucBound, .prAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier,
      ] {
        add(measure, "d", label: "b")
      }
      add(.expectedAUC, "d")
      add(.brier, "small", label: "b")
      for measure in [Aggregate.Function.mae, .rmse, .bias] { add(measure, "small", label: "i") }
      for measure in [Aggregate.Function.psi, .psiExcess, .js, .nullShare] {
        add(measure, "d", baseline: Baseline(.edges([-1.5, 0, 1e300]), counts: [5, 0, 12, 1], nulls: 2))
        add(measure, "s", baseline: Baseline(.categories(["", "a", "é"]), counts: [3, 8, 0, 4]))
      }
      add(.psi, "i", baseline: Baseline(.edges([-10, 0, 7]), counts: [1, 2, 3, 4], nulls: 5))
      add(.js, "b", baseline: Baseline(.categories(["true"]), counts: [30, 50], nulls: 1))
      for value in ["i", "b", "t"] { add(.nullShare, value) }
      add(.histogram, "i", buckets: [.int64(-10), .int64(0), .int64(7)])
      add(.histogram, "d", buckets: [.double(-1.5), .int64(0), .double(1e300)])
      add(.histogram, "s", buckets: [.string(""), .string("a"), .string("é")])
    }
    return features
  }

  mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }

  mutating func pick<Element>(_ elements: [Element]) -> Element { elements.randomElement(using: &random)! }

  mutating func someWindows(_ count: Int) -> [Window] {
    Array(Self.windows.shuffled(using: &random).prefix(count))
  }

  /// Begins anywhere between the years 1 and 9999, often where something is special.
  mutating func start() -> Int64 {
    let transition = pick([TestZones.berlin, TestZones.stJohns, TestZones.apia].flatMap(\.transitions))
    let starts: [Int64] = [
      0, -Self.second, -1_900_000_000_000_000, 1_700_000_000_000_000, Limits.eventTimeMin,
      Limits.eventTimeMax - 1000 * Self.day, transition.atSeconds * Self.second - 2 * Self.hour,
      transition.atSeconds * Self.second - 1, Int64.random(in: 0...2_000_000_000_000_000, using: &random),
    ]
    return pick(starts)
  }

  /// A stretch of time from microseconds to years, roughly log-uniform.
  mutating func stretch() -> Int64 {
    let scales: [Int64] = [
      1, 1000, Self.second, 10 * Self.second, 60 * Self.second, Self.hour, Self.day, 30 * Self.day,
      500 * Self.day,
    ]
    return Int64.random(in: 0...pick(scales), using: &random)
  }

  /// Events in log order: mostly forward, often equal or late, at times by far, at times at a tile's border.
  mutating func events(_ count: Int) -> [TestEvent] {
    var latest = start()
    let scale = stretch() + 1
    return (0..<count).map { index in
      var time = latest
      switch Int.random(in: 0..<12, using: &random) {
      case _ where index == 0: break
      case 0, 1: break
      case 2: time -= stretch()
      case 3: time += stretch()
      case 4: time -= Int64.random(in: 0...(3 * scale), using: &random)
      case 5: time = border(near: time)
      default: time += Int64.random(in: 0...scale, using: &random)
      }
      time = min(max(time, Limits.eventTimeMin), Limits.eventTimeMax)
      latest = max(latest, time)
      return TestEvent(time: time, values: values())
    }
  }

  /// The next border of some hop, or a microsecond beside it.
  mutating func border(near time: Int64) -> Int64 {
    let hop = pick([10 * Self.second, 60 * Self.second, 300 * Self.second, Self.hour, Self.day, 7_000_001])
    return floorDivide(time, hop) * hop + hop + pick([-1, 0, 1])
  }

  mutating func values() -> [String: FeatureValue] {
    if chance(20) { return ["user": .string("u")] }
    var values: [String: FeatureValue] = [
      "user": .string("u"), "s": .string(Text(text())), "i": .int64(integer()), "d": .double(double()),
      "b": .bool(.random(using: &random)), "small": .int64(.random(in: -9...9, using: &random)),
      "t": .timestamp(
        EventTime(microseconds: .random(in: Limits.eventTimeMin...Limits.eventTimeMax, using: &random))),
      "f": .bool(.random(using: &random)),
    ]
    for name in ["s", "i", "d", "b", "small", "t", "f"] where chance(8) { values[name] = .null }
    return values
  }

  private mutating func text() -> String {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: ""
    case 1:
      String(repeating: "x", count: Int.random(in: 250...260, using: &random)) + pick(["é", "€", "😀", "z"])
    case 2: String(repeating: pick(["é", "€", "😀"]), count: Int.random(in: 60...140, using: &random))
    case 3: pick(["é", "e\u{301}", "\u{0}", "a|b\\c", "\"quoted\"\n"])
    default: pick(["a", "b", "c", "aa"])
    }
  }

  private mutating func integer() -> Int64 {
    switch Int.random(in: 0..<6, using: &random) {
    case 0: pick([.min, .max, .min + 1, .max - 1, 0, -1])
    case 1: Int64(bitPattern: random.next())
    default: Int64.random(in: -20...20, using: &random)
    }
  }

  private mutating func double() -> Double {
    switch Int.random(in: 0..<12, using: &random) {
    case 0: pick([0.0, -0.0, 0x1p-1074, -0x1p-1074, 0x1p-1022, 0x1p-1030])
    case 1: pick([1e308, -1e308, .greatestFiniteMagnitude, -.greatestFiniteMagnitude])
    case 2: [Double(bitPattern: random.next())].first(where: \.isFinite) ?? 1
    case 3: pick([0.1, 0.2, 0.3, -0.1])
    default: Double.random(in: -100...100, using: &random)
    }
  }

  /// Moments to evaluate at: as_of, soon, later, years later, and at what the windows' tails cross.
  mutating func moments(from asOf: Int64, _ windows: [Window]) -> [Int64] {
    var moments = [asOf, asOf + stretch(), asOf + stretch() * 5, max(asOf, border(near: asOf))]
    switch pick(windows).span {
    case .sliding(let length, let hop):
      moments.append(asOf + length + pick([-1, 0, 1]))
      let hop = hop ?? Tiling.defaultHop(length)
      moments.append(max(asOf, (floorDivide(asOf, hop) + 1) * hop + length + pick([-1, 0, 1])))
    case .shifted(let length, _, let offset):
      moments += [asOf + offset + pick([-1, 0, 1]), asOf + length + offset + pick([-1, 0, 1])]
    case .session(let gap): moments.append(asOf + gap + pick([-1, 0, 1]))
    default: break
    }
    return moments
  }
}

/// The seeds of a run: some that stay, and one that is new (PLUMB_FRESH_SEEDS says how many). A failure prints
/// its seed.
func seeds(_ count: Int) -> [UInt64] {
  let fresh = ProcessInfo.processInfo.environment["PLUMB_FRESH_SEEDS"].flatMap { Int($0) } ?? 1
  return (1...UInt64(count)).map { $0 } + (0..<fresh).map { _ in UInt64.random(in: .min ... .max) }
}
