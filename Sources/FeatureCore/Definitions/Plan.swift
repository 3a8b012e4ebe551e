/// A compiled source.
public struct SourcePlan: Sendable {
  /// What the definitions say.
  public let source: Source
  /// The columns of its rows.
  public let schema: EventSchema

  /// The rules of every time zone that the definitions name.
  public let zones: [String: TimeZoneRules]
  /// Of a source that a join makes, what identifies the join's semantics.
  public var joinFingerprint: UInt64?
}

/// Checked and compiled definitions: what everything that folds, serves or trains works from.
public struct Plan: Sendable {
  /// Prefixes keys, internal topics and transactional ids.
  public let name: String
  /// Separates the states of one definition from those of its successor.
  public let version: Int
  /// The sources, in the order of the definitions, and behind them those that the joins make.
  public let sources: [SourcePlan]
  /// The joins, each after those that it is made of.
  public let joins: [JoinPlan]
  /// The views, in the order of the definitions.
  public let views: [ViewPlan]
  /// The services, in the order of the definitions. They change no state and no fingerprint.
  public let services: [ServicePlan]
  /// What was compiled.
  public let definitions: Definitions
  /// Identifies the semantics of all views together; neither comments nor order nor formatting change it.
  public let fingerprint: UInt64

  /// The zones whose rules are in the fingerprint, but for UTC, which has none.
  public var fingerprintZones: [String] { Set(views.flatMap(\.fingerprintZones)).sorted() }

  /// Checks and compiles definitions. `zones` holds the rules of every time zone that they name. `stateBytesMax` and
  /// `joinFollowMax` are smaller in tests only. Throws every mistake at once.
  public init(
    _ definitions: Definitions, zones: [String: TimeZoneRules] = ["UTC": .utc],
    stateBytesMax: Int = Limits.stateBytesMax, joinFollowMax: Int = Limits.joinFollowMax
  ) throws(DefinitionMistakes) {
    var compiler = PlanCompiler(zones: zones)
    compiler.stateBytesMax = stateBytesMax
    compiler.joinFollowMax = joinFollowMax
    let compiled = compiler.compile(definitions)
    guard compiler.mistakes.isEmpty else { throw DefinitionMistakes(compiler.mistakes) }
    name = definitions.name
    version = definitions.version
    sources = compiled.sources
    views = compiled.views
    services = compiled.services
    joins = compiled.joins
    self.definitions = definitions
    // Without joins, what it always was.
    let lines =
      views.map { "\($0.name) \(fingerprintText($0.fingerprint))" }.sorted()
      + joins.map { "join \($0.name) \(fingerprintText($0.fingerprint))" }.sorted()
    fingerprint = Hash64.hash(lines.joined(separator: "\n"))
  }

  /// The sources that others write.
  public var declaredSources: ArraySlice<SourcePlan> { sources.prefix(definitions.sources.count) }

  /// The view of a name.
  public func view(_ name: String) -> ViewPlan? { views.first { $0.name == name } }

  /// Features that nothing declares as a service: `view.feature`, or `view.*`.
  public func service(of features: [String]) throws(DefinitionMistakes) -> ServicePlan {
    var compiler = ServiceCompiler(
      Service("features", features: features), views: views, path: DefinitionPath())
    if let service = compiler.compile() { return service }
    throw DefinitionMistakes(compiler.mistakes)
  }

  /// The service of a name.
  public func service(_ name: String) -> ServicePlan? { services.first { $0.name == name } }
}

/// Checks definitions and compiles what is sound, collecting mistakes instead of stopping at the first.
struct PlanCompiler {
  let zones: [String: TimeZoneRules]
  var stateBytesMax = Limits.stateBytesMax
  var joinFollowMax = Limits.joinFollowMax
  private(set) var mistakes: [Mistake] = []

  init(zones: [String: TimeZoneRules]) { self.zones = zones }

  mutating func report(
    _ path: DefinitionPath, offset: Int? = nil, _ message: String, _ suggestion: String? = nil
  ) {
    mistakes.append(Mistake(path, offset: offset, message, suggestion: suggestion))
  }

