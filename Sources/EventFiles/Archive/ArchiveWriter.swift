/// Writes one partition of an archive, a segment at a time. One owner, one thread.
///
/// A segment is there once the index names it, and the index names it once it is on the disk. So whenever the process
/// ends, the next one continues behind the last whole segment.
public final class ArchiveWriter {
  private let folder: String
  private let lock: FolderLock
  private var index: ArchiveIndex
  private var segment: SegmentFile?

  /// The offset behind the last segment; nil before the first.
  public var next: Int64? { index.segments.last?.next }
  /// Segments that are complete.
  public var segments: Int { index.segments.count }
  /// Records of the segment that is being written.
  public var openRecords: Int { segment?.records ?? 0 }
  /// Bytes of its lines, uncompressed.
  public var openBytes: Int { segment?.bytes ?? 0 }

  /// Makes the folder, or continues what is in it.
  public init(folder: String) throws(EventFileError) {
    self.folder = folder
    try Files.makeFolder(folder)
    lock = try FolderLock(folder)
    let written = try ArchiveIndex(folder: folder)
    index = written ?? ArchiveIndex()
    // Before the first segment: segments without an index are then a damage, and never what a crash has left.
    if written == nil { try publishIndex() }
    let known = Set(index.segments.map(\.name))
    // What an interrupted process left: beginnings of files, and a segment that the index had not yet.
    for name in try Files.names(in: folder)
    where name.hasSuffix(Files.temporaryEnding) || ArchiveSegment.isName(name) && !known.contains(name) {
      try Files.remove("\(folder)/\(name)")
    }
  }

  /// Adds a record. `first` is where the segment begins if this is its first record and no segment is before it.
  public func append(_ record: ArchivedRecord, first: Int64) throws(EventFileError) {
    try open(first)
    try segment?.append(record)
  }

  /// Completes a segment that covers the offsets before `next`; without records only if it covers any offset.
  public func cut(next: Int64, first: Int64) throws(EventFileError) {
    guard segment != nil || next > self.next ?? first else { return }
    try open(first)
    guard let segment = segment.take() else { preconditionFailure("Cannot cut without a segment") }
    index.segments.append(try segment.finish(next: next))
    try publishIndex()
  }

  private func open(_ first: Int64) throws(EventFileError) {
    if segment == nil { segment = try SegmentFile(folder: folder, first: next ?? first) }
  }

  private func publishIndex() throws(EventFileError) {
    let file = try NewFile(path: "\(folder)/\(ArchiveIndex.fileName)")
    try write(index.text, to: file)
    try file.publish()
  }

  private func write(_ bytes: [UInt8], to file: borrowing NewFile) throws(EventFileError) {
    try bytes.span.bytes.withUnsafeBytes { (bytes) throws(EventFileError) in try file.write(bytes) }
  }
}

/// A segment that is being written.
private struct SegmentFile: ~Copyable {
  /// Compressed when it holds this much.
  private static let bufferBytes = 1 << 18

  private let file: NewFile
  private let compressor = ZstdCompressor()
  private var segment: ArchiveSegment
  private var lines: [UInt8] = []

  var records: Int { segment.records }
  var bytes: Int { segment.bytes }

  init(folder: String, first: Int64) throws(EventFileError) {
    segment = ArchiveSegment(first: first, next: first, records: 0, bytes: 0, longest: 0, checksum: 0)
    file = try NewFile(path: "\(folder)/\(segment.name)")
  }

  mutating func append(_ record: ArchivedRecord) throws(EventFileError) {
    precondition(record.offset >= segment.next, "Cannot go back to offset \(record.offset)")
    let start = lines.count
    ArchiveLine.append(record, to: &lines)
    segment.next = record.offset + 1
    segment.records += 1
    segment.bytes += lines.count - start
    segment.longest = max(segment.longest, lines.count - start - 1)
    segment.checksum = lines.withUnsafeBytes {
      ArchiveSegment.checksum(segment.checksum, UnsafeRawBufferPointer(rebasing: $0[start..<($0.count - 1)]))
    }
    if lines.count >= Self.bufferBytes { try compress(isLast: false) }
  }

  /// Publishes the file.
  consuming func finish(next: Int64) throws(EventFileError) -> ArchiveSegment {
    precondition(next >= segment.next, "Cannot end before the last record")
    segment.next = next
    try compress(isLast: true)
    let done = segment
    try file.publish()
    return done
  }

  private mutating func compress(isLast: Bool) throws(EventFileError) {
    let lines = lines
    self.lines.removeAll(keepingCapacity: true)
    try lines.span.bytes.withUnsafeBytes { (bytes) throws(EventFileError) in
      try compressor.compress(bytes, isLast: isLast) { (packed) throws(EventFileError) in
        try file.write(packed)
      }
    }
  }
}
