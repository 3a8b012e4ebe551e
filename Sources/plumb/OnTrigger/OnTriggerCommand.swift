import ArgumentParser
import DefinitionFiles
import FeatureCore
import Processor
import ServiceConfiguration

struct OnTriggerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "on-trigger",
    abstract: "Run a command for each trigger that fires, one at a time.",
    discussion: """
      The trigger's record is the command's standard input, as JSON, and its id is PLUMB_TRIGGER_ID. Begin and end, exit status and the last \
      line that the command printed go to the topic of trainings. A command that fails is run again, after a pause. When it was \
      interrupted, by a crash too, its trigger comes again under the same id, so that the command can tell; none is lost.

      SIGTERM or SIGINT ends the command first.

      Examples:
        plumb on-trigger -d shop.yaml -- ./retrain.sh
        plumb on-trigger -d shop.yaml --view quality --timeout 2h --retries 1 -- python train.py --full
      """)

  @Option(
    name: [.customShort("d"), .long], help: "The definitions file.",
    completion: .file(extensions: ["yaml", "yml"]))
  var definitions: String
  @OptionGroup var log: LogOptions
  @Option(help: "Only triggers of this view; may be repeated. Others can have a process of their own.")
  var view: [String] = []
  @Option(help: "Only triggers of this name; may be repeated.")
  var trigger: [String] = []
  @Option(
    help: ArgumentHelp(
      "Where to begin the first time: beginning, or end for what fires from now on.", valueName: "place"))
  var from: Start = .beginning
  @Option(
    help: "How long the command may take, such as 30m; then it is ended, and has failed. (default: any time)")
  var timeout: TimeSpan?
  @Option(help: "How often a command that has failed is run again.")
  var retries = 3
  @Option(help: "The pause before it is run again, such as 10s, doubled each time. (default: 1s)")
  var backoff: TimeSpan?
  @Option(help: "Names this process among those that run. (default: the host's name)")
  var instance: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
  var logLevel: String?
  @Option(help: "text or json. (default: text)")
  var logFormat: String?
  @Argument(parsing: .postTerminator, help: "The command and its arguments, behind --.")
  var command: [String] = []

  /// Where a group begins that has no offsets yet.
  enum Start: String, ExpressibleByArgument, CaseIterable { case beginning, end }

  func validate() throws {
    if command.isEmpty { throw ValidationError("Say which command is to be run: -- COMMAND.") }
    if !(0...100 ~= retries) { throw ValidationError("--retries is \(retries); use 0 to 100.") }
    if let timeout, timeout.microseconds <= 0 {
      throw ValidationError("--timeout is 0s; leave it out for any time.")
    }
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      try check(plan)
      var settings = try log.settings()
      let own = [("instance", instance), ("log_level", logLevel), ("log_format", logFormat)]
      try settings.apply(flags: own.compactMap { name, text in text.map { (name: name, text: $0) } })
      var limits = FollowerLimits()
      limits.timeoutMilliseconds = timeout.map { max(1, $0.microseconds / 1_000) }
      limits.attemptsMax = 1 + retries
      if let backoff { limits.backoffMilliseconds = backoff.microseconds / 1_000 }
      let service = FollowerService(
        plan, settings, command, views: view, triggers: trigger, startsAtEnd: from == .end, limits)
      try service.run()
    }
  }

  private func check(_ plan: Plan) throws {
    let watched = plan.views.filter { !$0.triggers.isEmpty }
    if watched.isEmpty {
      throw ValidationError("No view of \(definitions) has 'triggers', so nothing can fire.")
    }
    for name in view where !watched.contains(where: { $0.name == name }) {
      let meant = Suggestion.didYouMean(name, among: watched.map(\.name)).map { " (\($0))" } ?? ""
      throw ValidationError("There is no view '\(name)' with triggers\(meant).")
    }
    let names = watched.filter { view.isEmpty || view.contains($0.name) }.flatMap(\.triggers).map(\.name)
    for name in trigger where !names.contains(name) {
      let meant = Suggestion.didYouMean(name, among: names).map { " (\($0))" } ?? ""
      throw ValidationError("There is no trigger '\(name)'\(meant).")
    }
  }
}
