public import FeatureCore
import Foundation
public import HTTPListener
public import Logging
public import OnlineStore
import Processor
import Synchronization
public import TLSServer
public import Telemetry

/// Answers feature requests from Redis, for Feast's client and in a form of its own.
public final class FeatureServer: Sendable {
  /// Writes a record of the served topic: its key and its value. Returns why it could not be taken; nil if it was.
  public typealias ServedWriter = @Sendable (_ key: [UInt8], _ value: [UInt8]) -> String?

  /// How it answers.
  public struct Options: Sendable {
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port; 0 takes any free one.
    public var port = 6566
    /// Threads that parse and write.
    public var eventLoops = 1
    /// Threads that read Redis, each with a connection to each node.
    public var readers = 2
    /// Bounds of what clients may take.
    public var limits = HTTPLimits(connectionsMax: 4_096, bodyBytesMax: 1 << 20)
    /// Rows of one request.
    public var rowsMax = 1_000
    /// How long a request may wait for Redis, in milliseconds.
    public var timeoutMilliseconds = 2_000
    /// Who may ask; nil: anyone.
    public var tokens: Tokens?
    /// The certificate; nil: no TLS.
    public var tls: TLSIdentity?
    /// Writes what was answered; nil: nothing is logged.
    public var writeServed: ServedWriter?
    /// Rows of answers that wait to be written; more are dropped.
    public var servedRowsMax = 50_000
    /// The sources that clients write to; nil: none.
    public var predictions: Predictions?

    /// The defaults.
    public init() {}
  }

  private let options: Options
  private let limits: RequestLimits
  private let watch: StoreWatch
  private let queue: ReadQueue
  private let metrics: ServerMetrics
  private let served: ServedLog?
  private let predictionLog: PredictionLog?
  private let logger: Logger
  private let listener: HTTPListener
  private nonisolated(unsafe) let timer: any DispatchSourceTimer

  /// The port that it listens on.
  public var port: Int { listener.port }

  /// Listens. `plans` are versions of one name, of which the live one answers. Throws what the system says if it can't.
  public init(
    _ plans: [Plan], redis: RedisOptions, _ options: Options, _ registry: PrometheusRegistry, logger: Logger
  ) throws {
    guard let name = plans.first?.name, plans.allSatisfy({ $0.name == name }) else {
      preconditionFailure("Cannot serve definitions of different names")
    }
    self.options = options
    self.logger = logger
    limits = RequestLimits(rowsMax: options.rowsMax)
    metrics = ServerMetrics(registry)
    var redis = redis
    redis.commandTimeoutMilliseconds = options.timeoutMilliseconds
    redis.connectTimeoutMilliseconds = min(redis.connectTimeoutMilliseconds, options.timeoutMilliseconds)
    // A store that is back is found within the time that a client waits before it asks again.
    redis.reconnectDelayMillisecondsMax = min(redis.reconnectDelayMillisecondsMax, 500)
    watch = StoreWatch(plans, redis, logger: logger)
    queue = ReadQueue(redis, name: name, readers: options.readers, watch, metrics)
    served = options.writeServed.map { write in
      ServedLog(registry, rowsMax: options.servedRowsMax, logger: logger, write: write)
    }
    let log = options.predictions.map(PredictionLog.init)
    predictionLog = log
    let predictions = options.predictions.flatMap { [limits, metrics] predictions in
      log.map { PredictionAPI(predictions: predictions, log: $0, limits: limits, metrics: metrics) }
    }
    let front = Front(
      options: options, limits: limits, watch: watch, queue: queue, metrics: metrics, served: served,
      predictions: predictions, logger: logger)
    do {
      listener = try HTTPListener(
        host: options.host, port: options.port, threads: options.eventLoops, tls: options.tls, options.limits
      ) { request, answer in front.answer(request, answer) }
    } catch {
      queue.stop()
      watch.stop()
      served?.stop()
      log?.stop()
      throw error
    }
    timer = DispatchSource.makeTimerSource()
    timer.schedule(deadline: .now() + 1, repeating: 1)
    timer.setEventHandler { [options, metrics, listener] in
      options.tokens?.refresh(logger)
      options.tls?.refresh { isError, text in logger.log(level: isError ? .error : .notice, "\(text)") }
      metrics.connected(listener.connectionCount)
    }
    timer.resume()
  }

  /// Takes no more requests, answers those that are under way, logs what was answered, and ends. Blocks.
  public func stop(milliseconds: Int64) {
    timer.cancel()
    listener.stop(milliseconds: milliseconds)
    queue.stop()
    watch.stop()
    served?.stop()
    predictionLog?.stop()
  }
}