  mutating func report(_ mistake: Mistake) { mistakes.append(mistake) }

  mutating func compile(_ definitions: Definitions) -> (
    sources: [SourcePlan], joins: [JoinPlan], views: [ViewPlan], services: [ServicePlan]
  ) {
    let root = DefinitionPath()
    checkName(definitions.name, at: root.child("name"), isProject: true)
    if definitions.version < 1 {
      report(root.child("version"), "the version is \(definitions.version)", "use 1 or more")
    }
    if definitions.sources.isEmpty {
      report(root.child("sources"), "there is no source", "declare at least one")
    }
    if definitions.views.isEmpty { report(root.child("views"), "there is no view", "declare at least one") }
    checkUnique(definitions.sources.map(\.name), "source", at: root.child("sources"))
    checkUnique(definitions.views.map(\.name), "view", at: root.child("views"))
    var sources: [SourcePlan?] = []
    for source in definitions.sources {
      let isSound = checkSource(source, at: root.child("sources").child(source.name))
      sources.append(
        isSound ? SourcePlan(source: source, schema: EventSchema(source, zones: zones), zones: zones) : nil)
    }
    let joins = compileJoins(definitions, &sources)
    let names = definitions.sources.map(\.name) + definitions.joins.map(\.name)
    var views: [ViewPlan] = []
    for view in definitions.views {
      let path = root.child("views").child(view.name)
      checkName(view.name, at: path)
      guard names.contains(view.source) else {
        report(
          path.child("source"), "there is no source '\(view.source)'",
          Suggestion.didYouMean(view.source, among: names))
        continue
      }
      // What is wrong with the source has been said; its views can't be checked against it.
      guard let index = sources.firstIndex(where: { $0?.source.name == view.source }),
        let source = sources[index]
      else { continue }
      var compiler = ViewCompiler(view, sourceIndex: index, source: source, path: path, zones: zones)
      compiler.stateBytesMax = stateBytesMax
      if let plan = compiler.compile() { views.append(plan) }
      mistakes += compiler.mistakes
    }
    checkTopics(definitions, definitions.sources + joins.map { sources[$0.source] }.compactMap(\.?.source))
    checkJoinedNames(views)
    return (sources.compactMap(\.self), joins, views, compileServices(definitions, views))
  }

  private mutating func compileServices(_ definitions: Definitions, _ views: [ViewPlan]) -> [ServicePlan] {
    let path = DefinitionPath(["services"])
    checkUnique(definitions.services.map(\.name), "service", at: path)
    // What is wrong with a view has been said; nothing can be checked against it.
    guard views.count == definitions.views.count else { return [] }
    var services: [ServicePlan] = []
    for service in definitions.services {
      var compiler = ServiceCompiler(service, views: views, path: path.child(service.name))
      if let plan = compiler.compile() { services.append(plan) }
      mistakes += compiler.mistakes
    }
    return services
  }

  private mutating func checkSource(_ source: Source, at path: DefinitionPath) -> Bool {
    let before = mistakes.count
    checkName(source.name, at: path)
    checkTopic(source.topic, at: path.child("topic"))
    checkUnique(source.fields.map(\.name), "field", at: path.child("fields"))
    let names = source.fields.map(\.name)
    for field in source.fields where field.name.isEmpty {
      report(path.child("fields"), "a field has no name", "name it like the JSON key")
    }
    if source.timestamp.field.isEmpty {
      report(path.child("timestamp").child("field"), "the event-time field has no name", "name the JSON key")
    }
    if let declared = source.fields.first(where: { $0.name == source.timestamp.field }) {
      if declared.type != .timestamp {
        report(
          path.child("fields").child(declared.name),
          "'\(declared.name)' is the event time, so it can't be declared as \(declared.type.rawValue)",
          "remove it from 'fields': expressions see it as a timestamp anyway")
      } else if let unit = declared.unit, unit != source.timestamp.unit {
        report(
          path.child("fields").child(declared.name),
          "'\(declared.name)' is the event time in \(source.timestamp.unit.rawValue), so it can't be in \(unit.rawValue)",
          "remove it from 'fields'")
      }
    }
    checkPaths(source, at: path)
    for field in source.fields { checkSpelling(field, at: path.child("fields").child(field.name)) }
    checkSpelling(
      source.timestamp.unit, source.timestamp.zone, isText: source.timestamp.isText,
      at: path.child("timestamp"))
    if let key = source.key { checkKey(key, source, names, at: path.child("key")) }
    if source.capture != nil, !source.isTable {
      report(path.child("capture"), "only a table is captured", "add \"table: true\"")
    }
    if source.isTable, source.key == nil {
      report(path, "a table has no 'key'", "name the field that identifies a row")
    }
    if source.isTable { checkTable(source, at: path) }
    checkDuplicates(source, at: path.child("duplicates"))
    if source.format != .json { checkChanges(source, at: path) }
    checkComputed(source, at: path, before: before)
    if source.maxAhead < 0 { report(path.child("max_ahead"), "max_ahead is negative", "use 0s or more") }
    return mistakes.count == before
  }

