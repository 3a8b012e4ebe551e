import FeatureCore

/// Definitions of every shape that decides how the loop works: keys that match the topic's or don't, several sources,
/// several views on one repartition topic, both ways to emit, filters, values that fail, all kinds of windows and
/// states.
struct DefinitionGenerator {
  var random: SplitMix64

  static let fields: [Source.Field] = [
    .init("user", .string), .init("item", .string), .init("n", .int64), .init("price", .double),
    .init("id", .int64),
  ]

  /// The same of records whose array holds an event each, with a field that is computed.
  static let elementFields: [Source.Field] = [
    .init("user", .string), .init("item", .string, path: "parts.item"), .computed("n", "raw % 5"),
    .init("raw", .int64, path: "parts.n"), .init("price", .double), .init("id", .int64),
  ]

  private static let windows: [Window] = [
    .last("10s"), .last("1m"), .last("10m"), .last("1h"), .last("24h"), .last("7d", hop: "3h"), .lifetime,
    .last("1m", offset: "30s"), .last("24h", offset: "1h"), .calendar(.today), .calendar(.yesterday),
    .calendar(.thisWeek), .session("1m"), .session("30m"),
  ]

  private static let measures: [Aggregate.Function] = [
    .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier,
  ]

  mutating func definitions(_ sources: [Source], version: Int, views count: Int) -> Definitions {
    // Drawn apart, so that a seed's views are the same with and without joins.
    var apart = random
    var generator = DefinitionGenerator(random: apart.fork())
    let joins = generator.joins(sources, version)
    let made = joins.map { join in
      Source(
        join.name, topic: "", key: join.on.count == 1 ? join.on[0] : nil,
        timestamp: .init(field: "ts", unit: .microseconds), fields: Self.fields)
    }
    let views = (0..<count).map { index in
      var own = random
      var view = watched(view("v\(version)_\(index)", random.pick(sources + made + made)), &own)
      view.snapshotsHaveValues = own.below(4) > 0
      return view
    }
    var definitions = Definitions(name: "sim", version: version, sources: sources, views: views)
    definitions.joins = joins
    return definitions
  }

  /// A join in some runs, of streams or of a stream and a table.
  private mutating func joins(_ sources: [Source], _ version: Int) -> [Join] {
    let events = sources.filter { !$0.isTable && $0.each == nil }
    guard !events.isEmpty, random.oneIn(3) else { return [] }
    let name = "j\(version)"
    let left = Join.Side(random.pick(events).name, where: random.pick([nil, nil, "n > 0"]))
    if let table = sources.first(where: \.isTable), let key = table.key {
      return [
        Join(
          name, left: left, right: Join.Side(table.name), on: [key], kind: .table, fields: ["double_n"])
      ]
    }
    let rightSource = random.pick(sources.filter { !$0.isTable })
    let right = Join.Side(rightSource.name, where: random.pick([nil, "n > 2", "n = 1"]))
    let seconds: Int64 = 1_000_000
    return [
      Join(
        name, left: left, right: right, on: random.pick([["user"], ["item"], ["user", "item"]]),
        kind: .outcome(
          within: random.pick([1, 60, 3600, 86_400]) * seconds, wait: random.pick([0, 10, 1200]) * seconds,
          lateness: random.pick([0, 60, 7_200]) * seconds),
        fields: rightSource.each == nil ? [] : ["raw"])
    ]
  }

  mutating func sources(_ count: Int) -> [Source] {
    (0..<count).map { index in
      let hasElements = random.oneIn(4)
      let key = random.pick(hasElements ? ["user", "user", nil] : ["user", "user", "item", nil])
      let isTable = !hasElements && random.oneIn(4)
      var source = Source(
        "s\(index)", topic: "topic\(index)", key: key, timestamp: .init(field: "ts", unit: .milliseconds),
        fields: hasElements ? Self.elementFields : Self.fields, each: hasElements ? "parts" : nil,
        partitioner: random.oneIn(5) ? .unknown : .murmur2)
      if isTable {
        (source.key, source.isTable) = (key ?? "user", true)
        source.fields.append(.computed("double_n", "n + n"))
      }
      return source
    }
  }

