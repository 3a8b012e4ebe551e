import FeatureCore
import Glibc

/// A record of a topic as an archive holds it. Its bytes are borrowed.
public struct ArchivedRecord {
  /// The record's offset.
  public var offset: Int64
  /// The record's Kafka timestamp in milliseconds since the epoch; nil if it has none.
  public var timestampMilliseconds: Int64?
  /// The key; nil is Kafka's null.
  public var key: UnsafeRawBufferPointer?
  /// The value; nil is Kafka's null, a tombstone.
  public var value: UnsafeRawBufferPointer?

  /// A record from its parts.
  public init(
    offset: Int64, timestampMilliseconds: Int64?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) {
    self.offset = offset
    self.timestampMilliseconds = timestampMilliseconds
    self.key = key
    self.value = value
  }
}

/// The line of a record: `{"offset":7,"timestamp":1700000000000,"key":"u1","value":{...}}`.
///
/// A null is left out. A value is there as it came if it is JSON without line breaks, a key if it is text that needs no
/// escapes; anything else is under `key_base64` and `value_base64`. So every byte comes back, and any reader of NDJSON
/// can read the line.
enum ArchiveLine {
  static func append(_ record: ArchivedRecord, to line: inout [UInt8]) {
    line += "{\"offset\":\(record.offset)".utf8
    if let time = record.timestampMilliseconds { line += ",\"timestamp\":\(time)".utf8 }
    if let key = record.key {
      if isPlainText(key) {
        line += ",\"key\":\"".utf8
        line += key
        line.append(UInt8(ascii: "\""))
      } else {
        append(",\"key_base64\":\"", base64: key, to: &line)
      }
    }
    if let value = record.value {
      if isOneLine(value), JSONText.isValid(value) {
        line += ",\"value\":".utf8
        line += value
      } else {
        append(",\"value_base64\":\"", base64: value, to: &line)
      }
    }
    line += "}\n".utf8
  }

  /// The record of a line without its newline. What has to be decoded is moved to `decoded`, which then owns it.
  static func parse(_ line: UnsafeRawBufferPointer, _ decoded: inout DecodedBytes) -> ArchivedRecord? {
    var cursor = Cursor(bytes: line)
    guard cursor.take("{\"offset\":"), let offset = cursor.integer() else { return nil }
    var record = ArchivedRecord(offset: offset, timestampMilliseconds: nil, key: nil, value: nil)
    if cursor.take(",\"timestamp\":") {
      guard let time = cursor.integer() else { return nil }
      record.timestampMilliseconds = time
    }
    if cursor.take(",\"key\":\"") {
      guard let key = cursor.upToQuote() else { return nil }
      record.key = key
    } else if cursor.take(",\"key_base64\":\"") {
      guard let text = cursor.upToQuote(), let key = Base64.decode(text) else { return nil }
      record.key = decoded.keep(key)
    }
    if cursor.take(",\"value\":") {
      record.value = cursor.upToLastBrace()
      return record.value == nil ? nil : record
    }
    if cursor.take(",\"value_base64\":\"") {
      guard let text = cursor.upToQuote(), let value = Base64.decode(text) else { return nil }
      record.value = decoded.keep(value)
    }
    return cursor.upToLastBrace()?.isEmpty == true ? record : nil
  }

  private static func append(
    _ label: StaticString, base64 bytes: UnsafeRawBufferPointer, to line: inout [UInt8]
  ) {
    line += UnsafeBufferPointer(start: label.utf8Start, count: label.utf8CodeUnitCount)
    Base64.append(bytes, to: &line)
    line.append(UInt8(ascii: "\""))
  }

  private static func isPlainText(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let needsEscape = bytes.contains { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }
    if needsEscape { return false }
    return bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
  }

  private static func isOneLine(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let start = bytes.baseAddress else { return true }
    return memchr(start, 0x0A, bytes.count) == nil && memchr(start, 0x0D, bytes.count) == nil
  }
}

/// Decoded bytes that borrowed records point to.
struct DecodedBytes: ~Copyable {
  private var buffers: [UnsafeMutableRawBufferPointer] = []

  deinit { for buffer in buffers { buffer.deallocate() } }

  mutating func keep(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
    // One byte at least: an empty value has an address, a null has none.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    buffer.copyBytes(from: bytes)
    buffers.append(buffer)
    return UnsafeRawBufferPointer(rebasing: buffer[..<bytes.count])
  }
}

/// A place in a line.
private struct Cursor {
  let bytes: UnsafeRawBufferPointer
  var at = 0

  mutating func take(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard let start = bytes.baseAddress, bytes.count - at >= count,
      memcmp(start + at, text.utf8Start, count) == 0
    else { return false }
    at += count
    return true
  }

  mutating func integer() -> Int64? {
    let start = at
    if at < bytes.count, bytes[at] == UInt8(ascii: "-") { at += 1 }
    while at < bytes.count, bytes[at] &- UInt8(ascii: "0") < 10 { at += 1 }
    return Int64(String(decoding: bytes[start..<at], as: UTF8.self))
  }

  mutating func upToQuote() -> UnsafeRawBufferPointer? {
    guard let end = bytes[at...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
    defer { at = end + 1 }
    return UnsafeRawBufferPointer(rebasing: bytes[at..<end])
  }

  /// What is left but for the brace that ends the line; nil if the line ends otherwise.
  func upToLastBrace() -> UnsafeRawBufferPointer? {
    guard at < bytes.count, bytes[bytes.count - 1] == UInt8(ascii: "}") else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[at..<(bytes.count - 1)])
  }
}
