/// One partition of an archive, to read.
public struct ArchivedPartition: Sendable {
  /// The folder of a topic's partition in an archive: `<archive>/<topic>/<partition>`.
  public static func folder(_ archive: String, topic: String, partition: Int32) -> String {
    "\(archive)/\(topic)/\(partition)"
  }

  /// The topics of an archive, sorted; an error if the folder is none.
  public static func topics(_ archive: String) throws(EventFileError) -> [String] {
    let topics = try Files.names(in: archive).filter { Files.isFolder("\(archive)/\($0)/0") }
    guard topics.isEmpty else { return topics }
    throw EventFileError(
      path: archive, problem: "is no archive", remedy: "name the folder that plumb archive writes to")
  }

  /// Its folder.
  public let folder: String
  private let segments: [ArchiveSegment]
  /// The first offset that it covers.
  public let first: Int64
  /// The offset behind the last that it covers: where the topic goes on.
  public let next: Int64

  /// A partition's archive; nil if the folder holds none.
  public init?(folder: String) throws(EventFileError) {
    guard let index = try ArchiveIndex(folder: folder), let first = index.segments.first,
      let last = index.segments.last
    else { return nil }
    self.folder = folder
    segments = index.segments
    self.first = first.first
    next = last.next
  }

  /// The paths of the segments, in order of their offsets.
  public var paths: [String] { segments.map { "\(folder)/\($0.name)" } }

  /// Calls with the records whose offsets are in a range, in order, some at a time; they are borrowed. Whole segments
  /// are read, and what the index says of them is checked.
  public func read(
    _ offsets: Range<Int64>, _ body: (UnsafeBufferPointer<ArchivedRecord>) throws -> Void
  ) throws {
    for segment in segments where segment.next > offsets.lowerBound && segment.first < offsets.upperBound {
      try read(segment, offsets, body)
    }
  }

  private func read(
    _ segment: ArchiveSegment, _ offsets: Range<Int64>,
    _ body: (UnsafeBufferPointer<ArchivedRecord>) throws -> Void
  ) throws {
    let path = "\(folder)/\(segment.name)"
    guard Files.exists(path) else { throw damage(path, "the segment is missing") }
    var reader = try LineReader(
      path: path, blockBytes: 1 << 20, lineBytesMax: max(1, segment.longest), linesPerBlockMax: 1 << 12)
    var found = ArchiveSegment(
      first: segment.first, next: segment.first, records: 0, bytes: 0, longest: segment.longest, checksum: 0)
    while let lines = try reader.next() {
      var decoded = DecodedBytes()
      var records: [ArchivedRecord] = []
      records.reserveCapacity(lines.count)
      for line in lines {
        guard !line.isOversized, let record = ArchiveLine.parse(line.bytes, &decoded),
          record.offset >= found.next, record.offset < segment.next
        else { throw damage(path, "line \(line.number) is no record of this segment") }
        found.next = record.offset + 1
        found.records += 1
        found.bytes += line.bytes.count + 1
        found.checksum = ArchiveSegment.checksum(found.checksum, line.bytes)
        if offsets.contains(record.offset) { records.append(record) }
      }
      if !records.isEmpty { try records.withUnsafeBufferPointer { try body($0) } }
      // The records point into it.
      extendLifetime(decoded)
    }
    found.next = segment.next
    guard found == segment else {
      let counts = "\(found.records) records of \(found.bytes) bytes"
      throw damage(
        path,
        found.records == segment.records
          ? "the records are not those that were archived (checksum \(String(found.checksum, radix: 16)), the index "
            + "says \(String(segment.checksum, radix: 16)))"
          : "holds \(counts), the index says \(segment.records) of \(segment.bytes) bytes")
    }
  }

  private func damage(_ path: String, _ problem: String) -> EventFileError {
    EventFileError(path: path, problem: problem, remedy: "restore the archive from a copy")
  }
}
