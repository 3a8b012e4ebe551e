extension Expression {
  /// The tree of a text.
  public static func parse(_ text: String) throws(ExpressionError) -> Expression {
    var parser = Parser(tokens: try Lexer.tokens(text))
    return try parser.parseAll()
  }
}

/// Recursive descent; one function a level of precedence, from OR down to a primary. PostgreSQL's precedence:
///
///     OR  AND  NOT  IS  comparison  BETWEEN/IN/LIKE  ||  + -  * / // %  unary -  primary
struct Parser {
  private let tokens: [Token]
  private var index = 0
  private var depth = 0
  private var nodes = 0

  /// Words that can't be a column without double quotes.
  static let reserved: Set<String> = [
    "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE", "CASE", "WHEN", "THEN",
    "ELSE",
    "END",
  ]

  /// What the parser calls `EXTRACT(... AT TIME ZONE ...)` and `TRY_CAST(...)`: no names that a call can have.
  static let localExtract = "EXTRACT AT TIME ZONE"
  static let tryCast = "TRY_CAST"

  init(tokens: [Token]) { self.tokens = tokens }

  mutating func parseAll() throws(ExpressionError) -> Expression {
    let expression = try parseExpression()
    if current.kind != .end { throw unexpectedRest() }
    return expression
  }

  // MARK: Tokens

  var current: Token { tokens[index] }
  var following: Token { tokens[min(index + 1, tokens.count - 1)] }

  mutating func advance() -> Token {
    defer { if index < tokens.count - 1 { index += 1 } }
    return tokens[index]
  }

  func isKeyword(_ keyword: String) -> Bool {
    if case .word(let word) = current.kind { return word.uppercased() == keyword }
    return false
  }

  mutating func takeKeyword(_ keyword: String) -> Bool {
    guard isKeyword(keyword) else { return false }
    _ = advance()
    return true
  }

  func isSign(_ sign: String) -> Bool { current.kind == .sign(sign) }

  mutating func takeSign(_ sign: String) -> Bool {
    guard isSign(sign) else { return false }
    _ = advance()
    return true
  }

  mutating func expectKeyword(_ keyword: String, _ context: String) throws(ExpressionError) {
    guard takeKeyword(keyword) else { throw expected("\(keyword) \(context)") }
  }

  mutating func expectSign(_ sign: String, _ context: String) throws(ExpressionError) {
    guard takeSign(sign) else { throw expected("'\(sign)' \(context)") }
  }

  func expected(_ what: String, suggestion: String? = nil) -> ExpressionError {
    ExpressionError(
      offset: current.offset, "expected \(what), found \(current.description)", suggestion: suggestion)
  }

  private func unexpectedRest() -> ExpressionError {
    var suggestion: String?
    switch current.kind {
    case .sign(")"): suggestion = "there is no ( for this )"
    case .string, .quotedName, .word, .integer, .decimal: suggestion = "is an operator missing before it?"
    default: break
    }
    return expected("an operator or the end of the expression", suggestion: suggestion)
  }

  // MARK: Limits

  mutating func node(_ expression: Expression) throws(ExpressionError) -> Expression {
    nodes += 1
    guard nodes <= Limits.expressionNodesMax else {
      throw ExpressionError(
        offset: expression.offset,
        "an expression has at most \(Limits.expressionNodesMax) operands and operators")
    }
    return expression
  }

  mutating func nested(
    _ parse: (inout Parser) throws(ExpressionError) -> Expression
  ) throws(ExpressionError) -> Expression {
    depth += 1
    guard depth <= Limits.expressionDepthMax else {
      throw ExpressionError(
        offset: current.offset, "an expression nests at most \(Limits.expressionDepthMax) levels deep")
    }
    let expression = try parse(&self)
    depth -= 1
    return expression
  }

  // MARK: OR, AND, NOT, IS

  mutating func parseExpression() throws(ExpressionError) -> Expression {
    try nested { (parser) throws(ExpressionError) in try parser.parseOr() }
  }

  private mutating func parseOr() throws(ExpressionError) -> Expression {
    var lhs = try parseAnd()
    while isKeyword("OR") {
      let at = SourceOffset(advance().offset)
      lhs = try node(.binary(.or, lhs, try parseAnd(), at))
    }
    return lhs
  }

  private mutating func parseAnd() throws(ExpressionError) -> Expression {
    var lhs = try parseNot()
    while isKeyword("AND") {
      let at = SourceOffset(advance().offset)
      lhs = try node(.binary(.and, lhs, try parseNot(), at))
    }
    return lhs
  }

  private mutating func parseNot() throws(ExpressionError) -> Expression {
    guard isKeyword("NOT") else { return try parseIs() }
    let at = SourceOffset(advance().offset)
    let operand = try nested { (parser) throws(ExpressionError) in try parser.parseNot() }
    return try node(.unary(.not, operand, at))
  }

  private mutating func parseIs() throws(ExpressionError) -> Expression {
    var operand = try parseComparison()
    while isKeyword("IS") {
      let at = SourceOffset(advance().offset)
      let negated = takeKeyword("NOT")
      if takeKeyword("NULL") {
        operand = try node(.unary(negated ? .isNotNull : .isNull, operand, at))
      } else if takeKeyword("TRUE") {
        operand = try node(.unary(negated ? .isNotTrue : .isTrue, operand, at))
      } else if takeKeyword("FALSE") {
        operand = try node(.unary(negated ? .isNotFalse : .isFalse, operand, at))
      } else if takeKeyword("DISTINCT") {
        try expectKeyword("FROM", "after IS DISTINCT")
        operand = try node(
          .binary(negated ? .isNotDistinct : .isDistinct, operand, try parseComparison(), at))
      } else {
        throw expected("NULL, TRUE, FALSE or DISTINCT FROM after IS", suggestion: "equality is =")
      }
    }
    return operand
  }

