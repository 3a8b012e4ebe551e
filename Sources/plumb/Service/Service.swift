import EventLog
import FeatureCore
import Foundation
import Logging
import OnlineStore
import Processor
import ServiceConfiguration
import Telemetry

/// The service of one process: its workers, and what tells of them.
struct Service {
  private let plan: Plan
  private let settings: ServiceSettings
  private let redis: RedisOptions
  private let keys: StoreKeys
  private let archive: TopicArchive?
  private let logger: Logger
  private let registry = PrometheusRegistry(MetricDescription.service)
  private let start = ContinuousClock.now
  private let health: Health

  init(_ plan: Plan, _ settings: ServiceSettings, archive: String? = nil) throws {
    self.plan = plan
    self.archive = try archive.map(TopicArchive.init)
    self.settings = settings
    redis = try settings.redisOptions()
    keys = StoreKeys(name: plan.name, version: plan.version)
    let format = LogFormat(rawValue: settings.logFormat) ?? .text
    let level = Logger.Level(rawValue: settings.logLevel) ?? .info
    logger = Logger(label: "plumb") { _ in
      LineLogHandler(format, level: level, write: StandardError.print)
    }
    health = Health(workers: settings.workers, now: 0)
  }

  /// Milliseconds since the start.
  private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }

  /// Runs until a signal comes or a worker fails, or until everything is processed that the sources hold now.
  func run(untilEnd: Bool = false) throws {
    for line in settings.lines(isSecret: KafkaOptions.isSecret) { logger.debug("setting \(line)") }
    let server = try listen()
    let metadata = try prepare()
    let group = WorkerGroup()
    for index in 0..<settings.workers {
      group.start { (isStopping) throws(ProcessorError) in try work(index, metadata, isStopping) }
    }
    logger.info(
      "running",
      metadata: [
        "name": "\(plan.name)", "version": "\(plan.version)", "workers": "\(settings.workers)",
        "instance": "\(instance)", "http": "\(server.map { "\($0.port)" } ?? "off")",
      ])
    let end = try untilEnd ? EndOfInput(plan, settings, archive) : nil
    let counts = try withExtendedLifetime(server) {
      while let end, !group.wait(milliseconds: EndOfInput.intervalMilliseconds) {
        if try end.isReached() { group.stop() }
      }
      return try group.wait()
    }
    logger.info(
      "stopped", metadata: ["records": "\(counts.records)", "snapshots": "\(counts.snapshots)"])
  }

  private var instance: String { settings.instance ?? ProcessInfo.processInfo.hostName }

  private func listen() throws -> AdminServer? {
    guard let address = settings.http else { return nil }
    do {
      return try AdminServer(
        host: address.host, port: address.port, registry, health, logger: logger, now: { now })
    } catch {
      throw ProcessorError(
        remedy: .stop,
        description: "cannot listen on \(address): \(error); choose another address with --http")
    }
  }

  /// Sees that the topics are there and that the store's states can be carried on, and tells readers where states are.
  private func prepare() throws -> StoreMetadata {
    try refuseInexactViews()
    let survey = try TopicSurvey(plan, settings)
    let missing = try survey.missing()
    guard missing.isEmpty else {
      throw ProcessorError(remedy: .stop, description: missing.joined(separator: "\n"))
    }
    let metadata = StoreMetadata(fingerprint: plan.fingerprint, partitions: try survey.inputPartitions())
    if let conflict = try OnlineReader(redis, keys: keys).stored()?.conflict(with: metadata) {
      throw ProcessorError(remedy: .stop, description: conflict)
    }
    try RedisStateStore(redis, keys: keys).publish(metadata)
    return metadata
  }

  /// Without transactions a crash repeats records of the output topics. A view that folds from one would no longer be exact.
  private func refuseInexactViews() throws(ProcessorError) {
    guard settings.delivery != KafkaDelivery.exactlyOnce.rawValue,
      let input = Routing(plan).inputs.first(where: \.isRepartitioned)
    else { return }
    throw ProcessorError(
      remedy: .stop,
      description:
        "delivery is \(settings.delivery), but the view '\(plan.views[input.views[0]].name)' folds from the topic "
        + "'\(input.topic)' and so counts its events twice after a crash; use exactly_once, or only views that are keyed like "
        + "their source")
  }

  private func work(
    _ index: Int, _ metadata: StoreMetadata, _ isStopping: @escaping () -> Bool
  ) throws(ProcessorError) -> LoopCounts {
    let options = settings.kafkaOptions(
      plan, transactionalID: "\(plan.name).\(plan.version).\(instance).\(index)")
    var limits = WorkerLimits()
    limits.commitIntervalMilliseconds = Int64(settings.commitIntervalMilliseconds)
    limits.cachedStatesMax = settings.cachedStates
    var logger = logger
    logger[metadataKey: "worker"] = "\(index)"
    let own = logger
    let metrics = WorkerMetrics(registry)
    var hasJoined = false
    let runner = WorkerRunner(
      plan, store: ObservedStore(RedisStateStore(redis, keys: keys, metadata: metadata), registry),
      limits: limits, partitions: metadata.partitions, now: { now }, isStopping: isStopping,
      report: { own.warning("\($0)") },
      observe: { counts, status, log in
        health.report(worker: index, isMember: log.base.base.isMember, status, now: now)
        metrics.update(counts, status, isReady: health.objections(.ready, now: now).isEmpty, log.base.lag)
      }
    ) { () throws(LogError) -> ObservedLog<ArchivedEventLog<KafkaLog>> in
      // A topic that has gone shows as a transaction that times out, and its producer then as fenced by another.
      if hasJoined, let missing = try? TopicSurvey(plan, settings).missing(), !missing.isEmpty {
        throw LogError(.fatal, missing.joined(separator: "\n"))
      }
      hasJoined = true
      let topics = Routing(plan).inputs.map(\.topic)
      let log = try KafkaLog(options, topics: topics, report: { own.kafka($0, $1) })
      return ObservedLog(ArchivedEventLog(log, archive), registry)
    }
    return try runner.run()
  }
}

extension WorkerMetrics {
  fileprivate func update(
    _ counts: LoopCounts, _ status: LoopStatus, isReady: Bool, _ lag: (TopicPartition) -> Int64?
  ) {
    let seconds = Date().timeIntervalSince1970
    update(counts, status, isReady: isReady, now: EventTime(microseconds: Int64(seconds * 1e6)), lag: lag)
  }
}
