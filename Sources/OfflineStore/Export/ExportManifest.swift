import FeatureCore
import Glibc

/// The list of an export's segments, in `_manifest.ndjson` of its folder: a line a segment, appended once the files have
/// their names. What it doesn't list has not happened.
///
/// Readers of Parquet folders skip names that begin with an underscore.
struct ExportManifest: ~Copyable {
  /// How far a partition has been exported.
  struct Progress {
    /// Where the latest segment begins and ends.
    var first: Int64
    var next: Int64
  }

  static let name = "_manifest.ndjson"

  private let path: String
  private let descriptor: Int32
  /// By partition of the topic.
  private(set) var progress: [Int32: Progress] = [:]

  /// Opens or begins the manifest of a topic's export, alone.
  init(folder: String, topic: String) throws(TableError) {
    path = "\(folder)/\(Self.name)"
    descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw TableError(
        path: path, problem: "cannot be opened: \(systemText(errno))",
        remedy: "check that the folder is writable")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw TableError(
        path: path, problem: "another export is writing to this folder",
        remedy: "stop it, or choose another folder")
    }
    try read(topic)
  }

  deinit { _ = close(descriptor) }

  /// Lists a segment: from here on it is exported.
  mutating func append(_ line: [UInt8], partition: Int32, _ progress: Progress) throws(TableError) {
    try write(line)
    self.progress[partition] = progress
  }

  // MARK: Reading

  private mutating func read(_ topic: String) throws(TableError) {
    let header = Self.header(topic)
    var bytes = try contents()
    guard !bytes.isEmpty else { return try write(header) }
    // A line without its end was being written in a crash.
    let complete = (bytes.lastIndex(of: 0x0A) ?? -1) + 1
    if complete < bytes.count {
      guard ftruncate(descriptor, off_t(complete)) == 0 else { throw writeError() }
      bytes.removeSubrange(complete...)
      if bytes.isEmpty { return try write(header) }
    }
    guard bytes.starts(with: header) else {
      throw TableError(
        path: path, line: 1, problem: "this is the export of something else than '\(topic)'",
        remedy: "choose another folder")
    }
    let schema = Self.schema
    var decoder = EventDecoder(schema)
    var row = [Scalar](repeating: .null, count: schema.columns.count)
    for (index, line) in bytes.split(separator: 0x0A).enumerated().dropFirst() {
      let isDecoded = line.withUnsafeBytes { line in
        row.withUnsafeMutableBufferPointer { row in
          row.baseAddress.map { (try? decoder.decode(line, into: $0, arena: TextArena())) != nil } ?? false
        }
      }
      guard isDecoded, row[0...2].allSatisfy(\.isValue), let partition = Int32(exactly: row[0].int64) else {
        throw TableError(
          path: path, line: Int64(index + 1), problem: "this is no line of a manifest",
          remedy: "restore the file, or export anew into another folder")
      }
      progress[partition] = Progress(first: row[1].int64, next: row[2].int64)
    }
  }

  /// What of a line is read again.
  private static let schema = EventSchema(
    Source(
      "manifest", topic: "manifest", timestamp: Source.Timestamp(field: "from", unit: .rfc3339),
      fields: [
        Source.Field("partition", .int64), Source.Field("first", .int64), Source.Field("next", .int64),
      ]))

  private static func header(_ topic: String) -> [UInt8] {
    var line = Array("{\"export\":1,\"topic\":".utf8)
    ValueText.appendJSONString(Array(topic.utf8), to: &line)
    return line + Array("}\n".utf8)
  }

  private func contents() throws(TableError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = pread(descriptor, &piece, piece.count, off_t(bytes.count))
      if count == 0 { return bytes }
      if count > 0 {
        bytes += piece[..<count]
      } else if errno != EINTR {
        throw TableError(
          path: path, problem: "cannot be read: \(systemText(errno))", remedy: "check the file and its disk")
      }
    }
  }

  // MARK: Writing

  private func write(_ line: [UInt8]) throws(TableError) {
    var offset = 0
    while offset < line.count {
      let count = line.withUnsafeBytes { bytes in
        Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      if count > 0 {
        offset += count
      } else if errno != EINTR {
        throw writeError()
      }
    }
    if fsync(descriptor) != 0 { throw writeError() }
  }

  private func writeError() -> TableError {
    TableError(
      path: path, problem: "cannot be written: \(systemText(errno))", remedy: "check the disk's free space")
  }
}
