/// Identifies the semantics of a view: a hash of a canonical text that names everything that changes a state or a
/// value, and nothing else.
enum Fingerprint {
  static func of(_ view: View, source: Source, calendars: [ZoneCalendar]) -> UInt64 {
    Hash64.hash(lines(view, source, calendars).joined(separator: "\n"))
  }

  private static func lines(_ view: View, _ source: Source, _ calendars: [ZoneCalendar]) -> [String] {
    var lines = [
      "view \(view.name)", "topic \(source.topic)", "key \(source.key ?? "")",
      "time \(source.timestamp.field) \(source.timestamp.unit.rawValue)", "ahead \(source.maxAhead)",
    ]
    lines += source.fields.map { field in
      let unit = field.type == .timestamp ? " \((field.unit ?? source.timestamp.unit).rawValue)" : ""
      return "field \(field.name) \(field.type.rawValue)\(unit)"
    }.sorted()
    lines += view.entity.map { "entity \($0)" }
    lines.append("where \(canonical(view.filter))")
    lines += view.features.map(line).sorted()
    for calendar in calendars.sorted(by: { Text($0.rules.name) < Text($1.rules.name) }) {
      let transitions = calendar.rules.transitions.map { "\($0.atSeconds)/\($0.offsetSeconds)" }
      lines.append(
        "zone \(calendar.rules.name) \(calendar.rules.initialOffsetSeconds) \(transitions.joined(separator: " "))"
      )
    }
    return lines
  }

  private static func line(_ feature: Feature) -> String {
    let fallback = feature.fallback.map(text) ?? ""
    switch feature.computation {
    case .derive(let expression):
      return "feature \(feature.name) default \(fallback) derive \(canonical(expression))"
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
    ].compactMap(\.self).joined(separator: " ")
  }

  private static func text(_ span: Window.Span) -> String {
    switch span {
    case .lifetime: "lifetime"
    case .sliding(let length, let hop): "\(length)/\(hop ?? Tiling.defaultHop(length))"
    case .session(let gap): "session \(gap)"
    case .calendar(let unit, let zone): "\(unit.rawValue) \(zone)"
    }
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
      aggregate.value ?? "*", aggregate.k.map { "k: \($0)" },
      aggregate.counters.map { "counters: \($0)" }, aggregate.q.map { "q: \($0)" },
      aggregate.halfLife.map { "half_life: \(Duration.text($0))" },
      aggregate.buckets.map { "\($0.count) buckets" },
    ].compactMap(\.self)
    let filter = aggregate.filter.map { " where \($0)" } ?? ""
    return "\(aggregate.function.rawValue)(\(arguments.joined(separator: ", ")))\(filter)"
  }
}
