import Capture
import EventLog
import FeatureCore
import FileTables
import Foundation
import Logging
import PostgresTables
import Processor
import SQLiteTables
import ServiceConfiguration

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
    guard let capture = source.capture else {
      preconditionFailure("Cannot capture a source without 'capture'")
    }
    let attempt = try attempt(table, capture)
    var status = CaptureStatus()
    var mustCompare: String?
    var outage: (message: String, since: ContinuousClock.Instant)?
    var pause = Self.pauses.first
    var progress = CopyProgress(logger)
    while !isStopping() {
      do throws(CaptureFault) {
        let log: KafkaCaptureLog
        do throws(LogError) { log = try makeLog() } catch { throw .log(error) }
        try attempt(
          Attempt(
            log: log, status: status, mustCompare: mustCompare,
            observe: { now in
              if now.phase != .connecting, let past = outage {
                logger.info("capturing again after \(past.since.duration(to: .now).formatted())")
                outage = nil
                pause = Self.pauses.first
              }
              status = now
              board.update(source.name, now)
              progress.update(now)
            }))
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
        sleep(until: .now + .milliseconds(pause), unless: isStopping)
        pause = min(2 * pause, Self.pauses.last)
      }
    }
    done(status)
  }

  /// What a try at capturing is given.
  private struct Attempt {
    var log: KafkaCaptureLog
    var status: CaptureStatus
    var mustCompare: String?
    var observe: (CaptureStatus) -> Void
  }

  /// What tries to capture from where the rows are.
  private func attempt(
    _ table: CapturedTable, _ capture: TableCapture
  ) throws(ProcessorError) -> (Attempt) throws(CaptureFault) -> Void {
    let place = "source '\(source.name)', capture"
    switch (capture.origin, capture.mode) {
    case (.postgres(let text), .replicate):
      let address = try EnvironmentReference.resolve(text, of: place)
      let database = PostgresTable(conninfo: address, table: capture.table, as: table, app: plan.name)
      return { (attempt) throws(CaptureFault) in
        try ReplicationCapture(
          table, database, attempt.log, limits: limits, status: attempt.status, now: wallClock,
          isStopping: isStopping, observe: attempt.observe
        ).run(once: once, mustCompare: attempt.mustCompare) { logger.info("\($0)") }
      }
    case (.sqlite(let text), _):
      let path = try EnvironmentReference.resolve(text, of: place)
      return comparing(
        SQLiteTable(path: path, table: capture.table, as: table, now: wallClock), table, capture)
    case (.postgres(let text), .diff):
      let address = try EnvironmentReference.resolve(text, of: place)
      return comparing(
        PostgresScan(conninfo: address, table: capture.table, as: table), table, capture)
    case (.file(let text), _):
      let path = try EnvironmentReference.resolve(text, of: place)
      guard let schema = plan.sources.first(where: { $0.source.name == source.name })?.schema else {
        preconditionFailure("Cannot capture a source that the plan hasn't")
      }
      return comparing(FileTable(path: path, schema, as: table, now: wallClock), table, capture)
    }
  }

  private func comparing(
    _ scanned: some ScannedTable, _ table: CapturedTable, _ capture: TableCapture
  ) -> (Attempt) throws(CaptureFault) -> Void {
    { (attempt) throws(CaptureFault) in
      try DiffCapture(
        table, scanned, attempt.log, every: capture.every, deletesAll: capture.onTruncate == .delete,
        limits: limits,
        status: attempt.status, now: wallClock, sleep: { usleep(50_000) }, isStopping: isStopping,
        observe: attempt.observe
      ).run(once: once) { logger.info("\($0)") }
    }
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
}
