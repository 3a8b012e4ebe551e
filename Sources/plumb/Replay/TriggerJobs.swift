import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore
import Replay

/// `plumb replay --triggers --events`: the triggers that would have fired over event files.
struct TriggersOfFiles: ReplayJob {
  private let command: ReplayCommand

  init(_ command: ReplayCommand) throws {
    try command.checkTriggers()
    try command.topics.refuse()
    try command.refuseClash(inputs: command.events, outputs: [command.out, command.deadLetters])
    self.command = command
  }

  func run() throws {
    try command.overFiles { plan, selection, letters in
      let views = try selection.viewsWithTriggers()
      let files = TriggerFiles(plan, selection.source, views, progress: Progress.init)
      // Before a file is made anew.
      try selection.source.requireLines()
      let lines = try TriggerLines(command.out ?? "-")
      let events = try files.run(command.events, letters, onDue: lines.add, afterSome: lines.flush)
      return "\(counted(events, "event")), \(lines.summary); \(letters.summary)"
    }
  }
}

/// `plumb replay --triggers`: the triggers that would have fired over the topics.
struct TriggersOfTopics: ReplayJob {
  private let command: ReplayCommand

  init(_ command: ReplayCommand) throws {
    try command.checkTriggers()
    if command.deadLetters != nil {
      throw ValidationError("--dead-letters goes with --events: the topics' are in the dead-letter topic.")
    }
    try command.refuseClash(outputs: [command.out])
    self.command = command
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: command.definitions)
      let selection = try Selection(plan, source: command.source, views: command.view, orAll: true)
      let topics = command.topics
      let views = try selection.viewsWithTriggers()
      let environment = try topics.environment(plan)
      let lines = try TriggerLines(command.out ?? "-")
      let records = try TriggerRange(plan, views, environment).run(
        from: topics.from ?? .beginning, until: topics.until ?? .end, onDue: lines.add, afterSome: lines.flush
      )
      StandardError.print("\(counted(records, "record")), \(lines.summary)")
    }
  }
}

extension ReplayCommand {
  fileprivate func checkTriggers() throws(ValidationError) {
    if topics.into != nil || featuresAt != nil || spine != nil || spineTime != nil || format != nil {
      throw ValidationError(
        "--triggers writes triggers alone: leave --into, --features-at, --spine and --format out.")
    }
  }
}

extension Selection {
  /// The views that may fire, of which there is one.
  fileprivate func viewsWithTriggers() throws(ValidationError) -> [ViewPlan] {
    let found = views.filter { !$0.triggers.isEmpty }
    if !found.isEmpty { return found }
    let names = views.map(\.name).joined(separator: ", ")
    throw ValidationError("No trigger is declared in \(names): add 'triggers' to a view.")
  }
}

/// Records of triggers as lines of a file.
private final class TriggerLines {
  private var output: LineOutput
  private var count = 0

  init(_ path: String) throws(TableError) {
    let output = try LineOutput(path: path)
    self.output = output
  }

  func add(_ value: UnsafeRawBufferPointer) {
    output.buffer += value
    output.buffer.append(UInt8(ascii: "\n"))
    count += 1
  }

  func flush() throws {
    guard try output.flush(unless: { _ in false }) else { throw ExitCode.success }
  }

  var summary: String { counted(count, "trigger fired", "triggers fired") }
}
