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

  /// What all of a folder's files have in common: its first line.
  struct Header: Equatable {
    var topic: String
    var version: Int64
    var hasStates: Bool
  }

  static let name = "_manifest.ndjson"

  private let path: String
  private let descriptor: Int32
  /// By partition of the topic.
  private(set) var progress: [Int32: Progress] = [:]

  /// Opens or begins the manifest of an export, alone.
  init(folder: String, _ header: Header) throws(TableError) {
    path = "\(folder)/\(Self.name)"
    descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw TableError(
        path: path, problem: "cannot be opened: \(systemText(errno))",
        remedy: "check that the folder is writable", isMistake: false)
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw TableError(
        path: path, problem: "another export is writing to this folder",
        remedy: "stop it, or choose another folder", isMistake: false)
    }
    let found = try ManifestText.read(descriptor, path)
    // A line without its end was being written in a crash.
    guard ftruncate(descriptor, off_t(found?.byteCount ?? 0)) == 0 else { throw writeError() }
    if found == nil { try write(Self.line(header)) }
    if let difference = found?.header.difference(from: header) {
      throw TableError(path: path, line: 1, problem: difference.problem, remedy: difference.remedy)
    }
    progress = found?.progress ?? [:]
  }

  deinit { _ = close(descriptor) }

  /// Lists a segment: from here on it is exported.
  mutating func append(_ line: [UInt8], partition: Int32, _ progress: Progress) throws(TableError) {
    try write(line)
    self.progress[partition] = progress
  }

  // MARK: Writing

  private static func line(_ header: Header) -> [UInt8] {
    var line = Array("{\"export\":1,\"topic\":".utf8)
    ValueText.appendJSONString(Array(header.topic.utf8), to: &line)
    let states = header.hasStates ? ",\"states\":true" : ""
    return line + Array(",\"version\":\(header.version)\(states)}\n".utf8)
  }

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
      path: path, problem: "cannot be written: \(systemText(errno))", remedy: "check the disk's free space",
      isMistake: false)
  }
}

extension ExportManifest.Header {
  /// Why files of another export can't be added to those of this one; nil if they can.
  fileprivate func difference(from other: Self) -> (problem: String, remedy: String)? {
    if topic != other.topic {
      return ("this is an export of '\(topic)' and not of '\(other.topic)'", "choose another folder")
    }
    if version != other.version {
      return (
        "this is an export of version \(version), and the definitions are version \(other.version)",
        "choose another folder: each version has its own"
      )
    }
    guard hasStates != other.hasStates else { return nil }
    return hasStates
      ? ("this is an export with states", "add --with-state, or choose another folder")
      : ("this is an export without states", "leave --with-state out, or choose another folder")
  }
}
