import EventFiles
import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb archive` keeps what a topic held, and `plumb verify --archive` reads both as one.
  @Suite struct ArchiveTests {}
}

extension Journeys.ArchiveTests {
  @Test func isTheTopicAfterKills() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      var random = SplitMix64(seed: seed)
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      let archive = Archive(site)
      for _ in 0..<6 {
        let process = try archive.command(["--segment-bytes", "4000", "--segment-time", "1s"])
        let before = archive.segments()
        try waitUntil("segments are written: \(process.text)") {
          try events.produce(10 + Int(random.next() % 40))
          return archive.segments() > before + Int(random.next() % 8)
        }
        process.kill()
      }
      _ = try Audit(site, seconds: 120)
      try archive.complete()
      // With nothing new it changes nothing; a signal, and what is read by then is in the archive.
      try archive.complete()
      let process = try archive.command(["--segment-time", "1h"])
      try waitUntil("records are read: \(process.text)") {
        try events.produce(20)
        return archive.hasBegunSegment()
      }
      process.signal(SIGTERM)
      guard try process.status(within: 30) == 0 else { throw Failure(process.text) }
      _ = try Audit(site, seconds: 120)
      try archive.complete()
      let topics = try KafkaAuditor(brokers: site.brokers, group: "audit").read(site.inputs.map(\.partition))
      return try zip(site.inputs, topics).flatMap { place, records in
        let found = try archive.records(place.partition)
        return found == records.map(ArchivedCopy.init)
          ? [] : ["seed \(seed): \(place.partition): \(found.count) archived of \(records.count)"]
      }
    }
  }

  @Test func verifiesWhereTheTopicHasForgotten() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      for _ in 0..<30 { try events.produce(30) }
      _ = try Audit(site, seconds: 120)
      let archive = Archive(site)
      try archive.complete(["--segment-bytes", "20000"])
      let intact = try archive.verify(0, "no difference")
      // Half of what is archived, and so the topic overlaps; then all.
      try archive.cutTopics { $0.first + ($0.next - $0.first) / 2 }
      let withoutIt = try archive.verify(nil, "verify from an archive")
      let overlapping = try archive.verify(0, "no difference")
      try archive.cutTopics(before: \.next)
      try waitUntil("the service goes on behind the archive: \(site.logs)", seconds: 120) {
        try events.produce(30)
        let (stored, _) = try Audit.positions(site, KafkaAuditor(brokers: site.brokers, group: site.group))
        return try zip(site.inputs, stored).allSatisfy { place, position in
          try position ?? 0 > archive.partition(place.partition).next + 5
        }
      }
      let joined = try archive.verify(0, "no difference")
      let problems = intact + withoutIt + overlapping + joined
      return try problems + Self.removedEvent(site, events, archive) + Self.gap(site, archive)
    }
  }

  /// A version that is newer than what the topics still hold is filled by the service, killed on the way, and needs no
  /// archive afterwards; also where the topics hold nothing at all behind it.
  @Test(arguments: [false, true])
  func aNewVersionIsFilledFromIt(_ isWhole: Bool) async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("old"))
      for _ in 0..<10 { try events.produce(1_000) }
      _ = try Audit(site, seconds: 300)
      let archive = Archive(site)
      try archive.complete(["--segment-bytes", "100000"])
      try archive.cutTopics(before: \.next)
      if !isWhole { for _ in 0..<3 { try events.produce(1_000) } }
      let next = try site.addVersion(ShopEvents.definitions.replacing("version: 1", with: "version: 2"))
      let apply = try site.command(["topics", "apply"], definitions: next.path)
      guard try apply.status(within: 60) == 0 else { throw Failure(apply.text) }
      let keys = StoreKeys(name: next.plan.name, version: 2)
      let fill = ["--until", "end", "--archive", archive.path]
      try site.start(Site.Instance("fill"), definitions: next.path, more: fill)
      try waitUntil("the new version has begun: \(site.logs)", seconds: 60) {
        try site.redis.positions(keys, ["clicks.0"])[0] ?? 0 > 0
      }
      site.kill("fill")
      try site.start(Site.Instance("fill"), definitions: next.path, more: fill)
      var status: Int32?
      try waitUntil("the new version is filled: \(site.logs)", seconds: 120) {
        status = try site.ended("fill")
        return status != nil
      }
      guard status == 0 else { throw Failure("filling: \(site.logs)") }
      try site.start(Site.Instance("new"), definitions: next.path)
      try events.produce(1_000)
      var problems = try [site.definitions, next.path].flatMap {
        try archive.verify(0, "no difference", definitions: $0, more: ["--wait", "60s"])
      }
      problems += try Self.differences(site, keys) + Self.repetitions(site, version: 2)
      return Integration.report(problems + site.complaints(), seed, site)
    }
  }

  /// The definitions are the same, and so are the states of what is folded from one topic, wherever it was read.
  private static func differences(_ site: Site, _ keys: StoreKeys) throws -> [String] {
    let contents = try site.redis.states()
    func users(_ keys: StoreKeys) -> [[UInt8]: [UInt8]] {
      var found: [[UInt8]: [UInt8]] = [:]
      for task in site.inputs where !task.input.isRepartitioned {
        let prefix = keys.statePrefix(task.task)
        for (key, state) in contents where key.starts(with: prefix) {
          found[Array(key.dropFirst(prefix.count))] = state
        }
      }
      return found
    }
    let (old, new) = (users(site.keys), users(keys))
    let count = Set(old.keys).union(new.keys).count { old[$0] != new[$0] }
    return count == 0 && old.count > 100
      ? [] : ["\(count) of \(old.count) states differ between the versions"]
  }

  /// An entity's snapshots ascend: none is there twice.
  private static func repetitions(_ site: Site, version: UInt64) throws -> [String] {
    let reader = try KafkaAuditor(brokers: site.brokers, group: "audit")
    var last: [[UInt8]: Int64] = [:]
    var problems: [String] = []
    for record in try reader.read(site.snapshotPartitions).joined() {
      guard let snapshot = Snapshot(record.value), snapshot.version == version, let key = record.key else {
        continue
      }
      if let before = last.updateValue(snapshot.position, forKey: key), before >= snapshot.position {
        problems.append("a snapshot at \(snapshot.position) after one at \(before)")
      }
    }
    return last.isEmpty ? ["no snapshot of version \(version)"] : problems
  }

  /// An event is taken out, and the index made to fit.
  private static func removedEvent(
    _ site: Site, _ events: ShopEvents, _ archive: Archive
  ) throws -> [String] {
    let partition = site.inputs[0].partition
    let good = Set(events.written.filter(\.refusals.isEmpty).map(\.identity))
    let records = try archive.records(partition)
    guard let victim = records.first(where: { good.contains($0.identity) }) else { throw Failure("no event") }
    let folder = ArchivedPartition.folder(
      archive.path, topic: partition.topic, partition: partition.partition)
    let kept = folder + ".kept"
    let next = try archive.partition(partition).next
    try FileManager.default.moveItem(atPath: folder, toPath: kept)
    do {
      let writer = try ArchiveWriter(folder: folder)
      for record in records where record != victim {
        try record.withRecord { try writer.append($0, first: 0) }
      }
      try writer.cut(next: next, first: 0)
    }
    let user = String(decoding: victim.key ?? [], as: UTF8.self)
    let found = try archive.verify(1, "entity '\(user)' at \(partition)@")
    try FileManager.default.removeItem(atPath: folder)
    try FileManager.default.moveItem(atPath: kept, toPath: folder)
    return try found + archive.verify(0, "no difference")
  }

  /// The topic forgets records that the archive has not.
  private static func gap(_ site: Site, _ archive: Archive) throws -> [String] {
    try archive.cutTopics { $0.next + 2 }
    let process = try archive.command(["--until", "end"])
    let isRefused =
      try process.status(within: 60) == 1 && process.text.contains("the records between are gone")
    return try archive.verify(1, "the records between are gone")
      + (isRefused ? [] : ["archived over a gap: \(process.text)"])
  }
}
