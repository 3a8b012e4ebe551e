import CRDKafka
import EventFiles
import Foundation
import Processor
import Testing

extension Integration {
  /// `plumb archive` keeps what a topic held, and `plumb verify --archive` reads both as one.
  @Suite struct ArchiveTests {}
}

extension Integration.ArchiveTests {
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
      try Self.deleteRecords(site, archive) { $0.first + ($0.next - $0.first) / 2 }
      let withoutIt = try archive.verify(nil, "verify from an archive")
      let overlapping = try archive.verify(0, "no difference")
      try Self.deleteRecords(site, archive, \.next)
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
    try deleteRecords(site, archive) { $0.next + 2 }
    let process = try archive.command(["--until", "end"])
    let isRefused =
      try process.status(within: 60) == 1 && process.text.contains("the records between are gone")
    return try archive.verify(1, "the records between are gone")
      + (isRefused ? [] : ["archived over a gap: \(process.text)"])
  }

  /// Lets each partition begin at an offset.
  private static func deleteRecords(
    _ site: Site, _ archive: Archive, _ offset: (ArchivedPartition) -> Int64
  ) throws {
    let auditor = try KafkaAuditor(brokers: site.brokers, group: "audit")
    try auditor.deleteRecords(
      site.inputs.map { ($0.partition, offset(try archive.partition($0.partition))) })
  }
}

/// A site's archive, in a folder of its own that goes with it.
private final class Archive {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-archive-\(UUID())").path
  private let site: Site

  init(_ site: Site) { self.site = site }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func command(_ arguments: [String]) throws -> ChildProcess {
    try site.command(["archive", "--out", path] + arguments)
  }

  /// Archives up to the end.
  func complete(_ arguments: [String] = []) throws {
    let process = try command(["--until", "end"] + arguments)
    guard try process.status(within: 60) == 0 else { throw Failure("archive: \(process.text)") }
  }

  /// What is wrong with what `plumb verify` says; nil is without the archive.
  func verify(_ status: Int32?, _ text: String) throws -> [String] {
    let options = status == nil ? [] : ["--archive", path]
    let process = try site.command(["verify", "--redis", site.redis.url] + options)
    let isSo = try process.status(within: 120) == status ?? 1 && process.text.contains(text)
    return isSo ? [] : ["verify \(options), expected '\(text)': \(process.text)"]
  }

  func partition(_ place: TopicPartition) throws -> ArchivedPartition {
    let folder = ArchivedPartition.folder(path, topic: place.topic, partition: place.partition)
    guard let found = try ArchivedPartition(folder: folder) else { throw Failure("no archive of \(place)") }
    return found
  }

  func records(_ place: TopicPartition) throws -> [ArchivedCopy] {
    let partition = try partition(place)
    var found: [ArchivedCopy] = []
    try partition.read(partition.first..<partition.next) { found += $0.map(ArchivedCopy.init) }
    return found
  }

  /// Segments of all partitions.
  func segments() -> Int { files { $0.hasSuffix(".ndjson.zst") } }

  func hasBegunSegment() -> Bool { files { $0.hasSuffix(".tmp") } > 0 }

  private func files(_ condition: (String) -> Bool) -> Int {
    FileManager.default.enumerator(atPath: path)?.count { ($0 as? String).map(condition) ?? false } ?? 0
  }
}

/// A record that outlives its archive.
private struct ArchivedCopy: Hashable {
  var offset: Int64
  var timestamp: Int64
  var key: [UInt8]?
  var value: [UInt8]?

  init(_ record: Record) {
    (offset, timestamp, key, value) = (record.offset, record.timestamp, record.key, record.value)
  }

  init(_ record: ArchivedRecord) {
    (offset, timestamp) = (record.offset, record.timestampMilliseconds ?? -1)
    (key, value) = (record.key.map(Array.init), record.value.map(Array.init))
  }

  var identity: WrittenEvent.Identity { WrittenEvent.Identity(key: key, value: value) }

  func withRecord(_ body: (ArchivedRecord) throws -> Void) rethrows {
    try (key ?? []).withUnsafeBytes { keyBytes in
      try (value ?? []).withUnsafeBytes { valueBytes in
        try body(
          ArchivedRecord(
            offset: offset, timestampMilliseconds: timestamp, key: key.map { _ in keyBytes },
            value: value.map { _ in valueBytes }))
      }
    }
  }
}

extension KafkaAuditor {
  /// Removes the records before an offset, of each partition.
  fileprivate func deleteRecords(_ partitions: [(TopicPartition, Int64)]) throws {
    guard let list = rd_kafka_topic_partition_list_new(Int32(partitions.count)) else {
      throw Failure("out of memory")
    }
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for (partition, offset) in partitions {
      rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset
    }
    var request = rd_kafka_DeleteRecords_new(list)
    defer { rd_kafka_DeleteRecords_destroy(request) }
    let queue = rd_kafka_queue_new(handle)
    defer { rd_kafka_queue_destroy(queue) }
    rd_kafka_DeleteRecords(handle, &request, 1, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, 20_000) else { throw Failure("no answer to DeleteRecords") }
    defer { rd_kafka_event_destroy(event) }
    guard let result = rd_kafka_event_DeleteRecords_result(event),
      let offsets = rd_kafka_DeleteRecords_result_offsets(result)
    else { throw Failure("no result of DeleteRecords") }
    for index in partitions.indices {
      let code = offsets.pointee.elems[index].err
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
        throw Failure("DeleteRecords: \(String(cString: rd_kafka_err2str(code)))")
      }
    }
  }
}
