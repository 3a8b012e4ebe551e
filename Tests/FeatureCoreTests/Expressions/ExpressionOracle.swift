import FeatureCore

/// Walks the tree and computes only what SQL would: the naive meaning of an expression.
struct ExpressionOracle {
  var columns: [ExpressionColumn]
  var row: [OracleValue]

  // MARK: Types

  func type(_ expression: Expression) -> ValueType? {
    switch expression {
    case .literal(let literal, _):
      switch literal {
      case .null: return nil
      case .bool: return .bool
      case .int64: return .int64
      case .double: return .double
      case .string: return .string
      case .timestamp: return .timestamp
      }
    case .column(let name, _): return columns.first { $0.name == name }?.type
    case .unary(.minus, let operand, _): return type(operand)
    case .unary, .like, .among, .between: return .bool
    case .binary(let operation, let lhs, let rhs, _):
      switch operation {
      case .or, .and, .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .isDistinct,
        .isNotDistinct:
        return .bool
      case .concatenate: return .string
      case .divide: return .double
      default:
        let types = [type(lhs), type(rhs)]
        if types.contains(.timestamp) { return types == [.timestamp, .timestamp] ? .int64 : .timestamp }
        return common([lhs, rhs])
      }
    case .choice(_, let branches, let otherwise, _):
      return common(branches.map(\.result) + (otherwise.map { [$0] } ?? []))
    case .cast(_, let type, _): return type
    case .extract: return .int64
    case .call(let name, let arguments, _):
      switch name {
      case "abs", "sign", "floor", "ceil", "trunc", "nullif": return type(arguments[0])
      case "round": return arguments.count == 2 ? .double : type(arguments[0])
      case "coalesce", "greatest", "least", "mod": return common(arguments)
      case "div", "length", "octet_length", "strpos": return .int64
      case "starts_with", "ends_with", "contains": return .bool
      case "sqrt", "exp", "ln", "log10", "log2", "power": return .double
      default: return .string
      }
    }
  }

  func common(_ expressions: [Expression]) -> ValueType? {
    let types = expressions.compactMap { type($0) }
    return types.contains(.double) ? .double : types.first
  }

  /// The value of an operand whose neighbours may have made it a double.
  func value(_ expression: Expression, as type: ValueType?) -> OracleValue {
    let value = evaluate(expression)
    if type == .double, case .int64(let integer) = value { return .double(Double(integer)) }
    return value
  }

  // MARK: Evaluation

  func evaluate(_ expression: Expression) -> OracleValue {
    switch expression {
    case .literal(let literal, _):
      switch literal {
      case .null: return .null
      case .bool(let value): return .bool(value)
      case .int64(let value): return .int64(value)
      case .double(let value): return .double(value)
      case .string(let value): return .string(value)
      case .timestamp(let time): return .timestamp(time.microseconds)
      }
    case .column(let name, _): return row[columns.firstIndex { $0.name == name }!]
    case .unary(let operation, let operand, _): return unary(operation, evaluate(operand))
    case .binary(.and, let lhs, let rhs, _): return conjunction(evaluate(lhs), evaluate(rhs), decided: false)
    case .binary(.or, let lhs, let rhs, _): return conjunction(evaluate(lhs), evaluate(rhs), decided: true)
    case .binary(let operation, let lhs, let rhs, _):
      let type = operation == .divide ? .double : common([lhs, rhs])
      return binary(operation, value(lhs, as: type), value(rhs, as: type))
    case .like(let text, let pattern, let escape, let negated, _):
      let operands = [evaluate(text), evaluate(pattern), escape.map { evaluate($0) } ?? .string("")]
      let result = strict(operands) { values in
        NaiveFunctions.like(values[0], values[1], escape == nil ? nil : values[2])
      }
      return negated ? unary(.not, result) : result
    case .among(let operand, let list, let negated, _):
      let type = common([operand] + list)
      var result = OracleValue.bool(false)
      for element in list {
        result = conjunction(
          result, binary(.equal, value(operand, as: type), value(element, as: type)), decided: true)
      }
      return negated ? unary(.not, result) : result
    case .between(let operand, let lower, let upper, let negated, _):
      let type = common([operand, lower, upper])
      let middle = value(operand, as: type)
      let result = conjunction(
        binary(.greaterOrEqual, middle, value(lower, as: type)),
        binary(.lessOrEqual, middle, value(upper, as: type)), decided: false)
      return negated ? unary(.not, result) : result
    case .choice(let operand, let branches, let otherwise, _):
      let resultType = type(expression)
      let operandType = common((operand.map { [$0] } ?? []) + branches.map(\.condition))
      for branch in branches {
        var condition = value(branch.condition, as: operandType)
        if let operand { condition = binary(.equal, value(operand, as: operandType), condition) }
        if condition == .failed { return .failed }
        if condition == .bool(true) { return value(branch.result, as: resultType) }
      }
      return otherwise.map { value($0, as: resultType) } ?? .null
    case .cast(let operand, let type, _):
      return strict([evaluate(operand)]) { NaiveFunctions.cast($0[0], type) }
    case .extract(let part, let operand, _):
      return strict([evaluate(operand)]) { NaiveFunctions.extract(part, $0[0]) }
    case .call(let name, let arguments, _): return call(name, arguments, type(expression))
    }
  }

