import FeatureCore
import Yams

// Views, features and windows of `DefinitionsReader`.
extension DefinitionsReader {
  private static let emitSynonyms: [String: View.Emit] = [
    "commits": .commit, "batch": .commit, "events": .event, "each": .event, "every": .event,
  ]
  private static let functionSynonyms: [String: Aggregate.Function] = [
    "avg": .mean, "average": .mean, "minimum": .min, "maximum": .max, "total": .sum, "var": .variance,
    "std": .stddev, "stdev": .stddev, "distinct": .countDistinct, "distinct_count": .countDistinct,
    "unique_count": .countDistinct, "nunique": .countDistinct, "approx_count_distinct": .countDistinct,
    "quantile": .approxQuantile, "percentile": .approxQuantile, "median": .approxQuantile,
    "approx_percentile": .approxQuantile, "latest": .last, "earliest": .first, "mode": .topK, "top": .topK,
    "recency": .secondsSinceLast, "time_since_last": .secondsSinceLast, "last_n": .lastK, "first_n": .firstK,
    "population_stability_index": .psi, "jensen_shannon": .js, "null_rate": .nullShare,
  ]
  private static let aggregateKeys = [
    "value", "label", "where", "windows", "k", "counters", "q", "half_life", "buckets", "baseline",
  ]

  mutating func view(_ name: String, _ place: Place) -> View? {
    let keys = ["source", "entity", "where", "emit", "snapshots", "features", "triggers"]
    guard let fields = reader.fields(place, "a view", keys: keys + Self.annotationKeys) else { return nil }
    let source = reader.required("source", of: fields, example: "source: clicks")
      .flatMap { reader.text($0, expected: "the name of a source") }
    let entity = reader.required("entity", of: fields, example: "entity: [user_id]").map(reader.elements)
    let features = reader.required("features", of: fields, example: "features: { clicks: ... }")
      .flatMap { reader.entries($0, expected: "a mapping of features by name") }
    var view = View(
      name, source: source ?? "",
      entity: (entity ?? []).compactMap { reader.text($0, expected: "the name of a field") },
      where: fields["where"].flatMap { expression($0) },
      emit: fields["emit"].flatMap { reader.choice($0, "emit", synonyms: Self.emitSynonyms) } ?? .commit,
      features: WindowedFeature.expanded((features ?? []).flatMap { feature($0.name, $0.value) }))
    view.annotations = annotations(fields)
    if let place = fields["snapshots"], let snapshots = reader.fields(place, "snapshots", keys: ["values"]) {
      view.snapshotsHaveValues = snapshots["values"].flatMap(reader.bool) ?? true
    }
    let triggers =
      fields["triggers"].flatMap { reader.entries($0, expected: "a mapping of triggers by name") }
    view.triggers = (triggers ?? []).compactMap { trigger($0.name, $0.value) }
    return view
  }

  private mutating func trigger(_ name: String, _ place: Place) -> Trigger? {
    var suggestion: String?
    if case .scalar(let scalar) = place.node, !scalar.string.isEmpty {
      suggestion = "write { when: \"\(scalar.string)\" }"
    }
    let keys = ["when", "for", "every", "again_after"]
    guard let fields = reader.fields(place, "a trigger", keys: keys, suggestion: suggestion),
      let when = reader.required("when", of: fields, example: "when: \"errors_1h > 100\"")
    else { return nil }
    return expression(when).map { condition in
      Trigger(
        name, when: condition, for: fields["for"].flatMap(reader.integer) ?? 1,
        every: fields["every"].flatMap(reader.duration),
        againAfter: fields["again_after"].flatMap(reader.duration))
    }
  }

  /// An expression, whose time zones are looked up.
  mutating func expression(_ place: Place) -> String? {
    guard let text = reader.text(place, expected: "a SQL expression") else { return nil }
    for zone in (try? Expression.parse(text))?.zones ?? [] {
      look(up: zone, at: place)
      usedZones.insert(zone)
    }
    return text
  }

  // MARK: - Features

