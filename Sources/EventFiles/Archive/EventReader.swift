import FeatureCore

/// A file of events: lines of NDJSON, or a segment of an archive.
public struct EventFile: Hashable, Sendable {
  /// Its path.
  public var path: String
  /// Whether it is a segment of an archive.
  public var isSegment: Bool { ArchiveSegment.isName(path) }
  /// What the archive's index says of it; nil if it is no segment, or lies alone.
  var segment: ArchiveSegment?

  /// The files that a path stands for: itself, or the segments below it if it is a folder of an archive (a
  /// partition's, a topic's), partition after partition.
  public static func all(_ path: String) throws(EventFileError) -> [EventFile] {
    guard Files.isFolder(path) else { return [try one(path)] }
    if let partition = try ArchivedPartition(folder: path) { return partition.files }
    let partitions = try Files.names(in: path).compactMap { Int32($0) }.sorted()
    var files: [EventFile] = []
    for (index, partition) in partitions.enumerated() {
      guard partition == index else {
        throw EventFileError(
          path: "\(path)/\(index)", problem: "is missing: there is a partition \(partition)",
          remedy: "restore the archive from a copy")
      }
      files += try ArchivedPartition(folder: "\(path)/\(partition)")?.files ?? []
    }
    guard !files.isEmpty else {
      throw EventFileError(
        path: path, problem: "is a directory",
        remedy: "name the files in it, or a topic's folder that plumb archive has written", isMistake: false)
    }
    return files
  }

  private static func one(_ path: String) throws(EventFileError) -> EventFile {
    guard ArchiveSegment.isName(path) else { return EventFile(path: path) }
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let index = "\(folder)/\(ArchiveIndex.fileName)"
    // A copy of a segment may lie anywhere.
    guard Files.exists(index), let partition = try ArchivedPartition(folder: folder) else {
      return EventFile(path: path)
    }
    return try partition.file(path)
  }
}

/// The events of a file: its lines, or, where it is a segment of an archive, the values of its records.
public struct EventReader: ~Copyable {
  /// One of the two.
  private var lines: LineReader?
  private var segment: SegmentReader?
  private var values: [Line] = []

  /// Bytes of the file used up so far (compressed, if it is).
  public private(set) var bytesRead: Int64 = 0
  /// The size of the file; nil for pipes and the standard input.
  public let totalBytes: Int64?

  /// Opens a file; the path `-` is the standard input.
  public init(_ file: EventFile) throws(EventFileError) {
    if ArchiveSegment.isName(file.path) {
      let reader = try SegmentReader(file)
      totalBytes = reader.totalBytes
      segment = consume reader
    } else {
      let reader = try LineReader(path: file.path)
      totalBytes = reader.totalBytes
      lines = consume reader
    }
  }

  /// The lines of a file that has been opened.
  public init(_ lines: consuming LineReader) {
    totalBytes = lines.totalBytes
    self.lines = consume lines
  }

  /// Calls with the next events, at least one, with the numbers of their lines; false at the end. A tombstone has no
  /// bytes. A segment that is not what its archive's index says is an error at its end.
  public mutating func next(_ body: (LineBlock) throws -> Void) throws -> Bool {
    if let block = try lines?.next() {
      bytesRead = lines?.bytesRead ?? bytesRead
      try body(block)
      return true
    }
    let before = Int64(segment?.count ?? 0)
    guard let records = try segment?.next() else { return false }
    bytesRead = segment?.bytesRead ?? bytesRead
    values.removeAll(keepingCapacity: true)
    for (index, record) in records.enumerated() {
      values.append(Self.event(record, line: before + Int64(index) + 1))
    }
    try values.withUnsafeBufferPointer { try body($0) }
    return true
  }

  private static func event(_ record: ArchivedRecord, line: Int64) -> Line {
    let value = record.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
    guard value.count > Limits.recordBytesMax else {
      return Line(bytes: value, number: line, isOversized: false)
    }
    return Line(
      bytes: UnsafeRawBufferPointer(rebasing: value[..<Limits.oversizedBytesKept]), number: line,
      isOversized: true)
  }
}
