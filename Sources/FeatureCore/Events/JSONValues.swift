extension JSONBytes {
  // The literals as little-endian words.
  private static let null: UInt64 = 0x6C6C_756E
  private static let `true`: UInt64 = 0x6575_7274
  private static let `false`: UInt64 = 0x65_736C_6166

  /// Whether `null` stands here.
  @inline(__always)
  func isNull(_ at: Int) -> Bool { word(at) & 0xFFFF_FFFF == Self.null }

  /// The bool that stands here, if one does.
  @inline(__always)
  func bool(_ at: Int) -> (value: Bool, end: Int)? {
    let word = word(at)
    if word & 0xFFFF_FFFF == Self.true { return (true, at + 4) }
    if word & 0xFF_FFFF_FFFF == Self.false { return (false, at + 5) }
    return nil
  }

  /// Validates the value of a member of the record.
  @inline(__always)
  func skipValue(_ at: Int) throws(DecodeFailure) -> Int {
    if self[at] == Byte.quote { return try string(at + 1).end + 1 }
    if let integer = shortInteger(at) { return integer.end }
    return try skipNested(at)
  }

  /// Validates a key, its colon and the space around it.
  @inline(__always)
  func skipKey(_ start: Int) throws(DecodeFailure) -> Int {
    guard self[start] == Byte.quote else { throw malformed(start, .expectedKey) }
    return try skipColon(string(start + 1).end + 1)
  }

  /// Skips the colon after a key and the space around it.
  @inline(__always)
  func skipColon(_ start: Int) throws(DecodeFailure) -> Int {
    let at = skipSpace(start)
    guard self[at] == Byte.colon else { throw malformed(at, .expectedColon) }
    return skipSpace(at + 1)
  }

  /// What a valid value is that starts here.
  func kind(_ at: Int) throws(DecodeFailure) -> DecodeFailure.Found {
    switch self[at] {
    case Byte.quote: .string
    case Byte.openBrace: .object
    case Byte.openBracket: .array
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
    default: try number(at).isInteger ? .integer : .fraction
    }
  }

  private func skipAtom(_ at: Int) throws(DecodeFailure) -> Int {
    switch self[at] {
    case Byte.quote: return try string(at + 1).end + 1
    case Byte.minus, Byte.zero...Byte.nine: return try number(at).end
    default:
      if isNull(at) { return at + 4 }
      if let bool = bool(at) { return bool.end }
      throw malformed(at, .expectedValue)
    }
  }

  /// Validates a value with all that is inside it, without recursion.
  @inline(never)
  private func skipNested(_ start: Int) throws(DecodeFailure) -> Int {
    var nesting = Nesting()
    var at = start
    repeat {
      let opens = self[at] == Byte.openBrace || self[at] == Byte.openBracket
      if opens {
        guard nesting.open(isObject: self[at] == Byte.openBrace) else {
          throw DecodeFailure(.tooDeep, offset: at)
        }
        at = skipSpace(at + 1)
        if self[at] != nesting.closer {
          if nesting.isObject { at = try skipKey(at) }
          continue
        }
      } else {
        at = try skipAtom(at)
      }
      at = try skipAfterValue(at, &nesting)
    } while nesting.isOpen
    return at
  }

  /// Closes what ends here, up to the next value; or to the end of the outermost value.
  private func skipAfterValue(_ start: Int, _ nesting: inout Nesting) throws(DecodeFailure) -> Int {
    var at = start
    while nesting.isOpen {
      at = skipSpace(at)
      if self[at] == nesting.closer {
        nesting.close()
        at += 1
      } else if self[at] == Byte.comma {
        at = skipSpace(at + 1)
        return nesting.isObject ? try skipKey(at) : at
      } else {
        throw malformed(at, nesting.isObject ? .expectedCommaOrBrace : .expectedCommaOrBracket)
      }
    }
    return at
  }
}

/// The open arrays and objects inside a member of the record, one bit a level.
private struct Nesting {
  /// The lowest bit is the innermost level; set for objects.
  private var objects: UInt64 = 0
  /// The record is the first level.
  private var depth = 1

  var isOpen: Bool { depth > 1 }
  var isObject: Bool { objects & 1 == 1 }
  var closer: UInt8 { isObject ? Byte.closeBrace : Byte.closeBracket }

  /// False at the limit, which is no more than the bits that there are.
  mutating func open(isObject: Bool) -> Bool {
    guard depth < Limits.jsonDepthMax else { return false }
    depth += 1
    objects = objects << 1 | (isObject ? 1 : 0)
    return true
  }

  mutating func close() {
    depth -= 1
    objects >>= 1
  }
}
