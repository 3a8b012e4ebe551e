import Capture
import CaptureTopics
import EventLog
import FeatureCore
import FileTables
import Foundation
import Logging
import PostgresTables
import Processor
import SQLiteTables
import ServiceConfiguration
import Telemetry

/// The capture of one source: from where its rows are into its topic. One thread.
struct SourceCapture {
  private let plan: Plan
  private let settings: ServiceSettings
  private let source: Source
  private let board: CaptureBoard
  private let logger: Logger
  private let once: Bool
  private let isStopping: () -> Bool
  private let start = ContinuousClock.now

  private typealias Runner = CaptureRunner<KafkaCaptureLog>

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

  /// Milliseconds since the start.
  private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }

  func run() throws(ProcessorError) {
    let table: CapturedTable
    do throws(CaptureError) { table = try CapturedTable(source) } catch { throw stop(error.description) }
    guard let capture = source.capture else {
      preconditionFailure("Cannot capture a source without 'capture'")
    }
    let attempt = try attempt(table, capture)
    var progress = CopyProgress(logger)
    let runner = Runner(
      mayDeleteAll: capture.onTruncate == .delete, now: { now },
      pause: { sleep(until: .now + .milliseconds($0), unless: isStopping) }, isStopping: isStopping
    ) { news in
      switch news {
      case .recovered(let milliseconds):
        logger.info("capturing again after \(Swift.Duration.milliseconds(milliseconds).formatted())")
      case .progress(let status):
        board.update(source.name, status)
        progress.update(status)
      case .waiting(let problem, let isNew):
        board.waits(source.name, for: problem)
        if isNew { logger.warning("\(problem); trying again until it passes") }
      }
    }
    let status = try runner.run(makeLog: makeLog, attempt: attempt)
    logger.info(
      "stopped",
      metadata: [
        "rows_read": "\(status.rowsRead)", "changes": "\(status.changes)", "deletions": "\(status.deletions)",
      ])
  }

  /// What tries to capture from where the rows are.
  private func attempt(
    _ table: CapturedTable, _ capture: TableCapture
  ) throws(ProcessorError) -> (Runner.Attempt) throws(CaptureFault) -> Void {
    switch (capture.origin, capture.mode) {
    case (.postgres(let text), .replicate):
      let address = try resolve(text)
      let database = PostgresTable(conninfo: address, table: capture.table, as: table, app: plan.name)
      return { (attempt) throws(CaptureFault) in
        try ReplicationCapture(
          table, database, attempt.log, limits: limits, status: attempt.status, now: wallClock,
          isStopping: isStopping, observe: attempt.observe
        ).run(once: once, mustCompare: attempt.mustCompare) { logger.info("\($0)") }
      }
    case (.sqlite(let text), _):
      let path = try resolve(text)
      return comparing(
        SQLiteTable(path: path, table: capture.table, as: table, now: wallClock), table, capture)
    case (.postgres(let text), .diff):
      let address = try resolve(text)
      return comparing(
        PostgresScan(conninfo: address, table: capture.table, as: table), table, capture)
    case (.file(let text), _):
      let path = try resolve(text)
      guard let schema = plan.sources.first(where: { $0.source.name == source.name })?.schema else {
        preconditionFailure("Cannot capture a source that the plan hasn't")
      }
      return comparing(FileTable(path: path, schema, as: table, now: wallClock), table, capture)
    }
  }

  private func resolve(_ text: String) throws(ProcessorError) -> String {
    do throws(SettingError) {
      return try EnvironmentReference.resolve(text, of: "source '\(source.name)', capture")
    } catch { throw stop(error.description) }
  }

  private func comparing(
    _ scanned: some ScannedTable, _ table: CapturedTable, _ capture: TableCapture
  ) -> (Runner.Attempt) throws(CaptureFault) -> Void {
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
    return try KafkaCaptureLog(
      options, progressTopic: Routing(plan).capturedTopic, isStopping: { Interruption.isRequested }
    ) { logger.kafka($0, $1) }
  }
}
