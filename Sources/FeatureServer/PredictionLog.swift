/// Writes what waits, together, and tells each request when the brokers have its records: while one batch is under way the
/// next gathers. A thread of its own.
final class PredictionLog: Sendable {
  /// A request that waits for its records.
  struct Job: Sendable {
    var records: [Predictions.Record]
    /// Until when anyone waits for the answer.
    var deadline: ContinuousClock.Instant
    /// Takes why some records were not acknowledged; nil if all were.
    var finish: @Sendable (_ failure: String?) -> Void
  }

  private let predictions: Predictions
  private let queue: RowQueue<Job>

  init(_ predictions: Predictions) {
    self.predictions = predictions
    queue = RowQueue(rowsMax: predictions.rowsMax)
    queue.start { [self] in write($0) }
  }

  /// False if too much is under way already.
  func add(_ job: Job) -> Bool { queue.add(job, rows: job.records.count) }

  /// Writes what waits, and ends. Blocks.
  func stop() { queue.stop(seconds: 30) }

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
  }
}
