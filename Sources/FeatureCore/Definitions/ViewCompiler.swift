/// Compiles one view.
///
/// Features are laid out in the order of their names, so that the order of the file changes no byte of a state.
struct ViewCompiler {
  let view: View
  let sourceIndex: Int
  let source: SourcePlan
  let path: DefinitionPath
  let zones: [String: TimeZoneRules]
  var stateBytesMax = Limits.stateBytesMax
  /// Whether it is to have features: else only its events and their keys are asked for.
  var isOfFeatures = true
  private(set) var mistakes: [Mistake] = []

  private var builder: ProgramBuilder
  private var levels: [(tiling: Tiling, accumulators: [Accumulator])] = []
  private var bucketTables: [BucketTable] = []
  private var baselines: [Baseline] = []
  private var calendars: [ZoneCalendar] = []
  private var inputs: [AggregateInput] = []

  init(
    _ view: View, sourceIndex: Int, source: SourcePlan, path: DefinitionPath, zones: [String: TimeZoneRules]
  ) {
    self.view = view
    self.sourceIndex = sourceIndex
    self.source = source
    self.path = path
    self.zones = zones
    builder = ProgramBuilder(columns: source.schema.expressionColumns, zones: zones)
  }

  mutating func report(
    _ path: DefinitionPath, offset: Int? = nil, _ message: String, _ suggestion: String? = nil
  ) {
    mistakes.append(Mistake(path, offset: offset, message, suggestion: suggestion))
  }

  mutating func compile() -> ViewPlan? {
    let entity = compileEntity()
    let filter = view.filter.flatMap { expression($0, at: path.child("where"), expecting: .bool) }
    checkFeatures()
    var outputsByFeature: [String: [Output]] = [:]
    for feature in view.features.sorted(by: { Text($0.name) < Text($1.name) }) {
      switch feature.computation {
      case .aggregate(let aggregate): outputsByFeature[feature.name] = compileAggregate(feature, aggregate)
      case .column(let name): outputsByFeature[feature.name] = compileColumn(feature, name)
      case .derive: continue
      }
    }
    var derived = DerivedCompiler(view, path: path, aggregates: outputsByFeature, zones: zones)
    let (outputs, derivedOrder) = derived.compile()
    mistakes += derived.mistakes
    checkOutputNames(outputs)
    var compiler = TriggerCompiler(
      view, path: path, outputs: outputs, derivedOrder: derivedOrder, zones: zones,
      isComplete: mistakes.isEmpty)
    let triggers = compiler.compile()
    mistakes += compiler.mistakes
    guard mistakes.isEmpty else { return nil }
    let layout = StateLayout(
      levels: levels, bucketTables: bucketTables, calendars: calendars, triggers: triggers.map(\.clock))
    let plan = ViewPlan(
      view: view, source: sourceIndex, entity: entity, program: builder.build(), filter: filter?.index,
      inputs: inputs, layout: layout, baselines: baselines, outputs: outputs,
      derivedOrder: derivedOrder, triggers: triggers, summaries: FeatureSummary.make(view, outputs),
      fingerprint: Fingerprint.of(
        view, source: source, calendars: calendars, triggers: triggers, zones: zones),
      zones: Fingerprint.zones(of: view, source, calendars, zones), stateBytesMax: stateBytesMax)
    checkSizes(plan)
    return mistakes.isEmpty ? plan : nil
  }

  /// What no entity could be kept of, or no snapshot could be sent of.
  private mutating func checkSizes(_ plan: ViewPlan) {
    let place = path.child("features")
    if plan.room.growthMax > Limits.stateBytesMax / 2 {
      report(
        place,
        "one event can add \(plan.room.growthMax) bytes to a state, more than half of the \(Limits.stateBytesMax) that one may have",
        "split the view, or use fewer different hops")
    }
    if plan.valueBytesMax > Limits.snapshotValueBytesMax {
      report(
        place,
        "the values of a snapshot can take \(plan.valueBytesMax) bytes, more than the \(Limits.snapshotValueBytesMax) that fit a record",
        "split the view, or use a smaller k")
    }
  }

  // MARK: Entity and names

  mutating func compileEntity() -> [EntityColumn] {
    let columns = source.schema.columns
    if view.entity.isEmpty {
      report(path.child("entity"), "the entity has no column", "name at least one field")
    }
    var entity: [EntityColumn] = []
    for (index, name) in view.entity.enumerated() {
      let place = path.child("entity").child(String(index))
      guard let column = columns.firstIndex(where: { $0.name == name }) else {
        report(
          place, "the entity column '\(name)' is not a field of source '\(view.source)'",
          Suggestion.didYouMean(name, among: columns.map(\.name)))
        continue
      }
      if columns[column].type == .double {
        report(place, "a double can't be an entity column", "use a string or int64 field")
      }
      if entity.contains(where: { $0.name == name }) {
        report(place, "'\(name)' is named twice", "remove one")
      }
      // Under the field's name: Swift holds texts equal that differ in bytes, and topics are named by bytes.
      entity.append(
        EntityColumn(name: columns[column].name, type: columns[column].type, column: column))
    }
    return entity
  }