  private mutating func checkTable(_ source: Source, at path: DefinitionPath) {
    if source.each != nil { report(path.child("each"), "a table's record is one row", "remove 'each'") }
    if let key = source.fields.first(where: { $0.name == source.key }), key.compute != nil {
      report(
        path.child("key"), "the key of a deleted row can't be computed",
        "declare the field as the table has it")
    }
    let kept = FieldPath.Step.member(EventSchema.keptField)
    for field in source.fields
    where (field.path.flatMap { FieldPath($0) } ?? FieldPath(member: field.name)).steps[0] == kept {
      report(
        path.child("fields").child(field.name),
        "'\(EventSchema.keptField)' names the values that a row keeps",
        "remove it: it is read anyway")
    }
  }

  /// What Debezium writes.
  private mutating func checkChanges(_ source: Source, at path: DefinitionPath) {
    if !source.isTable { report(path.child("format"), "Debezium writes tables", "add \"table: true\"") }
    if source.capture != nil {
      report(path.child("capture"), "Debezium writes the topic already", "remove 'capture' or 'format'")
    }
    let time = source.timestamp
    guard source.format == .debezium, !time.isRecord else { return }
    let units: [String: TimeUnit] = ["ts_ms": .milliseconds, "ts_us": .microseconds, "ts_ns": .nanoseconds]
    if units[time.field] != time.unit || source.fields.contains(where: { $0.name == time.field }) {
      report(
        path.child("timestamp"),
        "the time of a change is that of its 'source' block, which deletions have too",
        "use timestamp: { field: ts_ms, unit: ms } (or ts_us, ts_ns), or { record: true }, and declare no such field"
      )
    }
  }

  private mutating func checkSpelling(_ field: Source.Field, at path: DefinitionPath) {
    if field.record == .timestamp, field.type != .timestamp {
      report(path, "the record's timestamp is no \(field.type.rawValue)", "use type: timestamp")
    }
    if field.record == .key, field.type == .double || field.type == .bool {
      report(path, "the record's key can't be a \(field.type.rawValue)", "use string, int64 or timestamp")
    }
    if field.record != nil, field.path != nil {
      report(path, "a part of the record besides its value has no path", "remove 'path' or 'record'")
    }
    if let header = field.header {
      if field.path != nil || field.record != nil {
        report(
          path, "a header is no part of the value, the key or the timestamp", "remove 'path' and 'record'")
      }
      if header.isEmpty { report(path.child("header"), "a header's name is empty", "name the header") }
    }
    if field.type == .timestamp {
      return checkSpelling(
        field.unit ?? .text, field.zone, isText: field.isText && field.unit != nil, at: path)
    }
    if field.unit != nil { report(path, "only timestamps have a unit", "remove 'unit'") }
    if field.zone != nil { report(path, "only timestamps have a time zone", "remove 'time_zone'") }
    if field.isText, field.type == .string { report(path, "a string is always text", "remove 'text'") }
  }

