import EventFiles
public import Processor
public import Verification

/// Topics that begin in an archive, if there is one, and go on in Kafka.
public final class ArchivedLog: VerifiedLog {
  private let archive: TopicArchive?
  private let topics: TopicLog
  /// nil: the archive doesn't have the partition.
  private var known: [TopicPartition: ArchivedPartition?] = [:]

  /// Topics that begin in an archive.
  public init(_ archive: TopicArchive?, topics: TopicLog) {
    self.archive = archive
    self.topics = topics
  }

  /// See `VerifiedLog`.
  public func firstOffset(_ partition: TopicPartition) throws -> Int64 {
    try archived(partition)?.first ?? topics.firstOffset(partition)
  }

  /// See `VerifiedLog`. An error if there is a gap between the archive and a topic.
  public func ends(of topic: String) throws -> [(partition: TopicPartition, offset: Int64)] {
    let ends = try topics.ends(of: topic)
    for (partition, end) in ends {
      guard let archived = try archived(partition) else { continue }
      try TopicArchive.checkJoint(
        archived.folder, partition, archived.next, begins: topics.firstOffset(partition), ends: end)
    }
    return ends
  }

  /// See `VerifiedLog`.
  public func read(
    _ partition: TopicPartition, _ offsets: Range<Int64>,
    _ body: (UnsafeBufferPointer<LogRecord>) throws -> Void
  ) throws {
    guard let archived = try archived(partition) else {
      return try topics.read(partition, offsets, body)
    }
    try archived.read(offsets) { records in
      let records = records.map { LogRecord($0, partition: 0) }
      try records.withUnsafeBufferPointer { try body($0) }
    }
    let rest = max(offsets.lowerBound, archived.next)
    if rest < offsets.upperBound { try topics.read(partition, rest..<offsets.upperBound, body) }
  }

  private func archived(_ partition: TopicPartition) throws -> ArchivedPartition? {
    if let known = known[partition] { return known }
    let found = try archive?.partition(partition)
    known[partition] = .some(found)
    return found
  }
}

extension LogRecord {
  /// A record of an archive; `partition` is its index among those of a poll.
  init(_ record: ArchivedRecord, partition: Int) {
    self.init(
      partition: partition, offset: record.offset, timestampMilliseconds: record.timestampMilliseconds,
      key: record.key, value: record.value, headers: record.headers)
  }
}
