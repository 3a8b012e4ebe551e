@testable import EventFiles
import FeatureCore
import Foundation
import Testing
import TestSupport

/// A record that owns its bytes.
struct OwnedRecord: Hashable {
  var offset: Int64
  var timestamp: Int64?
  var key: [UInt8]?
  var value: [UInt8]?
  /// As they are encoded.
  var headers: [UInt8]?

  init(_ offset: Int64, _ timestamp: Int64?, _ key: [UInt8]?, _ value: [UInt8]?, headers: [UInt8]? = nil) {
    (self.offset, self.timestamp, self.key, self.value) = (offset, timestamp, key, value)
    self.headers = headers
  }

  init(_ record: ArchivedRecord) {
    self.init(
      record.offset, record.timestampMilliseconds, record.key.map(Array.init), record.value.map(Array.init),
      headers: record.headers.map { Array($0.bytes) })
  }

  func withRecord<Result>(_ body: (ArchivedRecord) throws -> Result) rethrows -> Result {
    // An empty array has no address, and an empty key is not a null.
    let (keyBytes, valueBytes) = ((key ?? []) + [0], (value ?? []) + [0])
    return try keyBytes.withUnsafeBytes { keyBytes in
      try valueBytes.withUnsafeBytes { valueBytes in
        try (headers ?? []).withUnsafeBytes { headerBytes in
          try body(
            ArchivedRecord(
              offset: offset, timestampMilliseconds: timestamp,
              key: key.map { UnsafeRawBufferPointer(rebasing: keyBytes[..<$0.count]) },
              value: value.map { UnsafeRawBufferPointer(rebasing: valueBytes[..<$0.count]) },
              headers: headers == nil ? nil : RecordHeaders(headerBytes)))
        }
      }
    }
  }
}

