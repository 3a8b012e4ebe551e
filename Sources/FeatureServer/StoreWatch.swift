import FeatureCore
import Foundation
import Logging
import OnlineStore
import Processor
import Synchronization

/// Follows what changes seldom: the live version, its metadata, and how far its tasks have come. A thread of its own.
final class StoreWatch: @unchecked Sendable {
  private struct State {
    var version: Int?
    var health: [Int: StoreHealth] = [:]
    var problem: String? = "starting"
    var failedSince: ContinuousClock.Instant?
  }

  private let catalogs: [Int: Catalog]
  private let name: String
  private let options: RedisOptions
  private let logger: Logger
  private let state = Mutex(State())
  private let condition = NSCondition()
  private var isStopping = false
  private var pace = LookPace(at: .now)
  private let thread = DispatchGroup()

  init(_ plans: [Plan], _ options: RedisOptions, logger: Logger) {
    catalogs = Dictionary(plans.map { ($0.version, Catalog($0)) }) { first, _ in first }
    name = plans[0].name
    self.options = options
    self.logger = logger
    thread.enter()
    Thread.detachNewThread { [self] in
      let reader = BatchReader(options, name: name)
      while pause(after: look(reader)) {}
      thread.leave()
    }
  }

  func stop() {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
    thread.wait()
  }

  private func pause(after isWell: Bool) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    pace.looked(at: .now, isWell: isWell)
    while !isStopping, pace.next > .now {
      _ = condition.wait(until: Date(timeIntervalSinceNow: (pace.next - .now) / .seconds(1)))
    }
    return !isStopping
  }

  /// Whether anything can be answered; why not.
  var problem: String? { state.withLock { $0.problem } }

  /// The version that is served; nil before it is known.
  var version: Int? { state.withLock { $0.version } }

  /// The catalog of the version that is served, or of the only one that can be.
  var catalog: Catalog? {
    let version = state.withLock { $0.version }
    return version.flatMap { catalogs[$0] } ?? (catalogs.count == 1 ? catalogs.values.first : nil)
  }

  /// All versions that can be served.
  var versions: [Catalog] { catalogs.sorted { $0.key < $1.key }.map(\.value) }

  /// The version to read, and what is known of its store.
  func current() throws(StoreError) -> (Catalog, StoreHealth) {
    let (version, health, problem) = state.withLock { state in
      (state.version, state.version.flatMap { state.health[$0] }, state.problem)
    }
    if let version, let catalog = catalogs[version], let health { return (catalog, health) }
    throw StoreError(.retry, problem ?? "nothing is known of the store yet")
  }

  /// Takes over another live version at once.
  func refresh(live: Int) throws(StoreError) {
    if state.withLock({ $0.health[live] != nil }) {
      return state.withLock { $0.version = live }
    }
    let (found, _) = try read(BatchReader(options, name: name), live: live)
    state.withLock { state in
      state.version = live
      state.health[live] = found
    }
  }

  /// A reader has failed: whether readiness suffers is seen at the next look, which comes soon.
  func failed() {
    condition.lock()
    defer { condition.unlock() }
    pace.doubted()
    condition.signal()
  }

  /// Whether everything could be read.
  private func look(_ reader: BatchReader) -> Bool {
    do throws(StoreError) {
      let live = try version(live: reader.live())
      let (health, failure) = try read(reader, live: live)
      let before = state.withLock { state in
        defer { state.version = live }
        state.health[live] = health
        return state.version
      }
      if before != live {
        logger.info("serving", metadata: ["name": "\(name)", "version": "\(live)"])
      }
      // A node that is away hides some of the lags, and what is known of the others counts.
      if let failure { throw failure }
      let silence = state.withLock { state in
        defer { (state.problem, state.failedSince) = (nil, nil) }
        return state.failedSince.map { $0.duration(to: .now) }
      }
      if let silence { logger.notice("the store answers again", metadata: ["after": "\(silence)"]) }
      return true
    } catch {
      let isNew = state.withLock { state in
        // An outage is told once, whatever its attempts meet; what somebody has to mend is told when it changes.
        let isNew = state.failedSince == nil || error.remedy != .retry && state.problem != error.message
        state.problem = error.message
        if state.failedSince == nil { state.failedSince = .now }
        return isNew
      }
      if isNew { logger.error("the store can't be read", metadata: ["error": "\(error.message)"]) }
      return false
    }
  }

  private func version(live: Int?) throws(StoreError) -> Int {
    if let live {
      if catalogs[live] != nil { return live }
      throw StoreError(
        .fatal,
        "version \(live) of '\(name)' is live, but only \(catalogs.keys.sorted()) can be served: add its definitions"
      )
    }
    if catalogs.count == 1, let only = catalogs.keys.first { return only }
    throw StoreError(
      .fatal,
      "no version of '\(name)' is live, and there are several to choose from: plumb promote one of them")
  }

  /// What is known of a version's store, and what could not be read.
  private func read(
    _ reader: BatchReader, live: Int
  ) throws(StoreError) -> (health: StoreHealth, failure: StoreError?) {
    guard let catalog = catalogs[live] else {
      throw StoreError(.fatal, "version \(live) of '\(name)' is live: add its definitions")
    }
    guard let metadata = try reader.metadata(version: live) else {
      throw StoreError(.fatal, "the store has nothing of '\(name)', version \(live): start plumb run")
    }
    guard metadata.fingerprint == catalog.plan.fingerprint else {
      throw StoreError(
        .fatal,
        "the store has states of other definitions of '\(name)', version \(live): serve those that plumb run has"
          + zoneHint(catalog.plan.fingerprintZones)
      )
    }
    let tasks = Routing(catalog.plan).inputs.flatMap { input in
      (0..<(metadata.partitions[input.name] ?? 0)).map {
        StoreKeys.task(source: input.name, partition: $0)
      }
    }
    let (times, failure) = reader.heartbeats(version: live, tasks: tasks)
    var heartbeats: [String: Int64] = [:]
    for (task, time) in zip(tasks, times) { heartbeats[task] = time }
    return (StoreHealth(partitions: metadata.partitions, heartbeats: heartbeats), failure)
  }
}
