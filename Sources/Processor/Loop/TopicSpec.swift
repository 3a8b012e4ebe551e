public import FeatureCore

/// What a topic must be like for the service.
public struct TopicSpec: Hashable, Sendable {
  /// The topic.
  public var name: String
  /// How many partitions it needs: a repartition topic as many as its source, so that its tasks are as small.
  public var partitions: Int
  /// Settings of the topic that correctness or economy rests on.
  public var configuration: [String: String]
  /// What it is for.
  public var purpose: String
}

extension Routing {
  /// The topics that the service writes, given the partitions of the sources' topics.
  public func specs(_ plan: Plan, partitions: [String: Int]) -> [TopicSpec] {
    let widest = partitions.values.max() ?? 1
    let forwards = inputs.filter(\.isRepartitioned).map { input in
      TopicSpec(
        name: input.topic, partitions: partitions[plan.sources[input.source].source.topic] ?? widest,
        // Retention goes by record timestamps, which are those of the forwarding: long enough for a long outage.
        configuration: ["cleanup.policy": "delete", "retention.ms": "604800000"],
        purpose: "events of '\(plan.sources[input.source].source.name)' keyed by an entity")
    }
    return forwards + [
      TopicSpec(
        name: snapshotTopic, partitions: widest,
        // The history is training data: it must not be compacted away.
        configuration: ["cleanup.policy": "delete", "retention.ms": "-1"],
        purpose: "every state, for training"),
      TopicSpec(
        name: deadLetterTopic, partitions: 1,
        configuration: ["cleanup.policy": "delete", "retention.ms": "2592000000"],
        purpose: "records that can't be used"),
    ]
  }
}
