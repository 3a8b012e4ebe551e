import FeatureCore
import Foundation
import Metrics
import OutputRecords
import SwiftProtobuf
import Telemetry

/// Logs answers, at most once each: an answer never waits for its record. What finds no room is dropped, and counted. A
/// thread of its own.
final class ServedLog: @unchecked Sendable {
  private let write: FeatureServer.ServedWriter
  private let condition = NSCondition()
  private var waiting: [Evaluation] = []
  private var rows = 0
  private var isStopping = false
  private let thread = DispatchGroup()
  private let written: Counter
  private let dropped: Counter

  /// Rows that wait to be logged: some seconds of a busy server, and some tens of megabytes.
  private static let rowsMax = 50_000

  init(_ registry: PrometheusRegistry, write: @escaping FeatureServer.ServedWriter) {
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
    guard rows + count <= Self.rowsMax else {
      return dropped.increment(by: count * max(1, evaluation.query.service.reads.count))
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
    return waiting
  }

  private func send(_ answers: [Evaluation]) {
    for evaluation in answers {
      let key = Array(evaluation.requestID.utf8)
      for record in ServedRecords.make(evaluation) {
        let bytes: [UInt8]? = try? record.serializedBytes()
        if let bytes, write(key, bytes) { written.increment() } else { dropped.increment() }
      }
    }
  }
}
