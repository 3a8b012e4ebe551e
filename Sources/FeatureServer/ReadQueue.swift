import FeatureCore
import Foundation
import OnlineStore
import Processor

/// Reads for all requests that wait, in one round trip a node: while one is under way the next gathers. Group commit, for
/// reads. A few threads, since hiredis blocks.
///
/// A request that comes alone, while nothing else is under way, is read on the event loop that brought it: waking up a thread
/// and then the loop costs more than all else that such a request takes. That holds the loop for a millisecond at most; what a
/// thread has to wait for, it completes.
final class ReadQueue: @unchecked Sendable {
  /// A request that waits for its states.
  struct Job: Sendable {
    /// What to read of a version.
    var compile: @Sendable (Catalog) throws(Problem) -> CompiledQuery
    /// Takes what was found. Called on a thread of the queue, or on the event loop.
    var finish: @Sendable (Result<Done, Problem>) -> Void
    /// Until when anyone waits for the answer.
    var deadline: ContinuousClock.Instant
    /// Rows asked for.
    var rows: Int
  }

  /// What was found.
  struct Done: Sendable {
    var query: CompiledQuery
    var found: ArraySlice<BatchReader.Found>
    var health: StoreHealth
  }

  /// Requests that are read together.
  private struct Batch {
    var catalog: Catalog
    var health: StoreHealth
    var jobs: [Job] = []
    var queries: [CompiledQuery] = []
    var lookups: [BatchReader.Lookup] = []
    /// What the reader had done before.
    var tripsBefore: Int
  }

  /// What a thread takes over.
  private enum Work {
    case jobs([Job], BatchReader)
    /// A read that has been sent.
    case begun(Batch, BatchReader)
  }

  private let condition = NSCondition()
  private var waiting: [Job] = []
  private var begun: [(Batch, BatchReader)] = []
  private var idle: [BatchReader]
  private let readers: Int
  /// Until when event loops leave all reads to threads, since the store was slow.
  private var slowUntil = ContinuousClock.now
  private var isStopping = false
  private let watch: StoreWatch
  private let metrics: ServerMetrics
  private let threads = DispatchGroup()

  /// States of one round trip; more wait for the next, so that neither side holds too many.
  private static let lookupsMax = 10_000
  /// Requests of one round trip.
  private static let jobsMax = 1_000
  /// Rows that an event loop reads and evaluates by itself: beyond, other threads are worth waking up.
  private static let loneRowsMax = 16
  /// For so long an event loop waits for the store; then nothing but threads read for a while.
  private static let loneMilliseconds: Int32 = 1
  private static let slowSeconds = 1

  init(_ options: RedisOptions, name: String, readers: Int, _ watch: StoreWatch, _ metrics: ServerMetrics) {
    self.watch = watch
    self.metrics = metrics
    self.readers = readers
    idle = (0..<readers).map { _ in BatchReader(options, name: name) }
    for _ in 0..<readers {
      threads.enter()
      Thread.detachNewThread { [self] in
        var reader: BatchReader?
        while let work = next(returning: reader) { reader = serve(work) }
        threads.leave()
      }
    }
  }

  /// Adds a request, of which `flush` is to be told when those that came with it have been added.
  func add(_ job: Job) {
    condition.lock()
    defer { condition.unlock() }
    waiting.append(job)
  }

  /// Sees to what was added: a request alone is read here, others by a thread.
  func flush() {
    condition.lock()
    guard !waiting.isEmpty else { return condition.unlock() }
    guard isLone, let reader = idle.popLast() else {
      condition.signal()
      return condition.unlock()
    }
    let jobs = waiting
    waiting = []
    condition.unlock()
    serveHere(jobs, reader)
  }

  /// The lock is held.
  private var isLone: Bool {
    idle.count == readers && begun.isEmpty && waiting.count == 1 && waiting[0].rows <= Self.loneRowsMax
      && ContinuousClock.now >= slowUntil
  }

  func stop() {
    condition.lock()
    isStopping = true
    condition.broadcast()
    condition.unlock()
    threads.wait()
  }

  // MARK: On an event loop

  private func serveHere(_ jobs: [Job], _ reader: BatchReader) {
    var rest = jobs[...]
    guard let batch = prepare(&rest, reader), !batch.jobs.isEmpty else { return giveBack(reader, rest) }
    guard reader.begin(version: batch.catalog.plan.version, batch.lookups) else {
      return giveBack(reader, batch.jobs[...] + rest)
    }
    let isAnswered = reader.isAnswered(withinMilliseconds: Self.loneMilliseconds)
    do throws(StoreError) {
      guard isAnswered, let outcome = try reader.finish(mayBlock: false) else {
        return handOver(batch, reader, rest, isSlow: !isAnswered)
      }
      guard isOfLive(batch, outcome) else { return giveBack(reader, batch.jobs[...] + rest) }
      tell(batch, outcome, reader)
    } catch {
      fail(batch.jobs, error)
    }
    giveBack(reader, rest)
  }

  /// Returns a reader, and jobs that a thread has to see to.
  private func giveBack(_ reader: BatchReader, _ jobs: ArraySlice<Job>) {
    condition.lock()
    defer { condition.unlock() }
    idle.append(reader)
    waiting.insert(contentsOf: jobs, at: 0)
    if !waiting.isEmpty { condition.signal() }
  }

