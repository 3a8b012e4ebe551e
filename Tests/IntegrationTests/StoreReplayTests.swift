import EventFiles
import EventLog
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb replay --into redis`: a store that was lost comes back byte for byte.
  @Suite struct StoreReplayTests {}
}

extension Journeys.StoreReplayTests {
  @Test func aLostStoreIsFoldedAgain() async throws {
    try await Integration.expectNone(Self.folding)
  }

  @Test func aLostStoreIsRestoredFromSnapshots() async throws {
    try await Integration.expectNone(Self.restoring)
  }

  @Test func aLostStoreIsFoldedAgainFromAnArchive() async throws {
    try await Integration.expectNone(Self.foldingFromAnArchive)
  }

  @Test func snapshotsBehindAnOpenTransactionAreRestored() async throws {
    try await Integration.expectNone(Self.restoringBehindAnOpenTransaction)
  }

  @Test func foreignSnapshotsAreLeftOut() async throws {
    try await Integration.expectNone(Self.restoringBesideForeignSnapshots)
  }

  /// A site whose service has processed some events and was stopped, and what its store held.
  private struct Stopped {
    let site: Site
    let events: ShopEvents
    let store: [[UInt8]: [UInt8]]
    var seed = Integration.seed()

    /// `halfway` is called when half of the events are processed.
    /// A site that was stopped by others.
    init(_ site: Site, _ events: ShopEvents) throws {
      self.site = site
      self.events = events
      store = try site.redis.states()
    }

    init(events count: Int, halfway: ((Site) throws -> Void)? = nil) throws {
      site = try Site()
      events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      for part in 0..<2 {
        for _ in 0..<count / 2_000 { try events.produce(1_000) }
        if part == 0 && halfway == nil { continue }
        _ = try Audit(site, seconds: 300)
        if part == 0 { try halfway?(site) }
      }
      guard try site.terminate("a") == 0 else { throw Failure("no clean end: \(site.logs)") }
      store = try site.redis.states()
    }

    func replay(_ arguments: [String] = []) throws -> ChildProcess {
      try site.command(["replay", "--into", "redis", "--redis", site.redis.url] + arguments)
    }

    func expectSuccess(_ arguments: [String] = []) throws {
      let process = try replay(arguments)
      let status = try process.status(within: 300)
      guard status == 0 else { throw Failure("exit status \(status): \(process.text)") }
    }

    func expectFailure(_ arguments: [String] = [], _ text: String) throws {
      let process = try replay(arguments)
      guard try process.status(within: 60) == 1, process.text.contains(text) else {
        throw Failure("no failure that says '\(text)': \(process.text)")
      }
    }

    /// What the store holds otherwise than before; epochs only count.
    func differences(_ what: String) throws -> [String] {
      let epochs = Set(site.inputs.map { site.keys.epoch($0.task) })
      let found = try site.redis.states()
      let keys = Set(found.keys).union(store.keys).subtracting(epochs)
      let count = keys.count { found[$0] != store[$0] }
      return count == 0 ? [] : ["\(what): \(count) of \(keys.count) keys differ"]
    }

    /// Of each input partition, when the service had stopped.
    var positions: [Int64?] {
      site.inputs.map { input in
        store[site.keys.position(input.task)].flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
      }
    }

    /// Clears the store, and kills a replay as soon as it has written something, before it is done.
    func killAtWork(_ arguments: [String] = []) throws {
      let committed = try KafkaAuditor(brokers: site.brokers, group: site.group)
        .committed(site.inputs.map(\.partition))
      for _ in 0..<Self.attempts {
        try site.redis.clear()
        let process = try replay(arguments)
        var stored: [Int64?] = []
        try waitUntil("the replay has written something: \(process.text)", seconds: 60) {
          stored = try site.redis.positions(site.keys, site.inputs.map(\.task))
          return stored.contains { $0 != nil } || !process.isRunning
        }
        process.kill()
        stored = try site.redis.positions(site.keys, site.inputs.map(\.task))
        if stored != committed { return }
      }
      throw Failure("\(Self.attempts) kills came too late")
    }

    /// A damaged segment stops the replay before anything of it is in the store, and is restored.
    func damage(_ archive: Archive, _ arguments: [String]) throws -> [String] {
      var problems: [String] = []
      for place in site.inputs.prefix(2) {
        let partition = try archive.partition(place.partition)
        // Some hold marks of transactions alone.
        let name = try archive.segments(of: place.partition).last {
          try !Self.uncompressed("\(partition.folder)/\($0)").isEmpty
        }.unwrapped("no segment with records")
        let path = "\(partition.folder)/\(name)"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        // Uncompressed it can be read like before, and only the index tells that a digit has changed.
        var lines = try Self.uncompressed(path)
        let digit = try lines.lastIndex { (0x30...0x39).contains($0) }.unwrapped("no digit")
        lines[digit] ^= 1
        try Data(lines).write(to: URL(fileURLWithPath: path))
        try site.redis.clear()
        try expectFailure(arguments, name)
        let position = try site.redis.positions(site.keys, [place.task])[0] ?? 0
        if try position > Int64(name.prefix(20)).unwrapped(name) {
          problems.append("\(place.partition): folded over a damaged segment")
        }
        try whole.write(to: URL(fileURLWithPath: path))
      }
      return problems
    }

    private static func uncompressed(_ path: String) throws -> [UInt8] {
      try withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 1) { room in
        var source = try ByteSource(path: path, inputBytes: 1 << 16)
        var bytes: [UInt8] = []
        while case let count = try source.read(into: room), count > 0 { bytes += room[..<count] }
        return bytes
      }
    }

    /// A replay of these few events may be done before a kill reaches it.
    private static let attempts = 20
  }

  private static func folding() throws -> [String] {
    let stopped = try Stopped(events: 40_000)
    let site = stopped.site
    try stopped.killAtWork()
    try stopped.expectSuccess(["--workers", "2"])
    var problems = try stopped.differences("after a kill")
    // Damage that no position tells of.
    let victim = try stopped.store.keys.first { site.isState($0) }.unwrapped("no states")
    try site.redis.set(victim, [1, 2, 3])
    try stopped.expectSuccess(["--from", "beginning"])
    problems += try stopped.differences("from the beginning")
    // The service is none the wiser.
    try site.start(Site.Instance("b"))
    try waitUntil("the service is a member: \(site.logs)", seconds: 60) {
      try stopped.events.produce(10)
      return try Audit.positions(
        site, KafkaAuditor(brokers: site.brokers, group: site.group)
      ).stored != stopped.positions
    }
    try stopped.expectFailure([], "the service runs")
    problems += try Audit(site, seconds: 120).problems(stopped.events.written)
    return Integration.report(problems + site.complaints(), stopped.seed, site)
  }

  /// The archive has the first half, the topics the second one and, of some partitions, a part of the first.
  private static func foldingFromAnArchive() throws -> [String] {
    var made: Archive?
    let stopped = try Stopped(events: 40_000) { site in
      made = Archive(site)
      try made?.complete(["--segment-bytes", "200000"])
    }
    let (site, archive) = (stopped.site, try made.unwrapped("no archive"))
    var index: Int64 = 0
    try archive.cutTopics { partition in
      index += 1
      return partition.next - (index % 2) * 100
    }
    let arguments = ["--archive", archive.path]
    try site.redis.clear()
    try stopped.expectFailure([], "--from-snapshots")
    var problems = try stopped.damage(archive, arguments)
    try stopped.killAtWork(arguments)
    try stopped.expectSuccess(arguments + ["--workers", "2"])
    problems += try stopped.differences("from an archive, after a kill")
    // With two workers from the beginning, and with nothing to do.
    for more in [["--from", "beginning", "--workers", "2"], []] {
      try stopped.expectSuccess(arguments + more)
      problems += try stopped.differences("from an archive, \(more)")
    }
    // The service needs no archive to go on.
    try site.start(Site.Instance("b"))
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    try waitUntil("the service goes on: \(site.logs)", seconds: 60) {
      try stopped.events.produce(10)
      return try zip(Audit.positions(site, reader).stored, stopped.positions).allSatisfy { $0 ?? 0 > $1 ?? 0 }
    }
    problems += try archive.verify(0, "no difference")
    return Integration.report(problems + site.complaints(), stopped.seed, site)
  }

  /// What anybody may have put into the topic stops no restoration; other definitions do, before anything is written.
  private static func restoringBesideForeignSnapshots() throws -> [String] {
    let stopped = try Stopped(events: 4_000)
    let site = stopped.site
    let own = try KafkaAuditor(brokers: site.brokers, group: "audit").read(site.snapshotPartitions).joined()
      .first { Snapshot($0.value)?.view == "users" }.unwrapped("no snapshots")
    // Of a field that comes twice, the last one counts: another fingerprint, and a view that there isn't.
    try forge(
      [[0x39] + [UInt8](repeating: 7, count: 8), [0x0A, 6] + Array("nobody".utf8)], after: own, site)
    let edited = site.path("edited.yaml")
    try Data(
      String(contentsOfFile: site.definitions, encoding: .utf8)
        .replacingOccurrences(of: "windows: 24h", with: "windows: 48h").utf8
    ).write(to: URL(fileURLWithPath: edited))
    try site.redis.clear()
    let other = try site.command(
      ["replay", "--into", "redis", "--redis", site.redis.url, "--from-snapshots"], definitions: edited)
    var problems: [String] = []
    if try other.status(within: 60) != 1 || !other.text.contains("by other definitions of version 1") {
      problems.append("other definitions: \(other.text)")
    }
    let left = try site.redis.contents().count
    if left != 0 { problems.append("refused, with \(left) keys in Redis") }
    let restore = try stopped.replay(["--from-snapshots"])
    let status = try restore.status(within: 120)
    let said = "2 records of other programs left out (of view 'nobody', 'users' by other definitions)"
    if status != 0 || !restore.text.contains(said) { problems.append("status \(status): \(restore.text)") }
    return Integration.report(
      try problems + stopped.differences("beside foreign snapshots"), stopped.seed, site)
  }

  /// A worker of another version, dead or alive, has a transaction open: what came behind it is committed, and no reader sees
  /// it yet.
  private static func restoringBehindAnOpenTransaction() throws -> [String] {
    let seed = Integration.seed()
    let site = try Site()
    let events = try ShopEvents(site, seed: seed)
    try site.start(Site.Instance("a"))
    try events.produce(1_000)
    _ = try Audit(site, seconds: 120)
    let other = "\(site.group).other"
    let options = KafkaOptions(brokers: site.brokers, group: other, transactionalID: other)
    let log = try KafkaLog(options, topics: [site.sourceTopic]) { _, _ in }
    defer { log.close(timeoutMilliseconds: 5_000) }
    let admin = try TopicAdmin(options) { _, _ in }
    let before = try admin.ends(of: site.snapshotPartitions)
    try log.begin()
    for partition in site.snapshotPartitions {
      try Array("other".utf8).withUnsafeBytes {
        try log.send(topic: partition.topic, partition: partition.partition, key: $0, value: $0)
      }
    }
    try waitUntil("the brokers have them") {
      try zip(admin.ends(of: site.snapshotPartitions), before).allSatisfy { $0 > $1 }
    }
    try events.produce(1_000)
    try site.awaitStored(events)
    guard try site.terminate("a") == 0 else { throw Failure("no clean end: \(site.logs)") }
    let stopped = try Stopped(site, events)
    try site.redis.clear()
    let replay = try stopped.replay(["--from-snapshots"])
    try waitUntil("it reads: \(replay.text)", seconds: 60) {
      replay.text.contains("looked through") || !replay.isRunning
    }
    try log.abort()
    let status = try replay.status(within: 120)
    let problems = status == 0 ? [] : ["status \(status): \(replay.text)"]
    return Integration.report(try problems + stopped.differences("behind a transaction"), seed, site)
  }

  /// Puts copies of a record into the snapshot topic, each with something behind its value.
  private static func forge(_ endings: [[UInt8]], after own: Record, _ site: Site) throws {
    let forger = "\(site.group).forger"
    let log = try KafkaLog(
      KafkaOptions(brokers: site.brokers, group: forger, transactionalID: forger), topics: [site.sourceTopic]
    ) { _, _ in }
    defer { log.close(timeoutMilliseconds: 5_000) }
    try log.begin()
    for ending in endings {
      try (own.key ?? []).withUnsafeBytes { key in
        try ((own.value ?? []) + ending).withUnsafeBytes { value in
          try log.send(topic: site.routing.snapshotTopic, partition: nil, key: key, value: value)
        }
      }
    }
    try log.commit([])
  }

  private static func restoring() throws -> [String] {
    let stopped = try Stopped(events: 10_000)
    let site = stopped.site
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    let ends = try reader.committed(site.inputs.map(\.partition))
    try reader.deleteRecords(
      before: zip(site.inputs, ends).map { ($0.partition, max(1, ($1 ?? 2) / 2)) })
    try site.redis.clear()
    try stopped.expectFailure([], "--from-snapshots")
    try stopped.killAtWork(["--from-snapshots"])
    // Half of the states is not a state.
    try site.start(Site.Instance("b"))
    var status: Int32?
    try waitUntil("the service refuses: \(site.logs)", seconds: 60) {
      status = try site.ended("b")
      return status != nil
    }
    var problems = status == 1 && site.logs.contains("being restored") ? [] : ["no refusal: \(site.logs)"]
    try stopped.expectSuccess(["--from-snapshots"])
    problems += try stopped.differences("from snapshots")
    // From here on it is as if nothing had happened.
    try site.start(Site.Instance("c"))
    let before = try Audit.positions(site, reader).stored
    try stopped.events.produce(500)
    try waitUntil("the service goes on: \(site.logs)", seconds: 60) {
      try stopped.events.produce(1)
      let positions = try Audit.positions(site, reader)
      return zip(positions.stored, before).allSatisfy { $0 ?? 0 > $1 ?? 0 }
    }
    return Integration.report(problems, stopped.seed, site)
  }
}

extension Site {
  /// Whether a key of Redis is a state's.
  fileprivate func isState(_ key: [UInt8]) -> Bool {
    inputs.contains { key.starts(with: keys.statePrefix($0.task)) }
  }
}

extension Optional {
  fileprivate func unwrapped(_ message: String) throws -> Wrapped {
    guard let self else { throw Failure(message) }
    return self
  }
}
