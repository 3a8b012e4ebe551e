/// A compiled join: immutable.
public final class JoinPlan: Sendable {
  /// The side that an event of a join is of.
  public enum Side: Int, Sendable, CaseIterable {
    /// The events that get something.
    case left
    /// What they get it from.
    case right
  }

  /// What the definitions say.
  public let join: Join
  /// Index of the source that it makes among the plan's.
  public let source: Int
  /// Which events of a side take part, and their keys. Of a table's side, the rows' states too.
  public let left: ViewPlan
  /// The same.
  public let right: ViewPlan
  /// Identifies the semantics: joins with equal fingerprints make equal records of equal logs.
  public let fingerprint: UInt64
  /// Records of its log that a cursor takes for one record of the head.
  public let followMax: Int
  /// The types of the left source's columns, which the record has first.
  let leftTypes: [ValueType]
  /// What stands in front of each one's value.
  let leftNames: [[UInt8]]
  /// The carried columns of the right source.
  let carried: [Carried]
  /// Their members where no event has followed.
  let nothingCarried: [UInt8]

  /// A column of the right source that the record carries.
  struct Carried: Sendable {
    var name: String
    /// What stands in front of its value.
    let member: [UInt8]
    var type: ValueType
    /// Its column in the right source's rows.
    var column: Int
    /// Of a table's side, the index of the feature that has the row's value.
    var feature = -1

    init(_ name: String, _ type: ValueType, column: Int) {
      self.name = name
      self.type = type
      self.column = column
      member = JoinPlan.member(name)
    }
  }

  init(
    _ join: Join, source: Int, left: ViewPlan, right: ViewPlan, leftColumns: [EventSchema.Column],
    carried: [Carried], followMax: Int
  ) {
    self.join = join
    self.source = source
    self.left = left
    self.right = right
    leftTypes = leftColumns.map(\.type)
    leftNames = leftColumns.map { Self.member($0.name) }
    self.carried = carried
    nothingCarried = carried.reduce(into: []) { $0 += $1.member + Array("null".utf8) }
    self.followMax = followMax
    fingerprint = Hash64.hash(
      [
        "join \(join.name)", "left \(left.fingerprint)", "right \(right.fingerprint)", "kind \(join.kind)",
        "fields \(carried.map(\.name).joined(separator: ","))",
      ].joined(separator: "\n"))
  }

  /// The name.
  public var name: String { join.name }
  /// The source of a side, as an index of the plan's.
  public func source(of side: Side) -> Int { view(of: side).source }
  /// What decides which events of a side take part.
  public func view(of side: Side) -> ViewPlan { side == .left ? left : right }

  /// Columns that a record has besides those of its sources.
  enum Column {
    /// Whether an event followed.
    static let label = "label"
    /// The time of the first that did.
    static let labelTime = "label_time"
    /// 0 for the record that was made when the outcome was due, 1 for one that corrects it.
    static let revision = "revision"
  }
}

extension PlanCompiler {
  /// Compiles the joins, and appends the sources that they make. A join of joins comes after those.
  mutating func compileJoins(_ definitions: Definitions, _ sources: inout [SourcePlan?]) -> [JoinPlan] {
    let root = DefinitionPath(["joins"])
    checkUnique(definitions.joins.map(\.name), "join", at: root)
    for join in definitions.joins where definitions.sources.contains(where: { $0.name == join.name }) {
      report(root.child(join.name), "there is a source named '\(join.name)' too", "rename one")
    }
    for join in definitions.joins where definitions.views.contains(where: { $0.name == join.name }) {
      report(root.child(join.name), "there is a view named '\(join.name)' too", "rename one")
    }
    var plans: [JoinPlan] = []
    var names = definitions.sources.map(\.name)
    var left = definitions.joins
    while !left.isEmpty {
      let names0 = names
      let ready = left.filter { names0.contains($0.left.source) && names0.contains($0.right.source) }
      left.removeAll { ready.contains($0) }
      for join in ready {
        var compiler = JoinCompiler(join, definitions, names: names, sources: sources, zones: zones)
        let made = compiler.compile(source: sources.count, followMax: joinFollowMax)
        for mistake in compiler.mistakes { report(mistake) }
        names.append(join.name)
        sources.append(made?.source)
        if let made { plans.append(made.plan) }
      }
      if ready.isEmpty { break }
    }
    let all = names + left.map(\.name)
    for join in left {
      let path = root.child(join.name)
      for (key, side) in [("left", join.left), ("right", join.right)] where !names.contains(side.source) {
        if left.contains(where: { $0.name == side.source }) {
          report(
            path.child(key), "'\(side.source)' is made of what this join makes, or of what can't be made")
        } else {
          report(
            path.child(key), "there is no source '\(side.source)'",
            Suggestion.didYouMean(side.source, among: all))
        }
      }
    }
    return plans
  }
}

