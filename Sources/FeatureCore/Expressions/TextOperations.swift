/// What instructions do to text. Lengths and positions count code points. Results are slices of the operands
/// where they can be, else bytes of the arena.
enum TextOperations {
  typealias Bytes = UnsafeRawBufferPointer

  // MARK: Comparisons

  /// Lengths first, then eight bytes at a time.
  @inline(__always)
  static func equal(_ a: Scalar, _ b: Scalar) -> Bool {
    a.length == b.length && (a.bits == b.bits || equalBytes(a.text, b.text))
  }

  @inline(__always)
  static func equalBytes(_ a: Bytes, _ b: Bytes) -> Bool {
    guard let lhs = a.baseAddress, let rhs = b.baseAddress else { return true }
    let count = a.count
    if count >= 8 {
      var offset = 0
      while offset + 8 < count {
        if word(lhs, offset) != word(rhs, offset) { return false }
        offset += 8
      }
      // The last word may overlap the one before.
      return word(lhs, count - 8) == word(rhs, count - 8)
    }
    if count >= 4 { return half(lhs, 0) == half(rhs, 0) && half(lhs, count - 4) == half(rhs, count - 4) }
    var offset = 0
    while offset < count {
      if a[offset] != b[offset] { return false }
      offset += 1
    }
    return true
  }

  @inline(__always)
  private static func word(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
    base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }
  @inline(__always)
  private static func half(_ base: UnsafeRawPointer, _ offset: Int) -> UInt32 {
    base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
  }

  static func startsWith(_ text: Bytes, _ prefix: Bytes) -> Bool {
    prefix.count <= text.count && equalBytes(slice(text, 0, prefix.count), prefix)
  }

  static func endsWith(_ text: Bytes, _ suffix: Bytes) -> Bool {
    suffix.count <= text.count
      && equalBytes(slice(text, text.count - suffix.count, text.count), suffix)
  }

  /// The byte offset of the first occurrence from `start` on. UTF-8 is self-synchronizing: bytes that match are
  /// characters that match.
  static func find(_ part: Bytes, in text: Bytes, from start: Int = 0) -> Int? {
    guard let first = part.first else { return start }
    var offset = start
    while offset + part.count <= text.count {
      if text[offset] == first, equalBytes(slice(text, offset, offset + part.count), part) { return offset }
      offset += 1
    }
    return nil
  }

  /// The position of the first occurrence, from 1, in code points; 0 if there is none.
  static func position(of part: Bytes, in text: Bytes) -> Int64 {
    guard let offset = find(part, in: text) else { return 0 }
    return length(slice(text, 0, offset)) + 1
  }

  // MARK: Parts

  @inline(__always)
  static func slice(_ text: Bytes, _ start: Int, _ end: Int) -> Bytes {
    Bytes(rebasing: text[start..<end])
  }

  /// Every byte that does not continue a code point starts one.
  @inline(__always)
  static func startsCodePoint(_ byte: UInt8) -> Bool { byte & 0xC0 != 0x80 }

  static func length(_ text: Bytes) -> Int64 {
    var count: Int64 = 0
    for byte in text where startsCodePoint(byte) { count += 1 }
    return count
  }

  /// The byte offset behind `count` code points, or of the end if there are fewer.
  private static func offset(of count: Int64, in text: Bytes) -> Int {
    // Bytes are at least as many as code points.
    if count >= Int64(text.count) { return text.count }
    var left = count
    var offset = 0
    while offset < text.count {
      if startsCodePoint(text[offset]) {
        if left == 0 { return offset }
        left -= 1
      }
      offset += 1
    }
    return offset
  }

  /// The code points at positions from..<from + count that exist, counted from 1 (SQL's SUBSTRING).
  static func substring(_ text: Bytes, from: Int64, count: Int64?) -> Scalar {
    var end = text.count
    if let count {
      if count < 0 { return .failed(.domain) }
      let (last, overflow) = from.addingReportingOverflow(count)
      if !overflow { end = offset(of: max(0, last.subtractingClamped(1)), in: text) }
    }
    let start = offset(of: max(0, from.subtractingClamped(1)), in: text)
    return .text(slice(text, min(start, end), end))
  }

  /// The first `count` code points, or all but the last -count.
  static func left(_ text: Bytes, _ count: Int64) -> Bytes {
    let kept = count >= 0 ? count : max(0, length(text).addingClamped(count))
    return slice(text, 0, offset(of: kept, in: text))
  }

