import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import FeatureServer
import Foundation
import HTTPListener
import Logging
import Processor
import ServiceConfiguration
import TLSServer
import Telemetry

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Answer feature requests over HTTP from Redis, for Feast's client and others.",
    discussion: """
      POST /v1/services/NAME takes rows of entities and answers rows of features; POST /get-online-features is what Feast's \
      remote online store sends. GET /openapi.json describes everything, /v1/registry tells what there is.

      Beyond loopback a file of tokens is needed: a line is a token and its scopes, such as 'TOKEN read,registry'.

      Examples:
        plumb serve -d shop.yaml
        plumb serve -d shop-v3.yaml -d shop-v4.yaml --listen :6566 --tokens tokens.txt
        curl -s localhost:6566/v1/services/ranker -d '{"rows": [{"user_id": "u1", "item_id": "i1"}]}'
      """)

  @Option(
    name: [.customShort("d"), .long],
    help: "The definitions file; may be repeated with other versions, of which the live one is served.")
  var definitions: [String]
  @OptionGroup var service: ServiceOptions
  @OptionGroup var own: ServeFlags
  @Flag(
    help: "Print the settings that apply, and where each comes from; passwords are masked. Nothing is run.")
  var printConfig = false

  func validate() throws {
    if definitions.isEmpty { throw ValidationError("Name a definitions file with -d.") }
  }

  func run() throws {
    try reportingService {
      let settings = try ServeSettings(service: service, own: own).settings()
      if printConfig {
        for line in settings.lines(isSecret: KafkaOptions.isSecret) { print(line) }
        return
      }
      try settings.logging { try serve(settings) }
    }
  }

  private func serve(_ settings: ServiceSettings) throws {
    let plans = try definitions.map { path throws(DefinitionFileError) in
      try DefinitionFile.compile(path: path)
    }
    let names = Set(plans.map(\.name)).sorted()
    guard names.count == 1 else {
      throw ValidationError("The definitions files are of different names: \(names).")
    }
    guard Set(plans.map(\.version)).count == plans.count else {
      throw ValidationError("Two of the definitions files are of one version.")
    }
    try Serving(plans, settings).run()
  }
}

/// The flags that only the feature server has.
struct ServeFlags: ParsableArguments {
  @Option(help: "Where requests are answered: host:port. (default: 127.0.0.1:6566)")
  var listen: String?
  @Option(help: "The file of bearer tokens and their scopes; none: anyone who reaches the server may ask.")
  var tokens: String?
  @Option(
    help: ArgumentHelp(
      "The certificate chain for TLS, in PEM; read again when it changes.", valueName: "file"))
  var tlsCert: String?
  @Option(help: ArgumentHelp("Its private key, in PEM; without it, in the same file.", valueName: "file"))
  var tlsKey: String?
  @Option(
    help: ArgumentHelp(
      "Sources that clients may write to with POST /v1/predictions/SOURCE, separated by commas.",
      valueName: "sources"))
  var predictions: String?
  @Option(help: "Rows of predictions that wait for the brokers; more are refused. (default: 10000)")
  var predictionRowsMax: String?
  @Option(help: "Rows of one request. (default: 1000)")
  var rowsMax: String?
  @Option(help: "Bytes of one request. (default: 1048576)")
  var requestBytesMax: String?
  @Option(help: "MiB of all requests that are being received or answered. (default: 64)")
  var requestsMegabytesMax: String?
  @Option(help: "Connections of clients. (default: 4096)")
  var connectionsMax: String?
  @Option(help: "Seconds in which a client has to send a request, and to take an answer. (default: 10)")
  var clientTimeoutS: String?
  @Option(help: "Seconds that a connection is kept without a request. (default: 75)")
  var idleTimeoutS: String?
  @Option(help: "Milliseconds that a request may wait for Redis. (default: 2000)")
  var requestTimeoutMs: String?
  @Option(help: "Rows of answers that wait to be logged; more are dropped. (default: 50000)")
  var servedRowsMax: String?
  @Option(help: "Threads that read Redis. (default: 2)")
  var readers: String?
  @Option(help: "Threads that parse requests and write answers. (default: 1)")
  var eventLoops: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
  var logLevel: String?
  @Option(help: "text or json. (default: text)")
  var logFormat: String?
}

private struct ServeSettings: SettingFlags {
  var service: ServiceOptions
  var own: ServeFlags

  var config: String? { service.config }
  var flags: [(name: String, text: String)] {
    let more = [
      ("listen", own.listen), ("tokens", own.tokens), ("tls_cert", own.tlsCert), ("tls_key", own.tlsKey),
      ("predictions", own.predictions), ("prediction_rows_max", own.predictionRowsMax),
      ("rows_max", own.rowsMax), ("request_bytes_max", own.requestBytesMax),
      ("requests_megabytes_max", own.requestsMegabytesMax), ("connections_max", own.connectionsMax),
      ("client_timeout_s", own.clientTimeoutS), ("idle_timeout_s", own.idleTimeoutS),
      ("request_timeout_ms", own.requestTimeoutMs), ("served_rows_max", own.servedRowsMax),
      ("readers", own.readers), ("event_loops", own.eventLoops),
      ("log_level", own.logLevel), ("log_format", own.logFormat),
    ]
    return service.flags + more.compactMap { name, text in text.map { (name, $0) } }
  }
}

