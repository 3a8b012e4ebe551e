import ArgumentParser
import DefinitionFiles
import EventLog

struct TopicsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "topics", abstract: "Create or check the topics that the service reads and writes.",
    subcommands: [Apply.self, Check.self])

  struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create what is missing; change nothing that exists.",
      discussion: """
        Examples:
          plumb topics apply -d shop.yaml --brokers 127.0.0.1:9092 --partitions 4
        """)

    @Option(
      name: [.customShort("d"), .long], help: "The definitions file.",
      completion: .file(extensions: ["yaml", "yml"]))
    var definitions: String
    @OptionGroup var log: LogOptions
    @Option(help: "Partitions of a source's topic that doesn't exist.")
    var partitions = 4
    @Option(
      help:
        "Replicas of every partition; by default as many as the topics that exist have, or the brokers' default."
    )
    var replication: Int?

    func validate() throws {
      if partitions < 1 { throw ValidationError("There are \(partitions) partitions; use 1 or more.") }
      if let replication, replication < 1 {
        throw ValidationError("There are \(replication) replicas; use 1 or more.")
      }
    }

    func run() throws {
      try reportingService {
        let survey = try TopicSurvey(try DefinitionFile.compile(path: definitions), try log.settings())
        for (topic, outcome) in try survey.create(partitions: partitions, replication: replication) {
          print("\(topic): \(outcome)")
        }
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Report what is missing or differs; exit status 1 if anything does.")

    @Option(
      name: [.customShort("d"), .long], help: "The definitions file.",
      completion: .file(extensions: ["yaml", "yml"]))
    var definitions: String
    @OptionGroup var log: LogOptions
    @Flag(help: "Print one JSON object with the list of problems.")
    var json = false

    func run() throws {
      try reportingService {
        let problems = try TopicSurvey(try DefinitionFile.compile(path: definitions), try log.settings())
          .problems()
        if json { JSONLine.print { $0.add("problems", texts: problems) } }
        for problem in problems where !json { print(problem) }
        if !problems.isEmpty { throw ExitCode.failure }
      }
    }
  }
}