  private func handOver(_ batch: Batch, _ reader: BatchReader, _ rest: ArraySlice<Job>, isSlow: Bool) {
    condition.lock()
    defer { condition.unlock() }
    begun.append((batch, reader))
    waiting.insert(contentsOf: rest, at: 0)
    if isSlow { slowUntil = .now + .seconds(Self.slowSeconds) }
    condition.broadcast()
  }

  // MARK: On a thread

  /// All that wait; nil when nothing will come any more. Returns the reader of what was done before.
  private func next(returning reader: BatchReader?) -> Work? {
    condition.lock()
    defer { condition.unlock() }
    if let reader { idle.append(reader) }
    while true {
      if let (batch, reader) = begun.popLast() { return .begun(batch, reader) }
      if !waiting.isEmpty, let reader = idle.popLast() {
        defer { waiting = [] }
        return .jobs(waiting, reader)
      }
      if isStopping, waiting.isEmpty { return nil }
      condition.wait()
    }
  }

  private func serve(_ work: Work) -> BatchReader {
    switch work {
    case .jobs(let jobs, let reader):
      read(jobs, reader)
      return reader
    case .begun(let batch, let reader):
      var again: [Job] = []
      do throws(StoreError) {
        let outcome = try reader.finish()
        if let outcome, isOfLive(batch, outcome) { tell(batch, outcome, reader) } else { again = batch.jobs }
      } catch {
        fail(batch.jobs, error)
      }
      read(again, reader)
      return reader
    }
  }

  /// Reads for requests of the version that is live; a switch meanwhile begins anew.
  private func read(_ jobs: [Job], _ reader: BatchReader) {
    var rest = jobs[...]
    var attemptsLeft = 3
    while !rest.isEmpty {
      guard let batch = prepare(&rest, reader), !batch.jobs.isEmpty else { continue }
      do throws(StoreError) {
        let outcome = try reader.read(version: batch.catalog.plan.version, batch.lookups)
        if let live = outcome.live, live != batch.catalog.plan.version {
          attemptsLeft -= 1
          guard attemptsLeft > 0 else {
            throw StoreError(.retry, "the live version changes faster than it can be read")
          }
          try watch.refresh(live: live)
          rest = batch.jobs + rest
        } else {
          tell(batch, outcome, reader)
        }
      } catch {
        fail(batch.jobs, error)
      }
    }
  }

  // MARK: Either

  /// Takes as many requests as fit one round trip; those that can't be answered are told so. nil: none can.
  private func prepare(_ rest: inout ArraySlice<Job>, _ reader: BatchReader) -> Batch? {
    var batch: Batch
    do throws(StoreError) {
      let (catalog, health) = try watch.current()
      batch = Batch(catalog: catalog, health: health, tripsBefore: reader.roundTrips)
    } catch {
      fail(Array(rest), error)
      rest = []
      return nil
    }
    let now = ContinuousClock.now
    while batch.jobs.count < Self.jobsMax, batch.lookups.count < Self.lookupsMax, let job = rest.popFirst() {
      guard job.deadline > now else {
        job.finish(.failure(Problem(.unavailable, "the store is slow: the request waited for too long")))
        continue
      }
      do throws(Problem) {
        let query = try job.compile(batch.catalog)
        batch.lookups += try Self.lookups(query, batch.health)
        batch.queries.append(query)
        batch.jobs.append(job)
      } catch {
        job.finish(.failure(error))
      }
    }
    return batch
  }

  private func isOfLive(_ batch: Batch, _ outcome: BatchReader.Outcome) -> Bool {
    outcome.live.map { $0 == batch.catalog.plan.version } ?? true
  }

  private func tell(_ batch: Batch, _ outcome: BatchReader.Outcome, _ reader: BatchReader) {
    metrics.readTogether(
      requests: batch.jobs.count, states: batch.lookups.count, trips: reader.roundTrips - batch.tripsBefore)
    var start = 0
    var hasFailed = false
    for (job, query) in zip(batch.jobs, batch.queries) {
      let found = outcome.found[start..<(start + query.lookups.count)]
      start = found.endIndex
      // A node that is away fails those alone that need it.
      if let failure = found.lazy.compactMap(\.failure).first {
        hasFailed = true
        job.finish(.failure(Problem(.unavailable, failure.message)))
      } else {
        job.finish(.success(Done(query: query, found: found, health: batch.health)))
      }
    }
    if hasFailed { noteFailure() }
  }

  private func fail(_ jobs: [Job], _ error: StoreError) {
    noteFailure()
    for job in jobs { job.finish(.failure(Problem(.unavailable, error.message))) }
  }

  private func noteFailure() {
    metrics.storeFailed()
    watch.failed()
  }

  private static func lookups(
    _ query: CompiledQuery, _ health: StoreHealth
  ) throws(Problem) -> [BatchReader.Lookup] {
    do throws(StoreError) {
      return try query.storeLookups(health.partitions)
    } catch {
      throw Problem(.unavailable, error.message)
    }
  }
}
