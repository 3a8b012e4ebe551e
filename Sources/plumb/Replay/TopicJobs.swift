import ArgumentParser
import DefinitionFiles
import Processor
import Replay

/// `plumb replay --into redis`: what the stopped service has committed, once more.
struct StatesIntoStore: ReplayJob {
  private let command: ReplayCommand

  init(_ command: ReplayCommand) throws {
    let hasFiles = !command.events.isEmpty || command.spine != nil || command.spineTime != nil
    let hasTable = command.featuresAt != nil || command.out != nil || command.format != nil
    let isChosen = command.source != nil || !command.view.isEmpty
    if hasFiles || hasTable || isChosen || command.deadLetters != nil {
      throw ValidationError(
        "--into redis folds every view of the topics: it goes with -d, --from, --until, --archive and "
          + "--from-snapshots.")
    }
    self.command = command
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: command.definitions)
      let topics = command.topics
      let replay = StoreReplay(plan, try topics.environment(plan), try topics.settings().redisOptions())
      StandardError.print(try topics.fromSnapshots ? restore(replay) : fold(replay))
    }
  }

  private func restore(_ replay: StoreReplay) throws -> String {
    let (survey, restored, tasks) = try replay.restore()
    return "\(counted(restored, "snapshot")) restored into \(counted(tasks, "task"))\(survey.leftOutText)"
  }

  private func fold(_ replay: StoreReplay) throws -> String {
    let (folded, isAtOffsets) = try replay.fold(
      fromBeginning: command.topics.from == .beginning, until: command.topics.until ?? .offsets)
    let place =
      isAtOffsets ? "at the service's offsets" : "behind the service's offsets, as was asked for"
    return "\(folded.summary); Redis is \(place)"
  }
}

/// `plumb replay --into features|snapshots`: a range of a view's topic into a table.
struct TableOfTopics: ReplayJob {
  private let command: ReplayCommand
  private let out: String

  init(_ command: ReplayCommand) throws {
    if !command.events.isEmpty || command.spine != nil || command.spineTime != nil
      || command.deadLetters != nil
    {
      throw ValidationError("--into folds the topics: leave --events, --spine and --dead-letters out.")
    }
    if command.topics.into == .snapshots && command.featuresAt != nil {
      throw ValidationError("--features-at goes with --into features: snapshots are of their event's time.")
    }
    guard let out = command.out else { throw ValidationError("Give --out FILE.") }
    try command.refuseClash(outputs: [out])
    self.out = out
    self.command = command
  }

  func run() throws {
    let (topics, format) = (command.topics, try command.tableFormat(out))
    try reportingService {
      let plan = try DefinitionFile.compile(path: command.definitions)
      let selection = try Selection(plan, source: command.source, views: command.view)
      let view = try selection.onlyView()
      let rows =
        try topics.into == .features
        ? TableReplay.Rows.features(at: selection.source.time(command.featuresAt ?? "end")) : .snapshots
      let (folded, count) = try TableReplay(plan, view, topics.environment(plan)).run(
        rows, from: topics.from ?? .beginning, until: topics.until ?? .end, out: out, format: format)
      let unusable = folded.counts.unusable
      let ofNoUse = unusable > 0 ? ", \(unusable) of them of no use" : ""
      StandardError.print("\(folded.summary)\(ofNoUse); \(counted(count, "row"))")
    }
  }
}
