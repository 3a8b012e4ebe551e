import ArgumentParser
import FeatureCore

@main
struct Plumb: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plumb",
    abstract: "Features from event logs, the same for serving and for training.",
    discussion: """
      Exit status: 0 done, 1 failed, 2 the definitions or another input have mistakes, 3 done, but some records \
      could not be used and there is no --dead-letters file that keeps them, 64 wrong usage. A file that there is \
      not, or that can't be read or written, is a failure.
      """,
    version: "0.1.0",
    subcommands: [
      CheckCommand.self, GenerateCommand.self, ReplayCommand.self, RunCommand.self, ServeCommand.self,
      GetCommand.self,
      WatchCommand.self, VerifyCommand.self,
      SnapshotsCommand.self, DeadLettersCommand.self, TriggersCommand.self, ExportCommand.self,
      ArchiveCommand.self, TrainingSetCommand.self, BaselineCommand.self, TopicsCommand.self,
      CaptureCommand.self, BrokerCommand.self,
      SimulateCommand.self, DiffCommand.self, PromoteCommand.self, RetireCommand.self,
      FeastCommand.self, OffsetsCommand.self, OnTriggerCommand.self, MonitorCommand.self,
    ])

  static func main() async {
    do {
      do {
        try checkCommand(CommandLine.arguments.dropFirst().first)
        var command = try parseAsRoot()
        if var command = command as? any AsyncParsableCommand {
          try await command.run()
        } else {
          try command.run()
        }
      } catch  where exitCode(for: error).isSuccess {
        // Help and the like: the parser would not look whether it could be written.
        let text = fullMessage(for: error)
        if !text.isEmpty { StandardOutput.print(text) }
      }
      try StandardOutput.finish()
    } catch {
      exit(withError: error)
    }
  }

  /// Names a command that there isn't: the parser would speak of its options.
  private static func checkCommand(_ name: String?) throws {
    guard let name, !name.hasPrefix("-") else { return }
    let names = configuration.subcommands.map { $0._commandName } + ["help"]
    guard !names.contains(name) else { return }
    let meant = Suggestion.didYouMean(name, among: names) ?? "there are \(names.joined(separator: ", "))"
    StandardError.print("plumb: there is no command '\(name)'; \(meant)")
    throw ExitCode.validationFailure
  }
}
