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
      path: archive, problem: "is no archive", remedy: "name the folder that plumb archive writes to",
      isMistake: false)
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

  /// The segments' files, in order of their offsets.
  var files: [EventFile] { segments.map { EventFile(path: "\(folder)/\($0.name)", segment: $0) } }

  /// The file of a segment; an error if the index doesn't name it.
  func file(_ path: String) throws(EventFileError) -> EventFile {
    let name = path.split(separator: "/").last.map(String.init)
    guard let segment = segments.first(where: { $0.name == name }) else {
      throw EventFileError(
        path: path, problem: "the index beside it doesn't name it",
        remedy: "read the partition's folder, or restore the archive from a copy")
    }
    return EventFile(path: path, segment: segment)
  }

  /// Calls with the records whose offsets are in a range, in order, some at a time; they are borrowed. Whole segments
  /// are read, and what the index says of them is checked.
  public func read(
    _ offsets: Range<Int64>, _ body: (UnsafeBufferPointer<ArchivedRecord>) throws -> Void
  ) throws {
    let cursor = cursor(offsets, checksFirst: false)
    while let records = try cursor.next() { try body(records) }
  }

  /// Reads the records whose offsets are in a range. With `checksFirst` a segment is read twice: nothing of a damaged
  /// one is handed out then, while otherwise the damage is found at its end.
  public func cursor(_ offsets: Range<Int64>, checksFirst: Bool) -> ArchiveCursor {
    let wanted = files.filter { file in
      file.segment.map { $0.next > offsets.lowerBound && $0.first < offsets.upperBound } ?? false
    }
    return ArchiveCursor(wanted, offsets, checksFirst: checksFirst)
  }
}

/// A place in an archived partition. One owner, one thread.
public final class ArchiveCursor {
  private var files: ArraySlice<EventFile>
  private let offsets: Range<Int64>
  private let checksFirst: Bool
  private var segment: SegmentReader?

  init(_ files: [EventFile], _ offsets: Range<Int64>, checksFirst: Bool) {
    self.files = files[...]
    self.offsets = offsets
    self.checksFirst = checksFirst
  }

  /// The next records, at least one; nil at the end. They are borrowed until the next call.
  public func next() throws(EventFileError) -> UnsafeBufferPointer<ArchivedRecord>? {
    while true {
      if segment == nil {
        guard let file = files.popFirst() else { return nil }
        if checksFirst {
          var check = try SegmentReader(file)
          while try check.next() != nil {}
        }
        segment = try SegmentReader(file)
      }
      guard let records = try segment?.next() else {
        segment = nil
        continue
      }
      // Offsets ascend: what is wanted is in one piece.
      let from = records.firstIndex { $0.offset >= offsets.lowerBound } ?? records.endIndex
      let to = records[from...].firstIndex { $0.offset >= offsets.upperBound } ?? records.endIndex
      if from < to { return UnsafeBufferPointer(rebasing: records[from..<to]) }
    }
  }
}
