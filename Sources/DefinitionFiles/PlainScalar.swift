import FeatureCore

/// What a scalar without quotes denotes: YAML 1.2's numbers, `true` and `false`. Spellings that only YAML 1.1
/// read as numbers are neither guessed nor silently text.
enum PlainScalar {
  case text
  case bool(Bool)
  case number(Literal)
  case ambiguous(String, suggestion: String?)

  init(_ text: String) {
    if text == "true" || text == "false" {
      self = .bool(text == "true")
    } else if let special = Self.special(text) {
      self = special
    } else if Self.isInteger(text) {
      self = Self.integer(text)
    } else if Self.isDecimal(text), let value = Double(text) {
      self =
        value.isFinite
        ? .number(.double(value))
        : .ambiguous("'\(text)' is beyond the range of a double", suggestion: nil)
    } else {
      self = .text
    }
  }

  private static func integer(_ text: String) -> PlainScalar {
    let digits = text.drop { $0 == "+" || $0 == "-" }
    if digits.count > 1, digits.hasPrefix("0") {
      let short = digits.drop { $0 == "0" }
      return .ambiguous(
        "'\(text)' has leading zeros, which some YAML readers take for octal",
        suggestion: "write \(short.isEmpty ? "0" : short), or quote it if it is text")
    }
    guard let value = Int64(text) else {
      return .ambiguous("'\(text)' does not fit int64", suggestion: "quote it if it is text")
    }
    return .number(.int64(value))
  }

  /// Numbers of other YAML versions and languages.
  private static func special(_ text: String) -> PlainScalar? {
    let unsigned = text.drop { $0 == "+" || $0 == "-" }.lowercased()
    if [".inf", ".nan"].contains(unsigned) {
      return .ambiguous("'\(text)' is not a finite number", suggestion: "quote it if it is text")
    }
    let bare = text.replacing("_", with: "")
    if bare != text, text.first.map(isDigitOrSign) == true, isInteger(bare) || isDecimal(bare) {
      return .ambiguous(
        "'\(text)' has underscores", suggestion: "write \(bare), or quote it if it is text")
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where unsigned.hasPrefix(prefix) {
      guard let value = Int64(unsigned.dropFirst(2), radix: radix) else { continue }
      return .ambiguous(
        "'\(text)' is not written in decimal",
        suggestion: "write \(text.hasPrefix("-") ? "-" : "")\(value), or quote it if it is text")
    }
    return nil
  }

  private static func isDigitOrSign(_ character: Character) -> Bool {
    ("0"..."9").contains(character) || character == "-" || character == "+"
  }

  private static func isInteger(_ text: String) -> Bool {
    let digits = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
    return isDigits(digits)
  }

  private static func isDigits(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// A sign, digits with a point among or beside them, an exponent.
  private static func isDecimal(_ text: String) -> Bool {
    let unsigned = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
    let parts = unsigned.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 == "e" || $0 == "E" }
    if parts.count == 2, !isInteger(String(parts[1])) { return false }
    let mantissa = parts[0].split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    return mantissa.contains { !$0.isEmpty } && mantissa.allSatisfy { $0.isEmpty || isDigits($0) }
  }
}
