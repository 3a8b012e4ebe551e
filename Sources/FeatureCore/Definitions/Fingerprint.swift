/// Identifies the semantics of a view: a hash of a canonical text that names everything that changes a state or a
/// value, and nothing else.
enum Fingerprint {
  static func of(
    _ view: View, source: SourcePlan, calendars: [ZoneCalendar], triggers: [TriggerPlan],
    zones: [String: TimeZoneRules]
  ) -> UInt64 {
    let lines = lines(view, source, calendars, zones) + triggers.map(line).sorted()
    return Hash64.hash(lines.joined(separator: "\n"))
  }

  /// With the hop that is meant where none is given.
  private static func line(_ trigger: TriggerPlan) -> String {
    let clock = trigger.clock
    return
      "trigger \(trigger.name) when \(canonical(trigger.trigger.condition)) for \(clock.hops) every \(clock.every) "
      + "again \(clock.againAfter ?? 0)"
  }

  private static func lines(
    _ view: View, _ plan: SourcePlan, _ calendars: [ZoneCalendar], _ zones: [String: TimeZoneRules]
  ) -> [String] {
    let source = plan.source
    var lines = [
      "view \(view.name)", "topic \(source.topic)", "key \(source.key ?? "")",
      "time \(source.timestamp.field) \(source.timestamp.unit.rawValue)\(spelling(source.timestamp.zone, source.timestamp.isText))",
      "ahead \(source.maxAhead)",
    ]
    lines += source.fields.map { field in
      if field.compute != nil { return "computed \(field.name) \(canonical(field.compute))" }
      let unit = field.type == .timestamp ? " \((field.unit ?? source.timestamp.unit).rawValue)" : ""
      return
        "field \(field.name) \(field.type.rawValue)\(unit)\(spelling(field.zone, field.isText))\(place(field))"
    }.sorted()
    if source.isTable { lines.append("table") }
    if let join = plan.joinFingerprint { lines.append("joined \(join)") }
    if let rule = source.duplicates { lines.append("duplicates \(rule.by) \(rule.within)") }
    if source.format != .json { lines.append("format \(source.format.rawValue)") }
    if source.timestamp.isAny { lines.append("any time") }
    if source.timestamp.isRecord { lines.append("time of the record") }
    if let each = source.each { lines.append("each \(FieldPath(each)?.description ?? each)") }
    lines += view.entity.map { "entity \($0)" }
    lines.append("where \(canonical(view.filter))")
    lines += view.features.map(line).sorted()
    lines += calendars.map { "zone \(text($0.rules))" }.sorted()
    lines += Set(clocks(view, plan, zones).map { "clock \(text($0))" }).sorted()
    return lines
  }

  /// The zones whose clocks are read: of texts without a zone, and in expressions.
  private static func clocks(
    _ view: View, _ plan: SourcePlan, _ zones: [String: TimeZoneRules]
  ) -> [TimeZoneRules] {
    plan.schema.columns.compactMap(\.clock?.rules)
      + expressions(view, plan.source).flatMap(\.zones).compactMap { zones[$0] }
  }

  /// The names of the zones whose rules are in a view's fingerprint, but for UTC, which has none.
  static func zones(
    of view: View, _ plan: SourcePlan, _ calendars: [ZoneCalendar], _ zones: [String: TimeZoneRules]
  ) -> [String] {
    let rules = calendars.map(\.rules) + clocks(view, plan, zones)
    return Set(rules.filter { !$0.transitions.isEmpty }.map(\.name)).sorted()
  }

  /// Every expression that the view's values depend on.
  private static func expressions(_ view: View, _ source: Source) -> [Expression] {
    var texts = source.fields.map(\.compute) + [view.filter] + view.triggers.map(\.condition)
    for feature in view.features {
      switch feature.computation {
      case .derive(let text): texts.append(text)
      case .column: break
      case .aggregate(let aggregate): texts += [aggregate.value, aggregate.label, aggregate.filter]
      }
    }
    return texts.compactMap { $0 }.compactMap { try? Expression.parse($0) }
  }

  private static func text(_ rules: TimeZoneRules) -> String {
    let transitions = rules.transitions.map { "\($0.atSeconds)/\($0.offsetSeconds)" }
    return "\(rules.name) \(rules.initialOffsetSeconds) \(transitions.joined(separator: " "))"
  }

  /// Nothing where nothing is said, so that fingerprints from before there was more than one spelling are the same.
  private static func spelling(_ zone: String?, _ isText: Bool) -> String {
    (zone.map { " zone \($0)" } ?? "") + (isText ? " text" : "")
  }

  private static func place(_ field: Source.Field) -> String {
    if let record = field.record { return " record \(record.rawValue)" }
    if let header = field.header { return " header \(text(.string(header)))" }
    guard let path = field.path.flatMap({ FieldPath($0) }), path != FieldPath(member: field.name) else {
      return ""
    }
    return " path \(path)"
  }

