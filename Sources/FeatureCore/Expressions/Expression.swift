/// An expression's syntax tree. Two trees are equal if they mean the same text, wherever its parts stood.
public indirect enum Expression: Hashable, Sendable {
  /// A constant.
  case literal(ExpressionLiteral, SourceOffset = .none)
  /// A column by its name.
  case column(String, SourceOffset = .none)
  /// An operator with one operand.
  case unary(UnaryOperator, Expression, SourceOffset = .none)
  /// An operator with two operands.
  case binary(BinaryOperator, Expression, Expression, SourceOffset = .none)
  /// `value [NOT] LIKE pattern [ESCAPE escape]`.
  case like(Expression, pattern: Expression, escape: Expression?, negated: Bool, SourceOffset = .none)
  /// `value [NOT] IN (list)`.
  case among(Expression, [Expression], negated: Bool, SourceOffset = .none)
  /// `value [NOT] BETWEEN lower AND upper`.
  case between(Expression, lower: Expression, upper: Expression, negated: Bool, SourceOffset = .none)
  /// `CASE [operand] WHEN ... THEN ... [ELSE otherwise] END`.
  case choice(operand: Expression?, [CaseBranch], otherwise: Expression?, SourceOffset = .none)
  /// `CAST(value AS type)`.
  case cast(Expression, ValueType, SourceOffset = .none)
  /// `EXTRACT(part FROM timestamp)`.
  case extract(TimePart, Expression, SourceOffset = .none)
  /// A function by its lower-case name, with its arguments.
  case call(String, [Expression], SourceOffset = .none)
}

/// Where a part of an expression stood in its text, for error messages only: all offsets are equal.
public struct SourceOffset: Hashable, Sendable {
  /// The offset in UTF-8 bytes.
  public let bytes: Int

  /// An offset in UTF-8 bytes.
  public init(_ bytes: Int) { self.bytes = bytes }

  /// Of an expression that no text was parsed for.
  public static let none = SourceOffset(0)

  /// Always: a tree is its meaning.
  public static func == (lhs: SourceOffset, rhs: SourceOffset) -> Bool { true }
  /// Nothing, as `==` asks for.
  public func hash(into hasher: inout Hasher) {}
}

/// A constant of an expression.
public enum ExpressionLiteral: Hashable, Sendable {
  /// `NULL`, of any type.
  case null
  /// `TRUE` or `FALSE`.
  case bool(Bool)
  /// A whole number.
  case int64(Int64)
  /// A number with a fraction or an exponent.
  case double(Double)
  /// `'text'`.
  case string(String)
  /// `TIMESTAMP '2024-01-01T00:00:00Z'`.
  case timestamp(EventTime)
}

/// One `WHEN condition THEN result` of a CASE.
public struct CaseBranch: Hashable, Sendable {
  /// A condition, or a value to compare the CASE's operand with.
  public var condition: Expression
  /// The result if it holds.
  public var result: Expression

  /// A branch from its parts.
  public init(when condition: Expression, then result: Expression) {
    self.condition = condition
    self.result = result
  }
}

/// Operators with one operand; the raw value is the canonical spelling.
public enum UnaryOperator: String, Hashable, Sendable, CaseIterable {
  /// Negation of a number.
  case minus = "-"
  /// Negation of a truth value.
  case not = "NOT"
  /// Whether the operand is null.
  case isNull = "IS NULL"
  /// Whether it is not.
  case isNotNull = "IS NOT NULL"
  /// True for TRUE alone.
  case isTrue = "IS TRUE"
  /// True for FALSE and null.
  case isNotTrue = "IS NOT TRUE"
  /// True for FALSE alone.
  case isFalse = "IS FALSE"
  /// True for TRUE and null.
  case isNotFalse = "IS NOT FALSE"
}

/// Operators with two operands; the raw value is the canonical spelling.
public enum BinaryOperator: String, Hashable, Sendable, CaseIterable {
  /// Disjunction.
  case or = "OR"
  /// Conjunction.
  case and = "AND"
  /// Equality.
  case equal = "="
  /// Inequality, also written `!=`.
  case notEqual = "<>"
  /// Less than.
  case less = "<"
  /// At most.
  case lessOrEqual = "<="
  /// Greater than.
  case greater = ">"
  /// At least.
  case greaterOrEqual = ">="
  /// Inequality that takes null for a value.
  case isDistinct = "IS DISTINCT FROM"
  /// Equality that takes null for a value.
  case isNotDistinct = "IS NOT DISTINCT FROM"
  /// Concatenation.
  case concatenate = "||"
  /// Sum.
  case add = "+"
  /// Difference.
  case subtract = "-"
  /// Product.
  case multiply = "*"
  /// Quotient, always a double.
  case divide = "/"
  /// Quotient of integers, towards zero.
  case divideWhole = "//"
  /// Remainder with the sign of the dividend.
  case remainder = "%"
}

/// A field of a timestamp in UTC.
public enum TimePart: String, Hashable, Sendable, CaseIterable {
  /// The year of the Gregorian calendar.
  case year
  /// 1...4.
  case quarter
  /// 1...12.
  case month
  /// 1...31.
  case day
  /// Day of the week, 0 (Sunday)...6.
  case dow
  /// Day of the week, 1 (Monday)...7.
  case isodow
  /// Day of the year, 1...366.
  case doy
  /// 0...23.
  case hour
  /// 0...59.
  case minute
  /// 0...59.
  case second
  /// Whole seconds since 1970, rounded down.
  case epoch
}

extension Expression {
  /// The column that `now()` is: the time of evaluation. No field can be named so.
  static let now = "now()"

  /// Where the expression stood in its text.
  public var offset: Int {
    switch self {
    case .literal(_, let at), .column(_, let at), .unary(_, _, let at), .binary(_, _, _, let at),
      .like(_, _, _, _, let at), .among(_, _, _, let at), .between(_, _, _, _, let at),
      .choice(_, _, _, let at), .cast(_, _, let at), .extract(_, _, let at), .call(_, _, let at):
      at.bytes
    }
  }

  /// The operands, from left to right.
  var children: [Expression] {
    switch self {
    case .literal, .column: []
    case .unary(_, let operand, _), .cast(let operand, _, _), .extract(_, let operand, _): [operand]
    case .binary(_, let lhs, let rhs, _): [lhs, rhs]
    case .like(let value, let pattern, let escape, _, _): [value, pattern] + (escape.map { [$0] } ?? [])
    case .among(let value, let list, _, _): [value] + list
    case .between(let value, let lower, let upper, _, _): [value, lower, upper]
    case .choice(let operand, let branches, let otherwise, _):
      (operand.map { [$0] } ?? []) + branches.flatMap { [$0.condition, $0.result] }
        + (otherwise.map { [$0] } ?? [])
    case .call(_, let arguments, _): arguments
    }
  }

  /// The names of the columns in order of their first use.
  public var columns: [String] {
    var names: [String] = []
    var seen: Set<String> = []
    collectColumns(into: &names, seen: &seen)
    return names
  }

  private func collectColumns(into names: inout [String], seen: inout Set<String>) {
    if case .column(let name, _) = self, seen.insert(name).inserted { names.append(name) }
    for child in children { child.collectColumns(into: &names, seen: &seen) }
  }
}