  private func unary(_ operation: UnaryOperator, _ operand: OracleValue) -> OracleValue {
    if operand == .failed { return .failed }
    switch operation {
    case .isNull: return .bool(operand == .null)
    case .isNotNull: return .bool(operand != .null)
    case .isTrue: return .bool(operand == .bool(true))
    case .isNotTrue: return .bool(operand != .bool(true))
    case .isFalse: return .bool(operand == .bool(false))
    case .isNotFalse: return .bool(operand != .bool(false))
    case .not, .minus:
      switch operand {
      case .bool(let value): return .bool(!value)
      case .int64(let value): return value == .min ? .failed : .int64(-value)
      case .double(let value): return .double(-value)
      default: return .null
      }
    }
  }

  /// AND is decided by false, OR by true.
  private func conjunction(_ lhs: OracleValue, _ rhs: OracleValue, decided: Bool) -> OracleValue {
    if lhs == .bool(decided) || rhs == .bool(decided) { return .bool(decided) }
    if lhs == .failed || rhs == .failed { return .failed }
    return lhs == .null || rhs == .null ? .null : .bool(!decided)
  }

  private func strict(_ operands: [OracleValue], _ body: ([OracleValue]) -> OracleValue) -> OracleValue {
    if operands.contains(.failed) { return .failed }
    return operands.contains(.null) ? .null : body(operands)
  }

  private func binary(_ operation: BinaryOperator, _ lhs: OracleValue, _ rhs: OracleValue) -> OracleValue {
    if operation == .isDistinct || operation == .isNotDistinct {
      if lhs == .failed || rhs == .failed { return .failed }
      let same = lhs == .null || rhs == .null ? lhs == rhs : binary(.equal, lhs, rhs) == .bool(true)
      return .bool(same == (operation == .isNotDistinct))
    }
    return strict([lhs, rhs]) { NaiveFunctions.binary(operation, $0[0], $0[1]) }
  }

  private func call(_ name: String, _ arguments: [Expression], _ type: ValueType?) -> OracleValue {
    let values = arguments.map { evaluate($0) }
    switch name {
    case "coalesce":
      return arguments.map { value($0, as: type) }.first { $0 != .null } ?? .null
    case "nullif":
      let common = common(arguments)
      let equal = binary(.equal, value(arguments[0], as: common), value(arguments[1], as: common))
      if equal == .failed { return .failed }
      return equal == .bool(true) ? .null : values[0]
    case "greatest", "least":
      let candidates = arguments.map { value($0, as: type) }
      if candidates.contains(.failed) { return .failed }
      let order: BinaryOperator = name == "greatest" ? .greater : .less
      return candidates.filter { $0 != .null }.reduce(OracleValue.null) { best, next in
        // Of equals the later one: it shows in the sign of a zero only.
        best != .null && binary(order, best, next) == .bool(true) ? best : next
      }
    case "concat":
      if values.contains(.failed) { return .failed }
      let texts = values.filter { $0 != .null }.map { NaiveFunctions.cast($0, .string) }
      return texts.reduce(.string("")) { binary(.concatenate, $0, $1) }
    case "mod", "div":
      let common = common(arguments)
      return binary(
        name == "mod" ? .remainder : .divideWhole, value(arguments[0], as: common),
        value(arguments[1], as: common))
    default: return strict(values) { NaiveFunctions.call(name, $0) }
    }
  }
}