/// Compiles one join whose sides are compiled.
private struct JoinCompiler {
  let join: Join
  let definitions: Definitions
  let names: [String]
  let sources: [SourcePlan?]
  let zones: [String: TimeZoneRules]
  let path: DefinitionPath
  var mistakes: [Mistake] = []

  init(
    _ join: Join, _ definitions: Definitions, names: [String], sources: [SourcePlan?],
    zones: [String: TimeZoneRules]
  ) {
    self.join = join
    self.definitions = definitions
    self.names = names
    self.sources = sources
    self.zones = zones
    path = DefinitionPath(["joins", join.name])
  }

  private mutating func report(_ path: DefinitionPath, _ message: String, _ suggestion: String? = nil) {
    mistakes.append(Mistake(path, message, suggestion: suggestion))
  }

  mutating func compile(source: Int, followMax: Int) -> (plan: JoinPlan, source: SourcePlan)? {
    if let problem = NameRule.problem(join.name, allowsDashes: false) { report(path, problem.0, problem.1) }
    guard let leftIndex = names.firstIndex(of: join.left.source), let left = sources[leftIndex],
      let rightIndex = names.firstIndex(of: join.right.source), let right = sources[rightIndex]
    else { return nil }
    checkKind(left, right)
    checkKey(left, right)
    let carried = carriedColumns(left, right)
    guard mistakes.isEmpty else { return nil }
    // The order of the list changes no key.
    let on = join.on.sorted { Text($0) < Text($1) }
    let leftView = compile(join.left, leftIndex, left, on, at: path.child("left"), features: [.all])
    let isTable = join.kind == .table
    let features =
      isTable && !carried.isEmpty ? carried.map { Feature($0.name, .column($0.name)) } : [.all]
    let rightView = compile(join.right, rightIndex, right, on, at: path.child("right"), features: features)
    guard let leftView, let rightView else { return nil }
    let output = outputSource(left, carried, on)
    let plan = JoinPlan(
      join, source: source, left: leftView, right: rightView, leftColumns: left.schema.columns,
      carried: carried.map { carried in
        var carried = carried
        carried.feature = isTable ? rightView.features.firstIndex { $0.name == carried.name } ?? -1 : -1
        return carried
      }, followMax: followMax)
    return (
      plan,
      SourcePlan(
        source: output, schema: EventSchema(output, zones: zones), zones: zones,
        joinFingerprint: plan.fingerprint)
    )
  }

  private mutating func checkKind(_ left: SourcePlan, _ right: SourcePlan) {
    if left.source.isTable {
      report(path.child("left"), "a table has no events", "name it as 'table'")
    }
    switch join.kind {
    case .table:
      if !right.source.isTable {
        report(
          path.child("table"), "'\(right.source.name)' is no table",
          "say 'table: true' of the source, or join it with 'right', 'within' and 'wait'")
      }
    case .outcome(let within, let wait, let lateness):
      if right.source.isTable {
        report(path.child("right"), "the rows of a table follow nothing", "name it as 'table'")
      }
      if within <= 0 || within > Limits.windowMax {
        report(
          path.child("within"), "\(Duration.text(within)) after the left event",
          "use more than 0s, and at most 400d")
      }
      if wait < 0 || wait > Limits.windowMax {
        report(path.child("wait"), "a wait of \(Duration.text(wait))", "use 0s to 400d")
      }
      if lateness < 0 || lateness > Limits.windowMax {
        report(path.child("allowed_lateness"), "\(Duration.text(lateness))", "use 0s to 400d")
      }
    }
  }

