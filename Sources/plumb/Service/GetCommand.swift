import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore
import OnlineStore
import Processor
import ServiceConfiguration

struct GetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get",
    abstract: "Read an entity's state from Redis and print its features.",
    discussion: """
      Features are evaluated at the later of now (or --at) and the state's as_of: `at` in the answer. `requested_at` is now \
      (or --at): training rows of that time have the same features, those of `at` may see a later state.

      Examples:
        plumb get -d shop.yaml user_activity user_id=u42
        plumb get -d shop.yaml user_category user_id=u42 category=c7 --at 2026-01-02T03:04:05Z
        plumb get -d shop-v3.yaml -d shop-v4.yaml user_activity user_id=u42
        plumb get -d shop.yaml --service ranker user_id=u42 item_id=i1 category=c7 price=9.99
      """)

  @Option(
    name: [.customShort("d"), .long],
    help: "The definitions file; may be repeated with other versions, of which the live one is read.")
  var definitions: [String]
  @OptionGroup var store: StoreOptions
  @Option(
    help: "Instead of a view: a service, whose columns are printed. Its inputs are given like entity columns."
  )
  var service: String?
  @Argument(help: "The view, then the entity: column=value for each of its columns.")
  var arguments: [String]
  @Option(help: "The time of the evaluation, in RFC 3339; without it, now.")
  var at: String?
  @Flag(help: "Read the version of the definitions although another one is live.")
  var notLive = false

  func validate() throws {
    if definitions.isEmpty { throw ValidationError("Name a definitions file with -d.") }
    if notLive && definitions.count > 1 {
      throw ValidationError("--not-live reads one version: name one definitions file.")
    }
    if service == nil, arguments.isEmpty || arguments[0].contains("=") {
      throw ValidationError("Name a view, or a service with --service, then the entity as column=value.")
    }
  }

  private var view: String { arguments.first ?? "" }
  private var entity: [String] { Array(arguments.dropFirst()) }

  func run() throws {
    try reportingService {
      if let service {
        return try ServiceReading(definitions, store.settings().redisOptions(), notLive: notLive)
          .print(service, arguments, at: at.map(EventTime.init(option:)))
      }
      var versions: [Int: Wanted] = [:]
      for path in definitions {
        let wanted = try Wanted(DefinitionFile.compile(path: path), view, entity)
        if versions.updateValue(wanted, forKey: wanted.plan.version) != nil {
          throw ValidationError("Two of the definitions files are of version \(wanted.plan.version).")
        }
      }
      let names = Set(versions.values.map(\.plan.name))
      guard let name = names.first, names.count == 1 else {
        throw ValidationError("The definitions files are of different names: \(names.sorted()).")
      }
      let time = try at.map(EventTime.init(option:)) ?? .now
      var bytes: [UInt8]?
      let take = { (_: Int, state: UnsafeRawBufferPointer?) in bytes = state.map(Array.init) }
      let redis = try store.settings().redisOptions()
      let version: Int
      if notLive, let only = versions.values.first {
        version = only.plan.version
        try OnlineReader(redis, keys: StoreKeys(name: name, version: version)).read(
          source: only.request.source, view: only.view.name, entityKeys: only.request.entityKeys, take)
      } else {
        let known = versions
        version = try LiveReader(redis, name: name, versions: Array(versions.keys)).read(
          { version in
            guard let wanted = known[version] else { preconditionFailure("Cannot read an unknown version") }
            return wanted.request
          }, take)
      }
      guard let wanted = versions[version] else { preconditionFailure("Cannot have read another version") }
      try wanted.print(bytes, at: time)
    }
  }
}

/// A view and an entity in the terms of one version.
private struct Wanted {
  let plan: Plan
  let view: ViewPlan
  let request: LiveReader.Request
  private let entity: [FeatureValue]

