import ArgumentParser
import FeatureCore

/// The source and the views that a run is about.
struct Selection {
  let source: SourcePlan
  let views: [ViewPlan]

  /// `orAll`: without the name of a source, the views of all of them.
  init(
    _ plan: Plan, source name: String?, views names: [String], orAll: Bool = false
  ) throws(ValidationError) {
    let sourceNames = plan.sources.map(\.source.name)
    if orAll, name == nil {
      let known = plan.views.map(\.name)
      for name in names where !known.contains(name) {
        throw ValidationError(Self.unknown("view", name, known))
      }
      views = names.isEmpty ? plan.views : plan.views.filter { names.contains($0.name) }
      source = plan.sources[views.first?.source ?? 0]
      return
    }
    let index: Int
    if let name {
      guard let found = sourceNames.firstIndex(of: name) else {
        throw ValidationError(Self.unknown("source", name, sourceNames))
      }
      index = found
    } else {
      guard sourceNames.count == 1 else {
        throw ValidationError(
          "There are several sources; choose one with --source: \(sourceNames.joined(separator: ", ")).")
      }
      index = 0
    }
    let candidates = plan.views.filter { $0.source == index }
    for name in names where !candidates.contains(where: { $0.name == name }) {
      throw ValidationError(
        Self.unknown("view", name, of: " of source '\(sourceNames[index])'", candidates.map(\.name)))
    }
    source = plan.sources[index]
    views = names.isEmpty ? candidates : candidates.filter { names.contains($0.name) }
    if views.isEmpty { throw ValidationError("No view is about source '\(sourceNames[index])'.") }
  }

  /// The view, if it is one.
  func onlyView() throws(ValidationError) -> ViewPlan {
    guard views.count == 1 else {
      let names = views.map(\.name).joined(separator: ", ")
      throw ValidationError(
        "Rows of different views have different columns; choose one with --view: \(names).")
    }
    return views[0]
  }

  private static func unknown(
    _ kind: String, _ name: String, of owner: String = "", _ candidates: [String]
  ) -> String {
    let meant = Suggestion.didYouMean(name, among: candidates).map { " (\($0))" } ?? ""
    return "There is no \(kind) '\(name)'\(owner)\(meant). There are: \(candidates.joined(separator: ", "))."
  }
}
