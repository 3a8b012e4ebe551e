import ArgumentParser

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
      CheckCommand.self, GenerateCommand.self, ReplayCommand.self, RunCommand.self, GetCommand.self,
      WatchCommand.self, VerifyCommand.self,
      SnapshotsCommand.self, DeadLettersCommand.self, ExportCommand.self, ArchiveCommand.self,
      TrainingSetCommand.self, TopicsCommand.self, BrokerCommand.self,
      SimulateCommand.self, DiffCommand.self, PromoteCommand.self, RetireCommand.self,
      OffsetsCommand.self,
    ])
}