  private mutating func checkFeatures() {
    let place = path.child("features")
    if isOfFeatures && view.features.isEmpty {
      report(place, "the view has no feature", "declare at least one")
    }
    if view.features.count > Limits.featuresPerViewMax {
      report(
        place, "the view has more than \(Limits.featuresPerViewMax) features", "split it into several views")
    }
    var seen: Set<String> = []
    for feature in view.features {
      if let problem = NameRule.problem(feature.name, allowsDashes: false) {
        report(place.child(feature.name), problem.0, problem.1)
      }
      if !seen.insert(feature.name).inserted {
        report(place.child(feature.name), "there are two features named '\(feature.name)'", "rename one")
      }
    }
  }

  private mutating func checkOutputNames(_ outputs: [Output]) {
    var seen: Set<String> = []
    // Features of one name have been reported already.
    let hasTwins = Set(view.features.map(\.name)).count < view.features.count
    for output in outputs where !seen.insert(output.name).inserted && !hasTwins {
      report(
        path.child("features"), "two features make a column named '\(output.name)'", "rename one of them")
    }
    for output in outputs where view.entity.contains(output.name) {
      report(
        path.child("features"), "the column '\(output.name)' is named like an entity column",
        "rename the feature")
    }
  }

  // MARK: Aggregates

  mutating func expression(
    _ text: String, at path: DefinitionPath, expecting type: ValueType? = nil
  ) -> Register? {
    do {
      return try builder.add(text, expecting: type)
    } catch {
      report(path, offset: error.offset, error.message, error.suggestion)
      return nil
    }
  }

  private mutating func compileAggregate(_ feature: Feature, _ aggregate: Aggregate) -> [Output] {
    let place = path.child("features").child(feature.name)
    let before = mistakes.count
    let filter = aggregate.filter.flatMap { expression($0, at: place.child("where"), expecting: .bool) }
    let value = compileValue(aggregate, at: place)
    let windows = resolveWindows(aggregate.windows, at: place.child("windows"))
    guard mistakes.count == before else { return [] }
    var rule = AggregateRule(aggregate, value: value, path: place)
    defer { mistakes += rule.mistakes }
    guard var accumulator = rule.accumulator(tables: &bucketTables, baselines: &baselines),
      let type = rule.resultType
    else { return [] }
    accumulator.filter = filter.map { RegisterIndex($0.index) }
    accumulator.value = value.map { RegisterIndex($0.index) }
    let fallback = rule.fallback(feature.fallback, type: type)
    let input = AggregateInput(feature: feature.name, filter: accumulator.filter, value: accumulator.value)
    if input.filter != nil || input.value != nil { inputs.append(input) }
    // In the order of their names, so that the order of the list changes no byte of a state.
    for window in windows.sorted(by: { Text($0.name) < Text($1.name) }) {
      _ = slot(for: accumulator, window.tiling)
    }
    return windows.map { window in
      let (level, column) = slot(for: accumulator, window.tiling)
      return Output(
        name: "\(feature.name)_\(window.name)", type: type,
        origin: .window(level: level, column: column, span: window.span, result: rule.result),
        fallback: fallback)
    }
  }

  /// The place of an accumulator in a level: that of an equal one if there is, so that features share tiles.
  mutating func slot(for accumulator: Accumulator, _ tiling: Tiling) -> (level: Int, column: Int) {
    let level = levels.firstIndex { $0.tiling == tiling } ?? levels.count
    if level == levels.count { levels.append((tiling, [])) }
    let column = levels[level].accumulators.firstIndex(of: accumulator) ?? levels[level].accumulators.count
    if column == levels[level].accumulators.count { levels[level].accumulators.append(accumulator) }
    return (level, column)
  }

  // MARK: Windows

  private struct ResolvedWindow {
    var name: String
    var tiling: Tiling
    var span: WindowSpan
  }

