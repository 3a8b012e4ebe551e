/// Checks a service against the views, and compiles it.
struct ServiceCompiler {
  private let service: Service
  private let path: DefinitionPath
  private let views: [ViewPlan]
  private(set) var mistakes: [Mistake] = []
  private var reads: [ServicePlan.Read] = []
  private var entity: [FeatureColumn] = []
  private var columns: [ServicePlan.Column] = []
  private var isListed: Set<String> = []

  /// What an expression may name.
  private struct Operand {
    var column: ExpressionColumn
    /// nil: a feature, which is not read before something names it.
    var source: DerivedColumn.Operand?
    var view = 0
    var feature = 0
  }

  init(_ service: Service, views: [ViewPlan], path: DefinitionPath) {
    self.service = service
    self.views = views
    self.path = path
  }

  private mutating func report(
    _ path: DefinitionPath, offset: Int? = nil, _ message: String, _ suggestion: String? = nil
  ) {
    mistakes.append(Mistake(path, offset: offset, message, suggestion: suggestion))
  }

  /// The service; nil after mistakes.
  mutating func compile() -> ServicePlan? {
    if let problem = NameRule.problem(service.name, allowsDashes: false) {
      report(path, problem.0, problem.1)
    }
    if service.features.isEmpty {
      report(
        path.child("features"), "the service has no feature", "list some, such as [view.feature, view.*]")
    }
    for (index, reference) in service.features.enumerated() {
      add(reference, at: path.child("features").child(String(index)))
    }
    checkBounds()
    let (derived, order) = compileDerived()
    checkNames()
    guard mistakes.isEmpty else { return nil }
    return ServicePlan(
      service, reads: reads, entity: entity, columns: columns, derived: derived, order: order)
  }

  // MARK: Features

