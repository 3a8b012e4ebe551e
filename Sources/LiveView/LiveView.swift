/// What the live view shows: a service's throughput and lag, and some entities' features. Pure: a function of what was
/// seen.
public struct LiveView: Sendable {
  /// An entity's features.
  public struct Entity: Sendable {
    /// The view and the entity.
    public var title: String
    /// Seconds since the latest event that the features know of; nil without a state.
    public var ageSeconds: Double?
    /// The features' names and values; nil is no value.
    public var features: [(name: String, value: String?)]

    /// An entity from its parts.
    public init(title: String, ageSeconds: Double?, features: [(name: String, value: String?)]) {
      self.title = title
      self.ageSeconds = ageSeconds
      self.features = features
    }
  }

  /// The name of the definitions and their version.
  public var title: String
  /// Addresses of the instances, in the order of their answers.
  public var instances: [String]
  /// Seconds since the view began.
  public var elapsedSeconds = 0.0
  /// What the instances said.
  public var history: ServiceHistory
  /// The entities.
  public var entities: [Entity] = []
  /// Why there are no features; nil if all is well.
  public var problem: String?

  /// A view that has seen nothing.
  public init(title: String, instances: [String]) {
    self.title = title
    self.instances = instances
    history = ServiceHistory(instances: instances.count)
  }

  private static let counters: [(label: String, name: String)] = [
    // A forwarded record is read twice: from its source, and from the topic that it was forwarded to.
    ("records read", "plumb_records_consumed_total"), ("of them forwarded", "plumb_records_forwarded_total"),
    ("events folded", "plumb_events_folded_total"),
    ("snapshots", "plumb_snapshots_total"), ("dead letters", "plumb_dead_letters_total"),
    ("commits", "plumb_commits_total"),
  ]

  /// The view as a screen of text lines, at most `rows`, with colours if it is to be styled.
  public func screen(columns: Int, rows: Int, isStyled: Bool = true) -> [String] {
    var lines = [(header(columns), 0), (StyledLine(), 1)]
    lines.append((StyledLine("                      a second         total   the last minute", .faint), 4))
    for (index, counter) in Self.counters.enumerated() {
      // What was read counts most.
      lines.append((line(counter.label, counter.name, columns), index == 0 ? 0 : 5))
    }
    lines += [(lagLine, 0), (latencyLine, 3), (cacheLine, 2)]
    lines += trouble.map { (StyledLine($0, .alarm), 0) }
    // Each entity shows some features: what matters less makes room, the lowest number first.
    let needed = entities.count * Self.entityRowsMin
    for rank in 1...5 where rows - lines.count < needed {
      while rows - lines.count < needed, let index = lines.lastIndex(where: { $0.1 == rank }) {
        lines.remove(at: index)
      }
    }
    var shown = lines.map(\.0)
    shown += entityLines(columns: columns, rows: rows - shown.count)
    return shown.prefix(rows).map { $0.rendered(columns: columns, isStyled: isStyled) }
  }

  /// A title and a line of features.
  private static let entityRowsMin = 2

  /// The view as one line.
  public var summary: String {
    let rate = history.rate("plumb_records_consumed_total", window: 5).map { rate in
      let forwarded = history.rate("plumb_records_forwarded_total", window: 5) ?? 0
      return "\(grouped(rate)) records/s"
        + (forwarded > 0 ? " (\(grouped(forwarded)) of them forwarded)" : "")
    }
    var parts = ["\(Int(elapsedSeconds)) s", readiness, rate ?? "no rate yet"]
    parts.append("\(grouped(history.total("plumb_records_consumed_total"))) read")
    parts.append("\(grouped(history.total("plumb_snapshots_total"))) snapshots")
    parts.append("\(grouped(history.total("plumb_dead_letters_total"))) dead letters")
    parts.append("lag \(grouped(lagRecords)) records")
    let entities = entities.map { entity in
      let shown = Self.telling(entity.features).prefix(3).map { "\($0.name) \($0.value ?? "null")" }
      return "\(entity.title): \(entity.ageSeconds == nil ? "nothing yet" : shown.joined(separator: ", "))"
    }
    return (parts + trouble).joined(separator: ", ") + entities.map { "; \($0)" }.joined()
  }

  // MARK: The service

  private var readyCount: Int { history.answers.count { $0?.sum("plumb_ready") == 1 } }

  private var readiness: String { "\(readyCount) of \(instances.count) ready" }

  private var lagRecords: Double { history.answers.reduce(0) { $0 + ($1?.sum("plumb_lag_records") ?? 0) } }

  private func header(_ columns: Int) -> StyledLine {
    var line = StyledLine("plumb ", .faint)
    line.append(title, .bold)
    line.append("   \(readiness)", readyCount == instances.count ? .plain : .alarm)
    let right = "\(Int(elapsedSeconds)) s   Ctrl-C ends"
    line.pad(to: columns - right.count)
    line.append(right, .faint)
    return line
  }

