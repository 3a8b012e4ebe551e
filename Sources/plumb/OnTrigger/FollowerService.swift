import EventLog
import FeatureCore
import Foundation
import Logging
import Processor
import ServiceConfiguration
import Telemetry

/// `plumb on-trigger`: a follower, and a new log for it whenever the group has to be joined anew.
struct FollowerService {
  private let plan: Plan
  private let settings: ServiceSettings
  private let arguments: [String]
  private let followed: FollowedTriggers
  private let startsAtEnd: Bool
  private let limits: FollowerLimits
  private let logger: Logger
  private let start = ContinuousClock.now

  /// Between two looks at the command and the topic.
  private static let pollMilliseconds = 100
  /// Between two attempts to join the group.
  private static let joinPauseMilliseconds: UInt32 = 1_000
  /// New logs within half a minute beyond which somebody else answers each with one.
  private static let joinsMax = 4
  private static let joinsMilliseconds: Int64 = 30_000
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
  private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }
  private var time: EventTime { EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1e6)) }

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
    var joins: [Int64] = []
    while !Interruption.isRequested {
      try follow(command, options)
      joins = joins.filter { $0 > now - Self.joinsMilliseconds } + [now]
      guard joins.count > Self.joinsMax, !Interruption.isRequested else { continue }
      throw ProcessorError(
        remedy: .stop,
        description:
          "taken over \(joins.count) times within \(Self.joinsMilliseconds / 1_000) s: another live process has the same instance "
          + "name, '\(instance)'; give each its own (--instance)")
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

  /// Waits until there is a log; nil if a signal comes first.
  private func makeLog(_ options: KafkaOptions) throws(LogError) -> KafkaLog? {
    let logger = logger
    var told: String?
    while !Interruption.isRequested {
      do throws(LogError) {
        return try KafkaLog(options, topics: [Routing(plan).triggerTopic]) { logger.kafka($0, $1) }
      } catch {
        guard error.remedy != .fatal else { throw error }
        if told != error.message { logger.warning("\(error.message); trying again") }
        told = error.message
        pause()
      }
    }
    return nil
  }

  /// Joins the group and follows until a signal comes, or it has to be joined anew.
  private func follow(_ command: ShellCommand, _ options: KafkaOptions) throws {
    let logger = logger
    guard let log = try makeLog(options) else { return }
    defer { log.close(timeoutMilliseconds: Self.attemptMilliseconds) }
    let follower = TriggerFollower(
      log, command, followed, trainingTopic: Routing(plan).trainingTopic, arguments: arguments,
      instance: instance, startsAtEnd: startsAtEnd, limits: limits, report: { logger.warning("\($0)") },
      note: { logger.info("\($0)") })
    do throws(LogError) {
      while !Interruption.isRequested {
        try follower.step(now: now, time: time, pollMilliseconds: Self.pollMilliseconds)
      }
    } catch {
      while !follower.finish(now: now, time: time) { usleep(20_000) }
      guard error.remedy == .fenced else { throw error }
      logger.warning("joining the group anew: \(error.message)")
      return pause()
    }
    while !follower.finish(now: now, time: time) { usleep(20_000) }
  }

  private func pause() {
    if !Interruption.isRequested { usleep(Self.joinPauseMilliseconds * 1_000) }
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
        pause()
      }
    }
  }
}