  // MARK: Comparisons

  private static let comparisons: [String: BinaryOperator] = [
    "=": .equal, "<>": .notEqual, "!=": .notEqual, "<": .less, "<=": .lessOrEqual, ">": .greater,
    ">=": .greaterOrEqual,
  ]

  private var comparison: BinaryOperator? {
    if case .sign(let sign) = current.kind { return Self.comparisons[sign] }
    return nil
  }

  private mutating func parseComparison() throws(ExpressionError) -> Expression {
    let lhs = try parseRange()
    guard let comparison else { return lhs }
    let at = SourceOffset(advance().offset)
    let result = try node(.binary(comparison, lhs, try parseRange(), at))
    if self.comparison != nil {
      throw ExpressionError(
        offset: current.offset, "comparisons can't be chained",
        suggestion: "write a < b AND b < c, or put one comparison in parentheses")
    }
    return result
  }

  /// BETWEEN, IN and LIKE, which don't chain.
  private mutating func parseRange() throws(ExpressionError) -> Expression {
    let value = try parseConcatenation()
    let at = SourceOffset(current.offset)
    var negated = false
    if isKeyword("NOT") {
      guard case .word(let next) = following.kind,
        ["IN", "BETWEEN", "LIKE", "ILIKE"].contains(next.uppercased())
      else {
        throw ExpressionError(
          offset: following.offset, "expected IN, BETWEEN or LIKE after NOT, found \(following.description)")
      }
      negated = true
      _ = advance()
    }
    if takeKeyword("BETWEEN") {
      let lower = try parseConcatenation()
      try expectKeyword("AND", "between the bounds of BETWEEN")
      return try node(
        .between(value, lower: lower, upper: try parseConcatenation(), negated: negated, at))
    }
    if takeKeyword("IN") { return try parseList(of: value, negated: negated, at) }
    // Only an operator stands here: a column may be named so.
    let ignoresCase = takeKeyword("ILIKE")
    guard ignoresCase || takeKeyword("LIKE") else { return value }
    let pattern = try parseConcatenation()
    let escape = takeKeyword("ESCAPE") ? try parseConcatenation() : nil
    if ignoresCase {
      return try node(
        .like(
          .call("lower", [value], at), pattern: .call("lower", [pattern], at), escape: escape,
          negated: negated,
          at))
    }
    return try node(.like(value, pattern: pattern, escape: escape, negated: negated, at))
  }

  private mutating func parseList(
    of value: Expression, negated: Bool, _ at: SourceOffset
  ) throws(ExpressionError) -> Expression {
    try expectSign("(", "after IN")
    if isSign(")") { throw expected("a value", suggestion: "IN needs at least one value") }
    var list: [Expression] = []
    repeat { list.append(try parseExpression()) } while takeSign(",")
    try expectSign(")", "or ',' in the list of IN")
    return try node(.among(value, list, negated: negated, at))
  }

  // MARK: Arithmetic

  mutating func parseConcatenation() throws(ExpressionError) -> Expression {
    var lhs = try parseSum()
    while isSign("||") {
      let at = SourceOffset(advance().offset)
      lhs = try node(.binary(.concatenate, lhs, try parseSum(), at))
    }
    return lhs
  }

  private mutating func parseSum() throws(ExpressionError) -> Expression {
    var lhs = try parseProduct()
    while isSign("+") || isSign("-") {
      let operation: BinaryOperator = isSign("+") ? .add : .subtract
      let at = SourceOffset(advance().offset)
      lhs = try node(.binary(operation, lhs, try parseProduct(), at))
    }
    return lhs
  }

  private static let products: [String: BinaryOperator] = [
    "*": .multiply, "/": .divide, "//": .divideWhole, "%": .remainder,
  ]

  private mutating func parseProduct() throws(ExpressionError) -> Expression {
    var lhs = try parseSigned()
    while case .sign(let sign) = current.kind, let operation = Self.products[sign] {
      let at = SourceOffset(advance().offset)
      lhs = try node(.binary(operation, lhs, try parseSigned(), at))
    }
    return lhs
  }

  private mutating func parseSigned() throws(ExpressionError) -> Expression {
    guard isSign("-") || isSign("+") else { return try parsePrimary() }
    let sign = advance()
    if sign.kind == .sign("-"), case .integer(let digits) = current.kind, let value = Int64("-" + digits) {
      // Here rather than by negation, because Int64.min has no positive counterpart.
      _ = advance()
      return try node(.literal(.int64(value), SourceOffset(sign.offset)))
    }
    let operand = try nested { (parser) throws(ExpressionError) in try parser.parseSigned() }
    guard sign.kind == .sign("-") else { return operand }
    switch operand {
    case .literal(.int64(let value), _) where value != .min:
      return .literal(.int64(-value), SourceOffset(sign.offset))
    case .literal(.double(let value), _): return .literal(.double(-value), SourceOffset(sign.offset))
    default: return try node(.unary(.minus, operand, SourceOffset(sign.offset)))
    }
  }
}
