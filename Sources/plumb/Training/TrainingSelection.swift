import ArgumentParser
import FeatureCore
import OfflineStore
import Replay

/// What the rows of a training set are about, and what they are joined with.
struct TrainingSelection {
  let plan: Plan
  /// The views, by the source's index in `view.source`.
  let views: [ViewPlan]
  /// Index of the source that the rows are about; nil if they are about several.
  let source: Int?
  let time: SpineTime
  /// Whose columns rows get; its reads are the views.
  let service: ServicePlan?

  /// `named`: the sources whose events were given by name.
  init(
    _ plan: Plan, source name: String?, named: [Int], views names: [String],
    service serviceName: String? = nil,
    time column: String?
  ) throws(ValidationError) {
    self.plan = plan
    service = try serviceName.map { name throws(ValidationError) in try Self.service(name, plan) }
    let source = try name.map { name throws(ValidationError) in try Self.index(name, plan) }
    for name in names where plan.view(name) == nil {
      throw ValidationError(Self.unknown("view", name, plan.views.map(\.name)))
    }
    let wanted = named.isEmpty ? source.map { [$0] } : named
    let views =
      service.map { $0.reads.map { plan.views[$0.view] } }
      ?? plan.views.filter { view in
        names.isEmpty ? wanted?.contains(view.source) ?? true : names.contains(view.name)
      }
    guard !views.isEmpty else {
      let sources = (wanted ?? []).map { "'\(plan.sources[$0].source.name)'" }.joined(separator: ", ")
      throw ValidationError("No view is about source \(sources).")
    }
    self.views = views
    let sources = plan.sources.indices.filter { index in views.contains { $0.source == index } }
    self.source = source ?? (sources.count == 1 ? sources[0] : nil)
    time = try Self.time(column, plan, self.source.map { [$0] } ?? sources)
  }

  /// The source that the rows are about.
  func theSource(for option: String) throws(ValidationError) -> Int {
    if let source { return source }
    throw ValidationError("\(option) is about one source: name it with --source.")
  }

  /// The rows that flags ask for.
  func rows(_ flags: RowFlags) throws(ValidationError) -> TrainingRows {
    if let spine = flags.spine { return .spine(path: spine) }
    let source = try theSource(for: "--spine-events")
    let entity = (views.first { $0.source == source } ?? views[0]).entity.map(\.name)
    let filter = try plan.sources[source].events(
      where: flags.spineEvents ?? "", key: entity, name: "rows", options: "--spine-events")
    return .events(filter, source: source)
  }

  /// A source's index.
  static func index(_ name: String, _ plan: Plan) throws(ValidationError) -> Int {
    let names = plan.sources.map(\.source.name)
    guard let index = names.firstIndex(of: name) else {
      throw ValidationError(unknown("source", name, names))
    }
    return index
  }

  /// A service.
  static func service(_ name: String, _ plan: Plan) throws(ValidationError) -> ServicePlan {
    if let service = plan.service(name) { return service }
    throw ValidationError(unknown("service", name, plan.services.map(\.name)))
  }

  private static func unknown(_ kind: String, _ name: String, _ candidates: [String]) -> String {
    let meant = Suggestion.didYouMean(name, among: candidates).map { " (\($0))" } ?? ""
    return "There is no \(kind) '\(name)'\(meant). There are: \(candidates.joined(separator: ", "))."
  }

  /// The column of the rows' time: named, or named like the sources' event time.
  private static func time(
    _ column: String?, _ plan: Plan, _ sources: [Int]
  ) throws(ValidationError) -> SpineTime {
    let times = sources.map { plan.sources[$0].source.timestamp }
    let names = sources.map { plan.sources[$0].source.name }.joined(separator: ", ")
    guard column != nil || times.allSatisfy({ $0.field == times[0].field }) else {
      throw ValidationError(
        "The sources (\(names)) name their times differently: name the spine's column with --spine-time.")
    }
    guard times.allSatisfy({ $0.unit == times[0].unit && $0.zone == times[0].zone }) else {
      throw ValidationError(
        "The sources (\(names)) write times in different units: say with --source whose unit the spine has.")
    }
    return SpineTime(column ?? times[0].field, like: plan.sources[sources[0]])
  }
}

extension SourcePlan {
  /// As `events(where:key:name:)`; `options` are where a mistake is.
  func events(
    where expression: String, key: [String], name: String, options: String
  ) throws(ValidationError) -> ViewPlan {
    do throws(DefinitionMistakes) {
      return try events(where: expression, key: key, name: name)
    } catch {
      let reasons = error.mistakes.map { "\($0.message)\($0.suggestion.map { " (\($0))" } ?? "")" }
      throw ValidationError("\(options): \(reasons.joined(separator: "; ")).")
    }
  }
}
