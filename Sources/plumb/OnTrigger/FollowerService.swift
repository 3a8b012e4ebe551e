import Commands
import EventLog
import FeatureCore
import Foundation
import Logging
import Processor
import ServiceConfiguration
import Telemetry

/// `plumb on-trigger`: the command, the group, and a follower that runs the one for what the other reads.
struct FollowerService {
  private let plan: Plan
  private let settings: ServiceSettings
  private let arguments: [String]
  private let followed: FollowedTriggers
  private let startsAtEnd: Bool
  private let limits: FollowerLimits
  private let logger: Logger
  private let start = ContinuousClock.now

  /// Between two questions after topics that there aren't yet.
  private static let pauseMilliseconds: UInt32 = 1_000
  /// How long one attempt at the brokers may take: in between the command is looked after.
  private static let attemptMilliseconds = 5_000

  init(
    _ plan: Plan, _ settings: ServiceSettings, _ arguments: [String], views: [String], triggers: [String],
    startsAtEnd: Bool, _ limits: FollowerLimits
  ) {
    self.plan = plan
    self.settings = settings
    self.arguments = arguments
    self.startsAtEnd = startsAtEnd
    self.limits = limits
    followed = FollowedTriggers(version: Int64(plan.version), views: Set(views), triggers: Set(triggers))
    logger = settings.logger
  }

  private var instance: String { settings.instance ?? ProcessInfo.processInfo.hostName }
  /// Those who follow the same triggers share a group: one of them is at work, the others stand by.
  private var group: String {
    let names = (followed.views.sorted() + followed.triggers.sorted()).joined(separator: "-")
    return "\(plan.name).\(plan.version).on-trigger" + (names.isEmpty ? "" : ".\(names)")
  }

  /// Runs until a signal comes.
  func run() throws {
    Interruption.watch()
    let options = options()
    try awaitTopics(options)
    // Of one cluster's application: another may have the same names.
    let cluster = fingerprintText(Hash64.hash(settings.brokers))
    let lockPath = FileManager.default.temporaryDirectory
      .appendingPathComponent("plumb-\(group)-\(cluster).lock").path
    let logger = logger
    let command = try ShellCommand(arguments, lockPath: lockPath) { logger.info("command: \($0)") }
    logger.info(
      "running",
      metadata: [
        "name": "\(plan.name)", "version": "\(plan.version)", "group": "\(group)", "instance": "\(instance)",
      ])
    try runner(options).run { log in
      TriggerFollower(
        log, command, followed, trainingTopic: Routing(plan).trainingTopic, arguments: arguments,
        instance: instance, startsAtEnd: startsAtEnd, limits: limits, report: { logger.warning("\($0)") },
        note: { logger.info("\($0)") })
    }
    logger.info("stopped")
  }

  private func options() -> KafkaOptions {
    var options = settings.kafkaOptions(plan, transactionalID: "\(group).\(instance)")
    options.group = group
    options.groupInstance = instance
    options.requestTimeoutMilliseconds = Self.attemptMilliseconds
    options.takeoverTimeoutMilliseconds = Self.attemptMilliseconds
    return options
  }

  private func runner(_ options: KafkaOptions) -> FollowerRunner<KafkaLog> {
    let logger = logger
    let clock = FollowerClock(
      now: { Int64(start.duration(to: .now) / .milliseconds(1)) }, time: { .now },
      pause: { usleep(UInt32($0) * 1_000) }, isStopping: { Interruption.isRequested })
    return FollowerRunner(instance: instance, clock, report: { logger.warning("\($0)") }) {
      () throws(LogError) -> KafkaLog in
      try KafkaLog(options, topics: [Routing(plan).triggerTopic]) { logger.kafka($0, $1) }
    }
  }

  /// Both topics have to be there, and the triggers in one partition: else two processes could run commands beside each other.
  private func awaitTopics(_ options: KafkaOptions) throws {
    let logger = logger
    var isTold = false
    while !Interruption.isRequested {
      do throws(LogError) {
        let topics = [Routing(plan).triggerTopic, Routing(plan).trainingTopic]
        let found = try TopicAdmin(options, report: { logger.kafka($0, $1) }).describe(topics)
        for (topic, shape) in zip(topics, found) where shape == nil {
          throw LogError(.fatal, "\(topic): is missing; run plumb topics apply")
        }
        guard found[0]?.partitions == 1 else {
          throw LogError(
            .fatal,
            "\(topics[0]) has \(found[0]?.partitions ?? 0) partitions, and commands would run beside each other: create it with one "
              + "(plumb topics apply)")
        }
        return
      } catch {
        guard error.remedy == .retry else { throw error }
        if !isTold { logger.warning("waiting: \(error.message)") }
        isTold = true
        if !Interruption.isRequested { usleep(Self.pauseMilliseconds * 1_000) }
      }
    }
  }
}
