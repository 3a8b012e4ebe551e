import EventFiles
public import EventLog
import Processor

/// Where a segment of an archive ends, whichever comes first.
public struct ArchiveLimits: Sendable {
  /// Bytes of lines, uncompressed.
  public var bytes: Int
  /// Since the segment's first record.
  public var age: Duration

  /// Limits from their parts.
  public init(bytes: Int, age: Duration) {
    self.bytes = bytes
    self.age = age
  }
}

/// Reads topics into an archive.
public struct TopicArchiver {
  private struct Part {
    let writer: ArchiveWriter
    /// Where the archive begins, if it is empty.
    let first: Int64
    /// Where this run ends; nil is never.
    let to: Int64?
    /// The offset behind the last record.
    var next: Int64
    var opened: ContinuousClock.Instant?

    mutating func cut(next: Int64) throws {
      try writer.cut(next: next, first: first)
      opened = nil
    }
  }

  private let reader: TopicReader
  private let limits: ArchiveLimits
  private var parts: [TopicPartition: Part] = [:]
  /// Records that this run has archived.
  public private(set) var records = 0
  /// Segments that it has made.
  public private(set) var segments = 0

  /// Continues the archive in a folder. Without `isEndless` it ends where the topics end now. `report` hears what the
  /// client library says, from any thread.
  public init(
    _ options: KafkaOptions, topics: [String], out: String, limits: ArchiveLimits, isEndless: Bool,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void
  ) throws {
    reader = try TopicReader(options, report: report)
    self.limits = limits
    let firsts = try reader.ranges(of: topics, from: .beginning)
    for range in firsts {
      let (partition, end) = (range.partition, range.to ?? 0)
      let folder = ArchivedPartition.folder(out, topic: partition.topic, partition: partition.partition)
      let writer = try ArchiveWriter(folder: folder)
      let next = writer.next ?? range.from
      try TopicArchive.checkJoint(folder, partition, next, begins: range.from, ends: end)
      parts[partition] = Part(writer: writer, first: range.from, to: isEndless ? nil : end, next: next)
    }
    try reader.open(parts.map { ReadRange($0, from: $1.next, to: $1.to) })
  }

  /// Archives until everything is, or it is to stop. What has been read by then is in the archive.
  public mutating func run(isStopping: () -> Bool) throws {
    while !isStopping() {
      guard let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100) else {
        return try cutAll { $0.to ?? $0.next }
      }
      for record in poll.records { try add(record, of: poll.partitions[record.partition]) }
      let now = ContinuousClock.now
      for (partition, part) in parts {
        if let opened = part.opened, now - opened >= limits.age { try cut(partition, part.next) }
      }
    }
    try cutAll(\.next)
  }

  private mutating func add(_ record: LogRecord, of partition: TopicPartition) throws {
    guard var part = parts[partition] else { preconditionFailure("Cannot archive \(partition)") }
    let archived = ArchivedRecord(
      offset: record.offset, timestampMilliseconds: record.timestampMilliseconds, key: record.key,
      value: record.value, headers: record.headers)
    try part.writer.append(archived, first: part.first)
    part.next = record.offset + 1
    part.opened = part.opened ?? .now
    parts[partition] = part
    records += 1
    if part.writer.openBytes >= limits.bytes { try cut(partition, part.next) }
  }

  private mutating func cutAll(_ next: (Part) -> Int64) throws {
    for (partition, part) in parts { try cut(partition, next(part)) }
  }

  private mutating func cut(_ partition: TopicPartition, _ next: Int64) throws {
    let before = parts[partition]?.writer.segments ?? 0
    try parts[partition]?.cut(next: next)
    segments += (parts[partition]?.writer.segments ?? 0) - before
  }
}
