import FeatureCore

/// Reads the records of one segment, and compares them at its end with what the index says of it.
struct SegmentReader: ~Copyable {
  /// Bytes of a line if no index tells the longest: a largest record, its key and both in base64.
  private static let lineBytesMax = 4 * Limits.recordBytesMax
  /// A block of them stays in the second-level cache.
  private static let linesPerBlockMax = 1 << 12

  private let path: String
  private let expected: ArchiveSegment?
  private var lines: LineReader
  private var found: ArchiveSegment
  private let records: UnsafeMutableBufferPointer<ArchivedRecord>
  /// What the records point to besides the lines.
  private var decoded = DecodedBytes()

  /// Bytes of the file used up so far.
  var bytesRead: Int64 { lines.bytesRead }
  /// The size of the file.
  var totalBytes: Int64? { lines.totalBytes }
  /// Records that were handed out, each a line of the file.
  var count: Int { found.records }

  init(_ file: EventFile) throws(EventFileError) {
    let expected = file.segment
    if expected != nil && !Files.exists(file.path) { throw Self.damage(file.path, "the segment is missing") }
    // Everything that throws comes before the first property: optimised, Swift 6.3 else destroys a reader that there
    // is not yet.
    let reader = try LineReader(
      path: file.path, blockBytes: 1 << 20, lineBytesMax: max(1, expected?.longest ?? Self.lineBytesMax),
      linesPerBlockMax: Self.linesPerBlockMax)
    path = file.path
    self.expected = expected
    lines = reader
    let first = expected?.first ?? 0
    found = ArchiveSegment(
      first: first, next: first, records: 0, bytes: 0, longest: expected?.longest ?? 0, checksum: 0)
    records = .allocate(capacity: Self.linesPerBlockMax)
  }

  deinit { records.deallocate() }

  /// The next records, at least one, borrowed until the next call; nil at the end, if it is as it should be.
  mutating func next() throws(EventFileError) -> UnsafeBufferPointer<ArchivedRecord>? {
    guard let block = try lines.next() else {
      try checkWhole()
      return nil
    }
    decoded = DecodedBytes()
    for (index, line) in block.enumerated() {
      guard !line.isOversized, let record = ArchiveLine.parse(line.bytes, &decoded),
        record.offset >= found.next, record.offset < expected?.next ?? .max
      else { throw Self.damage(path, "line \(line.number) is no record of this segment") }
      found.next = record.offset + 1
      found.records += 1
      found.bytes += line.bytes.count + 1
      found.checksum = ArchiveSegment.checksum(found.checksum, line.bytes)
      records.initializeElement(at: index, to: record)
    }
    return UnsafeBufferPointer(rebasing: records[..<block.count])
  }

  private func checkWhole() throws(EventFileError) {
    guard let expected else { return }
    var found = found
    found.next = expected.next
    guard found != expected else { return }
    throw Self.damage(
      path,
      found.records == expected.records
        ? "the records are not those that were archived (checksum \(String(found.checksum, radix: 16)), the index "
          + "says \(String(expected.checksum, radix: 16)))"
        : "holds \(found.records) records of \(found.bytes) bytes, the index says \(expected.records) of "
          + "\(expected.bytes) bytes")
  }

  private static func damage(_ path: String, _ problem: String) -> EventFileError {
    EventFileError(path: path, problem: problem, remedy: "restore the archive from a copy")
  }
}
