import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Report every mistake in a definitions file, or what it will compute.",
    discussion: """
      Examples:
        plumb check -d features.yaml
        plumb check -d features.yaml && git commit features.yaml
        plumb check -d features.yaml --json | jq .mistakes
      """)

  @Option(
    name: [.customShort("d"), .long], help: "The definitions file.",
    completion: .file(extensions: ["yaml", "yml"]))
  var definitions: String
  @Flag(help: "Print one JSON object, with the mistakes if there are any.")
  var json = false

  func run() throws {
    if json { return try printJSON() }
    try reporting {
      let (file, plan) = try DefinitionFile.compiled(path: definitions)
      print("\(plan.name), version \(plan.version), fingerprint \(fingerprintText(plan.fingerprint))")
      for join in plan.joins { describe(join, plan) }
      for view in plan.views { describe(view, plan) }
      for service in plan.services { describe(service, plan) }
      for model in plan.definitions.models { describe(model) }
      if let expansion = file.expansion {
        print(
          "\n# What 'models' stands for. Written out in the file instead, it has the same fingerprint.\n\(expansion)",
          terminator: "")
      }
    }
  }

  private func printJSON() throws {
    do throws(DefinitionFileError) {
      let (file, plan) = try DefinitionFile.compiled(path: definitions)
      JSONLine.print { line in
        line.add("name", plan.name)
        line.add("version", plan.version)
        line.add("fingerprint", fingerprintText(plan.fingerprint))
        line.add("joins", each: plan.joins) { line, join in
          line.add("name", join.name)
          line.add("fingerprint", fingerprintText(join.fingerprint))
          line.add("topic", plan.sources[join.source].source.topic)
        }
        line.add("views", each: plan.views) { $0.add($1, plan) }
        line.add("models", each: plan.definitions.models) { line, model in
          line.add("name", model.name)
          line.add("predictions", model.predictions)
          line.add("outcomes", model.outcomes.map { .string(Text($0)) } ?? .null)
          line.add("views", texts: model.inputs + model.quality)
        }
        line.add("expansion", file.expansion.map { .string(Text($0)) } ?? .null)
        line.add("mistakes", each: [DefinitionFileError.Problem]()) { _, _ in }
      }
    } catch {
      JSONLine.print { line in
        line.add("mistakes", each: error.problems) { line, problem in
          line.add("file", error.file)
          line.add("line", problem.line)
          line.add("column", problem.column)
          line.add("message", problem.message)
          line.add("suggestion", problem.suggestion.map { .string(Text($0)) } ?? .null)
        }
      }
      throw Outcome.mistakes
    }
  }

  private func describe(_ view: ViewPlan, _ plan: Plan) {
    let source = plan.sources[view.source].source
    let size = view.sizeBound
    print("")
    print("view \(view.name), fingerprint \(fingerprintText(view.fingerprint))")
    print("  source   \(source.name) (topic \(source.topic))")
    if let rule = source.duplicates {
      print(
        "           an event counts once: its '\(rule.by)' is known for \(Duration.text(rule.within)), in about "
          + "\(byteText(IDWindow.bytesPerID)) an id, and each partition knows at most the last \(Limits.duplicateIDsMax) records'; "
          + "keep the topic for longer than that")
    }
    print("  entity   \(view.entity.map(\.name).joined(separator: ", ")): \(keying(view, source))")
    print(
      "  state    up to \(byteText(size.bytes)) an entity: \(size.tiles) tiles in \(size.levels) levels; an entity "
        + "with one event has about \(byteText(size.bytesOfOneEvent))")
    if size.bytes > Limits.stateBytesMax {
      print(
        "           more than the \(byteText(Limits.stateBytesMax)) that one may have: events that an entity has no room for go to "
          + "the dead letters (state_too_large)")
    }
    if let column = view.columnThatPreventsExport {
      print("  export   not possible: every export has a column '\(column)' of its own; rename this one")
    }
    var rows = [["feature", "type", "windows", "computation"]]
    rows += view.summaries.map {
      [$0.name, $0.type.description, $0.windows.joined(separator: " "), $0.computation]
    }
    for line in textTable(rows) { print("  \(line)") }
    if view.triggers.isEmpty { return }
    print("")
    let triggers = view.triggers.map { [$0.name, $0.clock.text, $0.trigger.condition] }
    for line in textTable([["trigger", "fires", "when"]] + triggers) { print("  \(line)") }
  }

  private func describe(_ join: JoinPlan, _ plan: Plan) {
    let source = plan.sources[join.source]
    func side(_ side: Join.Side) -> String { side.source + (side.filter.map { " where \($0)" } ?? "") }
    print("")
    print("join \(join.name), fingerprint \(fingerprintText(join.fingerprint))")
    print("  left     \(side(join.join.left))")
    switch join.join.kind {
    case .table: print("  table    \(side(join.join.right)), its row at the event's turn")
    case .outcome(let within, let wait, let lateness):
      print("  right    \(side(join.join.right)), the first within \(Duration.text(within))")
      print(
        "  due      when both streams have come \(Duration.text(within)) and \(Duration.text(wait)) past the left event; "
          + (lateness > 0 ? "corrected for \(Duration.text(lateness)) more" : "never corrected"))
    }
    print("  on       \(join.left.entity.map(\.name).joined(separator: ", "))")
    print("  topic    \(source.source.topic)")
    for line in textTable(
      [["column", "type"]] + source.schema.columns.map { [$0.name, $0.type.rawValue] })
    { print("  \(line)") }
  }

  private func describe(_ model: Model) {
    print("")
    print("model \(model.name)")
    print("  predicts \(model.predictsNumbers ? "a number" : "whether something happens")")
    if let service = model.service { print("  service  \(service)") }
    print("  source   \(model.predictions)")
    if let outcomes = model.outcomes { print("  join     \(outcomes)") }
    print("  views    \((model.inputs + model.quality).joined(separator: ", "))")
  }

  private func describe(_ service: ServicePlan, _ plan: Plan) {
    let reads = service.reads.map { plan.views[$0.view].name }
    print("")
    print("service \(service.name)")
    print("  entity   \(service.entity.map { "\($0.name) \($0.type)" }.joined(separator: ", "))")
    print("  views    \(reads.joined(separator: ", "))")
    let inputs = service.service.inputs.map { "\($0.name) \($0.type.rawValue)" }
    if !inputs.isEmpty { print("  inputs   \(inputs.joined(separator: ", "))") }
    for line in textTable([["column", "type"]] + service.columns.map { [$0.name, $0.type.description] }) {
      print("  \(line)")
    }
  }

  private func keying(_ view: ViewPlan, _ source: Source) -> String {
    source.isRepartitioned(by: view.entity.map(\.name))
      ? "repartitioned by it, since the source is not keyed by it"
      : "folded straight from the source, whose key it is"
  }
}