/// From a request to its answer.
struct Front: Sendable {
  let options: FeatureServer.Options
  let limits: RequestLimits
  let watch: StoreWatch
  let queue: ReadQueue
  let metrics: ServerMetrics
  let served: ServedLog?
  let predictions: PredictionAPI?
  let logger: Logger
  let requestIDs = RequestIDs()

  typealias Answer = @Sendable (HTTPAnswer) -> Void

  /// Feast's ways to write: features of this store come from its log.
  private static let feastWrites = [
    "/push", "/write-to-online-store", "/materialize", "/materialize-incremental",
  ]

  func answer(_ request: HTTPRequest, _ answer: @escaping Answer) {
    let start = ContinuousClock.now
    let endpoint = Self.endpoint(request.path)
    let reply: Answer = { reply in
      metrics.answered(endpoint, reply.status, since: start)
      answer(reply)
    }
    do throws(Problem) {
      try route(request, endpoint, start, reply)
    } catch {
      reply(Self.isFeast(request.path) ? error.feastAnswer : error.answer)
    }
  }

  private static func isFeast(_ path: String) -> Bool {
    path == "/get-online-features" || feastWrites.contains(path)
  }

  /// Names an endpoint in metrics: few names, whatever clients ask for.
  private static func endpoint(_ path: String) -> String {
    switch path {
    case "/get-online-features", "/v1/registry", "/healthz", "/readyz", "/health", "/metrics",
      "/openapi.json":
      path
    case _ where path.hasPrefix("/v1/services/"): "/v1/services"
    case _ where path.hasPrefix("/v1/predictions/"): "/v1/predictions"
    case _ where feastWrites.contains(path): "write"
    default: "other"
    }
  }

  private func route(
    _ request: HTTPRequest, _ endpoint: String, _ start: ContinuousClock.Instant, _ reply: @escaping Answer
  ) throws(Problem) {
    switch endpoint {
    case "/get-online-features":
      try require(request, "POST")
      try readFeast(request, start, reply)
    case "/v1/services":
      try require(request, "POST")
      try readNative(request, start, reply)
    case "/v1/predictions":
      try require(request, "POST")
      try takePredictions(request, start, reply)
    case "/v1/registry":
      try require(request, "GET", "HEAD")
      try authorize(request, ["registry", "read"])
      reply(Registry.answer(watch.versions, live: watch.version))
    case "/metrics":
      try require(request, "GET", "HEAD")
      try authorize(request, ["metrics"])
      reply(metrics.registry.answer)
    case "/openapi.json":
      try require(request, "GET", "HEAD")
      let sources = options.predictions?.sources(of: catalog) ?? []
      reply(OpenAPI.answer(catalog, sources, needsToken: options.tokens != nil, limits))
    case "/healthz":
      try require(request, "GET", "HEAD")
      reply(.text(200, "ok\n"))
    case "/readyz", "/health":
      try require(request, "GET", "HEAD")
      reply(watch.problem.map { .text(503, "\($0)\n") } ?? .text(200, "ok\n"))
    case "write":
      throw Problem(
        .forbidden,
        "features of this store come from its log, so that training and serving agree: send events to the "
          + "sources' topics, and plumb run folds them")
    default:
      throw Problem(.notFound, "there is no '\(request.path.prefix(200))'; see /openapi.json")
    }
  }

  private func require(_ request: HTTPRequest, _ methods: String...) throws(Problem) {
    guard !methods.contains(request.method) else { return }
    let allowed = methods.joined(separator: ", ")
    throw Problem(.methodNotAllowed, "\(request.path) takes \(allowed)", allow: allowed)
  }

  private func authorize(_ request: HTTPRequest, _ scopes: [String]) throws(Problem) {
    try options.tokens?.check(request.header("authorization"), scopes)
  }

  /// Of the version that is served, or of the latest before that is known.
  private var catalog: Catalog { watch.catalog ?? watch.versions[watch.versions.count - 1] }

  // MARK: Predictions

  private func takePredictions(
    _ request: HTTPRequest, _ start: ContinuousClock.Instant, _ reply: @escaping Answer
  ) throws(Problem) {
    let name = String(request.path.dropFirst("/v1/predictions/".count))
    try authorize(request, ["predictions", "predictions:\(name)"])
    guard let predictions else {
      throw Problem(.notFound, "this server takes no predictions: start it with --predictions SOURCE")
    }
    try predictions.answer(
      request, name, catalog, now: Self.now, deadline: start + .milliseconds(options.timeoutMilliseconds),
      reply)
  }