  private mutating func checkSpelling(
    _ unit: TimeUnit, _ zone: String?, isText: Bool, at path: DefinitionPath
  ) {
    if isText, unit.isText {
      report(path.child("text"), "a time in the unit '\(unit.rawValue)' is always text", "remove 'text'")
    }
    guard let zone else { return }
    let place = path.child("time_zone")
    if unit != .text {
      report(place, "only texts can lack a zone, and the unit is '\(unit.rawValue)'", "use unit: text")
    } else if zones[zone] == nil {
      report(
        place, "there is no time zone '\(zone)'", Suggestion.didYouMean(zone, among: zones.keys.sorted()))
    }
  }

  /// Checks the expressions of computed fields, unless what they are computed from has mistakes.
  private mutating func checkComputed(_ source: Source, at path: DefinitionPath, before: Int) {
    let computed = source.fields.filter { $0.compute != nil }
    for field in computed where field.name == source.timestamp.field || field.name == source.key {
      let role = field.name == source.key ? "what the topic is partitioned by" : "the event time"
      report(
        path.child("fields").child(field.name), "\(role) can't be computed", "name a field of the record")
    }
    guard !computed.isEmpty, mistakes.count == before else { return }
    var compiler = ComputedCompiler(
      EventSchema.readColumns(source, zones).columns, path: path, zones: zones)
    compiler.compile(source)
    mistakes += compiler.mistakes
  }

  private mutating func checkKey(_ key: String, _ source: Source, _ names: [String], at path: DefinitionPath)
  {
    guard let field = source.fields.first(where: { $0.name == key }) else {
      report(path, "the key '\(key)' is not a declared field", Suggestion.didYouMean(key, among: names))
      return
    }
    if field.type == .double { report(path, "a double can't be a key", "use a string or int64 field") }
  }

  mutating func checkName(_ name: String, at path: DefinitionPath, isProject: Bool = false) {
    if let problem = NameRule.problem(name, allowsDashes: isProject) { report(path, problem.0, problem.1) }
  }

  private mutating func checkTopic(_ topic: String, at path: DefinitionPath) {
    let isLegal = topic.utf8.allSatisfy {
      NameRule.isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
    }
    if topic.isEmpty || topic.utf8.count > 249 || !isLegal || topic == "." || topic == ".." {
      report(path, "'\(topic)' is no Kafka topic name", "use 1 to 249 letters, digits, '.', '_' and '-'")
    }
  }

  mutating func checkUnique(_ names: [String], _ kind: String, at path: DefinitionPath) {
    var seen: Set<String> = []
    for name in names where !seen.insert(name).inserted {
      report(path.child(name), "there are two \(kind)s named '\(name)'", "rename one")
    }
  }
}

/// What names may look like. They become parts of Redis keys, topics, columns and identifiers of other systems.
enum NameRule {
  static let lengthMax = 64

  static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// What is wrong with the name of a window, which ends the names of columns; nil if it is fine.
  static func windowProblem(_ name: String) -> (String, String)? {
    let isLegal = !name.isEmpty && name.utf8.count <= lengthMax && name.utf8.allSatisfy(isWord)
    if !isLegal || name.hasPrefix("_") || name.contains("__") {
      return (
        "'\(name)' is not a name of a window", "use 1 to \(lengthMax) letters, digits and '_', such as 24h"
      )
    }
    return nil
  }

  /// What is wrong with a name, and what to do; nil if it is fine.
  static func problem(_ name: String, allowsDashes: Bool) -> (String, String)? {
    let bytes = Array(name.utf8)
    let rule = "use 1 to \(lengthMax) letters, digits and '_', not a digit first"
    guard let first = bytes.first else { return ("the name is empty", rule) }
    if bytes.count > lengthMax { return ("the name '\(name)' is longer than \(lengthMax) characters", rule) }
    let isLegal = bytes.allSatisfy { isWord($0) || (allowsDashes && $0 == UInt8(ascii: "-")) }
    if !isLegal || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
      return ("'\(name)' is not a name", rule)
    }
    // Rows that join views name their columns <view>__<feature>.
    if name.contains("__") { return ("the name '\(name)' has two underscores in a row", "use one") }
    return nil
  }
}
