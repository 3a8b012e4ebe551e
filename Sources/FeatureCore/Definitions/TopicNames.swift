/// The names of the topics that the service writes, and of what is keyed by them. Different definitions that are accepted
/// have different names: a source's and an application's name hold neither '.' nor '-'.
public struct TopicNames: Sendable {
  private let app: String
  private let version: Int

  /// Characters of a topic's name that Kafka takes.
  static let lengthMax = 249

  /// The names of one version of an application.
  public init(app: String, version: Int) {
    self.app = app
    self.version = version
  }

  /// The topic of snapshots, of all versions.
  public var snapshots: String { "\(app).snapshots" }
  /// The topic of records that can't be used, of all versions.
  public var deadLetters: String { "\(app).dead-letters" }
  /// The topic of answers to requests, of all versions.
  public var served: String { "\(app).served" }
  /// The topic of how far tables have been captured, of all versions.
  public var captured: String { "\(app).captured" }
  /// The topic of triggers that have fired, of all versions.
  public var triggers: String { "\(app).triggers" }
  /// The topic of the commands that triggers have caused, of all versions.
  public var trainings: String { "\(app).trainings" }

  /// The topic of what a join makes.
  public func joined(_ join: String) -> String { "\(app).\(version).\(join)" }
  /// The topic to which the events of both sides of a join are forwarded.
  public func sides(_ join: String) -> String { "\(app).\(version).\(Self.sides(join))" }
  /// What names its tasks in the store.
  public static func sides(_ join: String) -> String { "\(join).sides" }

  /// `<app>.<version>.<source>.by-<entity>`: two sources may have views of one entity, and their records differ; two
  /// versions that run beside each other both forward every record.
  public func repartition(source: String, entity: [String]) -> String {
    "\(app).\(version).\(Self.input(source: source, entity: entity))"
  }

  /// What names the tasks of a repartition topic in the store.
  public static func input(source: String, entity: [String]) -> String {
    "\(source).by-\(entity.map(escaped).joined(separator: "-"))"
  }

  /// A field's name as topics and hash tags can hold it: letters, digits and '_' as they are, and '.' behind the first
  /// character; any other byte is `-.` and two hexadecimal digits. So a '-' before anything but '.' parts two columns.
  private static func escaped(_ column: String) -> String {
    var bytes: [UInt8] = []
    for (index, byte) in column.utf8.enumerated() {
      if NameRule.isWord(byte) || (byte == UInt8(ascii: ".") && index > 0) {
        bytes.append(byte)
      } else {
        let digits = String(byte, radix: 16)
        bytes += "-.\(digits.utf8.count == 1 ? "0" : "")\(digits)".utf8
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension PlanCompiler {
  /// Reports topics that two things would share, and names that Kafka would refuse. `readSources` are the declared ones and
  /// those that joins make.
  mutating func checkTopics(_ definitions: Definitions, _ readSources: [Source]) {
    let sources = DefinitionPath().child("sources")
    let names = TopicNames(app: definitions.name, version: definitions.version)
    var written = [
      names.snapshots: "of snapshots", names.deadLetters: "of dead letters", names.served: "of answers",
      names.captured: "of captures", names.triggers: "of triggers", names.trainings: "of trainings",
    ]
    // Kafka keeps no two topics that differ in '.' and '_' alone.
    var repartition: [String: String] = [:]
    for join in definitions.joins {
      for (topic, role) in [
        (names.joined(join.name), "that the join '\(join.name)' makes"),
        (names.sides(join.name), "to which the events that '\(join.name)' joins are forwarded"),
      ] {
        written[topic] = role
        repartition[topic.replacing(".", with: "_")] = topic
      }
    }
    for view in definitions.views {
      guard let source = readSources.first(where: { $0.name == view.source }),
        source.isRepartitioned(by: view.entity)
      else { continue }
      let path = DefinitionPath().child("views").child(view.name).child("entity")
      let topic = names.repartition(source: source.name, entity: view.entity)
      if topic.utf8.count > TopicNames.lengthMax {
        report(
          path,
          "its repartition topic would have a name of \(topic.utf8.count) characters, and Kafka takes "
            + "\(TopicNames.lengthMax)", "shorten the source's name, or use fewer columns")
      }
      let twin = repartition.updateValue(topic, forKey: topic.replacing(".", with: "_"))
      if let twin, twin != topic {
        report(
          path, "its repartition topic would be '\(topic)', and Kafka takes it for another view's, '\(twin)'",
          "rename a field, or give one of the views another source")
      }
      written[topic] = "to which the events of '\(source.name)' are forwarded"
    }
    var owners: [String: String] = [:]
    for source in definitions.sources {
      let path = sources.child(source.name).child("topic")
      if let role = written[source.topic] {
        report(path, "'\(source.topic)' is the topic \(role), which the service writes", "read another topic")
      }
      if let owner = owners.updateValue(source.name, forKey: source.topic), owner != source.name {
        report(
          path, "'\(source.topic)' is the topic of source '\(owner)' too",
          "declare one source, with the fields of both, and use it in the views of both")
      }
    }
  }

  /// Reports features whose columns are named alike where the rows of several views are joined: `a_` and `b`, `a` and `_b`.
  mutating func checkJoinedNames(_ views: [ViewPlan]) {
    var owners: [String: String] = [:]
    for view in views {
      for feature in view.features {
        let column = "\(view.name)__\(feature.name)"
        guard let owner = owners.updateValue(view.name, forKey: column), owner != view.name else { continue }
        report(
          DefinitionPath().child("views").child(view.name).child("features"),
          "'\(feature.name)' and a feature of view '\(owner)' would both be named '\(column)' in joined rows",
          "rename one of them")
      }
    }
  }
}

extension Source {
  /// Whether a view of these entity columns folds from a repartition topic: it isn't what the topic is keyed by.
  public func isRepartitioned(by entity: [String]) -> Bool {
    partitioner != .murmur2 || entity != [key]
  }
}
