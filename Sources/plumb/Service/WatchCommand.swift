import ArgumentParser
import DefinitionFiles
import FeatureCore
import Foundation
import LiveView
import OfflineStore
import OnlineStore
import Processor
import ServiceConfiguration

struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Show a service's throughput and lag, and some entities' features, live.",
    discussion: """
      Reads /metrics of the service's instances and the entities' states in Redis. On a terminal the view is redrawn in \
      place, without colours where NO_COLOR is set; elsewhere, and where TERM is dumb, it is a line every few seconds.

      Records read are those of the sources and, once more, those that were forwarded to be read by another key.

      Examples:
        plumb watch -d shop.yaml --metrics 127.0.0.1:9464 --entity 'user_activity user_id=u1'
        plumb watch -d shop.yaml --entity 'by_city country=US city=New York'
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var store: StoreOptions
  @Option(help: "Where an instance answers /metrics, host:port; may be repeated. (default: 127.0.0.1:9464)")
  var metrics: [MetricsAddress] = []
  @Option(
    help: """
      An entity to show: its view, and column=value for each of its columns; a value ends where the next column begins. \
      May be repeated.
      """)
  var entity: [String] = []
  @Option(name: .customLong("for"), help: "End after this time: 20s, 5m. (default: at Ctrl-C)")
  var span: TimeSpan?

  func run() async throws {
    try await reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let entities = try WatchedEntities(plan, entity, try store.settings().redisOptions())
      let addresses = metrics.isEmpty ? [MetricsAddress(host: "127.0.0.1", port: 9464)] : metrics
      var view = LiveView(
        title: "\(plan.name) v\(plan.version)", instances: addresses.map { "\($0.host):\($0.port)" })
      Interruption.watch()
      var screen = Screen()
      let start = ContinuousClock.now
      let end = span.map { start + .microseconds($0.microseconds) }
      var hasAnswered = false
      defer { screen.end() }
      while true {
        let answers = addresses.map { address in
          (try? HTTPGet.body(host: address.host, port: address.port, path: "/metrics")).map(
            MetricSamples.init)
        }
        view.elapsedSeconds = start.duration(to: .now) / .seconds(1)
        view.history.add(answers, at: view.elapsedSeconds)
        (view.entities, view.problem) = await entities.read()
        hasAnswered =
          hasAnswered || answers.contains { $0 != nil } || (!entities.isEmpty && view.problem == nil)
        let isOver = end.map { ContinuousClock.now >= $0 } ?? false
        if !hasAnswered, isOver || view.elapsedSeconds > Self.patienceSeconds {
          screen.end()
          StandardError.print("plumb: \(Self.unanswered(view.instances, view.problem))")
          throw ExitCode.failure
        }
        let isLast = Interruption.isRequested || isOver
        screen.show(view, isLast: isLast)
        if isLast { return }
        pause(until: min(ContinuousClock.now + .milliseconds(250), end ?? .now + .seconds(1)))
      }
    }
  }

  /// A service that is just starting answers by then.
  private static let patienceSeconds = 10.0

  private static func unanswered(_ instances: [String], _ problem: String?) -> String {
    "no instance answers at \(instances.joined(separator: ", ")): start the service, or name its metrics address with "
      + "--metrics" + (problem.map { "; and the entities can't be read: \($0)" } ?? "")
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

  var isEmpty: Bool { entities.isEmpty }

  init(_ plan: Plan, _ names: [String], _ redis: RedisOptions) throws {
    reader = try FeatureReader(plan, redis, connections: 1)
    entities = try names.map { name in
      let words = name.split(separator: " ", maxSplits: 1).map(String.init)
      guard let view = words.first.flatMap(plan.view) else {
        throw ValidationError(
          "'\(name)' is no entity: write 'VIEW COLUMN=VALUE', with a view of the definitions.")
      }
      let arguments = EntityArgument.split(words.count > 1 ? words[1] : "", view.entity.map(\.name))
      let key = try EntityArgument.key(arguments, of: view, plan.sources[view.source])
      let values = key.withUnsafeBytes { EntityKey.values(of: $0, view.entity) }
      return (name, view, values ?? [])
    }
  }

  /// The entities as they are now, or why they can't be read.
  func read() async -> (entities: [LiveView.Entity], problem: String?) {
    var read: [LiveView.Entity] = []
    do {
      for entity in entities { read.append(try await self.read(entity)) }
      return (read, nil)
    } catch {
      return ([], "\(error)")
    }
  }

  private func read(
    _ entity: (title: String, view: ViewPlan, values: [FeatureValue])
  ) async throws(StoreError) -> LiveView.Entity {
    let now = EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    let row = try await reader.read(view: entity.view.name, entities: [entity.values], at: now)[0]
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