  private func line(_ label: String, _ name: String, _ columns: Int) -> StyledLine {
    var line = StyledLine(label)
    let rate = history.rate(name).map(grouped) ?? "-"
    let total = grouped(history.total(name))
    line.pad(to: 30 - rate.count)
    line.append(rate, .bold)
    line.pad(to: 44 - total.count)
    line.append(total)
    line.append("   ")
    line.append(Self.sparkline(history.rates(name, count: max(0, min(30, columns - 48)), span: 2)), .faint)
    return line
  }

  private var lagLine: StyledLine {
    let partitions = history.answers.reduce(0) { $0 + ($1?.all("plumb_lag_records").count ?? 0) }
    let age = history.answers.compactMap { $0?.all("plumb_lag_event_time_seconds").max() }.max() ?? 0
    var line = StyledLine("lag")
    let records = grouped(lagRecords)
    line.pad(to: 30 - records.count)
    line.append(records, .bold)
    line.append(" records in \(partitions) partitions, the oldest waits \(shortTime(age))")
    return line
  }

  private var latencyLine: StyledLine {
    func phase(_ phase: String) -> String {
      let quantiles = [0.5, 0.99].map { history.quantile($0, "plumb_commit_seconds", "phase", phase) }
      return "\(phase) " + quantiles.map { $0.map(shortTime) ?? "-" }.joined(separator: ", ")
    }
    return StyledLine("a commit takes (p50, p99)     \(phase("log")); \(phase("store"))")
  }

  private var cacheLine: StyledLine {
    let states = history.answers.reduce(0) { $0 + ($1?.sum("plumb_cached_states") ?? 0) }
    let hits = history.total("plumb_cache_hits_total")
    let all = hits + history.total("plumb_cache_misses_total")
    let share = all > 0 ? "\(Int((hits / all * 100).rounded(.down))) % of events find theirs in memory" : ""
    return StyledLine(
      "states in memory".padded(to: 30 - grouped(states).count) + "\(grouped(states)); \(share)")
  }

  /// What isn't as it should be.
  private var trouble: [String] {
    var trouble = zip(instances, history.answers).compactMap { $1 == nil ? "\($0) does not answer" : nil }
    for (label, name) in [
      ("recovered", "plumb_records_recovered_total"), ("aborts", "plumb_aborts_total"),
      ("refused writes", "plumb_refused_writes_total"), ("errors", "plumb_errors_total"),
    ] where history.total(name) > 0 { trouble.append("\(label) \(grouped(history.total(name)))") }
    return trouble + [problem].compactMap { $0 }
  }

  private static func sparkline(_ rates: [Double]) -> String {
    let bars = Array("▁▂▃▄▅▆▇█")
    guard let top = rates.max(), top > 0 else { return "" }
    return String(rates.map { bars[min(7, max(0, Int($0 / top * 7.99)))] })
  }

  // MARK: Entities

  /// Features that have something to tell come first, and of those one for each name without its window.
  private static func telling(
    _ features: [(name: String, value: String?)]
  ) -> [(name: String, value: String?)] {
    let isTelling = { (value: String?) in value.map { $0 != "0" && $0 != "0.0" } ?? false }
    var stems: Set<Substring> = []
    var firsts: [(name: String, value: String?)] = []
    var others: [(name: String, value: String?)] = []
    for feature in features where isTelling(feature.value) {
      let stem = feature.name.prefix(upTo: feature.name.lastIndex(of: "_") ?? feature.name.endIndex)
      if stems.insert(stem).inserted { firsts.append(feature) } else { others.append(feature) }
    }
    return firsts + others + features.filter { !isTelling($0.value) }
  }

  private func entityLines(columns: Int, rows: Int) -> [StyledLine] {
    guard !entities.isEmpty else { return [] }
    let rowsEach = max(Self.entityRowsMin, rows / entities.count)
    let isSpaced = rowsEach > Self.entityRowsMin
    let cells = max(1, columns / 26)
    let width = columns / cells
    return entities.flatMap { entity in
      var title = StyledLine(entity.title, .bold)
      let room = (rowsEach - (isSpaced ? 2 : 1)) * cells
      let left = entity.features.count - room
      title.append(
        entity.ageSeconds.map { "   latest event \(shortTime(max(0, $0))) ago" } ?? "   nothing yet", .faint)
      if left > 0, entity.ageSeconds != nil { title.append(", \(left) more features", .faint) }
      var lines = isSpaced ? [StyledLine(), title] : [title]
      guard entity.ageSeconds != nil else { return lines }
      let shown = Array(Self.telling(entity.features).prefix(max(0, room)))
      for start in stride(from: 0, to: shown.count, by: cells) {
        var line = StyledLine()
        for (index, feature) in shown[start..<min(start + cells, shown.count)].enumerated() {
          line.pad(to: index * width)
          line.append("  \(cut(feature.name, width - 8)) ", .faint)
          let end = (index + 1) * width - 1
          line.append(cut(feature.value ?? "null", max(3, end - line.width)))
        }
        lines.append(line)
      }
      return lines
    }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
