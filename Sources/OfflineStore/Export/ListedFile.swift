import FeatureCore
import Glibc

/// A file as a manifest lists it.
struct ListedFile: Hashable {
  /// Below the export's folder.
  var path: String
  var rows: Int
  var bytes: Int
  /// `FileChecksum` of all bytes; nil in lines from before checksums.
  var checksum: UInt64?

  /// The files of a segment's line, which stand at its end; nil if it is none that a manifest has.
  static func read(_ line: ArraySlice<UInt8>) -> [ListedFile]? {
    let text = String(decoding: line, as: UTF8.self)
    guard let start = text.firstRange(of: "\"files\":["), text.hasSuffix("]}") else { return nil }
    let list = text[start.upperBound...].dropLast(2)
    if list.isEmpty { return [] }
    guard list.hasPrefix("{"), list.hasSuffix("}") else { return nil }
    var files: [ListedFile] = []
    for entry in list.dropFirst().dropLast().split(separator: "},{", omittingEmptySubsequences: false) {
      guard let file = ListedFile(entry: entry) else { return nil }
      files.append(file)
    }
    return files
  }

  /// From what `ExportManifest.entry` makes, without its braces.
  private init?(entry: Substring) {
    var fields: [Substring: Substring] = [:]
    for field in entry.split(separator: ",") {
      let parts = field.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { return nil }
      fields[parts[0]] = parts[1]
    }
    guard let path = fields["\"path\""], path.count > 2, let rows = fields["\"rows\""].flatMap({ Int($0) }),
      let bytes = fields["\"bytes\""].flatMap({ Int($0) })
    else { return nil }
    self.init(path: String(path.dropFirst().dropLast()), rows: rows, bytes: bytes, checksum: nil)
    if let text = fields["\"checksum\""] {
      guard let checksum = UInt64(text.dropFirst().dropLast(), radix: 16) else { return nil }
      self.checksum = checksum
    }
  }

  init(path: String, rows: Int, bytes: Int, checksum: UInt64?) {
    self.path = path
    self.rows = rows
    self.bytes = bytes
    self.checksum = checksum
  }

  /// Refuses a file that is not as it was written.
  func check(in folder: String) throws(TableError) {
    let place = "\(folder)/\(path)"
    let descriptor = open(place, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw damage(place, "is listed in the manifest, and cannot be opened: \(systemText(errno))")
    }
    defer { _ = close(descriptor) }
    var found = FileChecksum()
    var count = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let read = Glibc.read(descriptor, &buffer, buffer.count)
      if read == 0 { break }
      if read > 0 {
        count += read
        buffer.withUnsafeBytes { found.add(UnsafeRawBufferPointer(rebasing: $0[..<read])) }
      } else if errno != EINTR {
        throw damage(place, "cannot be read: \(systemText(errno))")
      }
    }
    guard count == bytes else {
      throw damage(place, "has \(count) bytes, and had \(bytes) when it was written")
    }
    guard checksum == nil || checksum == found.value else {
      throw damage(place, "is not as it was written: its checksum differs")
    }
  }

  private func damage(_ place: String, _ problem: String) -> TableError {
    TableError(
      path: place, problem: problem, remedy: "restore the file, or export anew into another folder")
  }
}

extension ExportManifest {
  /// A file in a segment's line. Paths are made of names that need no escapes.
  static func entry(_ file: ListedFile) -> String {
    let checksum = file.checksum.map { ",\"checksum\":\"\(fingerprintText($0))\"" } ?? ""
    return "{\"path\":\"\(file.path)\",\"rows\":\(file.rows),\"bytes\":\(file.bytes)\(checksum)}"
  }
}

/// A checksum of a file's bytes, whatever pieces they come in: XXH64 of each block of 64 KiB, seeded with that of the block
/// before.
struct FileChecksum {
  private static let blockBytes = 1 << 16

  private var hash: UInt64 = 0
  /// Of a block that is not whole yet.
  private var pending: [UInt8] = []

  /// The checksum of everything so far.
  var value: UInt64 {
    pending.isEmpty ? hash : pending.withUnsafeBytes { Hash64.hash($0, seed: hash) }
  }

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = rest.prefix(Self.blockBytes - pending.count)
      if part.count == Self.blockBytes {
        hash = Hash64.hash(UnsafeRawBufferPointer(rebasing: part), seed: hash)
      } else {
        pending.append(contentsOf: part)
        if pending.count == Self.blockBytes {
          hash = pending.withUnsafeBytes { Hash64.hash($0, seed: hash) }
          pending.removeAll(keepingCapacity: true)
        }
      }
      rest = rest.dropFirst(part.count)
    }
  }
}