/// The feature server of one process.
struct Serving {
  private let plans: [Plan]
  private let settings: ServiceSettings
  private let logger: Logger
  private let registry = PrometheusRegistry(MetricDescription.featureServer)

  /// How long requests that are under way may take when the server is told to end.
  private static let stopMilliseconds = 5_000

  init(_ plans: [Plan], _ settings: ServiceSettings) {
    self.plans = plans
    self.settings = settings
    logger = settings.logger
  }

  /// Answers until a signal comes.
  func run() throws {
    try refuseStrangers()
    var options = FeatureServer.Options()
    (options.host, options.port) = (settings.listen.host, settings.listen.port)
    options.eventLoops = settings.eventLoops
    options.readers = settings.readers
    options.limits = limits
    options.rowsMax = settings.rowsMax
    options.servedRowsMax = settings.servedRowsMax
    options.timeoutMilliseconds = settings.requestTimeoutMilliseconds
    do {
      if case .tokens(let path) = settings.admission { options.tokens = try Tokens(path: path) }
      options.tls = try settings.tlsCertificate.map { try TLSIdentity(certificate: $0, key: settings.tlsKey) }
      options.predictions = try predictions()
    } catch {
      throw ProcessorError(remedy: .stop, description: "\(error)")
    }
    let topic = servedTopic()
    if let topic { options.writeServed = { key, value in topic.write(key, value) } }
    let signals = Signals()
    let server: FeatureServer
    do {
      server = try FeatureServer(plans, redis: settings.redisOptions(), options, registry, logger: logger)
    } catch {
      throw ProcessorError(
        remedy: .stop,
        description: "cannot listen on \(settings.listen): \(error); choose another address with --listen")
    }
    logger.info("listening", metadata: ["host": "\(settings.listen.host)", "port": "\(server.port)"])
    signals.wait()
    server.stop(milliseconds: Int64(Self.stopMilliseconds))
    if let topic, !topic.finish(milliseconds: Self.stopMilliseconds) {
      logger.error("the last answers could not be logged in time")
    }
    logger.info("stopped")
  }

  /// The way of predictions to their topics, if a source takes any.
  private func predictions() throws(Predictions.Failure) -> Predictions? {
    guard !settings.predictions.isEmpty else { return nil }
    let options = settings.kafkaOptions(plans[0], transactionalID: "\(plans[0].name).predictions")
    let logger = logger
    let topics = RenewedWriter(options, timeoutMilliseconds: settings.requestTimeoutMilliseconds) {
      logger.kafka($0, $1)
    }
    return try Predictions(plans, settings.predictions, rowsMax: settings.predictionRowsMax) { records in
      topics.write(records.map { .init(topic: $0.topic, key: $0.key, value: $0.value) }).map { $0?.message }
    }
  }

  private var limits: HTTPLimits {
    var limits = HTTPLimits(
      connectionsMax: settings.connectionsMax, bodyBytesMax: settings.requestBytesMax)
    limits.bodiesBytesMax = settings.requestsMegabytesMax << 20
    (limits.readSeconds, limits.writeSeconds) = (
      Int64(settings.clientTimeoutSeconds), Int64(settings.clientTimeoutSeconds)
    )
    limits.idleSeconds = Int64(settings.idleTimeoutSeconds)
    return limits
  }

  /// Whoever reaches the port could read every entity's features.
  private func refuseStrangers() throws {
    let host = settings.listen.host
    let isLoopback = host == "localhost" || host == "::1" || host.hasPrefix("127.")
    guard !isLoopback, settings.admission == .thisMachine else { return }
    throw ProcessorError(
      remedy: .stop,
      description:
        "listening on \(host) would let anyone read features who reaches it: name a file with --tokens, or say --tokens none"
    )
  }

  /// The topic of answers, if a service of a version logs any.
  private func servedTopic() -> BestEffortWriter? {
    guard let plan = plans.first(where: { $0.services.contains { $0.service.servedShare ?? 0 > 0 } }) else {
      return nil
    }
    let options = settings.kafkaOptions(plan, transactionalID: "\(plan.name).served")
    let topic = Routing(plan).servedTopic
    let logger = logger
    return BestEffortWriter { () throws(LogError) -> TopicWriter in
      try TopicWriter(options, topic: topic, report: { logger.kafka($0, $1) })
    }
  }
}

/// Waits for the signal to end.
private final class Signals: Sendable {
  private let came = DispatchSemaphore(value: 0)

  init() {
    for number in [SIGTERM, SIGINT] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      let came = came
      // The handler keeps its source alive: it is needed as long as the process.
      source.setEventHandler {
        came.signal()
        withExtendedLifetime(source) {}
      }
      source.resume()
    }
  }

  func wait() { came.wait() }
}
