import FeatureCore

/// A JSON text's value, as a request sends it: numbers keep whether they have a fraction, or are beyond 64 bits.
indirect enum JSONValue: Equatable {
  case null
  case bool(Bool)
  case int64(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  /// In the order of the text; a name that stands twice is refused.
  case object([(name: String, value: JSONValue)])

  static func == (lhs: JSONValue, rhs: JSONValue) -> Bool {
    switch (lhs, rhs) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int64(let a), .int64(let b)): a == b
    case (.double(let a), .double(let b)): a == b
    case (.string(let a), .string(let b)): a == b
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a.elementsEqual(b) { $0.name == $1.name && $0.value == $1.value }
    default: false
    }
  }

  subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  /// What people call it.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a bool"
    case .int64: "an integer"
    case .double: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }
}

/// Why a text is no JSON, and where.
struct JSONError: Error {
  var offset: Int
  var message: String
}

/// Reads a JSON text (RFC 8259) strictly. Its depth is bounded; so is its work, by its length.
struct JSONParser {
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  /// No request has more than four.
  private static let depthMax = 16

  static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
    try bytes.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(JSONError) in
      var parser = JSONParser(bytes: bytes)
      let value = try parser.value(depth: 0)
      parser.skipSpace()
      guard parser.offset == bytes.count else { throw parser.error("something follows the JSON value") }
      return value
    }
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private func error(_ message: String) -> JSONError { JSONError(offset: offset, message: message) }

  private var peek: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

  private mutating func skipSpace() {
    while true {
      switch peek {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte, offset < bytes.count else { return false }
    offset += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth < Self.depthMax else { throw error("lists and objects are nested too deep") }
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return try object(depth)
    case UInt8(ascii: "["): return try array(depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw error(offset < bytes.count ? "a value was expected" : "the text ends too early")
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let count = text.utf8CodeUnitCount
    guard offset + count <= bytes.count,
      bytes[offset..<(offset + count)].elementsEqual(
        UnsafeBufferPointer(start: text.utf8Start, count: count))
    else { throw error("a value was expected") }
    offset += count
    return value
  }

  private mutating func array(_ depth: Int) throws(JSONError) -> JSONValue {
    offset += 1
    var values: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(values) }
    while true {
      values.append(try value(depth: depth + 1))
      skipSpace()
      if take(UInt8(ascii: "]")) { return .array(values) }
      guard take(UInt8(ascii: ",")) else { throw error("',' or ']' was expected") }
    }
  }

  private mutating func object(_ depth: Int) throws(JSONError) -> JSONValue {
    offset += 1
    var members: [(name: String, value: JSONValue)] = []
    var names: Set<String> = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    while true {
      skipSpace()
      guard peek == UInt8(ascii: "\"") else { throw error("a name in quotes was expected") }
      let start = offset
      let name = try string()
      guard names.insert(name).inserted else {
        throw JSONError(offset: start, message: "the name '\(name)' stands twice")
      }
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw error("':' was expected") }
      members.append((name, try value(depth: depth + 1)))
      skipSpace()
      if take(UInt8(ascii: "}")) { return .object(members) }
      guard take(UInt8(ascii: ",")) else { throw error("',' or '}' was expected") }
    }
  }

  private mutating func digits() -> Int {
    let start = offset
    while (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(peek) { offset += 1 }
    return offset - start
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = offset
    var isInteger = true
    _ = take(UInt8(ascii: "-"))
    let leadsWithZero = peek == UInt8(ascii: "0")
    let whole = digits()
    guard whole > 0, !(leadsWithZero && whole > 1) else { throw error("this is no number") }
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard digits() > 0 else { throw error("a digit was expected after '.'") }
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      isInteger = false
      offset += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { offset += 1 }
      guard digits() > 0 else { throw error("a digit was expected after the exponent") }
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    // Who has doubles alone writes large ones without a fraction.
    if isInteger, let value = Int64(text) { return .int64(value) }
    guard let value = Double(text), value.isFinite, !isInteger || Int64(exactly: value) == nil else {
      throw JSONError(offset: start, message: "the number is too large")
    }
    return .double(value)
  }

  private mutating func string() throws(JSONError) -> String {
    offset += 1
    let start = offset
    while offset < bytes.count, bytes[offset] != UInt8(ascii: "\""), bytes[offset] != UInt8(ascii: "\\"),
      bytes[offset] >= 0x20
    { offset += 1 }
    if peek == UInt8(ascii: "\"") {
      let text = String(validating: bytes[start..<offset], as: UTF8.self)
      offset += 1
      guard let text else { throw JSONError(offset: start, message: "the string is not valid UTF-8") }
      return text
    }
    var unescaped = [UInt8](bytes[start..<offset])
    while !take(UInt8(ascii: "\"")) {
      guard offset < bytes.count else { throw error("the string doesn't end") }
      let byte = bytes[offset]
      guard byte >= 0x20 else { throw error("a control character in a string has to be escaped") }
      offset += 1
      if byte == UInt8(ascii: "\\") {
        try escape(into: &unescaped)
      } else {
        unescaped.append(byte)
      }
    }
    guard let text = String(validating: unescaped, as: UTF8.self) else {
      throw JSONError(offset: start, message: "the string is not valid UTF-8")
    }
    return text
  }

  private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    let letter = peek
    offset += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): try unicode(into: &text)
    default:
      offset -= 1
      throw error("there is no such escape")
    }
  }

  private mutating func unicode(into text: inout [UInt8]) throws(JSONError) {
    var code = UInt32(try hex())
    if 0xD800..<0xDC00 ~= code {
      guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw error("half a surrogate pair") }
      let low = UInt32(try hex())
      guard 0xDC00..<0xE000 ~= low else { throw error("half a surrogate pair") }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw error("half a surrogate pair") }
    text += Array(String(Character(scalar)).utf8)
  }

  private mutating func hex() throws(JSONError) -> UInt16 {
    guard offset + 4 <= bytes.count,
      let code = UInt16(String(decoding: bytes[offset..<(offset + 4)], as: UTF8.self), radix: 16),
      bytes[offset] != UInt8(ascii: "+"), bytes[offset] != UInt8(ascii: "-")
    else { throw error("four hexadecimal digits were expected") }
    offset += 4
    return code
  }
}
