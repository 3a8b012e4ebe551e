import FeatureCore
import Foundation
import Logging
import Metrics
import OutputRecords
import SwiftProtobuf
import Telemetry

/// Logs answers, at most once each: an answer never waits for its record. What finds no room is dropped and counted; when
/// that begins and when it is over is told. A thread of its own.
final class ServedLog: @unchecked Sendable {
  private let write: FeatureServer.ServedWriter
  private let condition = NSCondition()
  private var waiting: [Evaluation] = []
  private var rows = 0
  private var isStopping = false
  private var loss: Loss?
  private let rowsMax: Int
  private let logger: Logger
  private let thread = DispatchGroup()
  private let written: Counter
  private let dropped: Counter

  /// Records that are dropped one after the other.
  private struct Loss {
    var since = ContinuousClock.now
    var records = 0
    /// Whether the batch that is being written has lost none yet.
    var mayBeOver = false
  }

  init(
    _ registry: PrometheusRegistry, rowsMax: Int, logger: Logger, write: @escaping FeatureServer.ServedWriter
  ) {
    self.rowsMax = rowsMax
    self.logger = logger
    self.write = write
    written = Counter(label: "plumb_served_records_total", dimensions: [], factory: registry)
    dropped = Counter(label: "plumb_served_dropped_total", dimensions: [], factory: registry)
    thread.enter()
    Thread.detachNewThread { [self] in
      while let answers = next() { send(answers) }
      thread.leave()
    }
  }

  /// Whether the answer to a request is logged: the same for every server and every repetition.
  static func isChosen(_ requestID: String, share: Double) -> Bool {
    share >= 1 || Double(Hash64.hash(requestID) >> 11) / Double(1 << 53) < share
  }

  func add(_ evaluation: Evaluation) {
    let count = evaluation.query.rows.count
    condition.lock()
    defer { condition.unlock() }
    guard rows + count <= rowsMax else {
      return drop(ServedRecords.count(evaluation), "\(rowsMax) rows wait already: Kafka is slow or away")
    }
    rows += count
    waiting.append(evaluation)
    condition.signal()
  }

  /// Logs what waits, and ends, within some seconds.
  func stop() {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
    _ = thread.wait(timeout: .now() + .seconds(5))
  }

  private func next() -> [Evaluation]? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.isEmpty, !isStopping { condition.wait() }
    guard !waiting.isEmpty else { return nil }
    defer {
      waiting = []
      rows = 0
    }
    loss?.mayBeOver = true
    return waiting
  }

  private func send(_ answers: [Evaluation]) {
    for evaluation in answers {
      let key = Array(evaluation.requestID.utf8)
      for record in ServedRecords.make(evaluation) {
        let bytes: [UInt8]? = try? record.serializedBytes()
        guard let failure = bytes.map({ write(key, $0) }) ?? "the record could not be encoded" else {
          written.increment()
          continue
        }
        condition.lock()
        drop(1, failure)
        condition.unlock()
      }
    }
    condition.lock()
    defer { condition.unlock() }
    guard let loss, loss.mayBeOver else { return }
    self.loss = nil
    logger.notice(
      "answers are logged again",
      metadata: ["dropped": "\(loss.records)", "after": "\(loss.since.duration(to: .now))"])
  }

  /// Counts records that are lost; the first of many is told. The lock is held.
  private func drop(_ count: Int, _ reason: String) {
    dropped.increment(by: count)
    if loss == nil { logger.error("answers are not logged", metadata: ["error": "\(reason)"]) }
    loss = loss ?? Loss()
    loss?.records += count
    loss?.mayBeOver = false
  }
}
