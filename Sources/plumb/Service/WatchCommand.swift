import ArgumentParser
import DefinitionFiles
import FeatureCore
import Foundation
import LiveView
import OfflineStore
import OnlineStore
import Processor
import ServiceConfiguration

struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Show a service's throughput and lag, and some entities' features, live.",
    discussion: """
      Reads /metrics of the service's instances and the entities' states in Redis. On a terminal the view is redrawn in \
      place; elsewhere it is a line every few seconds.

      Examples:
        plumb watch -d shop.yaml --metrics 127.0.0.1:9464 --entity 'user_activity user_id=u1'
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var store: StoreOptions
  @Option(help: "Where an instance answers /metrics, host:port; may be repeated. (default: 127.0.0.1:9464)")
  var metrics: [MetricsAddress] = []
  @Option(help: "An entity to show: its view, and column=value for each of its columns; may be repeated.")
  var entity: [String] = []
  @Option(name: .customLong("for"), help: "End after this time: 20s, 5m. (default: at Ctrl-C)")
  var span: TimeSpan?

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let entities = try WatchedEntities(plan, entity, try store.settings().redisOptions())
      let addresses = metrics.isEmpty ? [MetricsAddress(host: "127.0.0.1", port: 9464)] : metrics
      var view = LiveView(
        title: "\(plan.name) v\(plan.version)", instances: addresses.map { "\($0.host):\($0.port)" })
      Interruption.watch()
      var screen = Screen()
      let start = ContinuousClock.now
      let end = span.map { start + .microseconds($0.microseconds) }
      while true {
        let answers = addresses.map { address in
          (try? HTTPGet.body(host: address.host, port: address.port, path: "/metrics")).map(
            MetricSamples.init)
        }
        view.elapsedSeconds = start.duration(to: .now) / .seconds(1)
        view.history.add(answers, at: view.elapsedSeconds)
        (view.entities, view.problem) = entities.read()
        let isLast = Interruption.isRequested || end.map { ContinuousClock.now >= $0 } ?? false
        screen.show(view, isLast: isLast)
        if isLast { return }
        pause(until: min(ContinuousClock.now + .milliseconds(250), end ?? .now + .seconds(1)))
      }
    }
  }

  private func pause(until time: ContinuousClock.Instant) {
    while !Interruption.isRequested, ContinuousClock.now < time { usleep(20_000) }
  }
}

/// `host:port`.
struct MetricsAddress: ExpressibleByArgument {
  var host: String
  var port: Int

  init(host: String, port: Int) { (self.host, self.port) = (host, port) }

  init?(argument: String) {
    guard let address = ServiceSettings.HostAndPort(argument) else { return nil }
    self.init(host: address.host, port: address.port)
  }
}

/// The entities that are shown.
private struct WatchedEntities {
  private let entities: [(title: String, view: ViewPlan, values: [FeatureValue])]
  private let reader: FeatureReader

  init(_ plan: Plan, _ names: [String], _ redis: RedisOptions) throws {
    reader = FeatureReader(plan, redis)
    entities = try names.map { name in
      let words = name.split(separator: " ").map(String.init)
      guard let view = words.first.flatMap(plan.view) else {
        throw ValidationError(
          "'\(name)' is no entity: write 'VIEW COLUMN=VALUE', with a view of the definitions.")
      }
      let key = try EntityArgument.key(Array(words.dropFirst()), of: view, plan.sources[view.source])
      let values = key.withUnsafeBytes { EntityKey.values(of: $0, view.entity) }
      return (name, view, values ?? [])
    }
  }

  /// The entities as they are now, or why they can't be read.
  func read() -> (entities: [LiveView.Entity], problem: String?) {
    do {
      return (try entities.map(read), nil)
    } catch {
      return ([], "\(error)")
    }
  }

  private func read(
    _ entity: (title: String, view: ViewPlan, values: [FeatureValue])
  ) throws(StoreError) -> LiveView.Entity {
    let now = EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    let row = try reader.read(view: entity.view.name, entities: [entity.values], at: now)[0]
    return LiveView.Entity(
      title: entity.title, ageSeconds: row.asOf.map { Double(now.microseconds - $0.microseconds) / 1e6 },
      features: zip(entity.view.features, row.values).map { ($0.name, Self.text($1)) })
  }

  /// Shorter than in a table: a glance is enough.
  private static func text(_ value: FeatureValue) -> String? {
    switch value {
    case .null: return nil
    case .double(let number): return String(format: "%.4g", number)
    case .list(let values): return values.map { text($0) ?? "null" }.joined(separator: " ")
    case .string(let text): return "\(text)"
    case .int64, .bool, .timestamp:
      var bytes: [UInt8] = []
      ValueText.appendJSON(value, to: &bytes)
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}
