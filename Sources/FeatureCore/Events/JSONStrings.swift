/// The end of a string, its UTF-8 and escapes already found valid.
struct JSONString {
  /// Where the closing quote stands.
  var end: Int
  /// Whether the text must be unescaped.
  var hasEscapes: Bool
}

extension JSONBytes {
  /// Validates the string whose first byte after the quote stands at `start`.
  @inline(__always)
  func string(_ start: Int) throws(DecodeFailure) -> JSONString {
    var at = start
    var word = word(at)
    var stops = Self.stops(word)
    while stops == 0 {
      at += 8
      word = self.word(at)
      stops = Self.stops(word)
    }
    let bit = stops.trailingZeroBitCount & 56
    if UInt8(truncatingIfNeeded: word &>> UInt64(bit)) == Byte.quote {
      return JSONString(end: at + bit / 8, hasEscapes: false)
    }
    return try stringFrom(at + bit / 8)
  }

  /// Copies a valid string with escapes to `output`, which has room for as many bytes, and returns the count.
  func unescape(_ start: Int, _ end: Int, into output: UnsafeMutableRawBufferPointer) -> Int {
    precondition(output.count >= end - start, "Cannot unescape into less room than the text takes")
    var at = start
    var count = 0
    while at < end {
      let byte = self[at]
      if byte != Byte.backslash {
        output[count] = byte
        count += 1
        at += 1
      } else if self[at + 1] != UInt8(ascii: "u") {
        output[count] = Self.character(ofEscape: self[at + 1])
        count += 1
        at += 2
      } else {
        let (scalar, length) = unicodeEscape(at)
        for unit in Unicode.UTF8.encode(scalar) ?? Unicode.UTF8.encodedReplacementCharacter {
          output[count] = unit
          count += 1
        }
        at += length
      }
    }
    return count
  }

  /// Marks, with its high bit, the first byte of a word that is a quote, a backslash, a control character or
  /// not ASCII; bits above the lowest one set mean nothing, since borrows run upwards.
  @inline(__always)
  private static func stops(_ word: UInt64) -> UInt64 {
    let quotes = (word ^ 0x2222_2222_2222_2222) &- 0x0101_0101_0101_0101
    let backslashes = (word ^ 0x5C5C_5C5C_5C5C_5C5C) &- 0x0101_0101_0101_0101
    let controls = word &- 0x2020_2020_2020_2020
    return (quotes | backslashes | controls | word) & 0x8080_8080_8080_8080
  }

  /// Goes on where something else than a quote stopped the scan.
  @inline(never)
  private func stringFrom(_ start: Int) throws(DecodeFailure) -> JSONString {
    var at = start
    var hasEscapes = false
    while true {
      let stops = Self.stops(word(at))
      guard stops != 0 else {
        at += 8
        continue
      }
      at += stops.trailingZeroBitCount / 8
      switch self[at] {
      case Byte.quote: return JSONString(end: at, hasEscapes: hasEscapes)
      case Byte.backslash:
        at = try skipEscape(at)
        hasEscapes = true
      case 0x80...: at = try skipMultibyte(at)
      default: throw malformed(at, .controlCharacter)
      }
    }
  }

  private func skipEscape(_ at: Int) throws(DecodeFailure) -> Int {
    switch self[at + 1] {
    case Byte.quote, Byte.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return at + 2
    case UInt8(ascii: "u"):
      guard let unit = hexadecimal(at + 2) else { throw malformedEscape(at, length: 6) }
      guard UTF16.isLeadSurrogate(unit) || UTF16.isTrailSurrogate(unit) else { return at + 6 }
      guard UTF16.isLeadSurrogate(unit), self[at + 6] == Byte.backslash, self[at + 7] == UInt8(ascii: "u"),
        let low = hexadecimal(at + 8), UTF16.isTrailSurrogate(low)
      else { throw malformed(at, .loneSurrogate) }
      return at + 12
    default: throw malformedEscape(at, length: 2)
    }
  }

  /// An escape that the end of the text cuts off is reported as just that.
  private func malformedEscape(_ at: Int, length: Int) -> DecodeFailure {
    at + length > count ? malformed(count, .payloadEnds) : malformed(at, .badEscape)
  }

  private func hexadecimal(_ at: Int) -> UInt16? {
    var value: UInt16 = 0
    for index in 0..<4 {
      let byte = self[at + index]
      let lower = byte | 0x20
      if Byte.isDigit(byte) {
        value = value << 4 | UInt16(byte - Byte.zero)
      } else if lower >= UInt8(ascii: "a"), lower <= UInt8(ascii: "f") {
        value = value << 4 | UInt16(lower - UInt8(ascii: "a") + 10)
      } else {
        return nil
      }
    }
    return value
  }

  /// Whether the text is UTF-8.
  var isUTF8: Bool {
    var at = 0
    while at < count {
      guard self[at] >= 0x80 else {
        at += 1
        continue
      }
      let length = multibyteLength(at)
      guard length > 0, at + length <= count else { return false }
      at += length
    }
    return true
  }

  /// Skips well-formed UTF-8 (Unicode, table 3-7) as long as it isn't ASCII.
  private func skipMultibyte(_ start: Int) throws(DecodeFailure) -> Int {
    var at = start
    while self[at] >= 0x80 {
      let length = multibyteLength(at)
      guard length > 0 else { throw DecodeFailure(.invalidUTF8, offset: at) }
      at += length
    }
    return at
  }

  /// The bytes of the sequence that starts here: 2 to 4, or 0 if it is overlong, a surrogate, beyond U+10FFFF
  /// or cut off.
  @inline(__always)
  private func multibyteLength(_ at: Int) -> Int {
    let second = self[at + 1]
    switch self[at] {
    case 0xC2...0xDF: return isContinuation(second) ? 2 : 0
    case 0xE0: return second >= 0xA0 && second <= 0xBF && isContinuation(self[at + 2]) ? 3 : 0
    case 0xED: return second >= 0x80 && second <= 0x9F && isContinuation(self[at + 2]) ? 3 : 0
    case 0xE1...0xEF: return isContinuation(second) && isContinuation(self[at + 2]) ? 3 : 0
    case 0xF0: return second >= 0x90 && second <= 0xBF && endsFour(at) ? 4 : 0
    case 0xF1...0xF3: return isContinuation(second) && endsFour(at) ? 4 : 0
    case 0xF4: return second >= 0x80 && second <= 0x8F && endsFour(at) ? 4 : 0
    default: return 0
    }
  }

  @inline(__always)
  private func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }
  @inline(__always)
  private func endsFour(_ at: Int) -> Bool { isContinuation(self[at + 2]) && isContinuation(self[at + 3]) }

  private static func character(ofEscape byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: byte
    }
  }

  /// The scalar of a valid `\u` escape and the bytes that it takes.
  private func unicodeEscape(_ at: Int) -> (scalar: Unicode.Scalar, length: Int) {
    let unit = UInt32(hexadecimal(at + 2) ?? 0xFFFD)
    if let scalar = Unicode.Scalar(unit) { return (scalar, 6) }
    let low = UInt32(hexadecimal(at + 8) ?? 0xDC00)
    let scalar = Unicode.Scalar(0x10000 + (unit & 0x3FF) << 10 + (low & 0x3FF))
    return (scalar ?? "\u{FFFD}", 12)
  }
}