@Suite struct ArchiveTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let values: [[UInt8]?] =
    [
      "{\"a\":1}", " {\"a\" : [1, {\"b\":\"}\"}]} ", "null", "\"text\"", "7", "", "{broken", "{\"a\":\n1}",
      "{\"a\":\r1}",
      "{\"a\":01}", "{\"a\":1}}", "{\"a\":1}{}", "\"\u{e4}\u{1F600}\"",
    ].map { Array($0.utf8) }
    + [nil, [0xFF], [0], Array("\"".utf8) + [0xC3] + Array("\"".utf8), Array(0...255)]

  private static let keys: [[UInt8]?] =
    ["u1", "", "a\"b", "a\\b", "a\nb", "\u{e4}", "\",\"value\":1"].map { Array($0.utf8) } + [
      nil, [0xFF, 0xFE], [0],
    ]

  /// Every combination of the keys and values, and some at random, with gaps between the offsets.
  private static func records(seed: UInt64, from first: Int64 = 0) -> [OwnedRecord] {
    var random = SplitMix64(seed: seed)
    var offset = first
    func step() -> Int64 {
      offset += Int64(random.next() % 3)
      defer { offset += 1 }
      return offset
    }
    var records: [OwnedRecord] = []
    for key in keys {
      for value in values {
        records.append(OwnedRecord(step(), random.next() % 5 == 0 ? nil : -5, key, value))
      }
    }
    for _ in 0..<200 {
      let bytes = (0..<Int(random.next() % 40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      records.append(OwnedRecord(step(), Int64(random.next() % 1_000), bytes, bytes.reversed()))
    }
    for _ in 0..<200 {
      let headers = (0...random.next() % 3).flatMap { _ in
        header(
          keys[Int(random.next() % UInt64(keys.count))] ?? [],
          values[Int(random.next() % UInt64(values.count))])
      }
      let key = keys[Int(random.next() % UInt64(keys.count))]
      records.append(OwnedRecord(step(), 5, key, Array("{}".utf8), headers: headers))
    }
    return records
  }

  private static func header(_ name: [UInt8], _ value: [UInt8]?) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: RecordHeaders.size(name: name.count, value: value?.count))
    let bytes = value ?? []
    name.withUnsafeBytes { name in
      bytes.withUnsafeBytes { bytes in
        room.withUnsafeMutableBytes {
          RecordHeaders.write(name: name, value: value == nil ? nil : bytes, to: $0)
        }
      }
    }
    return room
  }

  /// Writes records in segments of at most so many.
  private func write(_ records: [OwnedRecord], perSegment: Int, end: Int64) throws -> String {
    let path = folder.path("clicks/0")
    let writer = try ArchiveWriter(folder: path)
    for record in records {
      try record.withRecord { try writer.append($0, first: 0) }
      if writer.openRecords == perSegment { try writer.cut(next: record.offset + 1, first: 0) }
    }
    try writer.cut(next: end, first: 0)
    return path
  }

  private func read(_ path: String, _ offsets: Range<Int64>? = nil) throws -> [OwnedRecord] {
    let partition = try #require(try ArchivedPartition(folder: path))
    var found: [OwnedRecord] = []
    try partition.read(offsets ?? partition.first..<partition.next) { found += $0.map(OwnedRecord.init) }
    return found
  }

  @Test(arguments: [1, 7, 1_000])
  func recordsComeBackByteForByte(_ perSegment: Int) throws {
    let seed = UInt64.random(in: 0 ... .max)
    let records = Self.records(seed: seed)
    let end = try #require(records.last).offset + 3
    let path = try write(records, perSegment: perSegment, end: end)
    #expect(try read(path) == records, "seed \(seed)")
    let partition = try #require(try ArchivedPartition(folder: path))
    #expect(partition.first == 0 && partition.next == end)
    let middle = records[100].offset..<records[200].offset
    #expect(try read(path, middle) == Array(records[100..<200]), "seed \(seed)")
  }

  /// Lines are JSON for any other program, and values that are JSON are no text inside it.
  @Test func linesAreJSON() throws {
    let records = Self.records(seed: 1)
    for record in records {
      var line: [UInt8] = []
      record.withRecord { ArchiveLine.append($0, to: &line) }
      #expect(line.last == 0x0A && line.dropLast().allSatisfy { $0 != 0x0A && $0 != 0x0D })
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
      #expect(object["offset"] as? Int64 == record.offset)
      #expect((object["key"] != nil || object["key_base64"] != nil) == (record.key != nil))
      if let text = object["value_base64"] as? String {
        #expect(Data(base64Encoded: text).map(Array.init) == record.value)
      } else {
        #expect((object["value"] != nil) == (record.value != nil))
      }
    }
    var line: [UInt8] = []
    OwnedRecord(7, 9, Array("u1".utf8), Array("{\"a\":1}".utf8)).withRecord {
      ArchiveLine.append($0, to: &line)
    }
    #expect(
      String(decoding: line, as: UTF8.self)
        == "{\"offset\":7,\"timestamp\":9,\"key\":\"u1\",\"value\":{\"a\":1}}\n")
    line = []
    let headers = Self.header(Array("t".utf8), Array("a".utf8)) + Self.header([0xFF], nil)
    OwnedRecord(7, nil, nil, Array("1".utf8), headers: headers).withRecord {
      ArchiveLine.append($0, to: &line)
    }
    #expect(
      String(decoding: line, as: UTF8.self)
        == "{\"offset\":7,\"headers\":[{\"name\":\"t\",\"value\":\"a\"},{\"name_base64\":\"/w==\"}],\"value\":1}\n"
    )
  }

  @Test func whatAnInterruptedWriterLeftIsRemoved() throws {
    let records = Self.records(seed: 2)
    let path = try write(Array(records[..<100]), perSegment: 30, end: records[100].offset)
    // A segment that the index doesn't name yet, and beginnings of files.
    let unnamed = String(repeating: "0", count: 10) + "9999999999.ndjson.zst"
    for name in [unnamed, "x.ndjson.zst.tmp", "index.tmp"] {
      try folder.write([1, 2, 3], to: "clicks/0/\(name)")
    }
    do {
      let writer = try ArchiveWriter(folder: path)
      #expect(writer.next == records[100].offset)
      // Neither a segment, nor a trace of one that is not completed.
      try records[100].withRecord { try writer.append($0, first: 0) }
    }
    #expect(try read(path) == Array(records[..<100]))
    let rest = try write(Array(records[100...]), perSegment: 50, end: 100_000)
    #expect(try read(rest) == records)
    let names = try FileManager.default.contentsOfDirectory(atPath: path)
    #expect(!names.contains(unnamed) && !names.contains { $0.hasSuffix(".tmp") })
  }

  @Test func oneWriterAtATime() throws {
    let first = try ArchiveWriter(folder: folder.path("clicks/0"))
    #expect(throws: EventFileError.self) { try ArchiveWriter(folder: folder.path("clicks/0")) }
    #expect(first.next == nil)
  }

  // MARK: Damage

  /// Every kind of damage is an error that names the file.
  @Test(arguments: [
    "lost line", "changed line", "swapped lines", "lost file", "lost in index", "cut index", "changed index",
    "lost index", "cut file",
  ])
  func damageIsFound(_ kind: String) throws {
    let records = (0..<40).map { OwnedRecord($0, $0, [0x61], Array("{\"n\":\(10 + $0 % 80)}".utf8)) }
    let path = try write(records, perSegment: 10, end: 40)
    let name = "00000000000000000010.ndjson.zst"
    switch kind {
    case "lost file": try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    case "lost in index":
      var lines = try String(contentsOfFile: "\(path)/index", encoding: .utf8)
        .split(separator: "\n", omittingEmptySubsequences: false)
      lines.remove(at: 2)
      try folder.write(Array(lines.joined(separator: "\n").utf8), to: "clicks/0/index")
    case "cut index":
      // A last line that is not there looks like an archive that is not as long.
      var lines = try String(contentsOfFile: "\(path)/index", encoding: .utf8).split(separator: "\n")
      lines.removeLast(2)
      try folder.write(Array(lines.map { $0 + "\n" }.joined().utf8), to: "clicks/0/index")
    case "changed index":
      let index = try String(contentsOfFile: "\(path)/index", encoding: .utf8)
      try folder.write(Array(index.replacing("30 40 ", with: "30 41 ").utf8), to: "clicks/0/index")
    case "lost index": try FileManager.default.removeItem(atPath: "\(path)/index")
    case "cut file":
      try folder.write(Array(try folder.read("clicks/0/\(name)").dropLast(5)), to: "clicks/0/\(name)")
    default: try change("\(path)/\(name)", kind)
    }
    let place = "\(path)/\(kind.contains("index") ? "index" : name)"
    let error = #expect(throws: EventFileError.self) { try read(path) }
    #expect(error?.path == place, "\(String(describing: error))")
    let asEvents = #expect(throws: EventFileError.self) { try events(folder.path("clicks")) }
    #expect(asEvents?.path == place, "\(String(describing: asEvents))")
    // What can't be undone waits until the whole segment was looked at.
    if let partition = try? ArchivedPartition(folder: path) {
      let cursor = partition.cursor(0..<40, checksFirst: true)
      var count = 0
      #expect(throws: EventFileError.self) {
        while let records = try cursor.next() { count += records.count }
      }
      #expect(count == 10)
    } else {
      #expect(throws: EventFileError.self) { try ArchiveWriter(folder: path) }
    }
  }

  @Test func aPartitionIsMissing() throws {
    let path = try write([OwnedRecord(0, 0, nil, nil)], perSegment: 1, end: 1)
    try FileManager.default.moveItem(atPath: path, toPath: folder.path("clicks/1"))
    let error = #expect(throws: EventFileError.self) { try EventFile.all(folder.path("clicks")) }
    #expect(error?.path == folder.path("clicks/0"))
  }

  private func change(_ path: String, _ kind: String) throws {
    var lines: [[UInt8]] = []
    var reader = try LineReader(path: path)
    while let block = try reader.next() { lines += block.map { Array($0.bytes) } }
    switch kind {
    case "lost line": lines.remove(at: 3)
    case "changed line": lines[3][lines[3].count - 3] ^= 1
    default: lines.swapAt(3, 4)
    }
    try Data(lines.flatMap { $0 + [0x0A] }).write(to: URL(fileURLWithPath: path))
  }

  // MARK: Events

  @Test func eventsOfATopicAreItsValues() throws {
    let records = Self.records(seed: 3)
    let path = try write(records, perSegment: 64, end: 100_000)
    for root in [path, folder.path("clicks")] {
      #expect(try events(root) == records.map { $0.value ?? [] })
    }
    // Alone, without its index, a segment is read as it is; beside one that doesn't name it, not.
    let name = "00000000000000000000.ndjson.zst"
    try folder.write(try folder.read("clicks/0/\(name)"), to: name)
    #expect(try events(folder.path(name)) == records[..<64].map { $0.value ?? [] })
    let other = "00000000000000000001.ndjson.zst"
    try folder.write(try folder.read("clicks/0/\(name)"), to: "clicks/0/\(other)")
    #expect(throws: EventFileError.self) { try events("\(path)/\(other)") }
    #expect(throws: EventFileError.self) { try EventFile.all(folder.url.path) }
  }

  private func events(_ path: String) throws -> [[UInt8]] {
    var values: [[UInt8]] = []
    for file in try EventFile.all(path) {
      var reader = try EventReader(file)
      while try reader.next({ values += $0.map { Array($0.bytes) } }) {}
    }
    return values
  }
}
