import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Foundation
import Logging
import OnlineStore
import Processor
import Replay
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
  private let lags: LagMetrics
  private let models: ModelMetrics
  private let start = ContinuousClock.now
  private let health: Health

  init(_ plan: Plan, _ settings: ServiceSettings, archive: String? = nil) throws {
    self.plan = plan
    self.archive = try archive.map(TopicArchive.init)
    self.settings = settings
    redis = try settings.redisOptions()
    keys = StoreKeys(name: plan.name, version: plan.version)
    logger = settings.logger
    health = Health(workers: settings.workers, now: 0)
    lags = LagMetrics(registry)
    models = ModelMetrics(plan, registry)
  }

  /// Milliseconds since the start.
  private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }

  /// Runs until a signal comes or a worker fails, or until everything is processed that the sources hold now.
  func run(untilEnd: Bool = false) throws {
    try settings.kafkaOptions(plan, transactionalID: instance)
      .refuseExclusions(commitIntervalMilliseconds: settings.commitIntervalMilliseconds)
    for line in settings.lines(isSecret: KafkaOptions.isSecret) { logger.debug("setting \(line)") }
    let server = try listen()
    let metadata = try awaitPeers { try prepare() }
    lags.expect(partitions: Int(metadata.partitions.values.reduce(0, +)))
    let group = WorkerGroup()
    group.stopOnSignals()
    for index in 0..<settings.workers {
      group.start { (isStopping) throws(ProcessorError) in try work(index, metadata, isStopping) }
    }
    let watch = watch(metadata)
    group.start { (isStopping) throws(ProcessorError) in
      try watch.run { sleep(until: .now + .milliseconds($0), unless: isStopping) }
      return LoopCounts()
    }
    logger.info(
      "running",
      metadata: [
        "name": "\(plan.name)", "version": "\(plan.version)", "workers": "\(settings.workers)",
        "instance": "\(instance)", "http": "\(server.map { "\($0.port)" } ?? "off")",
      ])
    let end = try untilEnd ? endOfInput() : nil
    let (counts, isWhole) = try withExtendedLifetime(server) {
      while !group.wait(milliseconds: EndOfInput.intervalMilliseconds), !group.isToEnd {
        for line in health.news(now: now) { logger.warning("\(line)") }
        if let end, try end.isReached() { group.stop() }
      }
      return try group.wait()
    }
    logger.info(
      "stopped",
      metadata: [
        "records": "\(counts.records)", "snapshots": "\(counts.snapshots)",
        "dead_letters": "\(counts.deadLetters.values.reduce(0, +))",
      ])
    if !isWhole {
      logger.warning(
        "workers still wait for Kafka or Redis and are left behind: what they had not committed, the next owner folds again"
      )
      // Their threads are inside the client libraries: nothing of those may be torn down.
      _exit(EXIT_SUCCESS)
    }
  }

  /// An outage costs a worker one or two; two processes of one name cost each other several a second.
  private static let restartsMax = 8
  /// How long one attempt at the brokers may take.
  private static let attemptMilliseconds = 5_000

  private var instance: String { settings.instance ?? ProcessInfo.processInfo.hostName }

  private func endOfInput() throws -> EndOfInput {
    try EndOfInput(
      plan, settings.kafkaOptions(plan, transactionalID: "\(plan.name).\(plan.version).until"), redis,
      archive,
      report: { logger.kafka($0, $1) })
  }

  private func watch(_ metadata: StoreMetadata) -> GroupWatch {
    let logger = logger
    return GroupWatch(
      plan, settings.kafkaOptions(plan, transactionalID: "\(plan.name).\(plan.version).\(instance).watch"),
      counts: metadata.partitions, own: Set((0..<settings.workers).map { "\(instance)-\($0)" }),
      report: { logger.kafka($0, $1) }
    ) { news in
      switch news {
      case .warning(let text): logger.warning("\(text)")
      case .over(let milliseconds):
        logger.info(
          "every partition has an owner again", metadata: ["after_seconds": "\(milliseconds / 1_000)"])
      }
    }
  }

  private func listen() throws -> AdminServer? {
    guard let address = settings.http else { return nil }
    do {
      return try AdminServer(
        host: address.host, port: address.port, registry, refresh: { [models] in models.refresh(at: .now) },
        objections: { health.objections($0, now: now) })
    } catch {
      throw ProcessorError(
        remedy: .stop,
        description: "cannot listen on \(address): \(error); choose another address with --http")
    }
  }

  /// Runs a body that talks to Kafka and Redis until they answer.
  private func awaitPeers<Result>(_ body: () throws -> Result) throws -> Result {
    var patience = StartPatience(now: now)
    while true {
      let answer: StartPatience.Answer
      do {
        let result = try body()
        if let seconds = patience.succeeded(now: now) {
          logger.info("Kafka and Redis answer", metadata: ["after_seconds": "\(seconds)"])
        }
        return result
      } catch let error as LogError where error.remedy == .retry {
        answer = patience.failed(.brokers, "no broker answers at \(settings.brokers): \(error)", now: now)
      } catch let error as StoreError where error.remedy == .retry {
        answer = patience.failed(error.saysLoading ? .loadingStore : .store, "\(error)", now: now)
      }
      switch answer {
      case .giveUp(let reason): throw ProcessorError(remedy: .stop, description: reason)
      case .wait(let news): if let news { logger.warning("\(news)") }
      }
      Thread.sleep(forTimeInterval: 0.5)
    }
  }

  /// Sees that the topics are there and that the store's states can be carried on, and tells readers where states are.
  private func prepare() throws -> StoreMetadata {
    try refuseInexactViews()
    let survey = try TopicSurvey(
      plan, settings, attemptMilliseconds: Self.attemptMilliseconds, report: { logger.kafka($0, $1) })
    let missing = try survey.missing()
    guard missing.isEmpty else {
      throw ProcessorError(remedy: .stop, description: missing.joined(separator: "\n"))
    }
    let metadata = StoreMetadata(fingerprint: plan.fingerprint, partitions: try survey.inputPartitions())
    if let conflict = try OnlineReader(redis, keys: keys).stored()?.conflict(
      with: metadata,
      withoutStates: Set(Routing(plan).inputs.filter { $0.views.isEmpty && $0.join == nil }.map(\.name)),
      zones: plan.fingerprintZones)
    {
      throw ProcessorError(remedy: .stop, description: conflict)
    }
    try RedisStateStore(redis, keys: keys).publish(metadata)
    return metadata
  }

  /// Without transactions a crash repeats records of the output topics. A view that folds from one would no longer be exact.
  private func refuseInexactViews() throws(ProcessorError) {
    guard settings.delivery != .exactlyOnce,
      let input = Routing(plan).inputs.first(where: \.isRepartitioned)
    else { return }
    let reader = input.views.first.map { "view '\(plan.views[$0].name)'" } ?? "join '\(input.name)'"
    throw ProcessorError(
      remedy: .stop,
      description:
        "delivery is \(settings.delivery.rawValue), but the \(reader) folds from the topic "
        + "'\(input.topic)' and so counts its events twice after a crash; use exactly_once, or only views that are keyed like "
        + "their source, and no joins")
  }

  private func work(
    _ index: Int, _ metadata: StoreMetadata, _ isStopping: @escaping () -> Bool
  ) throws(ProcessorError) -> LoopCounts {
    var options = settings.kafkaOptions(
      plan, transactionalID: "\(plan.name).\(plan.version).\(instance).\(index)")
    options.groupInstance = "\(instance)-\(index)"
    // The loop tries again by itself: between two attempts it says where it is, and sees that it is to stop.
    options.requestTimeoutMilliseconds = Self.attemptMilliseconds
    options.takeoverTimeoutMilliseconds = Self.attemptMilliseconds
    var limits = WorkerLimits()
    limits.commitIntervalMilliseconds = Int64(settings.commitIntervalMilliseconds)
    limits.cachedStatesMax = settings.cachedStates
    limits.cachedBytesMax = settings.cachedMegabytes << 20
    limits.hashSecret = .random(in: .min ... .max)
    var logger = logger
    logger[metadataKey: "worker"] = "\(index)"
    let own = logger
    let metrics = WorkerMetrics(registry, lags)
    let store = Heartbeats(
      ObservedStore(RedisStateStore(redis, keys: keys, metadata: metadata), registry) { task, states in
        models.take(task, worker: index, states)
      }, redis, keys: keys)
    let pulse = Pulse(plan)
    var hasJoined = false
    let runner = WorkerRunner(
      plan, store: store, limits: limits, partitions: metadata.partitions, restartsMax: Self.restartsMax,
      now: { now }, isStopping: isStopping, report: { own.warning("\($0)") }, note: { own.info("\($0)") },
      observe: { counts, status, log in
        let contact = BrokerContact(
          isMember: log?.base.base.isMember ?? false,
          silentMilliseconds: log?.base.base.silenceMilliseconds)
        health.report(worker: index, contact, status, now: now)
        metrics.update(counts, status, contact) { log?.base.lag($0) }
        if contact.isMember { models.keep(status.owned, worker: index) }
        if let log {
          pulse.beat(status, store, now: now, time: { .now }) { (partitions, timeout) throws(LogError) in
            try log.base.base.ends(of: partitions, timeoutMilliseconds: timeout)
          }
        }
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
    do throws(ProcessorError) {
      return try runner.run()
    } catch {
      // Whatever a client library says of a topic that has gone, a person is told that it has.
      guard error.remedy == .stop, let missing = try? TopicSurvey(plan, settings).missing(), !missing.isEmpty,
        !error.description.contains(missing[0])
      else { throw error }
      throw ProcessorError(
        remedy: .stop, description: missing.joined(separator: "\n") + "\n\(error.description)")
    }
  }
}

extension WorkerMetrics {
  fileprivate func update(
    _ counts: LoopCounts, _ status: LoopStatus, _ contact: BrokerContact, _ lag: (TopicPartition) -> Int64?
  ) {
    let seconds = Date().timeIntervalSince1970
    update(counts, status, contact, now: EventTime(microseconds: Int64(seconds * 1e6)), lag: lag)
  }
}
