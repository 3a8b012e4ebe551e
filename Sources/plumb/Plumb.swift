import ArgumentParser
import FeatureCore
import Foundation

@main
struct Plumb: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plumb",
    abstract: "Features from event logs, the same for serving and for training.",
    discussion: """
      Exit status: 0 done, 1 failed, 2 the definitions or another input have mistakes, 3 done, but some records \
      could not be used and there is no --dead-letters file that keeps them, 64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      CheckCommand.self, GenerateCommand.self, ReplayCommand.self, RunCommand.self, ServeCommand.self,
      GetCommand.self,
      WatchCommand.self, VerifyCommand.self,
      SnapshotsCommand.self, DeadLettersCommand.self, ExportCommand.self, ArchiveCommand.self,
      TrainingSetCommand.self, TopicsCommand.self, CaptureCommand.self, BrokerCommand.self,
      SimulateCommand.self, DiffCommand.self, PromoteCommand.self, RetireCommand.self,
      FeastCommand.self, OffsetsCommand.self,
    ])

  static func main() async {
    if let name = CommandLine.arguments.dropFirst().first, let problem = unknown(command: name) {
      StandardError.print("Error: \(problem)")
      StandardError.print("See 'plumb --help' for the commands.")
      Foundation.exit(ExitCode.validationFailure.rawValue)
    }
    await main(nil)
  }

  /// Why a first argument is no command; nil if it is one. The parser would blame the options that follow it.
  private static func unknown(command name: String) -> String? {
    let names = configuration.subcommands.map(\._commandName) + ["help"]
    guard !name.hasPrefix("-"), !names.contains(name) else { return nil }
    let hint = Suggestion.didYouMean(name, among: names).map { ": \($0)" } ?? ""
    return "there is no command '\(name)'\(hint)"
  }
}