  private mutating func resolveWindows(_ windows: [Window], at place: DefinitionPath) -> [ResolvedWindow] {
    if windows.isEmpty {
      report(place, "the feature has no window", "add 'windows', such as [1h, 24h, lifetime]")
    }
    guard windows.count <= Limits.windowsPerFeatureMax else {
      report(
        place, "the feature has \(windows.count) windows", "use at most \(Limits.windowsPerFeatureMax)")
      return []
    }
    var names: Set<String> = []
    var spans: [WindowSpan?] = []
    for (index, window) in windows.enumerated() {
      let place = place.child(String(index))
      if let problem = NameRule.windowProblem(window.name) { report(place, problem.0, problem.1) }
      if !names.insert(window.name).inserted {
        report(
          place, "two windows are named '\(window.name)'", "remove one, or write its length in another unit")
      }
      spans.append(resolveSpan(window.span, at: place))
    }
    return zip(windows, spans).compactMap { window, span in
      guard let span else { return nil }
      return ResolvedWindow(
        name: window.name, tiling: tiling(window, span, among: windows, spans), span: span)
    }
  }

  private mutating func resolveSpan(_ span: Window.Span, at place: DefinitionPath) -> WindowSpan? {
    switch span {
    case .lifetime: return .all
    case .sliding(let length, let hop): return resolveSliding(length, hop, at: place)
    case .shifted(let length, let hop, let offset):
      guard offset > 0, length <= Limits.windowMax, offset <= Limits.windowMax - length else {
        report(
          place, "the window reaches back \(Duration.text(length)) from \(Duration.text(offset)) ago",
          "use an offset of more than 0s, and at most 400d together")
        return nil
      }
      guard case .sliding(_, let hop)? = resolveSliding(length, hop, at: place) else { return nil }
      guard (length + offset) / hop <= Int64(Limits.tilesPerWindowMax) else {
        report(
          place,
          "\(Duration.text(length)) and the offset have \((length + offset) / hop) tiles of \(Duration.text(hop))",
          "use a larger hop")
        return nil
      }
      return .shifted(length: length, hop: hop, offset: offset)
    case .session(let gap):
      guard gap > 0, gap <= Limits.windowMax else {
        report(place, "the session gap is \(Duration.text(gap))", "use more than 0s and at most 400d")
        return nil
      }
      return .session(gap: gap)
    case .calendar(let unit, let zone):
      guard zones[zone] != nil else {
        report(
          place, "there is no time zone '\(zone)'", Suggestion.didYouMean(zone, among: zones.keys.sorted()))
        return nil
      }
      return .calendar(unit)
    }
  }

  private mutating func resolveSliding(_ length: Int64, _ hop: Int64?, at place: DefinitionPath)
    -> WindowSpan?
  {
    guard Limits.windowMin...Limits.windowMax ~= length else {
      report(place, "the window is \(Duration.text(length)) long", "use 10s to 400d, or lifetime")
      return nil
    }
    let hop = hop ?? Tiling.defaultHop(length)
    guard hop > 0, hop <= length else {
      report(
        place, "the hop is \(Duration.text(hop)), the window \(Duration.text(length))",
        "use a hop of more than 0s and at most the window")
      return nil
    }
    guard length / hop <= Int64(Limits.tilesPerWindowMax) else {
      report(
        place,
        "a window of \(Duration.text(length)) with a hop of \(Duration.text(hop)) has \(length / hop) tiles",
        "use a hop of at least \(Duration.text(Tiling.defaultHop(length)))")
      return nil
    }
    return .sliding(length: length, hop: hop)
  }

  /// The level that a window is seen on. Windows of a feature with the same hop share one, which keeps what the
  /// longest of them needs; so do the calendar windows of one time zone.
  private mutating func tiling(
    _ window: Window, _ span: WindowSpan, among windows: [Window], _ spans: [WindowSpan?]
  ) -> Tiling {
    switch span {
    case .all: return .lifetime
    case .session(let gap): return .session(gap: gap)
    case .sliding(_, let hop), .shifted(_, let hop, _):
      let lengths = spans.compactMap { other -> Int64? in
        switch other {
        case .sliding(let length, hop): length
        case .shifted(let length, hop, let offset): length + offset
        case .sliding, .shifted, .calendar, .all, .session, nil: nil
        }
      }
      return .hops(hop: hop, retention: lengths.max() ?? 0)
    case .calendar:
      guard case .calendar(_, let zone) = window.span else { preconditionFailure("Cannot find the zone") }
      var units: CalendarUnits = []
      for case .calendar(let unit, zone) in windows.map(\.span) { units.formUnion(CalendarUnits(unit)) }
      return .days(zone: calendarIndex(zone), units: units)
    }
  }

  private mutating func calendarIndex(_ zone: String) -> Int {
    if let index = calendars.firstIndex(where: { $0.rules.name == zone }) { return index }
    guard let rules = zones[zone] else {
      preconditionFailure("Cannot find zone \(zone) after it was checked")
    }
    calendars.append(ZoneCalendar(rules))
    return calendars.count - 1
  }
}
