import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import OnlineStore
import Processor
import Replay
import ServiceConfiguration

struct OffsetsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "offsets",
    abstract: "Show the consumer group's offsets beside what Redis has folded, and set them to that.",
    discussion: """
      A group that has no members for some days (7 by default) loses its offsets; somebody may have set them back. Redis
      knows how far each partition was folded, so the offsets can be put right for all of them at once. Offsets that
      are ahead of Redis are left alone: the service folds again what Redis lacks. The service must not run.

      Examples:
        plumb offsets -d shop.yaml
        plumb offsets -d shop.yaml --set-to-store
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var service: ServiceOptions
  @Flag(help: "Set what is missing or behind to the positions in Redis.")
  var setToStore = false

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let settings = try service.settings()
      let options = settings.kafkaOptions(plan, transactionalID: "\(plan.name).\(plan.version).offsets")
      if setToStore { try refuseMembers(options) }
      let rows = try TaskPlaces(plan, options, settings.redisOptions(), report: reportKafka).all()
      print("partition  redis  group  log begins  log ends  then")
      for row in rows { print(row.text) }
      let refused = rows.filter { if case .refuse = $0.repair { true } else { false } }
      guard refused.isEmpty else {
        throw ProcessorError(
          remedy: .stop,
          description: refused.map { "\($0.partition): \($0.outcome)" }.joined(separator: "\n"))
      }
      let repaired: [(partition: TopicPartition, offset: Int64)] = rows.compactMap { row in
        guard case .set(let offset) = row.repair else { return nil }
        return (row.partition, offset)
      }
      if setToStore {
        try ReplayLog(options, ends: [:], report: reportKafka).setGroupOffsets(repaired)
        print("\(counted(repaired.count, "offset")) of the group '\(options.group)' set; start the service")
      } else if !repaired.isEmpty {
        print("\(counted(repaired.count, "offset")) would be set by --set-to-store")
      }
    }
  }

  private func refuseMembers(_ options: KafkaOptions) throws {
    let members = try TopicAdmin(options, report: reportKafka).lastingMembers(of: options.group)
    guard members.isEmpty else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "the service runs: the consumer group '\(options.group)' has \(counted(members.count, "member")) "
          + "(\(members[0])); stop it first")
    }
  }
}

extension TaskPlaces.Place {
  fileprivate var outcome: String {
    switch repair {
    case .keep: "stays"
    case .set(let offset): "\(offset)"
    case .refuse(let reason): reason
    }
  }

  fileprivate var text: String {
    func shown(_ offset: Int64?) -> String { offset.map { "\($0)" } ?? "-" }
    let then = if case .refuse = repair { "refused" } else { outcome }
    return "\(partition)  \(shown(stored))  \(shown(committed))  \(low)  \(high)  \(then)"
  }
}
