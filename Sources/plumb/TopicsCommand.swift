import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Processor
import ServiceConfiguration

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

    @Option(name: [.customShort("d"), .long], help: "The definitions file.")
    var definitions: String
    @OptionGroup var log: LogOptions
    @Option(help: "Partitions of a source's topic that doesn't exist.")
    var partitions = 4
    @Option(help: "Replicas of every partition.")
    var replication = 1

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

    @Option(name: [.customShort("d"), .long], help: "The definitions file.")
    var definitions: String
    @OptionGroup var log: LogOptions

    func run() throws {
      try reportingService {
        let problems = try TopicSurvey(try DefinitionFile.compile(path: definitions), try log.settings())
          .problems()
        for problem in problems { print(problem) }
        if !problems.isEmpty { throw ExitCode.failure }
      }
    }
  }
}

/// The topics of some definitions as they are and as they should be.
struct TopicSurvey {
  private let plan: Plan
  private let routing: Routing
  private let admin: TopicAdmin

  init(_ plan: Plan, _ settings: ServiceSettings) throws {
    self.plan = plan
    routing = Routing(plan)
    admin = try TopicAdmin(
      settings.kafkaOptions(plan, transactionalID: "\(plan.name).admin"), report: reportKafka)
  }

  /// Partitions of each source's topic that exists.
  func sourcePartitions() throws -> [String: Int] {
    let topics = plan.sources.map(\.source.topic)
    let found = try admin.describe(topics)
    return Dictionary(zip(topics, found).compactMap { topic, shape in shape.map { (topic, $0.partitions) } })
    {
      first, _ in first
    }
  }

  /// Partitions of every input, by the name that tasks have in the store.
  func inputPartitions() throws -> [String: Int32] {
    let found = try admin.describe(routing.inputs.map(\.topic))
    return Dictionary(
      zip(routing.inputs, found).compactMap { input, shape in
        shape.map { (input.name, Int32($0.partitions)) }
      }
    ) { first, _ in first }
  }

  func create(partitions: Int, replication: Int) throws -> [(String, String)] {
    var present = try sourcePartitions()
    let missing = Set(plan.sources.map(\.source.topic)).subtracting(present.keys).sorted()
    let sources = missing.map {
      TopicDescription(name: $0, partitions: partitions, replication: replication)
    }
    for topic in missing { present[topic] = partitions }
    let others = routing.specs(plan, partitions: present).map {
      TopicDescription(
        name: $0.name, partitions: $0.partitions, replication: replication, configuration: $0.configuration)
    }
    let topics = sources + others
    return zip(topics, try admin.create(topics)).map { topic, outcome in
      switch outcome {
      case .created: (topic.name, "created with \(topic.partitions) partitions")
      case .existed: (topic.name, "exists")
      case .refused(let reason): (topic.name, "refused: \(reason)")
      }
    }
  }

  /// The topics that don't exist, a line each.
  func missing() throws -> [String] {
    let present = try sourcePartitions()
    let specs = routing.specs(plan, partitions: present)
    let others = zip(specs, try admin.describe(specs.map(\.name))).filter { $1 == nil }.map(\.0)
    return plan.sources.map(\.source.topic).filter { present[$0] == nil }.map { "\($0): is missing" }
      + others.map { "\($0.name): is missing (\($0.purpose)); run plumb topics apply" }
  }

  /// What is missing, and what differs from what it should be.
  func problems() throws -> [String] {
    let specs = routing.specs(plan, partitions: try sourcePartitions())
    var problems = try missing()
    for (spec, found) in zip(specs, try admin.describe(specs.map(\.name))) {
      for (name, value) in spec.configuration.sorted(by: { $0.key < $1.key }) {
        if let actual = found?.configuration[name], actual != value {
          problems.append("\(spec.name): \(name) is \(actual), should be \(value)")
        }
      }
    }
    return problems
  }
}
