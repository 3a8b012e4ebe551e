import Capture
import EventLog
import FeatureCore
import Foundation
import Logging
import PostgresTables
import Processor
import ServiceConfiguration
import Synchronization
import Telemetry

/// The capture of one process: a thread a table, each with its own database connection and producer.
struct CaptureService {
  private let plan: Plan
  private let settings: ServiceSettings
  private let sources: [Source]
  private let once: Bool
  private let logger: Logger
  private let registry = PrometheusRegistry(MetricDescription.capture)
  private let board: CaptureBoard

  init(_ plan: Plan, _ settings: ServiceSettings, _ sources: [Source], once: Bool) {
    self.plan = plan
    self.settings = settings
    self.sources = sources
    self.once = once
    logger = settings.logger
    board = CaptureBoard(sources.map(\.name), registry, now: wallClock())
  }

  /// Runs until a signal comes, every table is done, or one can't be captured.
  func run() throws {
    Interruption.watch()
    let server = try listen()
    defer { withExtendedLifetime(server) {} }
    logger.info(
      "capturing",
      metadata: [
        "name": "\(plan.name)", "sources": "\(sources.map(\.name).joined(separator: ", "))",
        "http": "\(server.map { "\($0.port)" } ?? "off")",
      ])
    let finished = DispatchGroup()
    let failures = Mutex<[ProcessorError]>([])
    let isStopping = StopFlag()
    for source in sources {
      finished.enter()
      Thread.detachNewThread {
        do throws(ProcessorError) {
          try CaptureRunner(plan, settings, source, board, logger: logger, once: once) {
            Interruption.isRequested || isStopping.isSet
          }.run()
        } catch {
          failures.withLock { $0.append(error) }
          isStopping.set()
        }
        finished.leave()
      }
    }
    finished.wait()
    if let failure = failures.withLock({ $0.first }) { throw failure }
  }

  private func listen() throws -> AdminServer? {
    guard let address = settings.http else { return nil }
    let board = board
    do {
      return try AdminServer(host: address.host, port: address.port, registry) {
        board.objections($0, now: wallClock())
      }
    } catch {
      throw ProcessorError(
        remedy: .stop,
        description: "cannot listen on \(address): \(error); choose another address with --http")
    }
  }
}

/// Microseconds since 1970.
private func wallClock() -> Int64 { Int64(Date().timeIntervalSince1970 * 1e6) }

/// Set once, from any thread.
private final class StopFlag: Sendable {
  private let flag = Atomic(false)
  var isSet: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}

/// Captures one table, and begins anew after what passes by itself. One thread.
struct CaptureRunner {
  private let plan: Plan
  private let settings: ServiceSettings
  private let source: Source
  private let board: CaptureBoard
  private let logger: Logger
  private let once: Bool
  private let isStopping: () -> Bool

  /// Between two attempts, in milliseconds; the pause doubles from the first to the last.
  private static let pauses = (first: 200, last: 10_000)
  /// Longer than a database's largest transaction takes to arrive; brokers refuse more than 15 minutes.
  private static let transactionTimeoutMilliseconds = "600000"

  init(
    _ plan: Plan, _ settings: ServiceSettings, _ source: Source, _ board: CaptureBoard, logger: Logger,
    once: Bool, isStopping: @escaping () -> Bool
  ) {
    self.plan = plan
    self.settings = settings
    self.source = source
    self.board = board
    var logger = logger
    logger[metadataKey: "source"] = "\(source.name)"
    self.logger = logger
    self.once = once
    self.isStopping = isStopping
  }

  func run() throws(ProcessorError) {
    let table: CapturedTable
    do throws(CaptureError) { table = try CapturedTable(source) } catch { throw stop(error.description) }
    guard let capture = source.capture, case .postgres(let text) = capture.origin, capture.mode == .replicate
    else {
      throw stop(
        "source '\(source.name)': this version captures from PostgreSQL alone, with mode: replicate; write another "
          + "database's rows to '\(source.topic)' yourself, or let Debezium do it (format: debezium)")
    }
    let address = try EnvironmentReference.resolve(text, of: "source '\(source.name)', capture")
    let database = PostgresTable(conninfo: address, table: capture.table, as: table, app: plan.name)
    var status = CaptureStatus()
    var mustCompare: String?
    var outage: (message: String, since: ContinuousClock.Instant)?
    var pause = Self.pauses.first
    var progress = CopyProgress(logger)
    while !isStopping() {
      do throws(CaptureFault) {
        let log: KafkaCaptureLog
        do throws(LogError) { log = try makeLog() } catch { throw .log(error) }
        let capturing = ReplicationCapture(
          table, database, log, limits: limits, status: status,
          now: wallClock, isStopping: isStopping
        ) { now in
          if now.phase != .connecting, let past = outage {
            logger.info("capturing again after \(past.since.duration(to: .now).formatted())")
            outage = nil
            pause = Self.pauses.first
          }
          status = now
          board.update(source.name, now)
          progress.update(now)
        }
        try capturing.run(once: once, mustCompare: mustCompare) { logger.info("\($0)") }
        return done(status)
      } catch {
        let message: String
        switch error {
        case .stopping: return done(status)
        case .database(let error):
          guard error.remedy != .stop else { throw stop(error.description) }
          mustCompare = nil
          if error.remedy == .compare {
            guard capture.onTruncate == .delete else {
              throw stop("\(error.description): set \"on_truncate: delete\", or capture into a new topic")
            }
            mustCompare = error.description
          }
          message = error.description
        case .log(let error):
          guard error.remedy == .retry || error.remedy == .abort else { throw stop(error.message) }
          message = error.message
        }
        board.waits(source.name, for: message)
        if outage?.message != message {
          logger.warning("\(message); trying again until it passes")
          outage = (message, outage?.since ?? .now)
        }
        wait(pause)
        pause = min(2 * pause, Self.pauses.last)
      }
    }
    done(status)
  }

  private func stop(_ description: String) -> ProcessorError {
    ProcessorError(remedy: .stop, description: description)
  }

  private func done(_ status: CaptureStatus) {
    logger.info(
      "stopped",
      metadata: [
        "rows_read": "\(status.rowsRead)", "changes": "\(status.changes)", "deletions": "\(status.deletions)",
      ])
  }

  private var limits: CaptureLimits {
    var limits = CaptureLimits()
    limits.commitIntervalMilliseconds = Int64(settings.commitIntervalMilliseconds)
    limits.temporaryFolder = FileManager.default.temporaryDirectory.path
    return limits
  }

  private func makeLog() throws(LogError) -> KafkaCaptureLog {
    var properties = settings.kafka
    properties["producer.transaction.timeout.ms"] =
      properties["producer.transaction.timeout.ms"] ?? Self.transactionTimeoutMilliseconds
    let options = KafkaOptions(
      brokers: settings.brokers, group: "", transactionalID: "\(plan.name).capture.\(source.topic)",
      properties: properties)
    let logger = logger
    return try KafkaCaptureLog(options, progressTopic: Routing(plan).capturedTopic) { logger.kafka($0, $1) }
  }

  private func wait(_ milliseconds: Int) {
    let end = ContinuousClock.now + .milliseconds(milliseconds)
    while !isStopping(), ContinuousClock.now < end { usleep(20_000) }
  }
}
