import Testing

@testable import FeatureCore

/// The fingerprint changes with the meaning of the definitions, and with nothing else.
@Suite struct FingerprintTests {
  static let base = Definitions(
    name: "shop",
    sources: [
      Source(
        "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [
          .init("user", .string), .init("item", .string), .init("price", .double), .init("n", .int64),
          .init("at", .timestamp),
        ]),
      Source(
        "views", topic: "views", timestamp: .init(field: "ts", unit: .seconds),
        fields: [.init("item", .string)]),
    ],
    views: [
      View(
        "activity", source: "clicks", entity: ["user", "item"], where: "price > 0 and n <> 1",
        features: [
          Feature("clicks", .aggregate(Aggregate(.count, windows: [.last("1h"), .last("24h")]))),
          Feature(
            "spend", .aggregate(Aggregate(.sum, value: "price * n", where: "n > 1", windows: [.lifetime])),
            default: .double(0)),
          Feature("items", .aggregate(Aggregate(.topK, value: "item", windows: [.last("7d")], k: 3))),
          Feature(
            "p", .aggregate(Aggregate(.approxQuantile, value: "price", windows: [.last("7d")], q: 0.5))),
          Feature("heat", .aggregate(Aggregate(.decayedCount, windows: [.last("7d")], halfLife: 1000))),
          Feature(
            "sizes",
            .aggregate(
              Aggregate(.histogram, value: "n", windows: [.last("7d")], buckets: [.int64(1), .int64(5)]))),
          Feature("days", .aggregate(Aggregate(.count, windows: [.calendar(.today, zone: "Europe/Berlin")]))),
          Feature("ratio", .derive("clicks_1h / nullif(clicks_24h, 0)")),
        ]),
      View(
        "items", source: "views", entity: ["item"],
        features: [Feature("n", .aggregate(Aggregate(.count, windows: [.session("30m")])))]),
    ])

  private func fingerprints(_ definitions: Definitions, zones: [String: TimeZoneRules] = TestZones.all) throws
    -> [UInt64]
  {
    let plan = try Plan(definitions, zones: zones)
    return [plan.fingerprint, plan.views.first { $0.name.hasPrefix("activity") }!.fingerprint]
  }

  private func changed(_ change: (inout Definitions) -> Void) -> Definitions {
    var definitions = Self.base
    change(&definitions)
    return definitions
  }

  private func aggregate(_ index: Int, _ change: (inout Aggregate) -> Void) -> Definitions {
    changed { definitions in
      guard case .aggregate(var aggregate) = definitions.views[0].features[index].computation else { return }
      change(&aggregate)
      definitions.views[0].features[index].computation = .aggregate(aggregate)
    }
  }

  private static func drift(_ edges: [Double], _ counts: [Int64], nulls: Int64 = 0) -> Definitions {
    var definitions = base
    definitions.views[0].features[3].computation = .aggregate(
      Aggregate(
        .psi, value: "price", windows: [.last("7d")],
        baseline: Baseline(.edges(edges), counts: counts, nulls: nulls)))
    return definitions
  }

  @Test func sameMeaning() throws {
    let same: [(String, Definitions)] = [
      ("order of features", changed { $0.views[0].features.reverse() }),
      ("order of windows", aggregate(0) { $0.windows.reverse() }),
      ("order of views", changed { $0.views.reverse() }),
      ("order of sources", changed { $0.sources.reverse() }),
      ("order of fields", changed { $0.sources[0].fields.reverse() }),
      (
        "source's name",
        changed {
          $0.sources[0].name = "c"
          $0.views[0].source = "c"
        }
      ),
      ("space and case", changed { $0.views[0].filter = "  price>0   AND (n <> 1) " }),
      (
        "a default hop, written out",
        aggregate(0) {
          $0.windows[0].span = .sliding(length: 3_600_000_000, hop: 300_000_000)
        }
      ),
      ("a field's default unit, written out", changed { $0.sources[0].fields[4].unit = .milliseconds }),
      ("when snapshots are emitted", changed { $0.views[0].emit = .event }),
      ("what snapshots have besides states", changed { $0.views[0].snapshotsHaveValues = false }),
      ("the partitioner", changed { $0.sources[0].partitioner = .unknown }),
    ]
    let expected = try fingerprints(Self.base)
    for (name, definitions) in same { #expect(try fingerprints(definitions) == expected, "\(name)") }
  }

  @Test func otherMeaning() throws {
    let different: [(String, Definitions)] = [
      ("view's name", changed { $0.views[0].name = "activity2" }),
      ("topic", changed { $0.sources[0].topic = "clicks2" }),
      ("key", changed { $0.sources[0].key = nil }),
      ("time field", changed { $0.sources[0].timestamp.field = "at" }),
      ("time unit", changed { $0.sources[0].timestamp.unit = .seconds }),
      ("time's spelling", changed { $0.sources[0].timestamp.isText = true }),
      ("time as text", changed { $0.sources[0].timestamp = .init(field: "ts", unit: .text) }),
      ("time's zone", changed { $0.sources[0].timestamp = .init(field: "ts", unit: .text, zone: "UTC") }),
      (
        "time's other zone",
        changed { $0.sources[0].timestamp = .init(field: "ts", unit: .text, zone: "Europe/Berlin") }
      ),
      ("field's spelling", changed { $0.sources[0].fields[3].isText = true }),
      ("max_ahead", changed { $0.sources[0].maxAhead += 1 }),
      ("field's type", changed { $0.sources[0].fields[3].type = .double }),
      ("field's unit", changed { $0.sources[0].fields[4].unit = .seconds }),
      ("a field of the record", changed { $0.sources[0].fields[3].record = .key }),
      ("a header", changed { $0.sources[0].fields[3].header = "price" }),
      ("another header", changed { $0.sources[0].fields[3].header = "cost" }),
      ("one more field", changed { $0.sources[0].fields.append(.init("more", .bool)) }),
      ("entity", changed { $0.views[0].entity = ["user"] }),
      ("entity's order", changed { $0.views[0].entity = ["item", "user"] }),
      ("no filter", changed { $0.views[0].filter = nil }),
      ("filter", changed { $0.views[0].filter = "price > 0 or n <> 1" }),
      ("feature's name", changed { $0.views[0].features[2].name = "items2" }),
      ("one feature less", changed { $0.views[0].features.remove(at: 2) }),
      ("default", changed { $0.views[0].features[1].fallback = .double(1) }),
      ("default's sign", changed { $0.views[0].features[1].fallback = .double(-0.0) }),
      ("no default", changed { $0.views[0].features[1].fallback = nil }),
      ("function", aggregate(1) { $0.function = .mean }),
      ("value", aggregate(1) { $0.value = "price + n" }),
      ("feature's filter", aggregate(1) { $0.filter = "n > 2" }),
      ("no feature's filter", aggregate(1) { $0.filter = nil }),
      (
        "window",
        aggregate(2) { $0.windows = [Window(name: "7d", span: .sliding(length: 1_000_000_000, hop: nil))] }
      ),
      ("window's name", aggregate(2) { $0.windows[0].name = "168h" }),
      ("one window more", aggregate(2) { $0.windows.append(.lifetime) }),
      ("hop", aggregate(2) { $0.windows[0].span = .sliding(length: 604_800_000_000, hop: 600_000_000) }),
      ("offset", aggregate(2) { $0.windows = [.last("7d", offset: "24h")] }),
      ("another offset", aggregate(2) { $0.windows = [.last("7d", offset: "48h")] }),
      ("k", aggregate(2) { $0.k = 4 }),
      ("counters", aggregate(2) { $0.counters = 64 }),
      (
        "label",
        changed {
          $0.views[0].features[3].computation = .aggregate(
            Aggregate(.bias, value: "price", label: "n", windows: [.last("7d")]))
        }
      ),
      (
        "another label",
        changed {
          $0.views[0].features[3].computation = .aggregate(
            Aggregate(.bias, value: "price", label: "n + 1", windows: [.last("7d")]))
        }
      ),
      ("drift", Self.drift([1, 2, 3], [4, 5, 6, 7])),
      ("an edge of a baseline", Self.drift([1, 2, 4], [4, 5, 6, 7])),
      ("a count of a baseline", Self.drift([1, 2, 3], [4, 5, 6, 8])),
      ("nulls of a baseline", Self.drift([1, 2, 3], [4, 5, 6, 7], nulls: 1)),
      ("q", aggregate(3) { $0.q = 0.51 }),
      ("half-life", aggregate(4) { $0.halfLife = 1001 }),
      ("buckets", aggregate(5) { $0.buckets = [.int64(1), .int64(6)] }),
      ("one bucket more", aggregate(5) { $0.buckets = [.int64(1), .int64(5), .int64(6)] }),
      ("calendar unit", aggregate(6) { $0.windows[0].span = .calendar(.thisWeek, zone: "Europe/Berlin") }),
      ("zone", aggregate(6) { $0.windows[0].span = .calendar(.today, zone: "UTC") }),
      (
        "derived",
        changed { $0.views[0].features[7].computation = .derive("clicks_24h / nullif(clicks_1h, 0)") }
      ),
    ]
    var seen: [[UInt64]: String] = [try fingerprints(Self.base): "the base"]
    for (name, definitions) in different {
      let found = try fingerprints(definitions, zones: TestZones.all)
      if let same = seen.updateValue(name, forKey: found) { Issue.record("\(name) is the same as \(same)") }
    }
  }

  /// Also one that only a label names.
  @Test func zonesOfLabelsCount() throws {
    let definitions = aggregate(3) {
      $0 = Aggregate(
        .bias, value: "price", label: "extract(hour from at at time zone 'Pacific/Apia')",
        windows: [.last("7d")])
    }
    var zones = TestZones.all
    zones["Pacific/Apia"]!.transitions = []
    #expect(try fingerprints(definitions, zones: zones) != fingerprints(definitions))
  }

  /// A machine with another time zone database must not fold into the same states.
  @Test func zoneRulesCount() throws {
    var zones = TestZones.all
    zones["Europe/Berlin"]!.transitions[0].atSeconds += 1
    #expect(try fingerprints(Self.base, zones: zones) != fingerprints(Self.base))
    zones = TestZones.all
    zones["Pacific/Apia"]!.transitions = []
    #expect(try fingerprints(Self.base, zones: zones) == fingerprints(Self.base), "a zone that nothing names")
  }

  /// What is found out about the time before 1970 changes no calendar, and so no fingerprint; a clock that texts are read by, or
  /// an expression, takes it as it is. Whoever meets a state of other rules is told which zone to look at.
  @Test func rulesBefore1970() throws {
    var zones = TestZones.all
    let berlin = zones["Europe/Berlin"]!
    zones["Europe/Berlin"]!.initialOffsetSeconds = 3208
    zones["Europe/Berlin"]!.transitions.insert(.init(atSeconds: -2_422_054_408, offsetSeconds: 3600), at: 0)
    #expect(try fingerprints(Self.base, zones: zones) == fingerprints(Self.base))
    let (old, new) = (ZoneCalendar(berlin), ZoneCalendar(zones["Europe/Berlin"]!))
    for time in stride(from: Int64(-3_000_000_000), to: 4_000_000_000, by: 86_399 * 7) {
      #expect(old.day(time * 1_000_000) == new.day(time * 1_000_000), "\(time)")
    }
    var clock = Self.base
    clock.sources[0].timestamp = .init(field: "ts", unit: .text, zone: "Europe/Berlin")
    #expect(try fingerprints(clock, zones: zones) != fingerprints(clock))
    // A rule of today's.
    zones["Europe/Berlin"]!.transitions.removeLast()
    let view = try #require(
      try Plan(Self.base, zones: TestZones.all).views.first { $0.name.hasPrefix("activity") })
    let other = try #require(try Plan(Self.base, zones: zones).views.first { $0.name.hasPrefix("activity") })
    let bytes = [1] + withUnsafeBytes(of: view.fingerprint.littleEndian, Array.init)
    let refused = #expect(throws: StateError.self) { try other.decode(bytes) }
    let message = refused?.description ?? ""
    #expect(message.contains("this machine's rules of Europe/Berlin are not those"), "\(message)")
    #expect(message.contains("install the release of tzdata"))
  }

  /// Equal fingerprints promise exchangeable states: the order in the file changes no byte of them.
  @Test(arguments: seeds(5)) func orderChangesNoByte(seed: UInt64) throws {
    var streams = TestStreams(seed: seed)
    let windows = streams.someWindows(4)
    let features = TestStreams.features(windows)
    let shuffled = features.shuffled(using: &streams.random).map { feature in
      var feature = feature
      if case .aggregate(var aggregate) = feature.computation {
        aggregate.windows.shuffle(using: &streams.random)
        feature.computation = .aggregate(aggregate)
      }
      return feature
    }
    let events = streams.events(60)
    let view = try TestSource.plan(features)
    let other = try TestSource.plan(shuffled)
    let bytes = try TestFold.bytes(view, events)
    #expect(try TestFold.bytes(other, events) == bytes, "seed \(seed)")
    let state = try view.decode(bytes)
    let values = zip(view.features, view.evaluate(state, at: state.asOf)).map { ($0.name, $1) }
    let others = zip(other.features, other.evaluate(try other.decode(bytes), at: state.asOf)).map {
      ($0.name, $1)
    }
    for (mine, theirs) in zip(values.sorted { $0.0 < $1.0 }, others.sorted { $0.0 < $1.0 }) {
      #expect(mine.0 == theirs.0 && mine.1.isIdentical(to: theirs.1), "\(mine.0), seed \(seed)")
    }
  }
}
