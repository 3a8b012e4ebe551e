import Capture
import CaptureTopics
import EventLog
import FeatureCore
import Foundation
import Logging
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
    board = CaptureBoard(sources, registry, now: wallClock())
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
          try SourceCapture(plan, settings, source, board, logger: logger, once: once) {
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
func wallClock() -> Int64 { Int64(Date().timeIntervalSince1970 * 1e6) }

/// Set once, from any thread.
private final class StopFlag: Sendable {
  private let flag = Atomic(false)
  var isSet: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}
