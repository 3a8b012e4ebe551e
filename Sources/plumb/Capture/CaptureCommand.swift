import ArgumentParser
import Capture
import DefinitionFiles
import FeatureCore
import Foundation
import ServiceConfiguration

struct CaptureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture",
    abstract: "Turn database tables into topics of their rows, each change exactly once.",
    discussion: """
      For every source with "capture:", or those of --source: a first copy of the table, then its changes. PostgreSQL tells of \
      them in the order of their commits; other tables are compared with their topics again and again (mode: diff). Rows and \
      how far they reach are one Kafka transaction, so whatever is killed, the topic has each change once. The topics must \
      exist: see plumb topics apply.

      In an address, ${NAME} stands for the environment's NAME, or for what the file holds that NAME_FILE names.

      Examples:
        USERS_DB=postgresql://reader@db.internal/shop plumb capture -d shop.yaml --brokers 127.0.0.1:9092
        plumb capture -d shop.yaml --source users --once
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @Option(help: "A source to capture; may be repeated. (default: every one with \"capture:\")")
  var source: [String] = []
  @Flag(help: "End when the topics have what the tables had at the start.")
  var once = false
  @Option(help: "Where /metrics, /healthz and /readyz answer: host:port, or off. (default: off)")
  var http: String?
  @OptionGroup var log: LogOptions

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      var settings = try log.settings()
      if let http { try settings.apply(flags: [(name: "http", text: http)]) }
      let sources = try chosen(plan.sources.map(\.source))
      try CaptureService(plan, settings, sources, once: once).run()
    }
  }

  private func chosen(_ sources: [Source]) throws -> [Source] {
    for name in source {
      guard let found = sources.first(where: { $0.name == name }) else {
        let meant = Suggestion.didYouMean(name, among: sources.map(\.name)) ?? "the definitions have none"
        throw ValidationError("There is no source '\(name)'; \(meant)")
      }
      if found.capture == nil {
        throw ValidationError("The source '\(name)' has no \"capture:\", which says where its rows are.")
      }
    }
    let chosen = sources.filter { $0.capture != nil && (source.isEmpty || source.contains($0.name)) }
    if chosen.isEmpty { throw ValidationError("No source of \(definitions) has \"capture:\".") }
    return chosen
  }
}