  // MARK: Features

  private func readFeast(
    _ request: HTTPRequest, _ start: ContinuousClock.Instant, _ reply: @escaping Answer
  ) throws(Problem) {
    // Who may not ask for anything learns nothing, not even whether the request is well formed.
    if options.tokens != nil { try authorize(request, try Self.feastScopes(request, limits)) }
    let (query, form) = try FeastAPI.parse(request.body, limits)
    read(query, request, start) { outcome in
      do throws(Problem) {
        reply(try FeastAPI.answer(try outcome.get(), form))
      } catch {
        reply(error.feastAnswer)
      }
    }
  }

  /// `read`, or `read:NAME` of the service or of the only view.
  private static func feastScopes(_ request: HTTPRequest, _ limits: RequestLimits) throws(Problem) -> [String]
  {
    guard let (query, _) = try? FeastAPI.parse(request.body, limits) else { return ["read"] }
    switch query.target {
    case .service(let name): return ["read", "read:\(name)"]
    case .features(let references):
      let views = Set(references.map { $0.prefix { $0 != ":" } })
      return ["read"] + (views.count == 1 ? views.map { "read:\($0)" } : [])
    }
  }

  private func readNative(
    _ request: HTTPRequest, _ start: ContinuousClock.Instant, _ reply: @escaping Answer
  ) throws(Problem) {
    let name = String(request.path.dropFirst("/v1/services/".count))
    try authorize(request, ["read", "read:\(name)"])
    let wantsRecords = try Self.wantsRecords(request.header("accept"))
    // Before anything is read: a name that nothing has is told at once.
    if let catalog = watch.catalog { _ = try catalog.service(name) }
    let query = try NativeAPI.parse(name, request.body, limits)
    read(query, request, start) { outcome in
      do throws(Problem) {
        let evaluation = try outcome.get()
        reply(
          wantsRecords ? try NativeAPI.protobufAnswer(evaluation) : NativeAPI.answer(evaluation))
      } catch {
        reply(error.answer)
      }
    }
  }

  private static func wantsRecords(_ accept: String?) throws(Problem) -> Bool {
    guard let accept else { return false }
    let types = accept.split(separator: ",").map { part in
      part.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
    }
    if types.contains("application/x-protobuf") { return true }
    let json = ["application/json", "application/*", "*/*", ""]
    if types.isEmpty || types.contains(where: json.contains) { return false }
    throw Problem(.notAcceptable, "answers are application/json or application/x-protobuf")
  }

  private func read(
    _ query: FeatureQuery, _ request: HTTPRequest, _ start: ContinuousClock.Instant,
    _ finish: @escaping @Sendable (Result<Evaluation, Problem>) -> Void
  ) {
    let deadline = start + .milliseconds(options.timeoutMilliseconds)
    queue.add(
      ReadQueue.Job(
        compile: { catalog throws(Problem) in try CompiledQuery(query, catalog) },
        finish: { outcome in
          do throws(Problem) {
            let done = try outcome.get()
            let evaluation = try Evaluation(
              done.query, done.found, requestID: query.requestID ?? requestIDs.next(), at: query.at,
              now: Self.now, done.health)
            tell(evaluation)
            finish(.success(evaluation))
          } catch {
            finish(.failure(error))
          }
        }, deadline: deadline, rows: query.rowCount))
    request.whenOthersAreRead { [queue] in queue.flush() }
  }

  /// Measures and logs an answer.
  private func tell(_ evaluation: Evaluation) {
    metrics.answered(evaluation)
    for state in evaluation.states {
      if let damage = state.damage { logger.error("a state is damaged", metadata: ["error": "\(damage)"]) }
    }
    guard let served, let share = evaluation.query.service.service.servedShare,
      ServedLog.isChosen(evaluation.requestID, share: share)
    else { return }
    served.add(evaluation)
  }

  private static var now: EventTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return EventTime(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
  }
}

/// Names for answers to requests that have none: a number of this server, and how many names there were before. Any thread.
final class RequestIDs: Sendable {
  private let server = UInt64.random(in: 0 ... .max)
  private let count = Atomic<UInt64>(0)

  func next() -> String {
    let number = count.wrappingAdd(1, ordering: .relaxed).newValue
    return String(unsafeUninitializedCapacity: 32) { text in
      for (place, number) in [server, number].enumerated() {
        for digit in 0..<16 {
          let value = UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * digit)) & 15
          text[16 * place + digit] = value + (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
        }
      }
      return 32
    }
  }
}
