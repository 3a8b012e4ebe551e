import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Foundation
import Logging
import OnlineStore
import Processor
import ServiceConfiguration
import Telemetry

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Fold topics into features in Redis and snapshots in the log, exactly once.",
    discussion: """
      Any number of processes may run; they share the partitions. SIGTERM or SIGINT completes the last commit and leaves
      the group. The topics must exist: see plumb topics apply.

      Every setting can also stand in the settings file (commit_interval_ms: 100) or in the environment
      (PLUMB_COMMIT_INTERVAL_MS=100); flags win over the environment, and the environment over the file.

      Examples:
        plumb run -d shop.yaml --brokers 127.0.0.1:9092 --redis redis://127.0.0.1:6379 --workers 2
        plumb run -d shop.yaml --config service.yaml --http :9464 --log-format json
        plumb run -d shop-v4.yaml --workers 2 --until end
        plumb run -d shop-v4.yaml --workers 2 --until end --archive /archive
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var service: ServiceOptions
  @OptionGroup var own: RunFlags
  @Flag(
    help: "Print the settings that apply, and where each comes from; passwords are masked. Nothing is run.")
  var printConfig = false

  @Option(
    help:
      "end: stop when everything is processed that the sources held at the start, and what was repartitioned of it. Fills a new version, so that it can be compared and promoted."
  )
  var until: Until?

  @Option(
    help: ArgumentHelp(
      "Read what plumb archive has kept here of partitions whose beginning the topics have forgotten.",
      valueName: "dir"))
  var archive: String?

  /// When the service ends by itself.
  enum Until: String, ExpressibleByArgument, CaseIterable { case end }

  func run() throws {
    try reportingService {
      let settings = try RunSettings(service: service, own: own).settings()
      if printConfig {
        try KafkaOptions(
          brokers: settings.brokers, group: "", transactionalID: "", properties: settings.kafka
        ).check()
        for line in settings.lines(isSecret: KafkaOptions.isSecret) { print(line) }
        return
      }
      try settings.logging {
        try Service(DefinitionFile.compile(path: definitions), settings, archive: archive)
          .run(untilEnd: until == .end)
      }
    }
  }
}

/// The flags that only the service has.
struct RunFlags: ParsableArguments {
  @Option(
    help:
      "Workers in this process: threads, each with a consumer, a producer and a Redis connection. (default: 1)"
  )
  var workers: String?
  @Option(
    help:
      "Names this process among those that run; a restart with the same name takes over at once. (default: the host's name)"
  )
  var instance: String?
  @Option(help: "exactly_once, or at_least_once for brokers without transactions. (default: exactly_once)")
  var delivery: String?
  @Option(
    name: [.customLong("commit-interval-ms"), .customLong("commit-interval")],
    help: "Milliseconds between two commits. (default: 100)")
  var commitInterval: String?
  @Option(help: "States of one view of one partition in memory. (default: 100000)")
  var cachedStates: String?
  @Option(help: "MiB that the states in memory of one worker take up, about. (default: 1024)")
  var cachedMegabytes: String?
  @Option(help: "Where /metrics, /healthz and /readyz are answered: host:port, or off. (default: off)")
  var http: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
  var logLevel: String?
  @Option(help: "text or json. (default: text)")
  var logFormat: String?
}

/// All flags of the service.
private struct RunSettings: SettingFlags {
  var service: ServiceOptions
  var own: RunFlags

  var config: String? { service.config }
  var flags: [(name: String, text: String)] {
    let more = [
      ("workers", own.workers), ("instance", own.instance), ("delivery", own.delivery),
      ("commit_interval_ms", own.commitInterval), ("cached_states", own.cachedStates),
      ("cached_megabytes", own.cachedMegabytes), ("http", own.http),
      ("log_level", own.logLevel), ("log_format", own.logFormat),
    ]
    return service.flags + more.compactMap { name, text in text.map { (name, $0) } }
  }
}
