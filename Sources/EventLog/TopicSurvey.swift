public import FeatureCore
import Processor

/// The topics of some definitions as they are and as they should be.
public struct TopicSurvey {
  private let plan: Plan
  private let routing: Routing
  private let admin: TopicAdmin
  /// The sources' topics that exist, by name.
  private let sources: [String: TopicDescription]

  /// Looks at the sources' topics; `report` hears what the client library says, from any thread.
  public init(
    _ plan: Plan, _ options: KafkaOptions, report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws {
    self.plan = plan
    routing = Routing(plan)
    admin = try TopicAdmin(options, report: report)
    let topics = Set(plan.declaredSources.map(\.source.topic)).sorted()
    sources = Dictionary(
      uniqueKeysWithValues: zip(topics, try admin.describe(topics)).compactMap { topic, shape in
        shape.map { (topic, $0) }
      })
  }

  private var replication: Int { sources.values.map(\.replication).max() ?? 1 }

  private func usualReplication() throws -> Int {
    let others = try admin.describe(specs.map(\.name)).compactMap { $0 }
    return TopicDescription.usualReplication(among: Array(sources.values) + others)
  }

  private var specs: [TopicSpec] { routing.specs(plan, partitions: sources.mapValues(\.partitions)) }

  /// Partitions of every input, by the name that tasks have in the store.
  public func inputPartitions() throws -> [String: Int32] {
    let found = try admin.describe(routing.inputs.map(\.topic))
    return Dictionary(
      zip(routing.inputs, found).compactMap { input, shape in
        shape.map { (input.name, Int32($0.partitions)) }
      }
    ) { first, _ in first }
  }

  /// Creates what is missing: sources with some partitions, everything with some replicas, nil for the usual number.
  public func create(partitions: Int, replication: Int?) throws -> [(String, String)] {
    let replication = try replication ?? usualReplication()
    var present = sources.mapValues(\.partitions)
    let missing = Set(plan.declaredSources.map(\.source.topic)).subtracting(present.keys).sorted()
    for topic in missing { present[topic] = partitions }
    let topics =
      missing.map {
        TopicDescription(
          name: $0, partitions: partitions, replication: replication, configuration: tableConfiguration($0))
      }
      + routing.specs(plan, partitions: present).map {
        TopicDescription(
          name: $0.name, partitions: $0.partitions, replication: replication,
          configuration: $0.configuration)
      }
    return zip(topics, try admin.create(topics)).map { topic, outcome in
      switch outcome {
      case .created: (topic.name, "created with \(topic.partitions) partitions")
      case .existed: (topic.name, "exists")
      case .refused(let reason): (topic.name, "refused: \(reason)")
      }
    }
  }

  /// What a source's topic is made with: a table's keeps every row that a key has had.
  private func tableConfiguration(_ topic: String) -> [String: String] {
    guard plan.sources.contains(where: { $0.source.topic == topic && $0.source.isTable }) else { return [:] }
    return ["cleanup.policy": "delete", "retention.ms": "-1"]
  }

  /// The topics that `plumb run` needs and that don't exist, a line each.
  public func missing() throws -> [String] {
    try missing(specs.filter { $0.kind != .served && $0.kind != .trainings })
  }

  private func missing(_ specs: [TopicSpec]) throws -> [String] {
    let others = zip(specs, try admin.describe(specs.map(\.name))).filter { $1 == nil }.map(\.0)
    return plan.declaredSources.map(\.source.topic).filter { sources[$0] == nil }.map { "\($0): is missing" }
      + others.map { "\($0.name): is missing (\($0.kind.holds)); run plumb topics apply" }
  }

  /// What is missing, and what differs from what it should be.
  public func problems() throws -> [String] {
    let found = try admin.describe(specs.map(\.name))
    let compacted = plan.sources.map(\.source).filter(\.isTable).compactMap { source -> String? in
      let policy = sources[source.topic]?.configuration["cleanup.policy"] ?? ""
      guard policy.split(separator: ",").contains("compact") else { return nil }
      return
        "\(source.topic): cleanup.policy is \(policy), should be delete: compaction forgets the rows that a key "
        + "had before, which training rows are made of"
    }
    return try missing(specs) + compacted
      + zip(specs, found).flatMap { spec, found in found.map { differences($0, from: spec) } ?? [] }
  }

  private func differences(_ found: TopicDescription, from spec: TopicSpec) -> [String] {
    var problems: [String] = []
    if !spec.accepts(partitions: found.partitions) {
      problems.append(
        "has \(found.partitions) partitions, should have \(spec.partitions): \(spec.kind.partitions.rawValue)"
      )
    }
    if found.replication < replication {
      problems.append("has \(found.replication) replicas of each partition, the source topics \(replication)")
    }
    for (name, value) in spec.configuration.sorted(by: { $0.key < $1.key }) {
      if let actual = found.configuration[name], actual != value {
        problems.append("\(name) is \(actual), should be \(value)")
      }
    }
    return problems.map { "\(spec.name): \($0)" }
  }
}