  private mutating func add(_ reference: String, at place: DefinitionPath) {
    let parts = reference.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      return report(place, "'\(reference)' is no feature of a view", "write view.feature, or view.* for all")
    }
    guard let view = viewIndex(String(parts[0]), at: place) else { return }
    let read = read(view, at: place)
    let features = views[view].features
    guard parts[1] != "*" else {
      for index in features.indices { list(read, index, of: view) }
      return
    }
    guard let feature = features.firstIndex(where: { $0.name == parts[1] }) else {
      return report(
        place, "view '\(parts[0])' has no feature '\(parts[1])'",
        Suggestion.didYouMean(String(parts[1]), among: features.map(\.name)))
    }
    if isListed.contains(views[view].columnName(feature)) {
      return report(place, "'\(reference)' is listed already", "remove it")
    }
    list(read, feature, of: view)
  }

  /// Adds a column, unless it is there: `view.*` beside some of the view's features says which come first.
  private mutating func list(_ read: Int, _ feature: Int, of view: Int) {
    let name = views[view].columnName(feature)
    guard isListed.insert(name).inserted else { return }
    columns.append(
      ServicePlan.Column(
        name: name, type: views[view].features[feature].type, origin: .feature(read: read, feature: feature)))
  }

  private mutating func viewIndex(_ name: String, at place: DefinitionPath) -> Int? {
    if let index = views.firstIndex(where: { $0.name == name }) { return index }
    report(place, "there is no view '\(name)'", Suggestion.didYouMean(name, among: views.map(\.name)))
    return nil
  }

  /// The read of a view, whose entity columns the rows then have.
  private mutating func read(_ view: Int, at place: DefinitionPath) -> Int {
    if let index = reads.firstIndex(where: { $0.view == view }) { return index }
    var key: [Int] = []
    for column in views[view].entity {
      let type = FeatureType.scalar(column.type)
      if let index = entity.firstIndex(where: { $0.name == column.name }) {
        if entity[index].type != type {
          report(
            place,
            "the entity column '\(column.name)' is \(type) in view '\(views[view].name)' and \(entity[index].type) in another",
            "make two services of it")
        }
        key.append(index)
      } else {
        key.append(entity.count)
        entity.append(FeatureColumn(name: column.name, type: type))
      }
    }
    let maxAge = service.maxAge.first { $0.view == views[view].name }?.microseconds
    reads.append(ServicePlan.Read(view: view, maxAge: maxAge, key: key))
    return reads.count - 1
  }

  // MARK: Bounds and names

  private mutating func checkBounds() {
    for bound in service.maxAge {
      let place = path.child("max_age").child(bound.view)
      if bound.microseconds <= 0 { report(place, "max_age is not positive", "use more than 0s") }
      guard let view = viewIndex(bound.view, at: place) else { continue }
      if !reads.contains(where: { $0.view == view }) {
        report(place, "no feature of view '\(bound.view)' is listed", "list one, or remove the bound")
      }
    }
    if let lag = service.maxLag, lag <= 0 {
      report(path.child("max_lag"), "max_lag is not positive", "use more than 0s, such as 60s")
    }
    if service.maxLag == nil, service.whenStale == .fail {
      report(path.child("when_stale"), "nothing says when features are stale", "add max_lag, such as 60s")
    }
    if let share = service.servedShare, !(0...1 ~= share) {
      report(path.child("served").child("share"), "the share is not from 0 to 1", "use 1.0 for all answers")
    }
  }

  private mutating func checkNames() {
    var kinds: [String: String] = [:]
    for column in entity { kinds[column.name] = "an entity column" }
    let names =
      service.inputs.map { ("inputs", $0.name, "an input") }
      + service.derived.map { ("derive", $0.name, "a derived column") }
    for (key, name, kind) in names {
      let place = path.child(key).child(name)
      if let problem = NameRule.problem(name, allowsDashes: false) { report(place, problem.0, problem.1) }
      if let other = kinds.updateValue(kind, forKey: name) {
        report(place, "'\(name)' is the name of \(other), too", "rename one")
      }
    }
  }

  // MARK: Derived columns

  private mutating func compileDerived() -> (columns: [DerivedColumn], order: [Int]) {
    var pending: [(index: Int, expression: Expression)] = []
    for (index, derived) in service.derived.enumerated() {
      do {
        pending.append((index, try Expression.parse(derived.expression)))
      } catch {
        report(place(index), offset: error.offset, error.message, error.suggestion)
      }
    }
    var operands = inputsAndFeatures()
    var compiled = [DerivedColumn?](repeating: nil, count: service.derived.count)
    var broken = Set(service.derived.map(\.name))
    broken.subtract(pending.map { service.derived[$0.index].name })
    var order: [Int] = []
    // Every round compiles what names only compiled columns; a round without any is a cycle.
    while !pending.isEmpty {
      let names = Set(pending.map { service.derived[$0.index].name })
      guard let next = pending.firstIndex(where: { names.isDisjoint(with: $0.expression.columns) }) else {
        reportCycle(pending)
        break
      }
      let (index, expression) = pending.remove(at: next)
      let name = service.derived[index].name
      guard broken.isDisjoint(with: expression.columns), let column = derive(index, expression, operands)
      else {
        broken.insert(name)
        continue
      }
      compiled[index] = column
      order.append(index)
      operands.append(
        Operand(column: ExpressionColumn(name, column.result.type), source: .column(.derived(index))))
    }
    for (index, derived) in service.derived.enumerated() {
      guard let column = compiled[index] else { continue }
      columns.append(
        ServicePlan.Column(
          name: derived.name, type: .scalar(column.result.type), origin: .derived(index)))
    }
    return (compiled.compactMap(\.self), order)
  }

  private func inputsAndFeatures() -> [Operand] {
    var operands = service.inputs.enumerated().map { index, input in
      Operand(column: ExpressionColumn(input.name, input.type), source: .input(index))
    }
    operands.append(Operand(column: ExpressionColumn(Expression.now, .timestamp), source: .now))
    for (view, plan) in views.enumerated() {
      for (feature, column) in plan.features.enumerated() {
        guard case .scalar(let type) = column.type else { continue }
        operands.append(
          Operand(
            column: ExpressionColumn(plan.columnName(feature), type), view: view, feature: feature))
      }
    }
    return operands
  }

  private mutating func derive(
    _ index: Int, _ expression: Expression, _ operands: [Operand]
  ) -> DerivedColumn? {
    let used = Set(expression.columns)
    if let list = lists.first(where: used.contains) {
      report(
        place(index), "'\(list)' is a list, and expressions take single values",
        "use an aggregate that has one value, such as last")
      return nil
    }
    do {
      // Checked against every column, so that suggestions know them all.
      var checker = ProgramBuilder(columns: operands.map(\.column))
      _ = try checker.add(expression)
      // Compiled against what it names, so that evaluating it copies nothing else.
      let named = operands.filter { used.contains($0.column.name) }
      var builder = ProgramBuilder(columns: named.map(\.column))
      let result = try builder.add(expression)
      let sources = named.map { operand in
        operand.source
          ?? .column(.feature(read: read(operand.view, at: place(index)), feature: operand.feature))
      }
      return DerivedColumn(program: builder.build(), result: result, operands: sources)
    } catch {
      report(place(index), offset: error.offset, error.message, error.suggestion)
      return nil
    }
  }

  /// The columns that hold lists.
  private var lists: [String] {
    views.flatMap { view in
      view.features.indices.filter { if case .list = view.features[$0].type { true } else { false } }
        .map(view.columnName)
    }
  }

  private mutating func reportCycle(_ pending: [(index: Int, expression: Expression)]) {
    let names = Set(pending.map { service.derived[$0.index].name })
    for (index, expression) in pending {
      let others = expression.columns.filter(names.contains).joined(separator: "', '")
      report(
        place(index),
        "'\(service.derived[index].name)' is derived from '\(others)', which depends on it in turn",
        "break the cycle")
    }
  }

  private func place(_ index: Int) -> DefinitionPath {
    path.child("derive").child(service.derived[index].name)
  }
}

extension ViewPlan {
  /// What rows that join views call a feature: `<view>__<feature>`.
  public func columnName(_ feature: Int) -> String { "\(name)__\(features[feature].name)" }
}
