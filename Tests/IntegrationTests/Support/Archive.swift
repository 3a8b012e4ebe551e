import EventFiles
import Foundation
import Processor
import TestSupport

/// A site's archive, in a folder of its own that goes with it.
final class Archive {
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
  func verify(
    _ status: Int32?, _ text: String, definitions: String? = nil, more: [String] = []
  ) throws -> [String] {
    let options = (status == nil ? [] : ["--archive", path]) + more
    let process = try site.command(["verify", "--redis", site.redis.url] + options, definitions: definitions)
    let isSo = try process.status(within: 120) == status ?? 1 && process.text.contains(text)
    return isSo ? [] : ["verify \(options), expected '\(text)': \(process.text)"]
  }

  func partition(_ place: TopicPartition) throws -> ArchivedPartition {
    let folder = ArchivedPartition.folder(path, topic: place.topic, partition: place.partition)
    guard let found = try ArchivedPartition(folder: folder) else { throw Failure("no archive of \(place)") }
    return found
  }

  /// Lets each partition of the topics begin at an offset.
  func cutTopics(before offset: (ArchivedPartition) -> Int64) throws {
    let auditor = try KafkaAuditor(brokers: site.brokers, group: "audit")
    try auditor.deleteRecords(
      before: site.inputs.map { ($0.partition, offset(try partition($0.partition))) })
  }

  func records(_ place: TopicPartition) throws -> [ArchivedCopy] {
    let partition = try partition(place)
    var found: [ArchivedCopy] = []
    try partition.read(partition.first..<partition.next) { found += $0.map(ArchivedCopy.init) }
    return found
  }

  /// The names of a partition's segments, in order.
  func segments(of place: TopicPartition) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: partition(place).folder)
      .filter { $0.hasSuffix(".ndjson.zst") }.sorted()
  }

  /// Segments of all partitions.
  func segments() -> Int { files { $0.hasSuffix(".ndjson.zst") } }

  func hasBegunSegment() -> Bool { files { $0.hasSuffix(".tmp") } > 0 }

  private func files(_ condition: (String) -> Bool) -> Int {
    FileManager.default.enumerator(atPath: path)?.count { ($0 as? String).map(condition) ?? false } ?? 0
  }
}

/// A record that outlives its archive.
struct ArchivedCopy: Hashable {
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
