/// UTF-8 text compared byte by byte.
///
/// Not `String`: its `==` holds canonically equivalent texts equal, and two entity keys that differ in bytes
/// must stay two entities.
public struct Text: Hashable, Sendable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
  /// The bytes, valid UTF-8.
  public let utf8: [UInt8]

  /// Copies borrowed bytes, which must be valid UTF-8.
  public init(_ bytes: UnsafeRawBufferPointer) { utf8 = [UInt8](bytes) }
  /// The bytes of a string.
  public init(_ string: String) { utf8 = [UInt8](string.utf8) }
  /// Takes bytes that must be valid UTF-8.
  public init(utf8: [UInt8]) { self.utf8 = utf8 }
  /// The bytes of a literal.
  public init(stringLiteral value: String) { self.init(value) }

  /// The text as a Swift string.
  public var description: String { String(decoding: utf8, as: UTF8.self) }

  /// The text as one line for a terminal or a log: what would move the cursor, change colours or reorder letters is
  /// written out. Texts come from users.
  public var escaped: String {
    let scalars = description.unicodeScalars
    guard scalars.contains(where: Self.acts) else { return description }
    var text = ""
    for scalar in scalars {
      switch scalar {
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where Self.acts(scalar): text += "\\u{\(String(scalar.value, radix: 16))}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// Controls (C0, DEL, C1), separators of lines, and what changes the direction of writing.
  private static func acts(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069, 0x200E, 0x200F, 0x61C: true
    default: false
    }
  }

  /// Byte order, which is also the order of code points.
  public static func < (lhs: Text, rhs: Text) -> Bool { lhs.utf8.lexicographicallyPrecedes(rhs.utf8) }
}

/// Byte order of two borrowed texts: negative, zero or positive, like memcmp.
@inlinable
func compareBytes(_ lhs: UnsafeRawBufferPointer, _ rhs: UnsafeRawBufferPointer) -> Int {
  let common = min(lhs.count, rhs.count)
  var index = 0
  while index < common {
    let difference = Int(lhs[index]) - Int(rhs[index])
    if difference != 0 { return difference }
    index += 1
  }
  return lhs.count - rhs.count
}

/// Memory for texts that live as long as a batch: unescaped JSON strings, results of string functions.
///
/// A bump allocator of chunks, so that addresses stay valid until `reset`. Not Sendable: one owner, one thread,
/// and no method calls out, so exclusivity needs no check at run time.
public final class TextArena {
  @exclusivity(unchecked) private var chunks: [UnsafeMutableRawBufferPointer] = []
  @exclusivity(unchecked) private var current = 0
  @exclusivity(unchecked) private var used = 0
  private static let chunkBytes = 1 << 16

  /// An empty arena; the first text allocates the first chunk.
  public init() {}

  deinit {
    for chunk in chunks { chunk.deallocate() }
  }

  /// Room for `count` bytes, valid until the next `reset`.
  public func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
    while current < chunks.count {
      let chunk = chunks[current]
      if used + count <= chunk.count {
        defer { used += count }
        return UnsafeMutableRawBufferPointer(rebasing: chunk[used..<(used + count)])
      }
      current += 1
      used = 0
    }
    chunks.append(.allocate(byteCount: max(count, Self.chunkBytes), alignment: 16))
    used = count
    return UnsafeMutableRawBufferPointer(rebasing: chunks[current][0..<count])
  }

  /// Gives back the unused end of the latest allocation.
  public func trim(_ latest: UnsafeMutableRawBufferPointer, to count: Int) {
    precondition(count <= latest.count, "Cannot trim \(latest.count) bytes to \(count)")
    used -= latest.count - count
  }

  /// Forgets every text and keeps the first chunk, so that one large record does not pin memory.
  @inline(__always)
  public func reset() {
    if chunks.count > 1 { releaseExtraChunks() }
    current = 0
    used = 0
  }

  private func releaseExtraChunks() {
    for chunk in chunks.dropFirst() { chunk.deallocate() }
    chunks.removeLast(chunks.count - 1)
  }
}