extension JSONLine {
  /// A view, as `check` describes it.
  fileprivate mutating func add(_ view: ViewPlan, _ plan: Plan) {
    let source = plan.sources[view.source].source
    let entity = view.entity.map(\.name)
    add("name", view.name)
    add("fingerprint", fingerprintText(view.fingerprint))
    add("source", source.name)
    add("topic", source.topic)
    add("entity", texts: entity)
    add("repartitioned", .bool(source.isRepartitioned(by: entity)))
    add("state_bytes_max", view.sizeBound.bytes)
    add("state_bytes_of_one_event", view.sizeBound.bytesOfOneEvent)
    add("features", each: view.features) { line, feature in
      line.add("name", feature.name)
      line.add("type", feature.type.description)
    }
    add("triggers", each: view.triggers) { line, trigger in
      line.add("name", trigger.name)
      line.add("when", trigger.trigger.condition)
      line.add("for", trigger.clock.hops)
      line.add("every", Duration.text(trigger.clock.every))
      line.add("again_after", trigger.clock.againAfter.map { .string(Text(Duration.text($0))) } ?? .null)
    }
  }
}

extension TriggerClock {
  /// In words.
  fileprivate var text: String {
    let again = againAfter.map { "again after \(Duration.text($0))" } ?? "once an entity"
    return "every \(Duration.text(every)), \(hops) in a row, \(again)"
  }
}

/// Rows as aligned columns, two spaces apart.
func textTable(_ rows: [[String]]) -> [String] {
  guard let first = rows.first else { return [] }
  let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    var line = ""
    for (column, cell) in row.enumerated() {
      line += cell
      if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
    }
    return line
  }
}

/// A count of bytes for people.
func byteText(_ bytes: Int) -> String {
  let units = ["B", "KiB", "MiB", "GiB", "TiB"]
  var value = Double(bytes)
  var unit = 0
  while value >= 1024, unit < units.count - 1 {
    value /= 1024
    unit += 1
  }
  if unit == 0 { return "\(bytes) B" }
  let tenths = (value * 10).rounded() / 10
  return tenths >= 10 ? "\(Int(tenths.rounded())) \(units[unit])" : "\(tenths) \(units[unit])"
}
