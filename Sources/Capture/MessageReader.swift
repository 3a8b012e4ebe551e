/// Reads PostgreSQL's big-endian messages; whatever is cut short is an error and not a trap.
struct MessageReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { at == bytes.count }
  /// What has not been read.
  var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[at...]) }

  mutating func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(CaptureError) -> Integer {
    let size = MemoryLayout<Integer>.size
    guard bytes.count - at >= size else { throw Self.cut(at) }
    defer { at += size }
    return Integer(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: Integer.self))
  }

  mutating func take(_ count: Int) throws(CaptureError) -> Range<Int> {
    guard count >= 0, bytes.count - at >= count else { throw Self.cut(at) }
    defer { at += count }
    return at..<(at + count)
  }

  /// A text that a zero byte ends.
  mutating func text() throws(CaptureError) -> String {
    guard let end = bytes[at...].firstIndex(of: 0) else { throw Self.cut(at) }
    defer { at = end + 1 }
    return String(decoding: bytes[at..<end], as: UTF8.self)
  }

  private static func cut(_ at: Int) -> CaptureError {
    CaptureError(
      .stop,
      "PostgreSQL sent a message of logical replication that ends too early, at byte \(at); is the peer a PostgreSQL of "
        + "version 10 or later?")
  }
}