  private mutating func view(_ name: String, _ source: Source) -> View {
    var features = (0..<(1 + random.below(3))).map { Feature("f\($0)", .aggregate(aggregate())) }
    if random.oneIn(4) { features.append(Feature("per_event", .derive("all_events_lifetime * 2"))) }
    if features.last?.name == "per_event" {
      features.append(Feature("all_events", .aggregate(Aggregate(.count, windows: [.lifetime]))))
    }
    if let key = source.key, source.isTable {
      for name in ["item", "n", "price", "id", "user"] where random.oneIn(2) {
        features.append(Feature("row_\(name)", .column(name)))
      }
      return View(
        name, source: source.name, entity: [key], emit: random.oneIn(2) ? .event : .commit, features: features
      )
    }
    return View(
      name, source: source.name,
      entity: random.pick([["user"], ["user"], ["item"], ["item"], ["user", "item"]]),
      where: random.pick([nil, nil, "n > 1", "item <> 'i0'", "n * 4611686018427387904 > 0"]),
      emit: random.oneIn(2) ? .event : .commit, features: features)
  }

  /// Some views with triggers on top. They draw from a generator of their own, so that all else is what it was without them.
  private func watched(_ view: View, _ random: inout SplitMix64) -> View {
    random = random.fork()
    guard random.below(4) == 3 else { return view }
    var view = view
    view.features.append(
      Feature(
        "w", .aggregate(Aggregate(.count, windows: [.last("10m"), .last("24h"), .lifetime, .session("30m")])))
    )
    // As a feature of its own, the condition is evaluated by whoever evaluates features.
    let condition = random.pick([
      "w_10m > 0", "w_24h > 1", "w_lifetime > 2", "w_10m = 0 and w_24h > 0", "w_session_30m < 2",
    ])
    view.features.append(Feature("hot", .derive(condition)))
    for index in 0..<(1 + random.below(2)) {
      view.triggers.append(
        Trigger(
          "t\(index)", when: "hot", for: random.pick([1, 1, 2, 3]),
          every: random.pick([600_000_000, 3_600_000_000]),
          againAfter: random.pick([nil, nil, 600_000_000, 21_600_000_000])))
    }
    return view
  }

  private mutating func aggregate() -> Aggregate {
    let windows = someWindows()
    let filter = random.pick([nil, nil, nil, "n > 2", "price < 5.5"])
    switch random.below(18) {
    case 0: return Aggregate(.count, where: filter, windows: windows)
    case 1:
      return Aggregate(
        .sum, value: random.pick(["n", "n * 2000000000000000000"]), where: filter, windows: windows)
    case 2: return Aggregate(.sum, value: "price", where: filter, windows: windows)
    case 3: return Aggregate(.mean, value: "price", where: filter, windows: windows)
    case 4: return Aggregate(.max, value: random.pick(["item", "n"]), where: filter, windows: windows)
    case 5: return Aggregate(.stddev, value: "n", where: filter, windows: windows)
    case 6: return Aggregate(.first, value: "id", where: filter, windows: windows)
    case 7: return Aggregate(.last, value: "item", where: filter, windows: windows)
    case 8: return Aggregate(.lastK, value: "id", where: filter, windows: windows, k: 1 + random.below(4))
    case 9: return Aggregate(.countDistinct, value: "item", where: filter, windows: windows)
    case 10: return Aggregate(.topK, value: "item", where: filter, windows: windows, k: 2)
    case 11: return Aggregate(.approxQuantile, value: "price", where: filter, windows: windows, q: 0.9)
    case 12:
      return Aggregate(.decayedSum, value: "price", where: filter, windows: windows, halfLife: 60_000_000)
    case 13:
      return Aggregate(.lastDistinctK, value: "item", where: filter, windows: windows, k: 1 + random.below(4))
    case 14:
      let measure = random.pick(Self.measures)
      return Aggregate(
        measure, value: "price / 10", label: measure == .expectedAUC ? nil : "n > 2", where: filter,
        windows: windows)
    case 15:
      return Aggregate(
        random.pick([.mae, .rmse, .bias]), value: "price", label: "n", where: filter, windows: windows)
    case 16:
      let ofPrices = Baseline(.edges([2.5, 5, 7.5]), counts: [10, 20, 20, 5], nulls: 1)
      let ofItems = Baseline(.categories(["i0", "i1"]), counts: [10, 5, 5])
      let isOfPrices = random.oneIn(2)
      return Aggregate(
        random.pick([.psi, .psiExcess, .js, .nullShare]), value: isOfPrices ? "price" : "item",
        where: filter, windows: windows, baseline: isOfPrices ? ofPrices : ofItems)
    default: return Aggregate(.secondsSinceLast, where: filter, windows: windows)
    }
  }

  private mutating func someWindows() -> [Window] {
    var windows: [Window] = []
    for _ in 0..<(1 + random.below(2)) {
      let window = random.pick(Self.windows)
      if !windows.contains(where: { $0.name == window.name }) { windows.append(window) }
    }
    return windows
  }
}
