public import FeatureCore

/// The kinds of topics that the service writes. Topics/*.yaml say the same for people and other tools; a test compares.
public enum TopicKind: String, CaseIterable, Sendable {
  /// A source's events, keyed by an entity.
  case repartition
  /// The events of both sides of a join, and marks of how far they have come.
  case sides
  /// What a join makes.
  case joined
  /// Every state.
  case snapshots
  /// The records that can't be used.
  case deadLetters = "dead-letters"
  /// The answers to requests for features.
  case served
  /// How far each table's topic has been captured.
  case captured
  /// The triggers that have fired.
  case triggers
  /// The commands that they have caused.
  case trainings

  /// How many partitions a topic has.
  public enum Partitions: String, Sendable {
    /// As many as its source's topic, so that its tasks are as small.
    case asSource = "as many as the source's topic"
    /// As many as the source topic with the most: the tasks that write it are as many.
    case asWidestSource = "as many as the source topic that has the most"
    /// One: whoever reads it has all records in one order, and one reader of a group has them all.
    case one = "one"
    /// Any number will do.
    case atLeastOne = "one or more"
  }

  /// The topic's name, with placeholders.
  public var topic: String {
    switch self {
    case .repartition: "<app>.<version>.<source>.by-<entity>"
    case .sides: "<app>.<version>.<join>.sides"
    case .joined: "<app>.<version>.<join>"
    case .snapshots, .deadLetters, .served, .captured, .triggers, .trainings: "<app>.\(rawValue)"
    }
  }

  /// How many partitions it has.
  public var partitions: Partitions {
    switch self {
    case .repartition, .sides, .joined: .asSource
    case .snapshots: .asWidestSource
    case .triggers: .one
    case .deadLetters, .served, .captured, .trainings: .atLeastOne
    }
  }

  /// Settings of the topic that correctness or economy rests on; `TopicSpec.configuration` has them for one topic.
  public var configuration: [String: String] {
    let retention =
      switch self {
      case .repartition, .sides: "604800000"
      case .joined: "-1"
      case .snapshots: "-1"
      case .deadLetters: "2592000000"
      case .served: "7776000000"
      case .captured, .triggers, .trainings: "-1"
      }
    return [
      "cleanup.policy": self == .captured ? "compact" : "delete", "retention.ms": retention,
      "max.message.bytes": "\(Self.recordBytesMax)",
    ]
  }

  /// Bytes of the largest record that the service writes: an event of the largest size, under the longest key or with
  /// the reason why it can't be used. Where less was accepted, one such event would stop the service for ever.
  public static let recordBytesMax = Limits.recordBytesMax + (64 << 10)

  /// What a record's key is.
  public var key: String {
    switch self {
    case .repartition: "the entity key"
    case .sides, .joined: "the columns that are joined on"
    case .snapshots: "<view>:<entity key>"
    case .deadLetters: "the source record's"
    case .served: "the request's id"
    case .captured: "the captured topic's name"
    case .triggers: "<view>:<entity key>"
    case .trainings: "the trigger's id"
    }
  }

  /// What it holds.
  public var holds: String {
    switch self {
    case .repartition: "a source's events, keyed by an entity"
    case .sides: "the events of both sides of a join, and how far they have come"
    case .joined: "what a join makes, as JSON"
    case .snapshots: "every state, for training"
    case .deadLetters: "records that can't be used, and why"
    case .served: "the answers to requests for features, as they were given"
    case .captured: "how far each table's topic has been captured"
    case .triggers: "the triggers that have fired, as JSON"
    case .trainings: "the commands that triggers have caused: begin, end and exit status, as JSON"
    }
  }

