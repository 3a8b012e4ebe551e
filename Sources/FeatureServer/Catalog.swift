import FeatureCore
import Processor
import Synchronization

/// Everything that can be asked for of one version of the definitions.
final class Catalog: Sendable {
  /// Where a view's states are.
  struct Place: Sendable {
    /// The input whose tasks hold them.
    var input: String
    var topic: String
    /// The inputs that the events pass before they come there; their lag adds up.
    var upstream: [String]
  }

  let plan: Plan
  let places: [Place]
  /// Lists of features that were asked for by name, compiled.
  private let lists = Mutex<[[String]: ServicePlan]>([:])

  /// Lists that are kept compiled: clients ask for the same few.
  private static let listsMax = 1_000
  /// The longest list that is kept.
  private static let listLengthMax = 1_000

  init(_ plan: Plan) {
    self.plan = plan
    let routing = Routing(plan)
    places = plan.views.map { view in
      let name = routing.input(of: view, plan)
      guard let input = routing.inputs.first(where: { $0.name == name }) else {
        preconditionFailure("Cannot find the input \(name)")
      }
      let source = plan.sources[view.source].source.name
      return Place(input: name, topic: input.topic, upstream: input.isRepartitioned ? [source] : [])
    }
  }

  func service(_ name: String) throws(Problem) -> ServicePlan {
    if let service = plan.service(name) { return service }
    let names = plan.services.map(\.name)
    let meant =
      Suggestion.didYouMean(name, among: names)
      ?? (names.isEmpty ? "the definitions declare none" : "there are \(names.joined(separator: ", "))")
    throw Problem(.unknownService, "there is no service '\(name)'; \(meant)")
  }

  /// Features by name, as `view:feature`.
  func features(_ references: [String]) throws(Problem) -> ServicePlan {
    if let known = lists.withLock({ $0[references] }) { return known }
    for reference in references { try check(reference) }
    let list = references.map { $0.replacing(":", with: ".", maxReplacements: 1) }
    let service: ServicePlan
    do throws(DefinitionMistakes) {
      service = try plan.service(of: list)
    } catch {
      throw Problem(.badRequest, error.mistakes.map(\.message).joined(separator: "; "))
    }
    // Longer ones are compiled each time, so that nobody fills the memory with them.
    guard references.count <= Self.listLengthMax else { return service }
    lists.withLock { lists in
      if lists.count >= Self.listsMax { lists.removeAll() }
      lists[references] = service
    }
    return service
  }

  private func check(_ reference: String) throws(Problem) {
    let parts = reference.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw Problem(.unknownFeature, "'\(reference)' is no feature; write view:feature")
    }
    guard let view = plan.view(String(parts[0])) else {
      let meant = Suggestion.didYouMean(String(parts[0]), among: plan.views.map(\.name))
      throw Problem(
        .unknownView, "there is no view '\(parts[0])'" + (meant.map { "; \($0)" } ?? ""))
    }
    guard parts[1] == "*" || view.features.contains(where: { $0.name == parts[1] }) else {
      let meant = Suggestion.didYouMean(String(parts[1]), among: view.features.map(\.name))
      throw Problem(
        .unknownFeature,
        "view '\(parts[0])' has no feature '\(parts[1])'" + (meant.map { "; \($0)" } ?? ""))
    }
  }
}