  /// The last `count` code points, or all but the first -count.
  static func right(_ text: Bytes, _ count: Int64) -> Bytes {
    let skipped =
      count >= 0 ? max(0, length(text).subtractingClamped(count)) : Int64(0).subtractingClamped(count)
    return slice(text, offset(of: skipped, in: text), text.count)
  }

  /// Without the spaces (U+0020) at one end or both.
  static func trim(_ text: Bytes, start: Bool, end: Bool) -> Bytes {
    let space = UInt8(ascii: " ")
    var lower = 0
    var upper = text.count
    if start { while lower < upper, text[lower] == space { lower += 1 } }
    if end { while upper > lower, text[upper - 1] == space { upper -= 1 } }
    return slice(text, lower, upper)
  }

  /// Part `number` of a text that a separator cuts, from 1, or from -1 at the end; nothing where there is none.
  static func splitPart(_ text: Bytes, _ separator: Bytes, _ number: Int64) -> Scalar {
    guard number != 0 else { return .failed(.domain) }
    // A separator of nothing cuts nothing.
    guard !separator.isEmpty else { return .text(number.magnitude == 1 ? text : slice(text, 0, 0)) }
    var wanted = number
    if number < 0 {
      var parts: Int64 = 1
      var next = 0
      while let found = find(separator, in: text, from: next) {
        parts += 1
        next = found + separator.count
      }
      wanted = parts.addingClamped(number).addingClamped(1)
    }
    guard wanted > 0 else { return .text(slice(text, 0, 0)) }
    var start = 0
    while let found = find(separator, in: text, from: start) {
      if wanted == 1 { return .text(slice(text, start, found)) }
      wanted -= 1
      start = found + separator.count
    }
    return .text(wanted == 1 ? slice(text, start, text.count) : slice(text, 0, 0))
  }

  // MARK: New text

  static func concatenate(_ a: Scalar, _ b: Scalar, _ arena: TextArena) -> Scalar {
    if a.length == 0 { return b }
    if b.length == 0 { return a }
    let count = Int(a.length) + Int(b.length)
    guard count <= Limits.textBytesMax else { return .failed(.textTooLong) }
    let result = arena.allocate(count)
    result.copyMemory(from: a.text)
    UnsafeMutableRawBufferPointer(rebasing: result[Int(a.length)...]).copyMemory(from: b.text)
    return .text(Bytes(result))
  }

  /// ASCII letters alone change: the rest of Unicode's rules depend on its version.
  static func mapASCII(_ text: Bytes, from range: ClosedRange<UInt8>, _ arena: TextArena) -> Scalar {
    guard text.contains(where: { range ~= $0 }) else { return .text(text) }
    let result = arena.allocate(text.count)
    for index in 0..<text.count {
      let byte = text[index]
      result[index] = range ~= byte ? byte ^ 0x20 : byte
    }
    return .text(Bytes(result))
  }

  static func replace(_ text: Bytes, _ part: Bytes, _ replacement: Bytes, _ arena: TextArena) -> Scalar {
    guard !part.isEmpty, var match = find(part, in: text) else { return .text(text) }
    var count = text.count
    var next: Int? = match
    while let found = next {
      count += replacement.count - part.count
      next = find(part, in: text, from: found + part.count)
    }
    guard count <= Limits.textBytesMax else { return .failed(.textTooLong) }
    let result = arena.allocate(count)
    var written = 0
    var read = 0
    func append(_ bytes: Bytes) {
      UnsafeMutableRawBufferPointer(rebasing: result[written..<(written + bytes.count)]).copyMemory(
        from: bytes)
      written += bytes.count
    }
    while true {
      append(slice(text, read, match))
      append(replacement)
      read = match + part.count
      guard let following = find(part, in: text, from: read) else { break }
      match = following
    }
    append(slice(text, read, text.count))
    return .text(Bytes(result))
  }

  static func copy(_ string: String, _ arena: TextArena) -> Scalar {
    var string = string
    return string.withUTF8 { utf8 in
      let result = arena.allocate(utf8.count)
      result.copyMemory(from: Bytes(utf8))
      return .text(Bytes(result))
    }
  }
}

extension Int64 {
  /// The sum, or the nearest end of the range.
  func addingClamped(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }

  /// The difference, or the nearest end of the range.
  fileprivate func subtractingClamped(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other < 0 ? .max : .min) : difference
  }
}
