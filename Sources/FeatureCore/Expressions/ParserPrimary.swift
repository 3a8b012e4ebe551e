extension Parser {
  /// A constant, a column, a call, a CASE or something in parentheses.
  mutating func parsePrimary() throws(ExpressionError) -> Expression {
    let token = current
    let at = SourceOffset(token.offset)
    switch token.kind {
    case .integer(let digits):
      guard let value = Int64(digits) else {
        throw ExpressionError(
          offset: token.offset, "the number \(digits) does not fit int64",
          suggestion: "as a double: \(digits).0")
      }
      _ = advance()
      return try node(.literal(.int64(value), at))
    case .decimal(let value):
      _ = advance()
      return try node(.literal(.double(value), at))
    case .string(let text):
      _ = advance()
      return try node(.literal(.string(text), at))
    case .quotedName(let name):
      _ = advance()
      return try node(.column(name, at))
    case .sign("("):
      _ = advance()
      let inner = try parseExpression()
      if isSign(",") {
        throw expected("')'", suggestion: "lists stand only after IN and in the calls of functions")
      }
      try expectSign(")", "to close the parenthesis")
      return inner
    case .word(let word): return try parseWord(word, at)
    case .sign, .end: throw expected("a value")
    }
  }

  private mutating func parseWord(_ word: String, _ at: SourceOffset) throws(ExpressionError) -> Expression {
    let keyword = word.uppercased()
    switch keyword {
    case "NULL", "TRUE", "FALSE":
      _ = advance()
      return try node(.literal(keyword == "NULL" ? .null : .bool(keyword == "TRUE"), at))
    case "CASE":
      _ = advance()
      return try parseCase(at)
    case _ where Self.reserved.contains(keyword):
      throw expected(
        "a value",
        suggestion: "\(keyword) is a keyword; a column of that name takes double quotes: \"\(word)\"")
    default: break
    }
    if keyword == "TIMESTAMP", case .string(let text) = following.kind {
      return try parseTimestamp(text, at)
    }
    _ = advance()
    guard takeSign("(") else { return try node(.column(word, at)) }
    switch keyword {
    case "CAST": return try parseCast(at, isTry: false)
    case "TRY_CAST": return try parseCast(at, isTry: true)
    case "EXTRACT": return try parseExtract(at)
    case "POSITION": return try parsePosition(at)
    default: return try parseCall(word.lowercased(), at)
    }
  }

  private mutating func parseTimestamp(
    _ text: String, _ at: SourceOffset
  ) throws(ExpressionError) -> Expression {
    _ = advance()
    guard let time = TextConversion.timestamp(text) else {
      throw ExpressionError(
        offset: current.offset, "'\(text)' is no timestamp", suggestion: "write it as 2024-01-31T00:00:00Z")
    }
    _ = advance()
    return try node(.literal(.timestamp(time), at))
  }

  private mutating func parseCase(_ at: SourceOffset) throws(ExpressionError) -> Expression {
    let operand = isKeyword("WHEN") ? nil : try parseExpression()
    var branches: [CaseBranch] = []
    while takeKeyword("WHEN") {
      let condition = try parseExpression()
      try expectKeyword("THEN", "after the condition of WHEN")
      branches.append(CaseBranch(when: condition, then: try parseExpression()))
    }
    if branches.isEmpty { throw expected("WHEN after CASE") }
    let otherwise = takeKeyword("ELSE") ? try parseExpression() : nil
    try expectKeyword("END", "to close the CASE that starts at byte \(at.bytes)")
    return try node(.choice(operand: operand, branches, otherwise: otherwise, at))
  }

  private mutating func parseCast(
    _ at: SourceOffset, isTry: Bool
  ) throws(ExpressionError) -> Expression {
    let value = try parseExpression()
    try expectKeyword("AS", "and a type in CAST")
    guard case .word(let name) = current.kind else { throw expected("a type after AS") }
    guard let type = Self.types[name.lowercased()] else {
      let names = ValueType.allCases.map(\.rawValue)
      throw ExpressionError(
        offset: current.offset, "there is no type '\(name)'",
        suggestion: Suggestion.didYouMean(name, among: names) ?? "types are " + names.joined(separator: ", "))
    }
    _ = advance()
    try expectSign(")", "to close CAST")
    if isTry {
      return try node(.call(Self.tryCast, [value, .literal(.string(type.rawValue), at)], at))
    }
    return try node(.cast(value, type, at))
  }

  /// The types, and what other engines call them.
  private static let types: [String: ValueType] = [
    "string": .string, "text": .string, "varchar": .string, "int64": .int64, "bigint": .int64,
    "double": .double, "float64": .double, "bool": .bool, "boolean": .bool, "timestamp": .timestamp,
  ]

  private mutating func parseExtract(_ at: SourceOffset) throws(ExpressionError) -> Expression {
    guard case .word(let name) = current.kind else { throw expected("a part such as hour in EXTRACT") }
    guard let part = TimePart(rawValue: name.lowercased()) else {
      let parts = TimePart.allCases.map(\.rawValue)
      throw ExpressionError(
        offset: current.offset, "a timestamp has no part '\(name)'",
        suggestion: Suggestion.didYouMean(name, among: parts) ?? "parts are " + parts.joined(separator: ", "))
    }
    _ = advance()
    try expectKeyword("FROM", "and a timestamp in EXTRACT")
    let value = try parseExpression()
    if takeKeyword("AT") {
      try expectKeyword("TIME", "ZONE after AT")
      try expectKeyword("ZONE", "after AT TIME")
      let zoneAt = SourceOffset(current.offset)
      guard case .string(let zone) = current.kind else {
        throw expected("a time zone", suggestion: "in single quotes, such as 'Europe/Berlin'")
      }
      _ = advance()
      try expectSign(")", "to close EXTRACT")
      return try node(
        .call(
          Self.localExtract,
          [.literal(.string(part.rawValue), at), value, .literal(.string(zone), zoneAt)], at))
    }
    try expectSign(")", "to close EXTRACT")
    return try node(.extract(part, value, at))
  }

  /// `POSITION(part IN text)`, another spelling of `strpos(text, part)`.
  private mutating func parsePosition(_ at: SourceOffset) throws(ExpressionError) -> Expression {
    let part = try nested { (parser) throws(ExpressionError) in try parser.parseConcatenation() }
    try expectKeyword("IN", "and a string in POSITION")
    let text = try parseExpression()
    try expectSign(")", "to close POSITION")
    return try node(.call("strpos", [text, part], at))
  }

  private mutating func parseCall(_ name: String, _ at: SourceOffset) throws(ExpressionError) -> Expression {
    // A column that only what has a time of evaluation offers.
    if name == "now", takeSign(")") { return try node(.column(Expression.now, at)) }
    guard let function = FunctionCatalog.function(name) else {
      throw ExpressionError(
        offset: at.bytes, "there is no function '\(name)'", suggestion: FunctionCatalog.suggestion(name))
    }
    var arguments: [Expression] = []
    if !isSign(")") {
      repeat { arguments.append(try parseExpression()) } while takeSign(",")
    }
    try expectSign(")", "or ',' in the call of \(name)")
    guard function.arity.contains(arguments.count) else {
      throw ExpressionError(
        offset: at.bytes, "\(name) takes \(function.arityText), not \(arguments.count)",
        suggestion: "usage: \(function.usage)")
    }
    return try node(.call(function.name, arguments, at))
  }
}