  private mutating func feature(_ name: String, _ place: Place) -> [WindowedFeature] {
    guard let (read, fields) = readFeature(name, place) else { return [] }
    var feature = WindowedFeature(feature: read)
    feature.feature.annotations = annotations(fields)
    if fields["derive"] != nil, fields["aggregate"] == nil, let windows = fields["windows"] {
      for element in reader.elements(windows) {
        if let window = window(element) { feature.windows.append(window.name) }
      }
    }
    guard fields["aggregate"] != nil, let place = fields["q"], case .sequence = place.node else {
      return [feature]
    }
    return reader.elements(place).compactMap(reader.number).map { feature.quantile($0) }
  }

  private mutating func readFeature(_ name: String, _ place: Place) -> (Feature, Fields)? {
    let keys = ["aggregate", "derive", "column", "default"] + Self.aggregateKeys + Self.annotationKeys
    var suggestion: String?
    if case .scalar = place.node {
      suggestion = "write { derive: \"...\" } or { aggregate: ..., windows: [...] }"
    }
    guard let fields = reader.fields(place, "a feature", keys: keys, suggestion: suggestion) else {
      return nil
    }
    let fallback = fields["default"].flatMap { reader.literal($0) }
    if let derive = fields["derive"] {
      reportStrangers(in: fields)
      return expression(derive).map { (Feature(name, .derive($0), default: fallback), fields) }
    }
    if let column = fields["column"] {
      reportStrangers(in: fields)
      if let windows = fields["windows"] {
        reader.report(
          windows, "'windows' does not go with 'column'", suggestion: "remove it: a row is the last one")
      }
      return reader.text(column, expected: "the name of a field")
        .map { (Feature(name, .column($0), default: fallback), fields) }
    }
    guard let function = fields["aggregate"] else {
      if fields.misspelt.isDisjoint(with: ["aggregate", "derive", "column"]) {
        reader.report(
          keyOf: place, "a feature needs 'aggregate', 'derive' or 'column'",
          suggestion: "for example aggregate: count")
      }
      // What else is wrong with it is reported too.
      _ = aggregate(nil, fields)
      return nil
    }
    return aggregate(function, fields).map { (Feature(name, .aggregate($0), default: fallback), fields) }
  }

  /// A derived feature has no inputs of its own.
  private func reportStrangers(in fields: Fields) {
    let kind = fields["derive"] == nil ? "column" : "derive"
    for key in ["aggregate", "column"] + Self.aggregateKeys where key != "windows" && key != kind {
      guard let stranger = fields[key] else { continue }
      reader.report(
        keyOf: stranger, "'\(key)' does not go with '\(kind)'",
        suggestion: ["aggregate", "column"].contains(key)
          ? "keep one of them" : "put it where the events are aggregated")
    }
  }

  private mutating func aggregate(_ place: Place?, _ fields: Fields) -> Aggregate? {
    let function: Aggregate.Function? = place.flatMap {
      reader.choice($0, "aggregate", synonyms: Self.functionSynonyms)
    }
    let windows =
      place == nil
      ? fields["windows"]
      : reader.required("windows", of: fields, example: "windows: [1h, 24h, lifetime]")
    var read: [Window] = []
    for element in windows.map(reader.elements) ?? [] {
      if let window = window(element) { read.append(window) }
    }
    let value = fields["value"].flatMap { expression($0) }
    let aggregate = Aggregate(
      function ?? .count, value: value,
      label: fields["label"].flatMap { expression($0) }, where: fields["where"].flatMap { expression($0) },
      windows: read,
      k: fields["k"].flatMap(reader.integer), counters: fields["counters"].flatMap(reader.integer),
      q: fields["q"].map(reader.elements)?.first.flatMap(reader.number),
      halfLife: fields["half_life"].flatMap(reader.duration),
      buckets: fields["buckets"].map { place in reader.elements(place).compactMap { reader.literal($0) } },
      baseline: fields["baseline"].flatMap { baseline($0, value: value) })
    return function == nil ? nil : aggregate
  }

  // MARK: - Windows

