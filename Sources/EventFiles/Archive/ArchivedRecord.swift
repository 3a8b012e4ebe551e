public import FeatureCore
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
  /// The headers; nil if there are none.
  public var headers: RecordHeaders?

  /// A record from its parts.
  public init(
    offset: Int64, timestampMilliseconds: Int64?, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?,
    headers: RecordHeaders? = nil
  ) {
    self.offset = offset
    self.timestampMilliseconds = timestampMilliseconds
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// The line of a record: `{"offset":7,"timestamp":1700000000000,"key":"u1","value":{...}}`.
///
/// A null is left out. Headers, where there are any, stand between the key and the value, in their order:
/// `"headers":[{"name":"trace","value":"a1"}]`. A value is there as it came if it is JSON without line breaks, a key if it is text that needs no
/// escapes, and so are names and values of headers; anything else is under `key_base64`, `value_base64` or `name_base64`. So every byte comes back, and any reader of NDJSON
/// can read the line.
enum ArchiveLine {
  static func append(_ record: ArchivedRecord, to line: inout [UInt8]) {
    line += "{\"offset\":\(record.offset)".utf8
    if let time = record.timestampMilliseconds { line += ",\"timestamp\":\(time)".utf8 }
    if let key = record.key { append(",\"key", text: key, to: &line) }
    if let headers = record.headers, !headers.bytes.isEmpty {
      line += ",\"headers\":[".utf8
      var isFirst = true
      headers.forEach { name, value in
        append(isFirst ? "{\"name" : ",{\"name", text: name, to: &line)
        if let value { append(",\"value", text: value, to: &line) }
        line.append(UInt8(ascii: "}"))
        isFirst = false
      }
      line.append(UInt8(ascii: "]"))
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
    if cursor.take(",\"key") {
      guard let key = text(&cursor, &decoded) else { return nil }
      record.key = key
    }
    if cursor.take(",\"headers\":[") {
      guard let headers = headers(&cursor, &decoded) else { return nil }
      record.headers = headers
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

  /// The list behind its opening bracket.
  private static func headers(_ cursor: inout Cursor, _ decoded: inout DecodedBytes) -> RecordHeaders? {
    var bytes: [UInt8] = []
    while !cursor.take("]") {
      guard bytes.isEmpty || cursor.take(","), cursor.take("{\"name"), let name = text(&cursor, &decoded)
      else {
        return nil
      }
      var value: UnsafeRawBufferPointer?
      if cursor.take(",\"value") {
        guard let own = text(&cursor, &decoded) else { return nil }
        value = own
      }
      guard cursor.take("}") else { return nil }
      let start = bytes.count
      bytes += repeatElement(0, count: RecordHeaders.size(name: name.count, value: value?.count))
      bytes.withUnsafeMutableBytes {
        RecordHeaders.write(
          name: name, value: value, to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
      }
    }
    return RecordHeaders(decoded.keep(bytes))
  }

  /// A member whose name has been written but for its end.
  private static func append(
    _ label: StaticString, text bytes: UnsafeRawBufferPointer, to line: inout [UInt8]
  ) {
    line += UnsafeBufferPointer(start: label.utf8Start, count: label.utf8CodeUnitCount)
    guard isPlainText(bytes) else { return append("_base64\":\"", base64: bytes, to: &line) }
    line += "\":\"".utf8
    line += bytes
    line.append(UInt8(ascii: "\""))
  }

  /// Reads what that has written.
  private static func text(_ cursor: inout Cursor, _ decoded: inout DecodedBytes) -> UnsafeRawBufferPointer? {
    if cursor.take("\":\"") { return cursor.upToQuote() }
    guard cursor.take("_base64\":\""), let text = cursor.upToQuote() else { return nil }
    return Base64.decode(text).map { decoded.keep($0) }
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
