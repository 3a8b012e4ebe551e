/// A compiled trigger.
public struct TriggerPlan: Sendable {
  /// What the definitions say.
  public let trigger: Trigger
  /// When it is evaluated, and how often it fires.
  public let clock: TriggerClock
  /// The features that the condition names, as indices of the view's, in ascending order of their names.
  public let features: [Int]

  /// The condition.
  let condition: DerivedFeature
  /// What it needs.
  let reading: Reading
  /// Whether its value may change although no window sees anything else.
  let readsClock: Bool

  /// Its name.
  public var name: String { trigger.name }
}

/// Compiles the triggers of a view against what it computes.
struct TriggerCompiler {
  private let view: View
  private let path: DefinitionPath
  private let outputs: [Output]
  private let derivedOrder: [Int]
  private let zones: [String: TimeZoneRules]
  /// Whether the view's features are all there: what is wrong with them has been said.
  private let isComplete: Bool
  private(set) var mistakes: [Mistake] = []

  init(
    _ view: View, path: DefinitionPath, outputs: [Output], derivedOrder: [Int],
    zones: [String: TimeZoneRules], isComplete: Bool
  ) {
    self.view = view
    self.path = path.child("triggers")
    self.outputs = outputs
    self.derivedOrder = derivedOrder
    self.zones = zones
    self.isComplete = isComplete
  }

  /// The triggers in ascending order of their names, so that the order of the file changes no byte of a state.
  mutating func compile() -> [TriggerPlan] {
    if view.triggers.count > Limits.triggersPerViewMax {
      report(
        path, "the view has more than \(Limits.triggersPerViewMax) triggers", "split it into several views")
    }
    var seen: Set<String> = []
    var plans: [TriggerPlan] = []
    for trigger in view.triggers {
      let place = path.child(trigger.name)
      if let problem = NameRule.problem(trigger.name, allowsDashes: false) {
        report(place, problem.0, problem.1)
      }
      if !seen.insert(trigger.name).inserted {
        report(place, "there are two triggers named '\(trigger.name)'", "rename one")
      }
      checkNumbers(trigger, at: place)
      if isComplete, let plan = compile(trigger, at: place) { plans.append(plan) }
    }
    return plans.sorted { Text($0.name) < Text($1.name) }
  }

  private mutating func report(_ path: DefinitionPath, _ message: String, _ suggestion: String? = nil) {
    mistakes.append(Mistake(path, message, suggestion: suggestion))
  }

  private mutating func checkNumbers(_ trigger: Trigger, at place: DefinitionPath) {
    if !(1...Limits.triggerHopsMax ~= trigger.hops) {
      report(
        place.child("for"), "'for' is \(trigger.hops)",
        "a number of hops in a row, from 1 to \(Limits.triggerHopsMax)")
    }
    if let every = trigger.every, !(Limits.windowMin...Limits.windowMax ~= every) {
      report(place.child("every"), "'every' is \(Duration.text(every))", "use from 10s to 400d")
    }
    if let again = trigger.againAfter, !(1...Limits.windowMax ~= again) {
      report(
        place.child("again_after"), "'again_after' is \(Duration.text(again))",
        "use more than 0s and at most 400d")
    }
  }

  private mutating func compile(_ trigger: Trigger, at place: DefinitionPath) -> TriggerPlan? {
    let when = place.child("when")
    do throws(ExpressionError) {
      let expression = try Expression.parse(trigger.condition)
      let used = Set(expression.columns)
      if let list = outputs.first(where: { used.contains($0.name) && $0.isList }) {
        report(
          when, "'\(list.name)' is a list, and expressions take single values",
          "use an aggregate that has one value, such as last")
        return nil
      }
      var columns = [ExpressionColumn(Expression.now, .timestamp)]
      for output in outputs.sorted(by: { Text($0.name) < Text($1.name) }) {
        if case .scalar(let type) = output.type { columns.append(ExpressionColumn(output.name, type)) }
      }
      // Checked against every column, so that suggestions know them all.
      var checker = ProgramBuilder(columns: columns, zones: zones)
      _ = try checker.add(trigger.condition, expecting: .bool)
      let operands = columns.filter { used.contains($0.name) }
      var builder = ProgramBuilder(columns: operands, zones: zones)
      let result = try builder.add(expression, expecting: .bool)
      let condition = DerivedFeature(
        program: builder.build(), result: result,
        operands: operands.map { operand in
          operand.name == Expression.now
            ? DerivedFeature.now : outputs.firstIndex { $0.name == operand.name } ?? DerivedFeature.now
        })
      return plan(trigger, condition, at: place)
    } catch {
      mistakes.append(Mistake(when, offset: error.offset, error.message, suggestion: error.suggestion))
      return nil
    }
  }

  private mutating func plan(
    _ trigger: Trigger, _ condition: DerivedFeature, at place: DefinitionPath
  ) -> TriggerPlan? {
    let features = condition.operands.filter { $0 != DerivedFeature.now }
    if features.isEmpty {
      report(
        place.child("when"), "the condition names no feature", "compare a feature of the view with something")
      return nil
    }
    if features.count > Limits.triggerFeaturesMax {
      report(
        place.child("when"), "the condition names more than \(Limits.triggerFeaturesMax) features",
        "derive one from several")
      return nil
    }
    let needed = needed(features)
    let reading = Reading(outputs, derivedOrder: derivedOrder) { needed.contains($0) }
    guard let every = trigger.every ?? reading.finestHop else {
      report(
        place, "no window that the condition needs has a hop, so nothing says how often to look",
        "add 'every', such as every: 5m")
      return nil
    }
    let clock = TriggerClock(every: every, hops: trigger.hops, againAfter: trigger.againAfter)
    let readsClock =
      condition.operands.contains(DerivedFeature.now)
      || reading.windows.contains { $0.result == .latestTime || $0.result == .decayed }
      || reading.derived.contains { index in
        guard case .derived(let feature) = outputs[index].origin else { return false }
        return feature.operands.contains(DerivedFeature.now)
      }
    return TriggerPlan(
      trigger: trigger, clock: clock, features: features, condition: condition, reading: reading,
      readsClock: readsClock)
  }

  /// The outputs that some depend on, themselves included.
  private func needed(_ features: [Int]) -> Set<Int> {
    var needed: Set<Int> = []
    var pending = features
    while let index = pending.popLast() {
      guard needed.insert(index).inserted, case .derived(let feature) = outputs[index].origin else {
        continue
      }
      pending += feature.operands.filter { $0 != DerivedFeature.now }
    }
    return needed
  }
}

extension Reading {
  /// The finest hop of the windows that are read; nil if none has one.
  fileprivate var finestHop: Int64? {
    groups.compactMap { group in
      switch group.span {
      case .sliding(_, let hop), .shifted(_, let hop, _): hop
      case .calendar, .all, .session: nil
      }
    }.min()
  }
}
