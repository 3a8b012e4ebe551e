/// A word or sign of an expression.
struct Token {
  enum Kind: Equatable {
    /// An unquoted name or keyword, as written.
    case word(String)
    /// A name in double quotes, without them.
    case quotedName(String)
    /// A text in single quotes, without them.
    case string(String)
    /// Digits alone.
    case integer(String)
    /// A number with a fraction or an exponent.
    case decimal(Double)
    /// An operator, bracket or comma.
    case sign(String)
    /// After the last token.
    case end
  }

  var kind: Kind
  var offset: Int

  /// For error messages.
  var description: String {
    switch kind {
    case .word(let text): "'\(text)'"
    case .quotedName(let name): "the name \"\(name)\""
    case .string(let text): "the string '\(text)'"
    case .integer(let digits): "the number \(digits)"
    case .decimal(let value): "the number \(value)"
    case .sign(let sign): "'\(sign)'"
    case .end: "the end of the expression"
    }
  }
}

/// Cuts a text into tokens.
struct Lexer {
  private let bytes: [UInt8]
  private var position = 0
  /// Longest first, so that `<=` is not `<`.
  private static let signs = [
    "<>", "!=", "<=", ">=", "||", "//", "+", "-", "*", "/", "%", "=", "<", ">", "(", ")", ",",
  ]

  static func tokens(_ text: String) throws(ExpressionError) -> [Token] {
    var lexer = Lexer(bytes: Array(text.utf8))
    var tokens: [Token] = []
    repeat { tokens.append(try lexer.next()) } while tokens.last?.kind != .end
    return tokens
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func next() throws(ExpressionError) -> Token {
    while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
    let start = position
    guard start < bytes.count else { return Token(kind: .end, offset: start) }
    let kind: Token.Kind
    switch bytes[start] {
    case UInt8(ascii: "'"): kind = .string(try quoted(UInt8(ascii: "'"), "string"))
    case UInt8(ascii: "\""): kind = .quotedName(try quoted(UInt8(ascii: "\""), "name"))
    case UInt8(ascii: "0")...UInt8(ascii: "9"): kind = try number()
    case UInt8(ascii: ".") where isDigit(at: start + 1): kind = try number()
    case let byte where Self.startsName(byte): kind = word()
    default: kind = try sign()
    }
    return Token(kind: kind, offset: start)
  }

  /// Reads up to the closing quote; two quotes stand for one.
  private mutating func quoted(_ quote: UInt8, _ what: String) throws(ExpressionError) -> String {
    let start = position
    var content: [UInt8] = []
    position += 1
    while position < bytes.count {
      if bytes[position] == quote {
        guard position + 1 < bytes.count, bytes[position + 1] == quote else {
          position += 1
          return String(decoding: content, as: UTF8.self)
        }
        position += 1
      }
      content.append(bytes[position])
      position += 1
    }
    let sign = String(UnicodeScalar(quote))
    throw ExpressionError(
      offset: start, "the \(what) that starts here has no closing \(sign)",
      suggestion: "a \(sign) inside it is written \(sign)\(sign)")
  }

  private mutating func number() throws(ExpressionError) -> Token.Kind {
    let start = position
    skipDigits()
    var isDecimal = false
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      isDecimal = true
      position += 1
      skipDigits()
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      var digits = position + 1
      if digits < bytes.count, bytes[digits] == UInt8(ascii: "+") || bytes[digits] == UInt8(ascii: "-") {
        digits += 1
      }
      if isDigit(at: digits) {
        isDecimal = true
        position = digits
        skipDigits()
      }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if position < bytes.count, Self.startsName(bytes[position]) || bytes[position] == UInt8(ascii: ".") {
      throw ExpressionError(
        offset: position, "a number can't be followed by '\(Character(UnicodeScalar(bytes[position])))'",
        suggestion: "a name that starts with a digit takes double quotes")
    }
    guard isDecimal else { return .integer(text) }
    // Swift reads neither ".5" nor "5." as we do, so both sides get a digit.
    let padded = (text.first == "." ? "0" : "") + text
    guard let value = Double(Self.withDigitAfterPoint(padded)), value.isFinite else {
      throw ExpressionError(offset: start, "the number \(text) does not fit a double")
    }
    return .decimal(value)
  }

  /// `5.` and `5.e3` become `5.0` and `5.0e3`.
  private static func withDigitAfterPoint(_ text: String) -> String {
    guard let point = text.firstIndex(of: ".") else { return text }
    let next = text.index(after: point)
    if next < text.endIndex, text[next].isNumber { return text }
    return text[...point] + "0" + text[next...]
  }

  private mutating func word() -> Token.Kind {
    let start = position
    while position < bytes.count, Self.continuesName(bytes[position]) { position += 1 }
    return .word(String(decoding: bytes[start..<position], as: UTF8.self))
  }

  private mutating func sign() throws(ExpressionError) -> Token.Kind {
    let sign = Self.signs.first { startsWith($0) }
    // "!=" is ours and "!" a slip, "==" is a slip and "=" ours: the longer one counts.
    if let slip = Self.slips.first(where: { startsWith($0.sign) }),
      slip.sign.utf8.count > sign?.utf8.count ?? 0
    {
      throw ExpressionError(offset: position, "'\(slip.sign)' is no operator", suggestion: slip.remedy)
    }
    guard let sign else {
      let character = String(decoding: bytes[position...], as: UTF8.self).first.map(String.init) ?? ""
      throw ExpressionError(offset: position, "'\(character)' has no meaning here")
    }
    position += sign.utf8.count
    return .sign(sign)
  }

  /// Operators of other languages, which would otherwise be read as two of ours or as none.
  private static let slips: [(sign: String, remedy: String)] = [
    ("==", "equality is ="), ("&&", "conjunction is AND"), ("!", "negation is NOT"),
    ("|", "disjunction is OR"), ("&", "conjunction is AND"), ("**", "a power is power(x, y)"),
    ("^", "a power is power(x, y)"), ("::", "a conversion is CAST(x AS type)"),
    ("`", "names take double quotes"), (";", "an expression takes no ;"),
  ]

  private func startsWith(_ sign: String) -> Bool { bytes[position...].starts(with: sign.utf8) }
  private func isDigit(at index: Int) -> Bool {
    index < bytes.count && UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[index]
  }
  private mutating func skipDigits() { while isDigit(at: position) { position += 1 } }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }
  /// Letters, underscores and everything beyond ASCII.
  static func startsName(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || byte >= 0x80 || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
  }
  static func continuesName(_ byte: UInt8) -> Bool {
    startsName(byte) || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
  }
}
