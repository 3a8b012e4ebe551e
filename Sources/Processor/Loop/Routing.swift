public import FeatureCore

/// Which topics are read, which views fold where, and what is forwarded.
///
/// A view keyed like its source folds straight from it. Any other view folds from a repartition topic, to which the
/// source's tasks forward its events keyed by the view's entity; so every state has one writer.
public struct Routing: Sendable {
  /// A topic that is read.
  public struct Input: Sendable {
    /// The topic.
    public var topic: String
    /// Index of the source whose records it holds.
    public var source: Int
    /// Names its tasks in the store: `<name>.<partition>`.
    public var name: String
    /// Views that fold here, as indices of the plan's.
    public var views: [Int]
    /// Where events go from here; empty for repartition topics.
    public var forwards: [Forward]
    /// Whether the records have come through a repartition topic: their source's task has judged them.
    public var isRepartitioned: Bool
    /// The join whose log it is, as an index of the plan's; `source` is that of its left side.
    public var join: Int?
  }

  /// A repartition topic and the views that fold from it.
  public struct Forward: Sendable {
    /// The topic.
    public var topic: String
    /// The views, all of one entity; none where the topic is the log of a join.
    public var views: [Int]
    /// The join, as an index of the plan's, and the side of it that the source is.
    public var side: JoinSide?

    /// What decides which events are forwarded, and under which key.
    public func plans(_ plan: Plan) -> [ViewPlan] {
      side.map { [plan.joins[$0.join].view(of: $0.side)] } ?? views.map { plan.views[$0] }
    }
  }

  /// A side of a join.
  public struct JoinSide: Hashable, Sendable {
    /// The join, as an index of the plan's.
    public var join: Int
    /// The side.
    public var side: JoinPlan.Side
  }

  /// The topics that are read.
  public let inputs: [Input]
  /// The topic of snapshots.
  public let snapshotTopic: String
  /// The topic of records that can't be used.
  public let deadLetterTopic: String
  /// The topic of the answers to requests for features.
  public let servedTopic: String
  /// The topic of how far tables have been captured.
  public let capturedTopic: String

  /// The topic of triggers that have fired.
  public let triggerTopic: String
  /// The topic of the commands that triggers have caused.
  public let trainingTopic: String

  /// The routing of a plan.
  public init(_ plan: Plan) {
    let names = TopicNames(app: plan.name, version: plan.version)
    snapshotTopic = names.snapshots
    deadLetterTopic = names.deadLetters
    servedTopic = names.served
    capturedTopic = names.captured
    triggerTopic = names.triggers
    trainingTopic = names.trainings
    var inputs: [Input] = []
    for (index, source) in plan.sources.enumerated() {
      let views = plan.views.indices.filter { plan.views[$0].source == index }
      let local = views.filter { !source.source.isRepartitioned(by: plan.views[$0].entity.map(\.name)) }
      var forwards: [Forward] = []
      for view in views where !local.contains(view) {
        let topic = names.repartition(
          source: source.source.name, entity: plan.views[view].entity.map(\.name))
        if let known = forwards.firstIndex(where: { $0.topic == topic }) {
          forwards[known].views.append(view)
        } else {
          forwards.append(Forward(topic: topic, views: [view]))
        }
      }
      let repartitions = forwards
      for (number, join) in plan.joins.enumerated() {
        for side in JoinPlan.Side.allCases where join.source(of: side) == index {
          forwards.append(
            Forward(topic: names.sides(join.name), views: [], side: JoinSide(join: number, side: side)))
        }
      }
      inputs.append(
        Input(
          topic: source.source.topic, source: index, name: source.source.name, views: local,
          forwards: forwards, isRepartitioned: false))
      inputs += repartitions.map { forward in
        Input(
          topic: forward.topic, source: index,
          name: TopicNames.input(
            source: source.source.name, entity: plan.views[forward.views[0]].entity.map(\.name)),
          views: forward.views, forwards: [], isRepartitioned: true)
      }
    }
    inputs += plan.joins.enumerated().map { number, join in
      Input(
        topic: names.sides(join.name), source: join.source(of: .left), name: TopicNames.sides(join.name),
        views: [], forwards: [], isRepartitioned: true, join: number)
    }
    self.inputs = inputs
  }

  /// The topics that are read, in the order in which they are written: those of the declared sources first, then what is made
  /// of them.
  public func stages(_ plan: Plan) -> [Set<String>] {
    func depth(ofSource index: Int) -> Int {
      guard let join = plan.joins.first(where: { $0.source == index }) else { return 0 }
      return JoinPlan.Side.allCases.map { depth(ofSource: join.source(of: $0)) }.reduce(0, max) + 2
    }
    var stages: [Set<String>] = [[]]
    for input in inputs {
      let own = input.join.map { plan.joins[$0].source } ?? input.source
      let stage = depth(ofSource: own) + (input.join != nil ? -1 : input.isRepartitioned ? 1 : 0)
      while stages.count <= stage { stages.append([]) }
      stages[stage].insert(input.topic)
    }
    return stages
  }

  /// The name of the input whose tasks hold a view's states.
  public func input(of view: ViewPlan, _ plan: Plan) -> String {
    guard let index = plan.views.firstIndex(where: { $0 === view }),
      let input = inputs.first(where: { $0.views.contains(index) })
    else { preconditionFailure("Cannot find where '\(view.name)' is folded") }
    return input.name
  }
}