  init(_ plan: Plan, _ name: String, _ entity: [String]) throws {
    guard let view = plan.view(name) else {
      let meant = Suggestion.didYouMean(name, among: plan.views.map(\.name)).map { " (\($0))" } ?? ""
      throw ValidationError("There is no view '\(name)' in version \(plan.version)\(meant).")
    }
    self.plan = plan
    self.view = view
    let (key, values) = try EntityArgument.entity(entity, of: view, plan.sources[view.source])
    self.entity = values
    request = LiveReader.Request(
      source: Routing(plan).input(of: view, plan), view: view.name, entityKeys: [key])
  }

  /// Prints the features of a state at a time, or at its own if that is later.
  func print(_ bytes: [UInt8]?, at time: EventTime) throws {
    let state = try bytes.map { bytes throws(StateError) in
      try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
        try view.decode(bytes)
      }
    }
    let moment = max(time, state?.asOf ?? time)
    var row = try TableWriter(
      path: "-", format: .ndjson,
      columns: ["view", "version"] + view.entity.map(\.name) + ["requested_at", "as_of", "at"]
        + view.features.map(\.name))
    row.append(.string(Text(view.name)))
    row.append(.int64(Int64(plan.version)))
    for value in entity { row.append(value) }
    row.append(.timestamp(time))
    row.append(state.map { .timestamp($0.asOf) } ?? .null)
    row.append(.timestamp(moment))
    for value in view.evaluate(state, at: moment) { row.append(value) }
    try row.endRow()
    try row.finish()
  }
}

/// `column=value` arguments as an entity key.
enum EntityArgument {
  /// The `column=value` of one text. A value may have blanks: it ends where ` column=` begins.
  static func split(_ text: String, _ columns: [String]) -> [String] {
    var arguments: [String] = []
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      if arguments.isEmpty || columns.contains(where: { word.hasPrefix("\($0)=") }) {
        if arguments.isEmpty && word.isEmpty { continue }
        arguments.append(String(word))
      } else {
        arguments[arguments.count - 1] += " " + word
      }
    }
    return arguments
  }

  static func key(_ arguments: [String], of view: ViewPlan, _ source: SourcePlan) throws -> [UInt8] {
    try entity(arguments, of: view, source).key
  }

  /// The key and what it is made of.
  static func entity(
    _ arguments: [String], of view: ViewPlan, _ source: SourcePlan
  ) throws -> (key: [UInt8], values: [FeatureValue]) {
    var values: [String: String] = [:]
    for argument in arguments {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw ValidationError("'\(argument)' is no column=value.") }
      guard values.updateValue(String(parts[1]), forKey: String(parts[0])) == nil else {
        throw ValidationError("'\(parts[0])' is given twice.")
      }
    }
    let arena = TextArena()
    var row = [Scalar](repeating: .null, count: source.schema.columns.count)
    for column in view.entity {
      guard let text = values.removeValue(forKey: column.name) else {
        throw ValidationError("The entity column '\(column.name)' is missing: add \(column.name)=VALUE.")
      }
      row[column.column] = try scalar(text, column, arena)
    }
    if let extra = values.keys.sorted().first {
      throw ValidationError("'\(extra)' is no entity column of '\(view.name)'.")
    }
    let entity = view.entity.map { FeatureValue(row[$0.column], $0.type) }
    return (Array(try EntityKey.make(&row, view.entity, arena: arena)), entity)
  }

  private static func scalar(_ text: String, _ column: EntityColumn, _ arena: TextArena) throws -> Scalar {
    let bytes = arena.allocate(text.utf8.count)
    bytes.copyBytes(from: text.utf8)
    switch column.type {
    case .string: return .text(UnsafeRawBufferPointer(bytes))
    case .bool where text == "true" || text == "false": return .bool(text == "true")
    case .int64, .timestamp:
      if let number = Int64(text) { return .int64(number) }
    default: break
    }
    throw ValidationError("'\(text)' is no \(column.type.rawValue) for the column '\(column.name)'.")
  }
}
