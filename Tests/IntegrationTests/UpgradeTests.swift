import FeatureCore
import Foundation
import OnlineStore
import Processor
import Synchronization
import Testing
import TestSupport

extension Journeys {
  /// A new version of the definitions is filled, promoted, and the old one retired, while events come and readers read.
  @Suite struct UpgradeTests {}
}

extension Journeys.UpgradeTests {
  /// Definitions whose values tell their version: `scaled` is so many times `total`.
  private static func definitions(_ version: Int, factor: Int) -> String {
    """
    name: shop
    version: \(version)
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { id: int64, user: string, item: string, n: int64 }
    views:
      users:
        source: clicks
        entity: user
        where: n < 1000
        features:
          total: { aggregate: sum, value: n + 1, windows: lifetime }
          scaled: { aggregate: sum, value: (n + 1) * \(factor), windows: lifetime }
      items:
        source: clicks
        entity: item
        where: n < 1000
        features:
          total: { aggregate: sum, value: n + 1, windows: lifetime }
          scaled: { aggregate: sum, value: (n + 1) * \(factor), windows: lifetime }
    """
  }

  private static let factors = [1: 3, 2: 7]

  @Test func readersNeverSeeAGapAnOldValueOrAMixture() async throws {
    try await Integration.expectNone(Self.upgrade)
  }

  private static func upgrade() throws -> [String] {
    let seed = Integration.seed()
    let site = try Site(definitions(1, factor: 3))
    let next = try site.addVersion(definitions(2, factor: 7))
    let events = try ShopEvents(site, seed: seed)
    for _ in 0..<20 { try events.produce(1_000) }
    try site.start(Site.Instance("old"))
    _ = try Audit(site, seconds: 300)
    func run(_ arguments: [String], _ definitions: String? = nil, _ status: Int32 = 0) throws -> String {
      let process = try site.command(arguments, definitions: definitions)
      let found = try process.status(within: 60)
      guard found == status else { throw Failure("\(arguments): exit status \(found): \(process.text)") }
      return process.text
    }
    let redis = ["--redis", site.redis.url]
    _ = try run(["promote", "1"] + redis)
    let readers = try Readers(site, [site.plan, next.plan])
    defer { readers.stop() }
    // Filled beside the old one, killed in the middle.
    _ = try run(["topics", "apply"], next.path)
    var problems: [String] = []
    if try !run(["promote", "2"] + redis, next.path, 1).contains("missing") {
      problems.append("an empty version was promoted")
    }
    try fill(site, next, events)
    try site.start(Site.Instance("new"), definitions: next.path)
    _ = try run(["promote", "2", "--max-lag", "1000000"] + redis, next.path)
    readers.expect(2)
    try events.produce(milliseconds: 500)
    problems += [try run(["retire", "2"] + redis, next.path, 1), try run(["retire", "1"] + redis, nil, 1)]
      .filter { !$0.contains("is live") && !$0.contains("runs") }
    _ = try site.terminate("old")
    try events.produce(milliseconds: 500)
    let retired = try run(["retire", "1"] + redis)
    if !retired.contains("the topic \(site.plan.name).1.clicks.by-item may be deleted") {
      problems.append(retired)
    }
    try events.produce(milliseconds: 500)
    problems += readers.stop()
    if try site.redis.states().keys.contains(where: { $0.starts(with: "\(site.plan.name):1:".utf8) }) {
      problems.append("the old version is still there")
    }
    problems += try VersionAudit(site, next.plan).problems()
    print("seed \(seed): \(readers.count) reads; \(events.written.count) events")
    return Integration.report(problems + site.complaints(), seed, site)
  }

  /// Runs the new version to the end of its input, with a kill on the way, while more events come.
  private static func fill(_ site: Site, _ next: (path: String, plan: Plan), _ events: ShopEvents) throws {
    let arguments = ["--until", "end"]
    try site.start(Site.Instance("fill"), definitions: next.path, more: arguments)
    let keys = StoreKeys(name: next.plan.name, version: 2)
    try waitUntil("the new version has begun: \(site.logs)", seconds: 60) {
      try site.redis.positions(keys, ["clicks.0"])[0] ?? 0 > 0
    }
    site.kill("fill")
    try site.start(Site.Instance("fill"), definitions: next.path, more: arguments)
    var status: Int32?
    try waitUntil("the new version is filled: \(site.logs)", seconds: 120) {
      try events.produce(10)
      status = try site.ended("fill")
      return status != nil
    }
    guard status == 0 else { throw Failure("filling ended with \(status ?? -1): \(site.logs)") }
  }

  /// Threads that read all the time whatever is live, and say what is not as it must be.
  private final class Readers: Sendable {
    private struct Seen {
      var problems: [String] = []
      var count = 0
      var running = 0
    }

    private let seen = Mutex(Seen())
    private let isStopping = Atomic(false)
    private let promoted = Atomic(1)
    private static let threads = 2

