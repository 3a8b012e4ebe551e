import FeatureCore
import Glibc

/// What a manifest says.
struct ManifestText {
  var header: ExportManifest.Header
  /// By partition of the topic.
  var progress: [Int32: ExportManifest.Progress] = [:]
  /// By partition, where its first segment begins and when that was committed.
  var begins: [Int32: (first: Int64, time: EventTime)] = [:]
  /// Every file of a listed segment.
  var files: [ListedFile] = []
  /// Of its complete lines.
  var byteCount: Int

  /// Reads an open file; nil if not even its first line is complete.
  static func read(_ descriptor: Int32, _ path: String) throws(TableError) -> Self? {
    let bytes = try contents(descriptor, path)
    guard let last = bytes.lastIndex(of: 0x0A) else { return nil }
    let lines = bytes[..<last].split(separator: 0x0A, omittingEmptySubsequences: false)
    let first = ManifestLine.decode(lines[0], headerSchema)
    // The format's number is read as a time of so many seconds.
    guard let first, case .timestamp(let format) = first[3], format.microseconds == 1_000_000,
      case .string(let topic) = first[0], case .int64(let version) = first[1]
    else {
      throw TableError(
        path: path, line: 1, problem: "this is no manifest of an export", remedy: "choose another folder")
    }
    let header = ExportManifest.Header(
      topic: topic.description, version: version, hasStates: first[2] == .bool(true))
    var text = ManifestText(header: header, byteCount: last + 1)
    for (index, line) in lines.enumerated().dropFirst() {
      guard let row = ManifestLine.decode(line, segmentSchema), case .int64(let number) = row[0],
        let partition = Int32(exactly: number), case .int64(let first) = row[1],
        case .int64(let next) = row[2], let files = ListedFile.read(line), first <= next
      else {
        throw TableError(
          path: path, line: Int64(index + 1), problem: "this is no line of a manifest",
          remedy: "restore the file, or export anew into another folder")
      }
      if text.begins[partition] == nil, case .timestamp(let time) = row[3] {
        text.begins[partition] = (first, time)
      }
      // Each segment of a partition begins where the one before it ended.
      if let before = text.progress[partition], before.next != first {
        throw TableError(
          path: path, line: Int64(index + 1),
          problem:
            "partition \(partition) goes on at offset \(first), and the line before it ended at \(before.next): a line "
            + "between them is missing",
          remedy: "restore the file, or export anew into another folder")
      }
      text.files += files
      text.progress[partition] = ExportManifest.Progress(first: first, next: next)
    }
    return text
  }

  private static let headerSchema = EventSchema(
    Source(
      "manifest", topic: "manifest", timestamp: Source.Timestamp(field: "export", unit: .seconds),
      fields: [
        Source.Field("topic", .string), Source.Field("version", .int64), Source.Field("states", .bool),
      ]
    ))

  /// What of a segment's line is read again.
  private static let segmentSchema = EventSchema(
    Source(
      "manifest", topic: "manifest", timestamp: Source.Timestamp(field: "from", unit: .rfc3339),
      fields: [
        Source.Field("partition", .int64), Source.Field("first", .int64), Source.Field("next", .int64),
      ]))

  private static func contents(_ descriptor: Int32, _ path: String) throws(TableError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = pread(descriptor, &piece, piece.count, off_t(bytes.count))
      if count == 0 { return bytes }
      if count > 0 {
        bytes += piece[..<count]
      } else if errno != EINTR {
        throw TableError(
          path: path, problem: "cannot be read: \(systemText(errno))", remedy: "check the file and its disk",
          isMistake: false)
      }
    }
  }
}

private enum ManifestLine {
  /// The columns of a line; nil if it is none.
  static func decode(_ line: ArraySlice<UInt8>, _ schema: EventSchema) -> [FeatureValue]? {
    var decoder = EventDecoder(schema)
    var row = [Scalar](repeating: .null, count: schema.columns.count)
    let arena = TextArena()
    return line.withUnsafeBytes { line in
      row.withUnsafeMutableBufferPointer { row in
        guard let base = row.baseAddress, (try? decoder.decode(line, into: base, arena: arena)) != nil else {
          return nil
        }
        return zip(row, schema.columns).map { FeatureValue($0, $1.type) }
      }
    }
  }
}