  private static func line(_ feature: Feature) -> String {
    let fallback = feature.fallback.map(text) ?? ""
    switch feature.computation {
    case .derive(let expression):
      return "feature \(feature.name) default \(fallback) derive \(canonical(expression))"
    case .column(let column):
      return "feature \(feature.name) default \(fallback) column \(column)"
    case .aggregate(let aggregate):
      return "feature \(feature.name) default \(fallback) \(text(aggregate))"
    }
  }

  private static func text(_ aggregate: Aggregate) -> String {
    let windows = aggregate.windows.map { "\($0.name)=\(text($0.span))" }.sorted().joined(separator: ",")
    return [
      aggregate.function.rawValue, "value \(canonical(aggregate.value))",
      "where \(canonical(aggregate.filter))",
      "windows \(windows)", "k \(aggregate.k ?? 0)", "q \(aggregate.q.map { "\($0.bitPattern)" } ?? "")",
      "half_life \(aggregate.halfLife ?? 0)",
      "buckets \((aggregate.buckets ?? []).map(text).joined(separator: ","))",
      // Only where it is given: what had been defined before keeps its fingerprint.
      aggregate.counters.map { "counters \($0)" },
      aggregate.label.map { "label \(canonical($0))" },
      aggregate.baseline.map { "baseline \(text($0))" },
    ].compactMap(\.self).joined(separator: " ")
  }

  private static func text(_ span: Window.Span) -> String {
    switch span {
    case .lifetime: "lifetime"
    case .sliding(let length, let hop): "\(length)/\(hop ?? Tiling.defaultHop(length))"
    case .shifted(let length, let hop, let offset):
      "\(length)/\(hop ?? Tiling.defaultHop(length)) offset \(offset)"
    case .session(let gap): "session \(gap)"
    case .calendar(let unit, let zone): "\(unit.rawValue) \(zone)"
    }
  }

  private static func text(_ baseline: Baseline) -> String {
    let bins =
      switch baseline.bins {
      case .edges(let edges): edges.map { text(.double($0)) }
      case .categories(let categories): categories.map { text(.string($0)) }
      }
    return "\(bins.joined(separator: ",")) counts \(baseline.counts) nulls \(baseline.nulls)"
  }

  private static func text(_ literal: Literal) -> String {
    switch literal {
    case .int64(let value): "int \(value)"
    case .double(let value): "double \(value.bitPattern)"
    case .bool(let value): "bool \(value)"
    // The length keeps a text with separators in it from looking like two.
    case .string(let value): "string \(value.utf8.count):\(value)"
    }
  }

  /// The canonical text of an expression that has been compiled before.
  private static func canonical(_ text: String?) -> String {
    guard let text else { return "" }
    guard let expression = try? Expression.parse(text) else { preconditionFailure("Cannot parse \(text)") }
    return expression.canonicalText
  }
}

extension FeatureSummary {
  /// A summary a feature, in the order of the definitions.
  static func make(_ view: View, _ outputs: [Output]) -> [FeatureSummary] {
    view.features.compactMap { feature in
      switch feature.computation {
      case .derive(let expression):
        guard let output = outputs.first(where: { $0.name == feature.name }) else { return nil }
        return FeatureSummary(name: feature.name, computation: expression, windows: [], type: output.type)
      case .column(let column):
        guard let output = outputs.first(where: { $0.name == feature.name }) else { return nil }
        return FeatureSummary(
          name: feature.name, computation: "column \(column)", windows: [], type: output.type)
      case .aggregate(let aggregate):
        let name = aggregate.windows.first.map { "\(feature.name)_\($0.name)" }
        guard let output = outputs.first(where: { $0.name == name }) else { return nil }
        return FeatureSummary(
          name: feature.name, computation: computation(aggregate), windows: aggregate.windows.map(\.name),
          type: output.type)
      }
    }
  }

  /// As a call: `last_k(item_id, k: 5) where event_type = 'click'`.
  private static func computation(_ aggregate: Aggregate) -> String {
    let arguments = [
      aggregate.value ?? "*", aggregate.label.map { "label: \($0)" }, aggregate.k.map { "k: \($0)" },
      aggregate.counters.map { "counters: \($0)" }, aggregate.q.map { "q: \($0)" },
      aggregate.halfLife.map { "half_life: \(Duration.text($0))" },
      aggregate.buckets.map { "\($0.count) buckets" },
      aggregate.baseline.map { "baseline of \($0.rowCount) rows" },
    ].compactMap(\.self)
    let filter = aggregate.filter.map { " where \($0)" } ?? ""
    return "\(aggregate.function.rawValue)(\(arguments.joined(separator: ", ")))\(filter)"
  }
}
