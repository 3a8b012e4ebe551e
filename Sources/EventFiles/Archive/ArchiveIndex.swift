import FeatureCore

/// One file of an archived partition, as its index describes it.
public struct ArchiveSegment: Hashable, Sendable {
  /// The first offset that it covers; there need not be a record.
  public var first: Int64
  /// The offset behind the last that it covers, where the next segment begins. Offsets without a record, such as
  /// marks of transactions, are covered too.
  public var next: Int64
  /// Records, one a line.
  public var records: Int
  /// Bytes of the lines, uncompressed.
  public var bytes: Int
  /// Bytes of the longest line, without its newline.
  public var longest: Int
  /// `ArchiveSegment.checksum` over its lines, in order, from 0.
  public var checksum: UInt64

  /// The name of its file.
  public var name: String {
    let digits = String(first)
    return String(repeating: "0", count: Self.digits - digits.count) + digits + Self.ending
  }

  static let digits = 20
  static let ending = ".ndjson.zst"

  /// Whether a file is named like a segment.
  static func isName(_ path: String) -> Bool {
    let name = path.split(separator: "/").last ?? ""
    return name.hasSuffix(ending) && name.utf8.count == digits + ending.utf8.count
      && name.utf8.prefix(digits).allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
  }

  /// The checksum of some lines and another one, which is given without its newline.
  static func checksum(_ before: UInt64, _ line: UnsafeRawBufferPointer) -> UInt64 {
    Hash64.hash(line, seed: before)
  }
}

/// The segments of a partition, as a text file: a line that names the format, a line a segment, and a checksum of the
/// lines before it.
struct ArchiveIndex {
  static let fileName = "index"
  /// Bytes of a line: above what base64 makes of a key and a value of Kafka's largest record.
  private static let lineBytesMax = 4 << 30
  private static let title = "plumbline archive 1: first next records bytes longest checksum"
  private static let ending = "checksum "

  var segments: [ArchiveSegment] = []

  var text: [UInt8] {
    let lines =
      [Self.title]
      + segments.map { segment in
        "\(segment.first) \(segment.next) \(segment.records) \(segment.bytes) \(segment.longest) "
          + String(segment.checksum, radix: 16)
      }
    var checksum: UInt64 = 0
    for line in lines {
      Array(line.utf8).withUnsafeBytes { checksum = ArchiveSegment.checksum(checksum, $0) }
    }
    return Array((lines + [Self.ending + String(checksum, radix: 16)]).map { $0 + "\n" }.joined().utf8)
  }

  init() {}

  /// Reads an index; nil if there is none, and no segment either.
  init?(folder: String) throws(EventFileError) {
    let path = "\(folder)/\(Self.fileName)"
    guard Files.exists(path) else {
      guard Files.isFolder(folder), try Files.names(in: folder).contains(where: ArchiveSegment.isName) else {
        return nil
      }
      throw EventFileError(
        path: path, problem: "is missing, and there are segments beside it",
        remedy: "restore the archive from a copy")
    }
    var reader = try LineReader(path: path)
    var count: Int64 = 0
    var checksum: UInt64 = 0
    var isWhole = false
    while let lines = try reader.next() {
      for line in lines {
        count = line.number
        let text = String(decoding: line.bytes, as: UTF8.self)
        if isWhole { throw Self.damage(path, count, "there is something behind the checksum") }
        if text.hasPrefix(Self.ending) {
          isWhole = true
          guard text == Self.ending + String(checksum, radix: 16) else {
            throw Self.damage(path, count, "the lines before it are not those that were written")
          }
          continue
        }
        checksum = ArchiveSegment.checksum(checksum, line.bytes)
        try add(text, path, count)
      }
    }
    guard isWhole else { throw Self.damage(path, count + 1, "the end of the file is missing") }
  }

  private mutating func add(_ text: String, _ path: String, _ number: Int64) throws(EventFileError) {
    if number == 1 {
      guard text == Self.title else { throw Self.damage(path, number, "expected '\(Self.title)'") }
      return
    }
    guard let segment = Self.segment(text) else {
      throw Self.damage(path, number, "'\(text)' describes no segment")
    }
    if let last = segments.last, last.next != segment.first {
      throw Self.damage(
        path, number,
        "a segment ends before offset \(last.next), and the next begins at \(segment.first)")
    }
    segments.append(segment)
  }

  private static func segment(_ text: String) -> ArchiveSegment? {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 6, let first = Int64(words[0]), let next = Int64(words[1]),
      let records = Int(words[2]), let bytes = Int(words[3]), let longest = Int(words[4]),
      let checksum = UInt64(words[5], radix: 16), first >= 0, first < next, records >= 0,
      longest >= 0, longest <= bytes, longest <= lineBytesMax
    else { return nil }
    return ArchiveSegment(
      first: first, next: next, records: records, bytes: bytes, longest: longest, checksum: checksum)
  }

  private static func damage(_ path: String, _ line: Int64, _ problem: String) -> EventFileError {
    EventFileError(
      path: path, problem: "line \(line): \(problem)", remedy: "restore the archive from a copy")
  }
}