  /// Why it is as it is.
  public var why: String {
    switch self {
    case .repartition:
      "A week is longer than an outage that anyone sits out: what is deleted before it is folded is lost. Never "
        + "compacted, since every event counts."
    case .sides:
      "A join reads it again when outcomes are due, and once more when right events are over, after about twice 'within', 'wait' and "
        + "'allowed_lateness': what is deleted before is lost. So it is kept for that long and a day, and for a week at least. Never "
        + "compacted, since every event counts."
    case .joined: "Training data and the source of views: nothing is deleted."
    case .snapshots:
      "The history of states is the training data, so nothing is deleted, and nothing compacted away."
    case .deadLetters: "A month is enough to notice, repair the producer, and send the records again."
    case .served:
      "Three months of answers are enough to train on, and to export what is to be kept for longer. One answer's "
        + "records are in one partition."
    case .captured:
      "Only the last record of a topic counts: it is written in one transaction with the rows, so that each change is "
        + "captured once."
    case .triggers:
      "They are few, and they are why a model was trained: nothing is deleted. One partition, so that one process follows them at a "
        + "time, in their order."
    case .trainings:
      "They are few, and the history of a model: nothing is deleted. A trigger's are in one partition, in their order."
    }
  }
}

/// What one topic must be like for the service.
public struct TopicSpec: Hashable, Sendable {
  /// The topic.
  public var name: String
  /// Its kind.
  public var kind: TopicKind
  /// How many partitions it is created with.
  public var partitions: Int
  /// How long what it holds is read again, in milliseconds, if that is longer than its kind is kept.
  public var rereadMilliseconds: Int64?

  /// Settings of the topic that correctness or economy rests on.
  public var configuration: [String: String] {
    var configuration = kind.configuration
    if let rereadMilliseconds { configuration["retention.ms"] = "\(rereadMilliseconds)" }
    return configuration
  }

  /// Whether a number of partitions is what the kind asks for.
  public func accepts(partitions count: Int) -> Bool {
    kind.partitions == .atLeastOne ? count > 0 : count == partitions
  }
}

extension Routing {
  /// The topics that the service writes, given the partitions of the sources' topics.
  public func specs(_ plan: Plan, partitions: [String: Int]) -> [TopicSpec] {
    let widest = partitions.values.max() ?? 1
    let forwards = inputs.filter(\.isRepartitioned).map { input in
      TopicSpec(
        name: input.topic, kind: input.join == nil ? .repartition : .sides,
        partitions: plan.partitions(ofSource: input.source, partitions) ?? widest,
        rereadMilliseconds: input.join.flatMap { plan.joins[$0].rereadMilliseconds })
    }
    let joined = plan.joins.map { join in
      TopicSpec(
        name: plan.sources[join.source].source.topic, kind: .joined,
        partitions: plan.partitions(ofSource: join.source, partitions) ?? widest)
    }
    let captures = plan.sources.contains { $0.source.capture != nil }
    let logsAnswers = plan.services.contains { ($0.service.servedShare ?? 0) > 0 }
    let fires = plan.views.contains { !$0.triggers.isEmpty }
    return forwards + joined + [
      TopicSpec(name: snapshotTopic, kind: .snapshots, partitions: widest),
      TopicSpec(name: deadLetterTopic, kind: .deadLetters, partitions: 1),
    ] + (logsAnswers ? [TopicSpec(name: servedTopic, kind: .served, partitions: widest)] : [])
      + (captures ? [TopicSpec(name: capturedTopic, kind: .captured, partitions: 1)] : [])
      + (fires
        ? [
          TopicSpec(name: triggerTopic, kind: .triggers, partitions: 1),
          TopicSpec(name: trainingTopic, kind: .trainings, partitions: 1),
        ] : [])
  }
}

extension Plan {
  /// How many partitions a source's topic has, given those of the declared ones: what a join makes has as many as its left
  /// side.
  func partitions(ofSource index: Int, _ known: [String: Int]) -> Int? {
    if let join = joins.first(where: { $0.source == index }) {
      return partitions(ofSource: join.source(of: .left), known)
    }
    return known[sources[index].source.topic]
  }
}

extension JoinPlan {
  /// How long its log is read again, in milliseconds, if that is longer than a week: the last place passes an event when the slowest
  /// cursor has taken what it may be followed by, as much later again.
  fileprivate var rereadMilliseconds: Int64? {
    guard readerCount > 0 else { return nil }
    let (twice, isFar) = (lateness(of: 0) / 1_000).multipliedReportingOverflow(by: 2)
    let (needed, isFarther) = twice.addingReportingOverflow(86_400_000)
    return isFar || isFarther ? -1 : needed > 604_800_000 ? needed : nil
  }
}
