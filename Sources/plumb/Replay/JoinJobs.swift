import ArgumentParser
import FeatureCore
import Replay

/// `plumb replay --join`: event files of a join's sides into what the join makes of them.
struct RecordsOfJoin: ReplayJob {
  private let command: ReplayCommand
  private let name: String
  private let out: String

  init(_ command: ReplayCommand) throws {
    guard let name = command.join else { preconditionFailure("Cannot join without a join") }
    guard let out = command.out, !command.events.isEmpty else {
      throw ValidationError("Give --events SOURCE=FILE... for each of the join's sources, and --out FILE.")
    }
    if command.featuresAt != nil || command.spine != nil || command.spineTime != nil || command.triggers
      || command.format != nil || command.source != nil || !command.view.isEmpty
    {
      throw ValidationError(
        "--join writes what a join makes, as NDJSON, and nothing else: fold that as --events of the source that the join is."
      )
    }
    try command.topics.refuse()
    try command.refuseClash(
      inputs: EventArguments.paths(command.events), outputs: [out, command.deadLetters])
    self.command = command
    self.name = name
    self.out = out
  }

  func run() throws {
    try command.overFiles { plan, letters in
      let join = try index(plan)
      let arguments = try EventArguments(command.events, plan, source: nil)
      try check(arguments, plan, plan.joins[join])
      var output = try LineOutput(path: out)
      let counts = try JoinedFiles(plan, join: join, progress: Progress.init).run(arguments.files, letters) {
        output.buffer += $0
        output.buffer.append(UInt8(ascii: "\n"))
        guard try output.flush(unless: { $0 < LineOutput.bufferBytes }) else { throw ExitCode.success }
      }
      try letters.finish()
      guard try output.flush(unless: { _ in false }) else { throw ExitCode.success }
      let waiting =
        counts.waiting == 0
        ? "" : ", \(counted(counts.waiting, "event")) not due where the files end"
      return
        "\(counted(counts.events, "event")), \(counted(counts.records, "record"))\(waiting); \(letters.summary)"
    }
  }

  private func index(_ plan: Plan) throws(ValidationError) -> Int {
    if let index = plan.joins.firstIndex(where: { $0.name == name }) { return index }
    let names = plan.joins.map(\.name)
    guard !names.isEmpty else { throw ValidationError("\(command.definitions) has no 'joins'.") }
    let meant = Suggestion.didYouMean(name, among: names).map { " (\($0))" } ?? ""
    throw ValidationError("There is no join '\(name)'\(meant). There are: \(names.joined(separator: ", ")).")
  }

  /// Each side has files, and no other source.
  private func check(_ arguments: EventArguments, _ plan: Plan, _ join: JoinPlan) throws(ValidationError) {
    let needed = JoinPlan.Side.allCases.map { join.source(of: $0) }
    for source in needed where !arguments.files.contains(where: { $0.source == source }) {
      let missing = plan.sources[source].source.name
      throw ValidationError("The join '\(name)' is of '\(missing)' too: give --events \(missing)=FILE.")
    }
    for file in arguments.files where !needed.contains(file.source) {
      throw ValidationError(
        "'\(plan.sources[file.source].source.name)' is no side of the join '\(name)': leave its files out.")
    }
  }
}
