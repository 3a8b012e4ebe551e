import EventLog
import FeatureCore
import Foundation
import Logging
import OnlineStore
import Processor
import Replay
import ServiceConfiguration

/// Looks whether every partition that the service's processes read together has an owner, and has the group share out anew if
/// one has none for long. One of the processes acts, the one of the first member by name. A topic that has gone has no owners
/// either, and nobody else may notice: no member reads it any more.
struct GroupWatch: Sendable {
  private let plan: Plan
  private let settings: ServiceSettings
  private let options: KafkaOptions
  private let partitions: [TopicPartition]
  /// A topic of the service's own that none of its members reads.
  private let visited: String
  /// The members of this process.
  private let own: Set<String>
  private let logger: Logger

  /// How long the brokers may take over one answer.
  private static let requestMilliseconds = 5_000
  /// Looks in the time of the patience.
  private static let looks: Int64 = 4

  init(
    _ plan: Plan, _ settings: ServiceSettings, _ metadata: StoreMetadata, instance: String, logger: Logger
  ) {
    self.plan = plan
    self.settings = settings
    let routing = Routing(plan)
    var options = settings.kafkaOptions(
      plan, transactionalID: "\(plan.name).\(plan.version).\(instance).watch")
    options.requestTimeoutMilliseconds = Self.requestMilliseconds
    self.options = options
    partitions = routing.inputs.flatMap { input in
      (0..<(metadata.partitions[input.name] ?? 0)).map { TopicPartition(input.topic, $0) }
    }
    visited = routing.deadLetterTopic
    own = Set((0..<settings.workers).map { "\(instance)-\($0)" })
    self.logger = logger
  }

  /// Watches until it is to end, or a topic has gone. What it fails of, the workers meet as well: only what lasts is told.
  func run(_ isStopping: () -> Bool) throws(ProcessorError) -> LoopCounts {
    let start = ContinuousClock.now
    var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }
    var told: String?
    let admin: TopicAdmin
    do throws(LogError) {
      let logger = logger
      admin = try TopicAdmin(options) { logger.kafka(min($0, .info), $1) }
    } catch {
      logger.warning("\(error.message); whether every partition has an owner is not looked after")
      return LoopCounts()
    }
    // A member that is silent for its session is put out by the brokers, which then share out by themselves.
    let patience = 2 * Int64(max(1_000, admin.sessionMilliseconds))
    var watch = OwnerlessPartitions(partitions, patienceMilliseconds: patience)
    while sleep(until: .now + .milliseconds(patience / Self.looks), unless: isStopping) {
      var isLasting = false
      do throws(LogError) {
        let shares = try admin.shares(of: options.group)
        let finding = watch.look(shares, now: now)
        if case .lasting = finding { isLasting = true }
        try act(on: finding, shares ?? [])
        told = nil
      } catch {
        // Brokers that are away are told of by the workers.
        if error.remedy != .retry, told != error.message {
          logger.warning("\(error.message); whether every partition has an owner is not known")
          told = error.message
        }
      }
      if isLasting { try refuseOtherTopics() }
    }
    return LoopCounts()
  }

  /// Partitions that are not there any more have no owners for good.
  private func refuseOtherTopics() throws(ProcessorError) {
    let survey = try? TopicSurvey(plan, settings, attemptMilliseconds: Self.requestMilliseconds) {
      [logger] in logger.kafka(min($0, .info), $1)
    }
    guard let survey, let missing = try? survey.missing(), let counts = try? survey.inputPartitions() else {
      return
    }
    var problems = missing
    for input in Routing(plan).inputs {
      let before = partitions.count { $0.topic == input.topic }
      guard let count = counts[input.name], count < before else { continue }
      problems.append(
        "the topic '\(input.topic)' had \(before) partitions when this service started, and has \(count) now: it was deleted "
          + "and created anew; raise 'version:' and fill that with plumb run --until end, then plumb promote")
    }
    if !problems.isEmpty {
      throw ProcessorError(remedy: .stop, description: problems.joined(separator: "\n"))
    }
  }

  private func act(on finding: OwnerlessPartitions.Finding, _ shares: [GroupShare]) throws(LogError) {
    guard let first = shares.map(\.member).min(), own.contains(first) else { return }
    switch finding {
    case .none: break
    case .lasting(let partitions):
      logger.warning(
        "no member of the group has \(partitions.map(\.description).joined(separator: ", ")) although the group is at rest; it is asked to share out anew"
      )
      let logger = logger
      try GroupRebalance.ask(options, reading: visited, timeoutMilliseconds: Self.requestMilliseconds) {
        logger.kafka(min($0, .info), $1)
      }
    case .over(let milliseconds):
      logger.info(
        "every partition has an owner again", metadata: ["after_seconds": "\(milliseconds / 1_000)"])
    }
  }
}
