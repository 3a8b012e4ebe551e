import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import OnlineStore
import Processor
import Replay
import ServiceConfiguration

struct PromoteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "promote",
    abstract: "Let readers take a version of the definitions from now on.",
    discussion: """
      Readers ask which version is live together with the states, so all of them switch with this one write. The version \
      must have been filled, and be near the end of its topics. Promoting the old version again goes back, until it is \
      retired.

      Examples:
        plumb promote 4 -d shop-v4.yaml
      """)

  @Argument(help: "The version, as in the definitions file.")
  var version: Int
  @Option(name: [.customShort("d"), .long], help: "The definitions file of the version.")
  var definitions: String
  @OptionGroup var service: ServiceOptions
  @Option(help: "How many offsets the version may be behind its topics, all partitions together.")
  var maxLag: Int64 = 10_000

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions, version: version)
      let settings = try service.settings()
      let redis = try settings.redisOptions()
      let lag = try lag(plan, settings, redis)
      guard lag <= maxLag else {
        throw ProcessorError(
          remedy: .stop,
          description:
            "version \(version) is \(lag) offsets behind its topics, more than --max-lag \(maxLag): wait, or "
            + "start its service")
      }
      let live = LiveVersion(redis, name: plan.name)
      let before = try live.read()
      try live.promote(version)
      print(
        "version \(version) of '\(plan.name)' is live, \(lag) offsets behind its topics"
          + (before.map { $0 == version ? "; it was before" : "; version \($0) was" } ?? ""))
    }
  }

  /// Offsets that the version's states lack. Throws if a task was never filled.
  private func lag(_ plan: Plan, _ settings: ServiceSettings, _ redis: RedisOptions) throws -> Int64 {
    let reader = OnlineReader(redis, keys: StoreKeys(name: plan.name, version: plan.version))
    let metadata = try reader.refresh()
    guard metadata.fingerprint == plan.fingerprint else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "version \(version) was filled by other definitions than \(definitions): give the file that the "
          + "service runs with" + zoneHint(plan.fingerprintZones))
    }
    let options = settings.kafkaOptions(plan, transactionalID: "\(plan.name).\(plan.version).promote")
    return try TaskPlaces(plan, options, redis, report: reportKafka).lag()
  }
}

struct RetireCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retire",
    abstract: "Remove what a version that is not live any more keeps in Redis.",
    discussion: """
      Its service must have been stopped, and another version promoted. Redis is never kept busy for long: keys go in \
      slices, their memory is freed in the background. Interrupted, run it again.

      Examples:
        plumb retire 3 -d shop-v3.yaml
      """)

  @Argument(help: "The version, as in the definitions file.")
  var version: Int
  @Option(name: [.customShort("d"), .long], help: "The definitions file of the version.")
  var definitions: String
  @OptionGroup var service: ServiceOptions

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions, version: version)
      let settings = try service.settings()
      let redis = try settings.redisOptions()
      guard let live = try LiveVersion(redis, name: plan.name).read() else {
        throw ProcessorError(
          remedy: .stop, description: "no version of '\(plan.name)' is live: promote the one that stays first"
        )
      }
      guard live != version else {
        throw ProcessorError(
          remedy: .stop,
          description: "version \(version) of '\(plan.name)' is live: promote another one first")
      }
      let options = settings.kafkaOptions(plan, transactionalID: "\(plan.name).\(version).retire")
      let members = try TopicAdmin(options, report: reportKafka).lastingMembers(of: options.group)
      guard members.isEmpty else {
        throw ProcessorError(
          remedy: .stop,
          description: "the service of version \(version) runs (\(members[0])): stop it first")
      }
      let count = try StoreCleaner(redis, keys: StoreKeys(name: plan.name, version: version)).removeAll()
      print("\(counted(count, "state")) of version \(version) removed")
      for input in Routing(plan).inputs where input.isRepartitioned {
        print("the topic \(input.topic) may be deleted")
      }
      for join in plan.joins {
        print("the topic \(plan.sources[join.source].source.topic), which a join made, may be deleted")
      }
      print("the consumer group \(options.group) may be deleted")
    }
  }
}

extension DefinitionFile {
  /// Compiles a file that has to be of a version.
  static func compile(path: String, version: Int) throws -> Plan {
    let plan = try compile(path: path)
    guard plan.version == version else {
      throw ValidationError("\(path) is version \(plan.version), not \(version).")
    }
    return plan
  }
}
