public import FeatureCore
public import Processor

/// Looks whether every partition that the service's processes read together has an owner, and has the group share out anew if
/// one has none for long. One of the processes acts, the one of the first member by name. A topic that has gone has no owners
/// either, and nobody else may notice: no member reads it any more.
public struct GroupWatch: Sendable {
  /// What a person should know.
  public enum News: Sendable {
    /// Something is wrong, and is seen to or passes.
    case warning(String)
    /// Every partition has an owner again, after so many milliseconds.
    case over(Int64)
  }

  private let plan: Plan
  private let options: KafkaOptions
  private let partitions: [TopicPartition]
  /// A topic of the service's own that none of its members reads.
  private let visited: String
  /// The members of this process.
  private let own: Set<String>
  private let report: @Sendable (KafkaSeverity, String) -> Void
  private let tell: @Sendable (News) -> Void

  /// How long the brokers may take over one answer.
  private static let requestMilliseconds = 5_000
  /// Looks in the time of the patience.
  private static let looks: Int64 = 4

  /// A watch over the group of some options. `counts` says how many partitions each input had, by its name, when the service
  /// started; `own` are the names of this process's members. `report` hears what the client library says, from any thread.
  public init(
    _ plan: Plan, _ options: KafkaOptions, counts: [String: Int32], own: Set<String>,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void, tell: @escaping @Sendable (News) -> Void
  ) {
    self.plan = plan
    var options = options
    options.requestTimeoutMilliseconds = Self.requestMilliseconds
    self.options = options
    let routing = Routing(plan)
    partitions = routing.inputs.flatMap { input in
      (0..<(counts[input.name] ?? 0)).map { TopicPartition(input.topic, $0) }
    }
    visited = routing.deadLetterTopic
    self.own = own
    // What it meets the workers meet as well.
    self.report = { report(min($0, .info), $1) }
    self.tell = tell
  }

  /// Watches until a pause says that it is to end, or a topic has gone. What it fails of, the workers meet as well: only what
  /// lasts is told.
  public func run(_ pause: (_ milliseconds: Int64) -> Bool) throws(ProcessorError) {
    let start = ContinuousClock.now
    var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }
    var told: String?
    let admin: TopicAdmin
    do throws(LogError) {
      admin = try TopicAdmin(options, report: report)
    } catch {
      return tell(.warning("\(error.message); whether every partition has an owner is not looked after"))
    }
    // A member that is silent for its session is put out by the brokers, which then share out by themselves.
    let patience = 2 * Int64(max(1_000, admin.sessionMilliseconds))
    var watch = OwnerlessPartitions(partitions, patienceMilliseconds: patience)
    while pause(patience / Self.looks) {
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
          tell(.warning("\(error.message); whether every partition has an owner is not known"))
          told = error.message
        }
      }
      if isLasting { try refuseOtherTopics() }
    }
  }

  /// Partitions that are not there any more have no owners for good.
  private func refuseOtherTopics() throws(ProcessorError) {
    guard let survey = try? TopicSurvey(plan, options, report: report), let missing = try? survey.missing(),
      let counts = try? survey.inputPartitions()
    else { return }
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
      let names = partitions.map(\.description).joined(separator: ", ")
      tell(
        .warning(
          "no member of the group has \(names) although the group is at rest; it is asked to share out anew"))
      try GroupRebalance.ask(
        options, reading: visited, timeoutMilliseconds: Self.requestMilliseconds, report: report)
    case .over(let milliseconds): tell(.over(milliseconds))
    }
  }
}
