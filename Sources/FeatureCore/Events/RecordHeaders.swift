/// The headers of a record of a log, in their order, as a Protobuf message: each is a message in field 1, with its name in
/// field 1 and its value in field 2, which a null has not. A name may stand several times. Borrowed.
public struct RecordHeaders {
  /// The encoded list.
  public let bytes: UnsafeRawBufferPointer

  /// Headers that were encoded.
  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The value of the last header of a name, as Kafka's clients look one up; nil if there is none, or if it is null.
  public func last(_ name: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    var found: UnsafeRawBufferPointer?
    forEach { if $0.elementsEqual(name) { found = $1 } }
    return found
  }

  /// Calls `body` with every header; a null has no value. What follows damaged bytes is left out.
  public func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) -> Void) {
    var at = 0
    while let (tag, header) = Self.part(bytes, &at) {
      guard tag == Self.first else { continue }
      var name = UnsafeRawBufferPointer(start: nil, count: 0)
      var value: UnsafeRawBufferPointer?
      var inner = 0
      while let (tag, part) = Self.part(header, &inner) {
        if tag == Self.first { name = part } else if tag == Self.second { value = part }
      }
      body(name, value)
    }
  }

  // MARK: Coding

  /// The tags of fields 1 and 2 with a length.
  private static let first: UInt8 = 1 << 3 | 2
  private static let second: UInt8 = 2 << 3 | 2

  /// The bytes that a header takes.
  public static func size(name: Int, value: Int?) -> Int {
    let content = inner(name, value)
    return 1 + varintSize(content) + content
  }

  /// Writes a header at the start of room that has its size.
  public static func write(
    name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?, to room: UnsafeMutableRawBufferPointer
  ) {
    var at = 0
    func put(_ tag: UInt8, _ count: Int) {
      room[at] = tag
      at += 1
      var rest = count
      while rest >= 0x80 {
        room[at] = UInt8(truncatingIfNeeded: rest) | 0x80
        at += 1
        rest >>= 7
      }
      room[at] = UInt8(truncatingIfNeeded: rest)
      at += 1
    }
    func put(_ tag: UInt8, bytes: UnsafeRawBufferPointer) {
      put(tag, bytes.count)
      UnsafeMutableRawBufferPointer(rebasing: room[at..<(at + bytes.count)]).copyMemory(from: bytes)
      at += bytes.count
    }
    put(first, inner(name.count, value?.count))
    put(first, bytes: name)
    if let value { put(second, bytes: value) }
  }

  private static func inner(_ name: Int, _ value: Int?) -> Int {
    1 + varintSize(name) + name + (value.map { 1 + varintSize($0) + $0 } ?? 0)
  }

  private static func varintSize(_ count: Int) -> Int {
    max(1, (Int.bitWidth - count.leadingZeroBitCount + 6) / 7)
  }

  /// The tag and the bytes of the part that stands here; nil behind the last, and of damaged bytes.
  private static func part(
    _ bytes: UnsafeRawBufferPointer, _ at: inout Int
  ) -> (tag: UInt8, bytes: UnsafeRawBufferPointer)? {
    guard at < bytes.count else { return nil }
    let tag = bytes[at]
    var (next, length) = (at + 1, 0)
    for shift in stride(from: 0, to: 35, by: 7) {
      guard next < bytes.count else { return nil }
      let byte = bytes[next]
      next += 1
      length |= Int(byte & 0x7F) << shift
      if byte < 0x80 { break }
      if shift == 28 { return nil }
    }
    guard length <= bytes.count - next else { return nil }
    at = next + length
    return (tag, UnsafeRawBufferPointer(rebasing: bytes[next..<at]))
  }
}
