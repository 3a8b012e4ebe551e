import ArgumentParser
import DefinitionFiles
import FeatureCore
import Foundation
import OfflineStore
import OnlineStore
import Processor
import ServiceConfiguration

struct GetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get",
    abstract: "Read an entity's state from Redis and print its features.",
    discussion: """
      Features are evaluated at the later of now (or --at) and the state's as_of.

      Examples:
        plumb get -d shop.yaml user_activity user_id=u42
        plumb get -d shop.yaml user_category user_id=u42 category=c7 --at 2026-01-02T03:04:05Z
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var store: StoreOptions
  @Argument(help: "The view.")
  var view: String
  @Argument(help: "The entity: column=value for each of its columns.")
  var entity: [String]
  @Option(help: "The time of the evaluation, in RFC 3339; without it, now.")
  var at: String?

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      guard let found = plan.view(view) else {
        let meant = Suggestion.didYouMean(view, among: plan.views.map(\.name)).map { " (\($0))" } ?? ""
        throw ValidationError("There is no view '\(view)'\(meant).")
      }
      let key = try EntityArgument.key(entity, of: found, plan.sources[found.source])
      let time = try requestedTime()
      let input = Routing(plan).input(of: found, plan)
      let reader = OnlineReader(
        try store.settings().redisOptions(), keys: StoreKeys(name: plan.name, version: plan.version))
      var bytes: [UInt8]?
      try reader.read(source: input, view: found.name, entityKeys: [key]) { _, state in
        bytes = state.map(Array.init)
      }
      let state = try bytes.map { bytes throws(StateError) in
        try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(StateError) in
          try found.decode(bytes)
        }
      }
      let moment = max(time, state?.asOf ?? time)
      var row = try TableWriter(
        path: "-", format: .ndjson, columns: ["view", "as_of", "at"] + found.features.map(\.name))
      row.append(.string(Text(found.name)))
      row.append(state.map { .timestamp($0.asOf) } ?? .null)
      row.append(.timestamp(moment))
      for value in found.evaluate(state, at: moment) { row.append(value) }
      try row.endRow()
      try row.finish()
    }
  }

  private func requestedTime() throws(ValidationError) -> EventTime {
    guard var at else { return EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }
    let time = at.withUTF8 { RFC3339.parse(UnsafeRawBufferPointer($0)) }
    guard let time else {
      throw ValidationError("'\(at)' is no time: write RFC 3339, such as 2026-01-02T03:04:05Z.")
    }
    return time
  }
}

/// `column=value` arguments as an entity key.
enum EntityArgument {
  static func key(_ arguments: [String], of view: ViewPlan, _ source: SourcePlan) throws -> [UInt8] {
    var values: [String: String] = [:]
    for argument in arguments {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw ValidationError("'\(argument)' is no column=value.") }
      values[String(parts[0])] = String(parts[1])
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
    return Array(try EntityKey.make(&row, view.entity, arena: arena))
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
