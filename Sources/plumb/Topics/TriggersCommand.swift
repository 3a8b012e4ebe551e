import ArgumentParser
import DefinitionFiles
import FeatureCore
import Processor

struct TriggersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "triggers", abstract: "Look at the triggers that have fired.", subcommands: [Tail.self])

  struct Tail: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the triggers that have fired, one JSON object a line.",
      discussion: """
        Examples:
          plumb triggers tail -d shop.yaml --from end --follow
          plumb triggers tail -d shop.yaml --view quality --trigger worse --limit 10
        """)

    @OptionGroup var options: TailOptions
    @Option(help: "Only triggers of this name.")
    var trigger: String?

    func run() throws {
      try reportingService {
        let plan = try DefinitionFile.compile(path: options.definitions)
        let view = try options.chosenView(plan)
        try check(plan, view)
        let reader = TriggerReader()
        try options.print(Routing(plan).triggerTopic, plan) { record, line in
          let value = record.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
          guard let found = reader.read(value) else {
            line.add("problem", "\(value.count) bytes that are no record of a trigger")
            return true
          }
          if let view, found.view != view.name { return false }
          if let trigger, found.trigger != trigger { return false }
          line.add(membersOf: value)
          return true
        }
      }
    }

    private func check(_ plan: Plan, _ view: ViewPlan?) throws {
      let names = plan.views.flatMap(\.triggers).map(\.name)
      if names.isEmpty {
        throw ValidationError("No view of \(options.definitions) has 'triggers', so nothing can have fired.")
      }
      guard let trigger, !names.contains(trigger) else { return }
      let meant = Suggestion.didYouMean(trigger, among: names).map { " (\($0))" } ?? ""
      throw ValidationError("There is no trigger '\(trigger)'\(meant).")
    }
  }
}
