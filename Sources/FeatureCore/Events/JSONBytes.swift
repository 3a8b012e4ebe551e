/// A JSON text that is read by position.
///
/// No position can read outside the text: beyond its end every byte is zero, and zero is valid nowhere in
/// JSON. So the scanners need no bounds checks of their own, and a text that ends early fails like any other
/// mistake. A scanner takes the position where its part starts and returns the position after it; every value
/// lives in registers.
struct JSONBytes {
  private let base: UnsafeRawPointer
  /// The count of bytes.
  let count: Int

  /// A view of at least one byte that the caller keeps alive; nil of none.
  @inline(__always)
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return nil }
    self.base = base
    count = bytes.count
  }

  /// The byte at a position, zero beyond the end.
  @inline(__always)
  subscript(_ at: Int) -> UInt8 {
    UInt(bitPattern: at) < UInt(bitPattern: count) ? base.load(fromByteOffset: at, as: UInt8.self) : 0
  }

  /// Eight bytes from a position up to the end, the first in the lowest bits; zeros beyond the end.
  @inline(__always)
  func word(_ at: Int) -> UInt64 {
    at <= count - 8 ? load(at) : lastWord(at)
  }

  /// The bytes of a part. The scanners made both positions, which therefore lie inside.
  @inline(__always)
  func slice(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
    assert(start >= 0 && start <= end && end <= count)
    return UnsafeRawBufferPointer(start: base + start, count: end - start)
  }

  /// The first position from here that is not JSON whitespace. Producers write none or a single space.
  @inline(__always)
  func skipSpace(_ at: Int) -> Int {
    if self[at] > Byte.space { return at }
    return self[at] == Byte.space && self[at + 1] > Byte.space ? at + 1 : skipSpaces(at)
  }

  /// A failure at a position; at the end of the text, that it ends is the problem.
  @inline(never)
  func malformed(_ at: Int, _ problem: DecodeFailure.Problem) -> DecodeFailure {
    DecodeFailure(
      .malformedJSON, offset: min(at, count), problem: at >= count ? .payloadEnds : problem)
  }

  @inline(__always)
  private func load(_ at: Int) -> UInt64 {
    assert(at >= 0 && at <= count - 8)
    return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  /// The last eight bytes of the text hold those that `at` still has before the end.
  @inline(__always)
  private func lastWord(_ at: Int) -> UInt64 {
    count >= 8 ? load(count - 8) >> (8 * (at + 8 - count)) : shortWord(at)
  }

  @inline(never)
  private func shortWord(_ at: Int) -> UInt64 {
    var word: UInt64 = 0
    for index in 0..<8 { word |= UInt64(self[at + index]) << (8 * index) }
    return word
  }

  @inline(never)
  private func skipSpaces(_ start: Int) -> Int {
    var at = start
    while Byte.isSpace(self[at]) { at += 1 }
    return at
  }
}

/// The bytes that JSON gives a meaning.
enum Byte {
  static let space = UInt8(ascii: " ")
  static let quote = UInt8(ascii: "\"")
  static let backslash = UInt8(ascii: "\\")
  static let comma = UInt8(ascii: ",")
  static let colon = UInt8(ascii: ":")
  static let minus = UInt8(ascii: "-")
  static let plus = UInt8(ascii: "+")
  static let point = UInt8(ascii: ".")
  static let zero = UInt8(ascii: "0")
  static let nine = UInt8(ascii: "9")
  static let openBrace = UInt8(ascii: "{")
  static let closeBrace = UInt8(ascii: "}")
  static let openBracket = UInt8(ascii: "[")
  static let closeBracket = UInt8(ascii: "]")

  @inline(__always)
  static func isSpace(_ byte: UInt8) -> Bool {
    byte == space || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\t")
  }
  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }
}