  private mutating func checkKey(_ left: SourcePlan, _ right: SourcePlan) {
    let place = path.child("on")
    if join.on.isEmpty { report(place, "nothing has to be equal", "name a column that both sources have") }
    if Set(join.on).count < join.on.count { report(place, "a column is named twice", "remove one") }
    for name in join.on {
      var types: [ValueType] = []
      for side in [left, right] {
        guard let column = side.schema.columns.first(where: { $0.name == name }) else {
          report(
            place, "'\(side.source.name)' has no column '\(name)'",
            Suggestion.didYouMean(name, among: side.schema.columns.map(\.name))
              ?? "compute one there: \(name): { compute: ... }")
          continue
        }
        types.append(column.type)
      }
      guard types.count == 2 else { continue }
      if types[0] != types[1] {
        report(
          place,
          "'\(name)' is of type \(types[0].rawValue) in '\(left.source.name)' and \(types[1].rawValue) in "
            + "'\(right.source.name)'", "convert one of them: compute: \"CAST(... AS \(types[0].rawValue))\"")
      } else if types[0] == .double {
        report(place, "doubles can't be joined on", "use a string or int64 column")
      }
    }
  }

  private mutating func carriedColumns(_ left: SourcePlan, _ right: SourcePlan) -> [JoinPlan.Carried] {
    let place = path.child("fields")
    if join.kind == .table, join.fields.isEmpty {
      report(place, "the record would carry nothing of the table", "list columns of '\(right.source.name)'")
    }
    var carried: [JoinPlan.Carried] = []
    for name in join.fields.sorted(by: { Text($0) < Text($1) }) {
      guard let column = right.schema.columns.firstIndex(where: { $0.name == name }) else {
        report(
          place, "'\(right.source.name)' has no column '\(name)'",
          Suggestion.didYouMean(name, among: right.schema.columns.map(\.name)))
        continue
      }
      if carried.contains(where: { $0.name == name }) {
        report(place, "'\(name)' is listed twice", "remove one")
      }
      if left.schema.columns.contains(where: { $0.name == name }) {
        report(
          place, "'\(left.source.name)' has a column '\(name)', too",
          "compute one of another name in '\(right.source.name)'")
      }
      carried.append(JoinPlan.Carried(name, right.schema.columns[column].type, column: column))
    }
    guard join.kind != .table else { return carried }
    let own = [JoinPlan.Column.label, JoinPlan.Column.labelTime, JoinPlan.Column.revision]
    for name in own where (left.schema.columns.map(\.name) + carried.map(\.name)).contains(name) {
      report(path, "a column is named '\(name)', as one that the join adds", "rename it in the source")
    }
    return carried
  }

  /// What decides which events take part: a view of them.
  private mutating func compile(
    _ side: Join.Side, _ index: Int, _ source: SourcePlan, _ on: [String], at path: DefinitionPath,
    features: [Feature]
  ) -> ViewPlan? {
    let view = View(join.name, source: side.source, entity: on, where: side.filter, features: features)
    var compiler = ViewCompiler(view, sourceIndex: index, source: source, path: path, zones: zones)
    let plan = compiler.compile()
    mistakes += compiler.mistakes
    return plan
  }

  /// The source that the records are events of: the left event's columns at its time, and what it got.
  private func outputSource(_ left: SourcePlan, _ carried: [JoinPlan.Carried], _ on: [String]) -> Source {
    func field(_ name: String, _ type: ValueType) -> Source.Field {
      Source.Field(name, type, unit: type == .timestamp ? .microseconds : nil)
    }
    let time = left.schema.columns[left.schema.timeColumn].name
    var fields = left.schema.columns.filter { $0.name != time }.map { field($0.name, $0.type) }
    fields += carried.map { field($0.name, $0.type) }
    if join.kind != .table {
      fields += [
        field(JoinPlan.Column.label, .bool), field(JoinPlan.Column.labelTime, .timestamp),
        field(JoinPlan.Column.revision, .int64),
      ]
    }
    let names = TopicNames(app: definitions.name, version: definitions.version)
    var source = Source(
      join.name, topic: names.joined(join.name), key: on.count == 1 ? on[0] : nil,
      timestamp: Source.Timestamp(field: time, unit: .microseconds), fields: fields,
      maxAhead: left.source.maxAhead)
    source.timestamp.isAny = true
    source.annotations = join.annotations
    return source
  }
}

extension Feature {
  /// How many events took part.
  fileprivate static let all = Feature("events", .aggregate(Aggregate(.count, windows: [.lifetime])))
}
