import ArgumentParser

@main
struct Plumb: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "plumb", subcommands: [BrokerCommand.self])
}
