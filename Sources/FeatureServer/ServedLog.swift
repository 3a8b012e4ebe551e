import FeatureCore
import Logging
import Metrics
import OutputRecords
import SwiftProtobuf
import Synchronization
import Telemetry

/// Logs answers, at most once each: an answer never waits for its record. What finds no room is dropped and counted; when
/// that begins and when it is over is told. A thread of its own.
final class ServedLog: Sendable {
  private let write: FeatureServer.ServedWriter
  private let queue: RowQueue<Evaluation>
  private let loss = Mutex<Loss?>(nil)
  private let logger: Logger
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
    queue = RowQueue(rowsMax: rowsMax)
    self.logger = logger
    self.write = write
    written = Counter(label: "plumb_served_records_total", dimensions: [], factory: registry)
    dropped = Counter(label: "plumb_served_dropped_total", dimensions: [], factory: registry)
    queue.start { [self] in send($0) }
  }

  /// Whether the answer to a request is logged: the same for every server and every repetition.
  static func isChosen(_ requestID: String, share: Double) -> Bool {
    share >= 1 || Double(Hash64.hash(requestID) >> 11) / Double(1 << 53) < share
  }

  func add(_ evaluation: Evaluation) {
    if queue.add(evaluation, rows: evaluation.query.rows.count) { return }
    drop(ServedRecords.count(evaluation), "\(queue.rowsMax) rows wait already: Kafka is slow or away")
  }

  /// Logs what waits, and ends, within some seconds.
  func stop() { queue.stop(seconds: 5) }

  private func send(_ answers: [Evaluation]) {
    loss.withLock { $0?.mayBeOver = true }
    for evaluation in answers {
      let key = Array(evaluation.requestID.utf8)
      for record in ServedRecords.make(evaluation) {
        let bytes: [UInt8]? = try? record.serializedBytes()
        if let failure = bytes.map({ write(key, $0) }) ?? "the record could not be encoded" {
          drop(1, failure)
        } else {
          written.increment()
        }
      }
    }
    let over = loss.withLock { loss -> Loss? in
      guard let found = loss, found.mayBeOver else { return nil }
      loss = nil
      return found
    }
    guard let over else { return }
    logger.notice(
      "answers are logged again",
      metadata: ["dropped": "\(over.records)", "after": "\(over.since.duration(to: .now))"])
  }

  /// Counts records that are lost; the first of many is told.
  private func drop(_ count: Int, _ reason: String) {
    dropped.increment(by: count)
    let isFirst = loss.withLock { loss in
      var now = loss ?? Loss()
      now.records += count
      now.mayBeOver = false
      defer { loss = now }
      return loss == nil
    }
    if isFirst { logger.error("answers are not logged", metadata: ["error": "\(reason)"]) }
  }
}
