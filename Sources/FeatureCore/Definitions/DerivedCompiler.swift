/// Compiles the derived features of a view, each after those that it names, and puts all outputs into the order
/// of the definitions.
struct DerivedCompiler {
  private let view: View
  private let path: DefinitionPath
  private let zones: [String: TimeZoneRules]
  /// Outputs of each feature that is ready.
  private var ready: [String: [Output]]
  /// Columns of features with mistakes: what names them can't be checked, and nothing is said about it.
  private var broken: Set<String> = []
  private(set) var mistakes: [Mistake] = []

  init(
    _ view: View, path: DefinitionPath, aggregates: [String: [Output]], zones: [String: TimeZoneRules]
  ) {
    self.zones = zones
    self.view = view
    self.path = path
    ready = aggregates
    for feature in view.features where aggregates[feature.name]?.isEmpty ?? false {
      guard case .aggregate(let aggregate) = feature.computation else {
        broken.insert(feature.name)
        continue
      }
      broken.formUnion(aggregate.windows.map { "\(feature.name)_\($0.name)" })
    }
  }

  /// The outputs, and the indices of the derived ones in the order of evaluation.
  mutating func compile() -> (outputs: [Output], derivedOrder: [Int]) {
    var pending = parse()
    let indices = outputIndices()
    var order: [Int] = []
    // Every round compiles what names only compiled features; a round without any is a cycle.
    while !pending.isEmpty {
      let names = Set(pending.map(\.feature.name))
      guard let next = pending.firstIndex(where: { names.isDisjoint(with: $0.expression.columns) }) else {
        reportCycles(pending)
        break
      }
      let (feature, expression) = pending.remove(at: next)
      let output = broken.isDisjoint(with: expression.columns) ? compile(feature, expression, indices) : nil
      if output == nil { broken.insert(feature.name) }
      ready[feature.name] = output.map { [$0] } ?? []
      indices[feature.name].map { order.append($0) }
    }
    return (view.features.flatMap { ready[$0.name] ?? [] }, order)
  }

  private mutating func parse() -> [(feature: Feature, expression: Expression)] {
    var parsed: [(Feature, Expression)] = []
    for feature in view.features {
      guard case .derive(let text) = feature.computation else { continue }
      do {
        parsed.append((feature, try Expression.parse(text)))
      } catch {
        broken.insert(feature.name)
        mistakes.append(
          Mistake(place(feature), offset: error.offset, error.message, suggestion: error.suggestion))
      }
    }
    return parsed
  }

  /// The index that each output will have. Derived features have one output each, named like the feature.
  private func outputIndices() -> [String: Int] {
    var names: [String] = []
    for feature in view.features {
      if case .derive = feature.computation { names.append(feature.name) }
      names += (ready[feature.name] ?? []).map(\.name)
    }
    return Dictionary(zip(names, names.indices), uniquingKeysWith: { first, _ in first })
  }

  private mutating func compile(
    _ feature: Feature, _ expression: Expression, _ indices: [String: Int]
  ) -> Output? {
    let outputs = ready.values.flatMap(\.self).sorted { Text($0.name) < Text($1.name) }
    let used = Set(expression.columns)
    if let list = outputs.first(where: { used.contains($0.name) && $0.isList }) {
      mistakes.append(
        Mistake(
          place(feature), "'\(list.name)' is a list, and expressions take single values",
          suggestion: "use an aggregate that has one value, such as last"))
      return nil
    }
    var columns = [ExpressionColumn(Expression.now, .timestamp)]
    for output in outputs {
      if case .scalar(let type) = output.type { columns.append(ExpressionColumn(output.name, type)) }
    }
    do {
      // Checked against every column, so that suggestions know them all.
      var checker = ProgramBuilder(columns: columns, zones: zones)
      _ = try checker.add(expression)
      // Compiled against what it names, so that evaluating it copies nothing else.
      let operands = columns.filter { used.contains($0.name) }
      var builder = ProgramBuilder(columns: operands, zones: zones)
      let result = try builder.add(expression)
      let derived = DerivedFeature(
        program: builder.build(), result: result,
        operands: operands.compactMap { $0.name == Expression.now ? DerivedFeature.now : indices[$0.name] })
      let type = FeatureType.scalar(result.type)
      return Output(
        name: feature.name, type: type, origin: .derived(derived), fallback: fallback(feature, type))
    } catch {
      mistakes.append(
        Mistake(place(feature), offset: error.offset, error.message, suggestion: error.suggestion))
      return nil
    }
  }

  private mutating func fallback(_ feature: Feature, _ type: FeatureType) -> FeatureValue {
    guard let literal = feature.fallback else { return .null }
    if let value = literal.value(as: type) { return value }
    mistakes.append(
      Mistake(
        path.child("features").child(feature.name).child("default"), "the default is not of type \(type)",
        suggestion: "write a value of that type, or remove it"))
    return .null
  }

  private mutating func reportCycles(_ pending: [(feature: Feature, expression: Expression)]) {
    let names = Set(pending.map(\.feature.name))
    for (feature, expression) in pending {
      let others = expression.columns.filter(names.contains).joined(separator: "', '")
      mistakes.append(
        Mistake(
          place(feature), "'\(feature.name)' is derived from '\(others)', which depends on it in turn",
          suggestion: "break the cycle"))
    }
  }

  private func place(_ feature: Feature) -> DefinitionPath {
    path.child("features").child(feature.name).child("derive")
  }
}

extension Output {
  var isList: Bool { if case .list = type { true } else { false } }
}