  mutating func window(_ place: Place) -> Window? {
    guard case .mapping = place.node else {
      return reader.text(place, expected: "a window such as 24h, lifetime or today")
        .flatMap { window(named: $0, at: place) }
    }
    let keys = ["length", "hop", "offset", "calendar", "time_zone", "session"]
    guard let fields = reader.fields(place, "a window", keys: keys) else { return nil }
    let kinds = ["length", "calendar", "session"].filter { fields[$0] != nil }
    guard let kind = kinds.first, kinds.count == 1 else {
      if fields.misspelt.isDisjoint(with: ["length", "calendar", "session"]) {
        reader.report(
          place,
          "a window has one of 'length', 'calendar' and 'session', this has "
            + (kinds.isEmpty ? "none" : kinds.map { "'\($0)'" }.joined(separator: " and ")))
      }
      return nil
    }
    for (key, owner) in [("hop", "length"), ("offset", "length"), ("time_zone", "calendar")]
    where kind != owner {
      guard let stranger = fields[key] else { continue }
      reader.report(stranger, "'\(key)' goes with '\(owner)', not with '\(kind)'")
    }
    return switch kind {
    case "calendar": calendarWindow(fields)
    case "session": sessionWindow(fields)
    default: slidingWindow(fields)
    }
  }

  private mutating func window(named name: String, at place: Place) -> Window? {
    if name == Window.lifetime.name { return .lifetime }
    if let unit = CalendarUnit(rawValue: name) { return calendar(unit, zone: nil) }
    if let length = Duration.parse(name) {
      return Window(name: name, span: .sliding(length: length, hop: nil))
    }
    if name.first.map({ ("0"..."9").contains($0) }) == true {
      reader.reportDuration(place, name)
    } else {
      reader.report(place, "unknown window '\(name)'", suggestion: Self.windowSuggestion(name))
    }
    return nil
  }

  private static func windowSuggestion(_ name: String) -> String {
    if name.hasPrefix("session") {
      let gap = name.dropFirst("session_".count)
      return "write { session: \(Duration.parse(String(gap)) == nil ? "30m" : gap) }"
    }
    let names = CalendarUnit.allCases.map(\.rawValue) + [Window.lifetime.name]
    let synonyms = [
      "day": "today", "last_day": "yesterday", "week": "this_week", "month": "this_month", "all": "lifetime",
      "forever": "lifetime",
      "all_time": "lifetime", "hour": "1h", "inf": "lifetime",
    ]
    return synonyms[name.lowercased()].map { "did you mean '\($0)'?" }
      ?? Suggestion.didYouMean(name, among: names)
      ?? "a duration such as 24h, \(names.joined(separator: ", ")), or { session: 30m }"
  }

  private func slidingWindow(_ fields: Fields) -> Window? {
    let hop = fields["hop"].map { ($0, reader.duration($0)) }
    guard let place = fields["length"], let length = reader.duration(place),
      let name = reader.text(place, expected: "a duration")
    else { return nil }
    if let hop, hop.1 == nil { return nil }
    if let offset = fields["offset"] {
      guard let ago = reader.duration(offset), let text = reader.text(offset, expected: "a duration") else {
        return nil
      }
      return Window(name: "\(name)_offset_\(text)", span: .shifted(length: length, hop: hop?.1, offset: ago))
    }
    return Window(name: name, span: .sliding(length: length, hop: hop?.1))
  }

  private func sessionWindow(_ fields: Fields) -> Window? {
    guard let place = fields["session"], let gap = reader.duration(place),
      let name = reader.text(place, expected: "a duration")
    else { return nil }
    return Window(name: "session_\(name)", span: .session(gap: gap))
  }

  private mutating func calendarWindow(_ fields: Fields) -> Window? {
    let unit: CalendarUnit? = fields["calendar"].flatMap { reader.choice($0, "calendar window") }
    guard let place = fields["time_zone"] else { return unit.map { calendar($0, zone: nil) } }
    guard let zone = reader.text(place, expected: "the name of a time zone") else { return nil }
    look(up: zone, at: place)
    return unit.map { calendar($0, zone: zone) }
  }

  private mutating func calendar(_ unit: CalendarUnit, zone: String?) -> Window {
    let name = zone ?? defaultZone
    usedZones.insert(name)
    if zones[name] == nil { zones[name] = database.rules(name) }
    return Window(name: unit.rawValue, span: .calendar(unit, zone: name))
  }
}