    init(_ site: Site, _ plans: [Plan]) throws {
      let (name, url) = (site.plan.name, site.redis.url)
      for thread in 0..<Self.threads {
        let options = try RedisOptions(url: url)
        seen.withLock { $0.running += 1 }
        Thread.detachNewThread { [self] in
          let reader = LiveReader(options, name: name, versions: plans.map(\.version))
          var random = SplitMix64(seed: UInt64(thread))
          while !isStopping.load(ordering: .relaxed) {
            // What has been promoted before the read began is the oldest that it may see.
            let oldest = promoted.load(ordering: .sequentiallyConsistent)
            let found = Self.problems(reader, plans, &random, oldest)
            seen.withLock {
              $0.problems += found
              $0.count += 1
            }
          }
          seen.withLock { $0.running -= 1 }
        }
      }
    }

    /// From now on only this version may be read.
    func expect(_ version: Int) { promoted.store(version, ordering: .sequentiallyConsistent) }

    var count: Int { seen.withLock { $0.count } }

    @discardableResult
    func stop() -> [String] {
      isStopping.store(true, ordering: .relaxed)
      while seen.withLock({ $0.running }) > 0 { usleep(1_000) }
      return Array(seen.withLock { $0.problems }.prefix(5))
    }

    private static func problems(
      _ reader: LiveReader, _ plans: [Plan], _ random: inout SplitMix64, _ oldest: Int
    ) -> [String] {
      let view = random.next() % 2 == 0 ? "users" : "items"
      let entity = view == "users" ? "u\(random.next() % 300)" : "i\(random.next() % 200)"
      var state: [UInt8]?
      do {
        let version = try reader.read({ version in
          let plan = plans.first { $0.version == version }!
          return LiveReader.Request(
            source: Routing(plan).input(of: plan.view(view)!, plan), view: view,
            entityKeys: [Array(entity.utf8)])
        }) { _, bytes in state = bytes.map(Array.init) }
        let place = "\(view) \(entity) of version \(version)"
        guard version >= oldest else { return ["\(place) after the promotion of \(oldest)"] }
        guard let state else { return ["\(place): a gap"] }
        let plan = plans.first { $0.version == version }!.view(view)!
        let decoded = try state.withUnsafeBytes { try plan.decode($0) }
        let values = plan.evaluate(decoded, at: decoded.asOf)
        let row = Dictionary(uniqueKeysWithValues: zip(plan.features.map(\.name), values))
        guard case .int64(let total) = row["total_lifetime"],
          case .int64(let scaled) = row["scaled_lifetime"],
          total > 0, scaled == total * Int64(factors[version]!)
        else { return ["\(place): a mixture: \(row)"] }
        return []
      } catch {
        return ["\(view) \(entity): \(error)"]
      }
    }
  }
}

/// The states of a version, compared with one fold of its topics.
private struct VersionAudit {
  private let site: Site
  private let plan: Plan

  init(_ site: Site, _ plan: Plan) {
    self.site = site
    self.plan = plan
  }

  /// Waits until everything is processed; whatever is not as it must be.
  func problems() throws -> [String] {
    let keys = StoreKeys(name: plan.name, version: plan.version)
    let reader = try KafkaAuditor(brokers: site.brokers, group: "\(plan.name).\(plan.version)")
    let places = Routing(plan).inputs.flatMap { input in
      (0..<Site.partitions).map {
        Site.Input(partition: TopicPartition(input.topic, $0), input: input, task: "\(input.name).\($0)")
      }
    }
    try waitUntil("the new version is quiet: \(site.logs)", seconds: 120) {
      try site.redis.positions(keys, places.map(\.task)) == reader.ends(places.map(\.partition))
    }
    let records = try reader.read(places.map(\.partition))
    let snapshots = try snapshots(reader)
    var problems: [String] = []
    var found = try site.redis.states()
    for (place, records) in zip(places, records) {
      let fold = PlainFold(
        place, of: plan, records, snapshots: snapshots[place.partition.description] ?? [:])
      problems += fold.problems
      for (name, state) in fold.states
      where found.removeValue(forKey: keys.statePrefix(place.task) + name) != state {
        problems.append("\(Text(utf8: name)) differs from the fold of the log")
      }
    }
    let left = found.keys.filter { key in places.contains { key.starts(with: keys.statePrefix($0.task)) } }
    return problems + left.map { "\(Text(utf8: $0)) should not be there" }
  }

  private func snapshots(_ reader: KafkaAuditor) throws -> [String: [[UInt8]: [Snapshot]]] {
    var found: [String: [[UInt8]: [Snapshot]]] = [:]
    for record in try reader.read(site.snapshotPartitions).joined() {
      guard let snapshot = Snapshot(record.value), snapshot.version == plan.version else { continue }
      let key = Array("\(snapshot.view):".utf8) + snapshot.key
      found[snapshot.partition, default: [:]][key, default: []].append(snapshot)
    }
    return found
  }
}
