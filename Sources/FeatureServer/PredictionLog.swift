import Foundation
import Metrics
import Telemetry

/// Writes what waits, together, and tells each request when the brokers have its records: while one batch is under way the
/// next gathers. A thread of its own.
final class PredictionLog: @unchecked Sendable {
  /// A request that waits for its records.
  struct Job: Sendable {
    var records: [Predictions.Record]
    /// Until when anyone waits for the answer.
    var deadline: ContinuousClock.Instant
    /// Takes why some records were not acknowledged; nil if all were.
    var finish: @Sendable (_ failure: String?) -> Void
  }

  private let predictions: Predictions
  private let condition = NSCondition()
  private var waiting: [Job] = []
  /// Of the requests that wait and of those that are being written.
  private var rows = 0
  private var isStopping = false
  private let thread = DispatchGroup()

  init(_ predictions: Predictions) {
    self.predictions = predictions
    thread.enter()
    Thread.detachNewThread { [self] in
      while let jobs = next() { write(jobs) }
      thread.leave()
    }
  }

  /// False if too much is under way already.
  func add(_ job: Job) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    guard rows + job.records.count <= predictions.rowsMax else { return false }
    rows += job.records.count
    waiting.append(job)
    condition.signal()
    return true
  }

  /// Writes what waits, and ends. Blocks.
  func stop() {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
    thread.wait()
  }

  private func next() -> [Job]? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.isEmpty, !isStopping { condition.wait() }
    guard !waiting.isEmpty else { return nil }
    defer { waiting = [] }
    return waiting
  }

  private func write(_ jobs: [Job]) {
    let now = ContinuousClock.now
    let current = jobs.filter { $0.deadline > now }
    let failures = current.isEmpty ? [] : predictions.write(current.flatMap(\.records))
    var rest = failures[...]
    for job in jobs where job.deadline <= now { job.finish("they have waited for too long") }
    for job in current {
      job.finish(rest.prefix(job.records.count).lazy.compactMap(\.self).first)
      rest = rest.dropFirst(job.records.count)
    }
    condition.lock()
    rows -= jobs.reduce(0) { $0 + $1.records.count }
    condition.unlock()
  }
}
