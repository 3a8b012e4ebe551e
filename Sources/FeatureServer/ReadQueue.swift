import FeatureCore
import Foundation
import OnlineStore
import Processor

/// Reads for all requests that wait, in one round trip a node: while one is under way the next gathers. Group commit, for
/// reads. A few threads, since hiredis blocks.
final class ReadQueue: @unchecked Sendable {
  /// A request that waits for its states.
  struct Job: Sendable {
    /// What to read of a version.
    var compile: @Sendable (Catalog) throws(Problem) -> CompiledQuery
    /// Takes what was found. Called on a thread of the queue.
    var finish: @Sendable (Result<Done, Problem>) -> Void
    /// Until when anyone waits for the answer.
    var deadline: ContinuousClock.Instant
  }

  /// What was found.
  struct Done: Sendable {
    var query: CompiledQuery
    var found: ArraySlice<BatchReader.Found>
    var health: StoreHealth
  }

  private let condition = NSCondition()
  private var waiting: [Job] = []
  private var isStopping = false
  private let watch: StoreWatch
  private let metrics: ServerMetrics
  private let threads = DispatchGroup()

  /// States of one round trip; more wait for the next, so that neither side holds too many.
  private static let lookupsMax = 10_000

  init(_ options: RedisOptions, name: String, readers: Int, _ watch: StoreWatch, _ metrics: ServerMetrics) {
    self.watch = watch
    self.metrics = metrics
    for _ in 0..<readers {
      threads.enter()
      Thread.detachNewThread { [self] in
        let reader = BatchReader(options, name: name)
        while let jobs = next() { serve(jobs, reader) }
        threads.leave()
      }
    }
  }

  func add(_ job: Job) {
    condition.lock()
    defer { condition.unlock() }
    waiting.append(job)
    condition.signal()
  }

  func stop() {
    condition.lock()
    isStopping = true
    condition.broadcast()
    condition.unlock()
    threads.wait()
  }

  /// All that wait; nil when nothing will come any more.
  private func next() -> [Job]? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.isEmpty, !isStopping { condition.wait() }
    guard !waiting.isEmpty else { return nil }
    defer { waiting = [] }
    return waiting
  }

  private func serve(_ jobs: [Job], _ reader: BatchReader) {
    let now = ContinuousClock.now
    var rest = jobs[...]
    while let job = rest.popFirst() {
      guard job.deadline > now else {
        job.finish(.failure(Problem(.unavailable, "the store is slow: the request waited for too long")))
        continue
      }
      // As many as fit one round trip.
      var together = [job]
      while together.count < 1_000, let next = rest.first, next.deadline > now {
        together.append(next)
        rest.removeFirst()
      }
      read(together, reader, attemptsLeft: 3)
    }
  }

  /// Reads for some requests of the version that is live; a switch meanwhile begins anew.
  private func read(_ jobs: [Job], _ reader: BatchReader, attemptsLeft: Int) {
    var jobs = jobs
    do throws(StoreError) {
      let (catalog, health) = try watch.current()
      var queries: [CompiledQuery] = []
      var lookups: [BatchReader.Lookup] = []
      var kept: [Job] = []
      var later: [Job] = []
      for job in jobs {
        guard lookups.count < Self.lookupsMax else {
          later.append(job)
          continue
        }
        do throws(Problem) {
          let query = try job.compile(catalog)
          lookups += try Self.lookups(query, health)
          queries.append(query)
          kept.append(job)
        } catch {
          job.finish(.failure(error))
        }
      }
      jobs = kept + later
      let before = reader.roundTrips
      let outcome = try reader.read(version: catalog.plan.version, lookups)
      metrics.readTogether(requests: kept.count, states: lookups.count, trips: reader.roundTrips - before)
      if let live = outcome.live, live != catalog.plan.version {
        guard attemptsLeft > 1 else {
          throw StoreError(.retry, "the live version changes faster than it can be read")
        }
        try watch.refresh(live: live)
        return read(jobs, reader, attemptsLeft: attemptsLeft - 1)
      }
      jobs = later
      var start = 0
      var hasFailed = false
      for (job, query) in zip(kept, queries) {
        let found = outcome.found[start..<(start + query.lookups.count)]
        start = found.endIndex
        // A node that is away fails those alone that need it.
        if let failure = found.lazy.compactMap(\.failure).first {
          hasFailed = true
          job.finish(.failure(Problem(.unavailable, failure.message)))
        } else {
          job.finish(.success(Done(query: query, found: found, health: health)))
        }
      }
      if hasFailed { noteFailure() }
      if !later.isEmpty { read(later, reader, attemptsLeft: attemptsLeft) }
    } catch {
      noteFailure()
      for job in jobs { job.finish(.failure(Problem(.unavailable, error.message))) }
    }
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
