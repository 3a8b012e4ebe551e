extension Expression {
  /// One text for every spelling of the same tree: keywords in capitals, single spaces, only the parentheses
  /// that the tree needs. `parse` gives the same tree back.
  public var canonicalText: String { text(above: .or) }

  /// How tightly a form binds, in the parser's order.
  private enum Precedence: Int {
    case or, and, not, test, comparison, range, concatenation, sum, product, signed, primary

    var next: Precedence { Precedence(rawValue: rawValue + 1) ?? .primary }
  }

  private var precedence: Precedence {
    switch self {
    case .literal(.int64(let value), _): value < 0 ? .signed : .primary
    case .literal(.double(let value), _): value.sign == .minus ? .signed : .primary
    case .literal, .column, .choice, .cast, .extract, .call: .primary
    case .unary(.minus, _, _): .signed
    case .unary(.not, _, _): .not
    case .unary: .test
    case .like, .among, .between: .range
    case .binary(let operation, _, _, _): Self.precedence(of: operation)
    }
  }

  private static func precedence(of operation: BinaryOperator) -> Precedence {
    switch operation {
    case .or: .or
    case .and: .and
    case .isDistinct, .isNotDistinct: .test
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: .comparison
    case .concatenate: .concatenation
    case .add, .subtract: .sum
    case .multiply, .divide, .divideWhole, .remainder: .product
    }
  }

  /// The text where the grammar wants at least `level`.
  private func text(above level: Precedence) -> String {
    precedence.rawValue < level.rawValue ? "(\(bareText))" : bareText
  }

  private var bareText: String {
    switch self {
    case .literal(let literal, _): Self.text(of: literal)
    case .column(let name, _): Self.quotedIfNeeded(name)
    case .unary(.minus, let operand, _): Self.negated(operand.text(above: .signed))
    case .unary(.not, let operand, _): "NOT \(operand.text(above: .not))"
    case .unary(let operation, let operand, _): "\(operand.text(above: .test)) \(operation.rawValue)"
    case .binary(let operation, let lhs, let rhs, _): Self.text(of: operation, lhs, rhs)
    case .like(let value, let pattern, let escape, let negated, _):
      "\(value.text(above: .concatenation)) \(negated ? "NOT " : "")LIKE \(pattern.text(above: .concatenation))"
        + (escape.map { " ESCAPE \($0.text(above: .concatenation))" } ?? "")
    case .among(let value, let list, let negated, _):
      "\(value.text(above: .concatenation)) \(negated ? "NOT " : "")IN (\(Self.text(of: list)))"
    case .between(let value, let lower, let upper, let negated, _):
      "\(value.text(above: .concatenation)) \(negated ? "NOT " : "")BETWEEN "
        + "\(lower.text(above: .concatenation)) AND \(upper.text(above: .concatenation))"
    case .choice(let operand, let branches, let otherwise, _):
      "CASE" + (operand.map { " \($0.canonicalText)" } ?? "")
        + branches.map { " WHEN \($0.condition.canonicalText) THEN \($0.result.canonicalText)" }.joined()
        + (otherwise.map { " ELSE \($0.canonicalText)" } ?? "") + " END"
    case .cast(let value, let type, _): "CAST(\(value.canonicalText) AS \(type.rawValue))"
    case .extract(let part, let value, _): "EXTRACT(\(part.rawValue) FROM \(value.canonicalText))"
    case .call(Parser.tryCast, let arguments, _):
      "TRY_CAST(\(arguments[0].canonicalText) AS \(Self.bareName(arguments[1])))"
    case .call(Parser.localExtract, let arguments, _):
      "EXTRACT(\(Self.bareName(arguments[0])) FROM \(arguments[1].canonicalText) AT TIME ZONE \(arguments[2].canonicalText))"
    case .call(let name, let arguments, _): "\(name)(\(Self.text(of: arguments)))"
    }
  }

  /// A literal's text without quotes: of a type or a part.
  private static func bareName(_ expression: Expression) -> String {
    if case .literal(.string(let name), _) = expression { name } else { expression.canonicalText }
  }

  private static func text(of list: [Expression]) -> String {
    list.map(\.canonicalText).joined(separator: ", ")
  }

  private static func text(of operation: BinaryOperator, _ lhs: Expression, _ rhs: Expression) -> String {
    let level = precedence(of: operation)
    // Comparisons don't chain; every other operator groups to the left.
    let left = level == .comparison ? lhs.text(above: level.next) : lhs.text(above: level)
    return "\(left) \(operation.rawValue) \(rhs.text(above: level.next))"
  }

  private static func text(of literal: ExpressionLiteral) -> String {
    switch literal {
    case .null: "NULL"
    case .bool(let value): value ? "TRUE" : "FALSE"
    case .int64(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let text): quoted(text, "'")
    case .timestamp(let time): "TIMESTAMP '\(TextConversion.text(time))'"
    }
  }

  private static func negated(_ operand: String) -> String {
    operand.utf8.first == UInt8(ascii: "-") ? "- \(operand)" : "-\(operand)"
  }

  private static func quoted(_ text: String, _ quote: Character) -> String {
    var result = String(quote)
    for scalar in text.unicodeScalars {
      result.unicodeScalars.append(scalar)
      if Character(scalar) == quote { result.append(quote) }
    }
    result.append(quote)
    return result
  }

  private static func quotedIfNeeded(_ name: String) -> String {
    if name == Expression.now { return name }
    let isPlain =
      name.utf8.first.map { $0 < 0x80 && Lexer.startsName($0) } == true
      && name.utf8.allSatisfy { $0 < 0x80 && Lexer.continuesName($0) }
    return isPlain && !Parser.reserved.contains(name.uppercased()) ? name : quoted(name, "\"")
  }
}
