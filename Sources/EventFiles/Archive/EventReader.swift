import FeatureCore

/// The events of a file: its lines, or, where it is a segment of an archive, the values of its records.
public struct EventReader: ~Copyable {
  /// Bytes of a segment's line: a largest record, its key and both in base64.
  private static let segmentLineBytesMax = 4 * Limits.recordBytesMax

  private var lines: LineReader
  private let path: String
  private let isSegment: Bool
  private var values: [Line] = []
  private var decoded = DecodedBytes()

  /// The files that a path stands for: itself, or the segments below it if it is a folder of an archive (a
  /// partition's, a topic's), partition after partition.
  public static func files(_ path: String) throws(EventFileError) -> [String] {
    guard Files.isFolder(path) else { return [path] }
    if let partition = try ArchivedPartition(folder: path) { return partition.paths }
    var paths: [String] = []
    let partitions = try Files.names(in: path).compactMap { Int32($0) }.sorted()
    for partition in partitions {
      paths += try ArchivedPartition(folder: "\(path)/\(partition)")?.paths ?? []
    }
    guard !paths.isEmpty else {
      throw EventFileError(
        path: path, problem: "is a directory",
        remedy: "name the files in it, or a topic's folder that plumb archive has written")
    }
    return paths
  }

  /// Opens a file; `-` is the standard input.
  public init(path: String) throws(EventFileError) {
    self.path = path
    isSegment = ArchiveSegment.isName(path)
    lines =
      isSegment
      ? try LineReader(
        path: path, blockBytes: 1 << 20, lineBytesMax: Self.segmentLineBytesMax, linesPerBlockMax: 1 << 14)
      : try LineReader(path: path)
  }

  /// Bytes of the file used up so far (compressed, if it is).
  public var bytesRead: Int64 { lines.bytesRead }
  /// The size of the file; nil for pipes and the standard input.
  public var totalBytes: Int64? { lines.totalBytes }

  /// Calls with the next events, at least one, with the numbers of their lines; false at the end. A tombstone has no
  /// bytes.
  public mutating func next(_ body: (LineBlock) throws -> Void) throws -> Bool {
    guard let block = try lines.next() else { return false }
    guard isSegment else {
      try body(block)
      return true
    }
    values.removeAll(keepingCapacity: true)
    decoded = DecodedBytes()
    for line in block { values.append(try value(line)) }
    try values.withUnsafeBufferPointer { try body($0) }
    return true
  }

  private mutating func value(_ line: Line) throws(EventFileError) -> Line {
    if line.isOversized { return line }
    guard let record = ArchiveLine.parse(line.bytes, &decoded) else {
      throw EventFileError(
        path: path, problem: "line \(line.number) is no record of an archive",
        remedy: "restore the archive from a copy; a file of events needs another name")
    }
    let value = record.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
    guard value.count > Limits.recordBytesMax else {
      return Line(bytes: value, number: line.number, isOversized: false)
    }
    return Line(
      bytes: UnsafeRawBufferPointer(rebasing: value[..<Limits.oversizedBytesKept]),
      number: line.number, isOversized: true)
  }
}
