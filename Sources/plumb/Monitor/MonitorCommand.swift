import ArgumentParser
import DefinitionFiles
import FeatureCore
import ModelMonitor
import OfflineStore
import OnlineStore
import Processor
import Replay
import ServiceConfiguration

struct MonitorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "monitor",
    abstract: "Show how good a model is now, beside its training set, and how far its inputs have drifted.",
    discussion: """
      By version of the model, the latest first, from the states in Redis, evaluated at the later of now (or --at) and the \
      state's own time. The training set's measures and the edges that drift is held against are those of the model's \
      baseline; the difference is that of the last window.

      With --plot the curves over time are drawn, from the snapshot topic, with the triggers that have fired.

      Examples:
        plumb monitor -d features.yaml ranker
        plumb monitor -d features.yaml ranker --by country --json
        plumb monitor -d features.yaml ranker --plot ranker.svg --window 24h
      """)

  @Option(
    name: [.customShort("d"), .long], help: "The definitions file.",
    completion: .file(extensions: ["yaml", "yml"]))
  var definitions: String
  @OptionGroup var service: ServiceOptions
  @Argument(help: "The model.")
  var model: String
  @Option(help: "Also by this field, one of the model's 'monitor: by'.")
  var by: String?
  @Option(help: "The time of the evaluation, in RFC 3339; without it, now.")
  var at: String?
  @Flag(help: "Print one JSON object a line, for each version.")
  var json = false
  @Option(
    help: ArgumentHelp("Instead of a table draw the curves over time into this file.", valueName: "file.svg"))
  var plot: String?
  @Option(help: "With --plot: the window that is drawn. (default: the model's last)")
  var window: String?

  func validate() throws {
    if plot != nil, json || by != nil || at != nil {
      throw ValidationError("--plot draws all there is by version: leave --json, --by and --at out.")
    }
    if window != nil, plot == nil { throw ValidationError("--window goes with --plot.") }
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let shape = ModelShape(try named(plan), plan)
      let settings = try service.settings()
      if let plot { return try draw(plan, shape, settings, into: plot) }
      guard let views = shape.views(by: by, plan) else {
        let known = shape.model.inputs.dropFirst().compactMap { plan.view($0)?.entity.last?.name }
        throw ValidationError(
          "The model '\(model)' has no views by '\(by ?? "")': "
            + (known.isEmpty
              ? "add it to 'monitor: { by: ... }'." : "there are \(known.joined(separator: ", "))."))
      }
      let time = try at.map(EventTime.init(option:)) ?? .now
      let states = try ModelStates(plan, views, try settings.redisOptions(), at: time)
      if states.versions.isEmpty { return StandardError.print("plumb: \(nothing(plan, views.inputs))") }
      for version in states.versions {
        let report = ModelReport(shape, inputs: version.inputs, quality: version.quality)
        if json {
          printLine(report, version, views.inputs, at: time)
        } else {
          print(report, version, views.inputs)
        }
      }
    }
  }

  private func named(_ plan: Plan) throws(ValidationError) -> Model {
    let models = plan.definitions.models
    if let found = models.first(where: { $0.name == model }) { return found }
    if models.isEmpty { throw ValidationError("\(definitions) has no 'models'.") }
    let meant =
      Suggestion.didYouMean(model, among: models.map(\.name))
      ?? "there are \(models.map(\.name).joined(separator: ", "))"
    throw ValidationError("There is no model '\(model)': \(meant)")
  }

  private func draw(
    _ plan: Plan, _ shape: ModelShape, _ settings: ServiceSettings, into path: String
  ) throws {
    let options = settings.kafkaOptions(plan, transactionalID: "\(plan.name).monitor")
    let history = try ModelHistoryFeed(plan, shape, options, report: reportKafka).read(window: drawn(shape))
    if history.isEmpty {
      return StandardError.print(
        "plumb: the topic '\(Routing(plan).snapshotTopic)' has no snapshot of the model '\(model)' yet")
    }
    try WholeFile.write(history.chart.svg, to: path)
  }

  private func drawn(_ shape: ModelShape) throws(ValidationError) -> String {
    guard let window else { return shape.windows.last ?? "" }
    if shape.windows.contains(window) { return window }
    throw ValidationError(
      "The model '\(model)' has no window '\(window)': there are \(shape.windows.joined(separator: ", ")).")
  }

  /// What to look at when there is no state.
  private func nothing(_ plan: Plan, _ view: ViewPlan) -> String {
    "nothing has been folded yet of the model '\(model)': predictions come from the topic "
      + "'\(plan.sources[view.source].source.topic)', by 'plumb run -d \(definitions)'"
  }

  private func print(_ report: ModelReport, _ version: ModelStates.Version, _ view: ViewPlan) {
    let name = zip(view.entity, version.entity).map { column, value in
      "\(column.name == Model.versionField ? "version" : column.name) \(value.plainText)"
    }
    func time(_ stage: ModelReport.Stage?) -> String { stage.map { RFC3339.format($0.asOf) } ?? "none" }
    StandardOutput.print(
      "\(name.joined(separator: ", ")): latest prediction \(time(version.inputs)), latest with its outcome "
        + time(version.quality))
    for line in textTable(report.table) { StandardOutput.print("  \(line.trimmingSpaces)") }
    StandardOutput.print("")
  }

  private func printLine(
    _ report: ModelReport, _ version: ModelStates.Version, _ view: ViewPlan, at time: EventTime
  ) {
    JSONLine.print { line in
      line.add("model", model)
      for (column, value) in zip(view.entity, version.entity) { line.add(column.name, value) }
      line.add("requested_at", .timestamp(time))
      line.add("predictions_as_of", version.inputs.map { .timestamp($0.asOf) } ?? .null)
      line.add("outcomes_as_of", version.quality.map { .timestamp($0.asOf) } ?? .null)
      func add(_ name: String, _ rows: [ModelReport.Row], _ line: inout JSONLine) {
        line.add(name, each: rows) { line, row in
          line.add("name", row.name)
          for (window, value) in zip(report.windows, row.values) {
            line.add(window, value.map { .double($0) } ?? .null)
          }
          if name == "measures" { line.add("training", row.training.map { .double($0) } ?? .null) }
        }
      }
      add("measures", report.measures, &line)
      add("drift", report.drifts, &line)
    }
  }
}

extension String {
  /// Without spaces at its end.
  fileprivate var trimmingSpaces: String {
    String(decoding: utf8.reversed().drop { $0 == UInt8(ascii: " ") }.reversed(), as: UTF8.self)
  }
}
