import ArgumentParser
import DefinitionFiles
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
      try TriggerReplay(plan, selection)
        .run(command.events, of: selection.source, out: command.out ?? "-", letters: letters)
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
      StandardError.print(
        try TriggerReplay(plan, selection).run(
          topics.environment(plan), from: topics.from ?? .beginning, until: topics.until ?? .end,
          out: command.out ?? "-"))
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
