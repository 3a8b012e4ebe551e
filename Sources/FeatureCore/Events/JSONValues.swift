extension JSONBytes {
  // The literals as little-endian words.
  private static let null: UInt64 = 0x6C6C_756E
  private static let `true`: UInt64 = 0x6575_7274
  private static let `false`: UInt64 = 0x65_736C_6166
  private static let nan: UInt64 = 0x4E_614E
  private static let infinity: UInt64 = 0x7974_696E_6966_6E49

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

  /// The end of `NaN`, `Infinity` or `-Infinity`, if one of them stands here. They are no JSON, but many libraries write them.
  @inline(never)
  func notFinite(_ at: Int) -> Int? {
    if word(at) & 0xFF_FFFF == Self.nan { return at + 3 }
    let start = self[at] == Byte.minus ? at + 1 : at
    return word(start) == Self.infinity ? start + 8 : nil
  }

  /// Validates a value inside of `depth` objects and arrays; the record is the first.
  @inline(__always)
  func skipValue(_ at: Int, depth: Int = 1) throws(DecodeFailure) -> Int {
    if self[at] == Byte.quote { return try string(at + 1).end + 1 }
    if let integer = shortInteger(at) { return integer.end }
    return try skipNested(at, depth: depth)
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
    case _ where notFinite(at) != nil: self[at] == UInt8(ascii: "N") ? .notANumber : .infinity
    default: try number(at).isInteger ? .integer : .fraction
    }
  }

  private func skipAtom(_ at: Int) throws(DecodeFailure) -> Int {
    switch self[at] {
    case Byte.quote: return try string(at + 1).end + 1
    case Byte.zero...Byte.nine: return try number(at).end
    case Byte.minus:
      if let end = notFinite(at) { return end }
      return try number(at).end
    default:
      if isNull(at) { return at + 4 }
      if let bool = bool(at) { return bool.end }
      if let end = notFinite(at) { return end }
      throw malformed(at, .expectedValue)
    }
  }

  /// Validates a value with all that is inside it, without recursion.
  @inline(never)
  private func skipNested(_ start: Int, depth: Int) throws(DecodeFailure) -> Int {
    var nesting = Nesting(depth)
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
  private var depth: Int
  /// The levels around the value.
  private let outer: Int

  init(_ depth: Int) {
    self.depth = depth
    outer = depth
  }

  var isOpen: Bool { depth > outer }
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
