public import FeatureCore

extension Routing {
  /// The same routing, said a second time and as plainly as possible: by what the definitions say of columns, where
  /// `init(_:)` goes by names. Whatever judges the loop (the simulator's oracle, `plumb verify`) goes by this one, so
  /// that a mistake of the other shows as a difference.
  public init(plainly plan: Plan) {
    var inputs: [Input] = []
    for source in plan.sources.indices {
      let declared = plan.sources[source].source
      let views = plan.views.indices.filter { plan.views[$0].source == source }
      var entities: [[String]] = []
      for view in views where !entities.contains(plan.views[view].columns) {
        entities.append(plan.views[view].columns)
      }
      var home = Input(
        topic: declared.topic, source: source, name: declared.name, views: [], forwards: [],
        isRepartitioned: false)
      var others: [Input] = []
      for entity in entities {
        let sharing = views.filter { plan.views[$0].columns == entity }
        if let key = declared.key, entity == [key], declared.partitioner == .murmur2 {
          home.views = sharing
          continue
        }
        let name = "\(declared.name).by-\(entity.map(Self.plainName).joined(separator: "-"))"
        let topic = "\(plan.name).\(plan.version).\(name)"
        home.forwards.append(Forward(topic: topic, views: sharing))
        others.append(
          Input(topic: topic, source: source, name: name, views: sharing, forwards: [], isRepartitioned: true)
        )
      }
      for join in plan.joins.indices {
        let topic = "\(plan.name).\(plan.version).\(plan.joins[join].join.name).sides"
        for (name, side) in [
          (plan.joins[join].join.left.source, JoinPlan.Side.left),
          (plan.joins[join].join.right.source, .right),
        ] where name == declared.name {
          home.forwards.append(Forward(topic: topic, views: [], side: JoinSide(join: join, side: side)))
        }
      }
      inputs += [home] + others
    }
    for join in plan.joins.indices {
      let declared = plan.joins[join].join
      inputs.append(
        Input(
          topic: "\(plan.name).\(plan.version).\(declared.name).sides",
          source: plan.sources.firstIndex { $0.source.name == declared.left.source } ?? -1,
          name: "\(declared.name).sides", views: [], forwards: [], isRepartitioned: true, join: join))
    }
    self.inputs = inputs
    snapshotTopic = plan.name + ".snapshots"
    deadLetterTopic = plan.name + ".dead-letters"
    servedTopic = plan.name + ".served"
    capturedTopic = plan.name + ".captured"
    triggerTopic = plan.name + ".triggers"
    trainingTopic = plan.name + ".trainings"
  }

  private static func plainName(_ column: String) -> String {
    var name = ""
    for (index, byte) in column.utf8.enumerated() {
      switch Character(UnicodeScalar(byte)) {
      case let letter where letter.isASCII && (letter.isLetter || letter.isNumber): name.append(letter)
      case "_": name.append("_")
      case "." where index > 0: name.append(".")
      default: name += "-." + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    return name
  }
}

extension ViewPlan {
  fileprivate var columns: [String] { entity.map(\.name) }
}
