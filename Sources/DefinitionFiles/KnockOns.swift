import FeatureCore

/// Tells which of the compiler's mistakes only follow from something that could not be read.
struct KnockOns {
  private let locator: Locator
  private let definitions: Definitions
  private var broken: Set<DefinitionPath>
  private var parentsOfBroken: Set<DefinitionPath>

  init(_ shape: ShapeReader, _ definitions: Definitions, _ locator: Locator) {
    self.locator = locator
    self.definitions = definitions
    broken = Set(shape.findings.map(\.path) + shape.alsoBroken)
    parentsOfBroken = Set(broken.map(\.parent))
  }

  /// The mistakes that stand on their own.
  mutating func removed(from mistakes: [Mistake]) -> [Mistake] {
    guard !broken.isEmpty else { return mistakes }
    var remaining = mistakes
    // A derived feature that is wrong for lack of another takes those that name it with it.
    while true {
      let kept = remaining.filter { !isKnockOn($0) }
      let dropped = Set(remaining).subtracting(kept)
      if dropped.isEmpty { return kept }
      for mistake in dropped { markBroken(mistake.path) }
      remaining = kept
    }
  }

  private mutating func markBroken(_ path: DefinitionPath) {
    broken.insert(path)
    parentsOfBroken.insert(path.parent)
  }

  private func isKnockOn(_ mistake: Mistake) -> Bool {
    let names = mistake.path.names
    let isInside = (1...max(names.count, 1)).contains { count in
      broken.contains(DefinitionPath(Array(names.prefix(count))))
    }
    if isInside || parentsOfBroken.contains(mistake.path) { return true }
    if isOfBrokenModel(mistake) { return true }
    switch names.first {
    case "sources" where names.count > 1:
      return locator.subject(of: mistake).map { isFieldBroken($0, of: names[1]) } ?? false
    case "views" where names.count > 1: return isKnockOn(mistake, inView: names[1])
    // A service may be about what could not be read.
    case "services": return broken.contains { ["sources", "views", "models"].contains($0.names.first) }
    // A field of either side may be what could not be read.
    case "joins" where names.count > 1:
      return declaredSources(behind: names[1]).contains { source in
        broken.contains { $0.names.starts(with: ["sources", source]) }
      }
    default: return false
    }
  }

  /// Whether a mistake is that something is missing which a model would have made.
  private func isOfBrokenModel(_ mistake: Mistake) -> Bool {
    let models = broken.compactMap { $0.names.first == "models" ? $0.names.dropFirst().first ?? "" : nil }
    guard !models.isEmpty else { return false }
    if ["sources", "views"].contains(mistake.path.names.first), mistake.path.names.count == 1 { return true }
    guard ["source", "left", "right", "table"].contains(mistake.path.names.last) else { return false }
    // Of a side with a filter, the subject is not its source.
    guard let subject = locator.subject(of: mistake) else { return true }
    return models.contains { $0.isEmpty || subject.hasPrefix("\($0)_") }
  }

  /// The sources that a join is made of, through other joins.
  private func declaredSources(behind name: String) -> Set<String> {
    var found: Set<String> = []
    var seen: Set<String> = []
    var pending = [name]
    while let next = pending.popLast() {
      guard seen.insert(next).inserted else { continue }
      if let join = definitions.joins.first(where: { $0.name == next }) {
        pending += [join.left.source, join.right.source]
      } else {
        found.insert(next)
      }
    }
    return found
  }

  private func isKnockOn(_ mistake: Mistake, inView view: String) -> Bool {
    let source = definitions.views.first { $0.name == view }?.source ?? ""
    if definitions.joins.contains(where: { $0.name == source }),
      mistake.offset != nil || mistake.path.names.contains("entity")
    {
      return declaredSources(behind: source).contains { source in
        broken.contains { $0.names.starts(with: ["sources", source]) }
      }
    }
    if isBroken(["sources"]) || isBroken(["sources", source]) || isBroken(["sources", source, "fields"]) {
      // Nothing is known about the events: whatever names a field of theirs may be right.
      if mistake.offset != nil || mistake.path.names.contains("entity") { return true }
      if mistake.path.names.last == "source" { return true }
    }
    guard let subject = locator.subject(of: mistake) else { return false }
    if isFieldBroken(subject, of: source) { return true }
    guard mistake.path.names.last == "derive" else { return false }
    return isBroken(["views", view, "features"]) || isFeatureBroken(subject, of: view)
  }

  private func isBroken(_ names: [String]) -> Bool { broken.contains(DefinitionPath(names)) }

  private func isFieldBroken(_ name: String, of source: String) -> Bool {
    let path = DefinitionPath(["sources", source, "fields", name])
    return broken.contains(path) || parentsOfBroken.contains(path)
  }

  /// Whether a name may be one that a broken feature would have had: its own, or with a window behind it.
  private func isFeatureBroken(_ name: String, of view: String) -> Bool {
    let features = ["views", view, "features"]
    return broken.contains { path in
      guard path.names.count > features.count, path.names.starts(with: features) else { return false }
      let feature = path.names[features.count]
      return name == feature || name.hasPrefix("\(feature)_")
    }
  }
}

extension DefinitionPath {
  /// The path of what this is in; the root is in itself.
  fileprivate var parent: DefinitionPath { DefinitionPath(names.dropLast()) }
}
