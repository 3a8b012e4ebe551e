/// Comparisons, arithmetic, CASE and CAST.
extension Compiler {
  // MARK: Comparisons

  mutating func compare(
    _ operation: BinaryOperator, _ lhs: Operand, _ rhs: Operand, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let type = try commonType([lhs, rhs], in: "'\(operation.rawValue)'") ?? .string
    let sides = registers([lhs, rhs], as: type)
    return bool(compare(operation, sides[0], sides[1], type), offset)
  }

  /// The comparison of two registers of one type.
  private mutating func compare(_ operation: BinaryOperator, _ a: Int, _ b: Int, _ type: ValueType) -> Int {
    let opcodes = Self.comparisons(type)
    switch operation {
    case .equal: return code.emit(opcodes.equal, a, b)
    case .notEqual: return code.emit(opcodes.notEqual, a, b)
    case .less: return code.emit(opcodes.less, a, b)
    case .lessOrEqual: return code.emit(opcodes.lessOrEqual, a, b)
    case .greater: return code.emit(opcodes.less, b, a)
    case .greaterOrEqual: return code.emit(opcodes.lessOrEqual, b, a)
    case .isDistinct: return code.emit(opcodes.isDistinct, a, b)
    default: preconditionFailure("Cannot compare by \(operation.rawValue)")
    }
  }

  private struct Comparisons {
    var equal, notEqual, less, lessOrEqual, isDistinct: Opcode
  }

  private static func comparisons(_ type: ValueType) -> Comparisons {
    switch type {
    case .int64, .bool, .timestamp:
      Comparisons(
        equal: .equalInt64, notEqual: .notEqualInt64, less: .lessInt64, lessOrEqual: .lessOrEqualInt64,
        isDistinct: .isDistinctInt64)
    case .double:
      Comparisons(
        equal: .equalDouble, notEqual: .notEqualDouble, less: .lessDouble, lessOrEqual: .lessOrEqualDouble,
        isDistinct: .isDistinctDouble)
    case .string:
      Comparisons(
        equal: .equalText, notEqual: .notEqualText, less: .lessText, lessOrEqual: .lessOrEqualText,
        isDistinct: .isDistinctText)
    }
  }

  /// `value = x OR value = y OR ...`
  mutating func lowerAmong(
    _ value: Expression, _ list: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    var operands = [try lower(value)]
    for element in list { operands.append(try lower(element)) }
    let type = try commonType(operands, in: "IN") ?? .string
    let sides = registers(operands, as: type)
    var result = code.constant(.bool(false))
    for element in sides.dropFirst() {
      result = code.emit(.or, result, compare(.equal, sides[0], element, type))
    }
    return bool(result, offset)
  }

  /// `lower <= value AND value <= upper`
  mutating func lowerBetween(
    _ value: Expression, _ lowerBound: Expression, _ upperBound: Expression, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let operands = [try lower(value), try lower(lowerBound), try lower(upperBound)]
    let type = try commonType(operands, in: "BETWEEN") ?? .string
    let sides = registers(operands, as: type)
    let isAbove = compare(.lessOrEqual, sides[1], sides[0], type)
    let isBelow = compare(.lessOrEqual, sides[0], sides[2], type)
    return bool(code.emit(.and, isAbove, isBelow), offset)
  }

  // MARK: LIKE

  mutating func lowerLike(
    _ value: Expression, _ pattern: Expression, _ escape: Expression?, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let text = try require(try lower(value), .string, by: "LIKE")
    let patternRegister = try require(try lower(pattern), .string, by: "LIKE")
    guard let escape else {
      let simple = try simplePattern(patternRegister, escape: nil, pattern.offset)
      return bool(like(text, patternRegister, simple), offset)
    }
    let escapeRegister = try require(try lower(escape), .string, by: "ESCAPE")
    if let constant = code.constant(escapeRegister), constant.isValue {
      guard let character = LikePattern.escape(constant.text) else {
        throw ExpressionError(offset: escape.offset, "ESCAPE takes a string of one ASCII character")
      }
      if let simple = try simplePattern(patternRegister, escape: character, pattern.offset) {
        return bool(like(text, patternRegister, simple), offset)
      }
    }
    return bool(code.emit(.likeEscape, text, patternRegister, escapeRegister), offset)
  }

  private func simplePattern(
    _ register: Int, escape: UInt8?, _ offset: Int
  ) throws(ExpressionError) -> LikePattern.Simple? {
    guard let constant = code.constant(register), constant.isValue else { return nil }
    guard LikePattern.isWellFormed(constant.text, escape: escape) else {
      throw ExpressionError(
        offset: offset, "the pattern of LIKE ends with its escape character",
        suggestion: "the character stands for itself when it is written twice")
    }
    return LikePattern.simple(constant.text, escape: escape)
  }

  private mutating func like(_ text: Int, _ pattern: Int, _ simple: LikePattern.Simple?) -> Int {
    switch simple {
    case nil: code.emit(.like, text, pattern)
    case .equals(let bytes): code.emit(.equalText, text, code.constant(Text(utf8: bytes)))
    case .startsWith(let bytes): code.emit(.startsWith, text, code.constant(Text(utf8: bytes)))
    case .endsWith(let bytes): code.emit(.endsWith, text, code.constant(Text(utf8: bytes)))
    case .contains(let bytes): code.emit(.contains, text, code.constant(Text(utf8: bytes)))
    }
  }

  // MARK: Arithmetic

  mutating func arithmetic(
    _ operation: BinaryOperator, _ lhs: Operand, _ rhs: Operand, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    if lhs.type == .timestamp || rhs.type == .timestamp {
      return try timeArithmetic(operation, lhs, rhs, offset)
    }
    let name = "'\(operation.rawValue)'"
    for side in [lhs, rhs] {
      let isText = side.type == .string && operation == .add
      try requireNumber(side, by: name, suggestion: isText ? "strings are joined by ||" : nil)
    }
    if operation == .divide { return try divide(lhs, rhs, offset) }
    guard let type = try commonType([lhs, rhs], in: name) else { return .untypedNull(offset) }
    if operation == .divideWhole, type == .double {
      throw ExpressionError(
        offset: offset, "'//' and div divide int64 values, one of these is a double",
        suggestion: "trunc(x / y) does it for doubles")
    }
    let sides = registers([lhs, rhs], as: type)
    let opcode = type == .double ? Self.doubleOpcode(operation) : Self.int64Opcode(operation)
    return Operand(register: code.emit(opcode, sides[0], sides[1]), type: type, offset: offset)
  }

  private mutating func divide(
    _ lhs: Operand, _ rhs: Operand, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let sides = registers([lhs, rhs], as: .double)
    return Operand(register: code.emit(.divideDouble, sides[0], sides[1]), type: .double, offset: offset)
  }

  private static func int64Opcode(_ operation: BinaryOperator) -> Opcode {
    switch operation {
    case .add: .addInt64
    case .subtract: .subtractInt64
    case .multiply: .multiplyInt64
    case .divideWhole: .divideInt64
    case .remainder: .remainderInt64
    default: preconditionFailure("Cannot compute \(operation.rawValue) of int64 values")
    }
  }

  private static func doubleOpcode(_ operation: BinaryOperator) -> Opcode {
    switch operation {
    case .add: .addDouble
    case .subtract: .subtractDouble
    case .multiply: .multiplyDouble
    case .remainder: .remainderDouble
    default: preconditionFailure("Cannot compute \(operation.rawValue) of doubles")
    }
  }

  /// timestamp - timestamp is int64 microseconds; timestamp ± int64 and int64 + timestamp are timestamps.
  private mutating func timeArithmetic(
    _ operation: BinaryOperator, _ lhs: Operand, _ rhs: Operand, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let type: ValueType
    switch (operation, lhs.type, rhs.type) {
    case (.subtract, .timestamp, .timestamp): type = .int64
    case (.subtract, .timestamp, .int64), (.subtract, .timestamp, nil), (.add, .timestamp, .int64),
      (.add, .timestamp, nil), (.add, .int64, .timestamp), (.add, nil, .timestamp):
      type = .timestamp
    default:
      throw ExpressionError(
        offset: offset, "'\(operation.rawValue)' can't combine these types with a timestamp",
        suggestion: "timestamp - timestamp, and timestamp + or - int64 microseconds, have a meaning")
    }
    let register = code.emit(
      operation == .add ? .addInt64 : .subtractInt64, untypedAsNull(lhs), untypedAsNull(rhs))
    return Operand(register: register, type: type, offset: offset)
  }

  // MARK: CASE

  /// Nested choices from the last branch to the first.
  mutating func lowerChoice(
    _ operand: Expression?, _ branches: [CaseBranch], _ otherwise: Expression?, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let conditions = try lowerConditions(operand, branches)
    var results: [Operand] = []
    for branch in branches { results.append(try lower(branch.result)) }
    results.append(
      try otherwise.map { (expression) throws(ExpressionError) in try lower(expression) }
        ?? .untypedNull(offset))
    guard let type = try commonType(results, in: "CASE") else { return .untypedNull(offset) }
    let values = registers(results, as: type)
    var result = values[branches.count]
    for index in branches.indices.reversed() {
      result = code.emit(.select, conditions[index], values[index], result)
    }
    return Operand(register: result, type: type, offset: offset)
  }

  private mutating func lowerConditions(
    _ operand: Expression?, _ branches: [CaseBranch]
  ) throws(ExpressionError) -> [Int] {
    var conditions: [Operand] = []
    for branch in branches { conditions.append(try lower(branch.condition)) }
    guard let operand else {
      var registers: [Int] = []
      for condition in conditions { registers.append(try require(condition, .bool, by: "WHEN")) }
      return registers
    }
    for branch in branches {
      guard case .literal(.null, _) = branch.condition else { continue }
      throw ExpressionError(
        offset: branch.condition.offset, "WHEN NULL never matches",
        suggestion: "use CASE WHEN x IS NULL THEN ...")
    }
    let operands = [try lower(operand)] + conditions
    let type = try commonType(operands, in: "CASE") ?? .string
    let sides = registers(operands, as: type)
    return sides.dropFirst().map { compare(.equal, sides[0], $0, type) }
  }

  // MARK: CAST

  mutating func lowerCast(
    _ value: Expression, _ type: ValueType, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let operand = try lower(value)
    guard let register = cast(operand, to: type) else {
      throw ExpressionError(
        offset: offset, "there is no CAST from \(operand.type?.rawValue ?? "NULL") to \(type.rawValue)",
        suggestion: operand.type == .double && type == .bool ? "compare it: x <> 0" : nil)
    }
    return Operand(register: register, type: type, offset: offset)
  }

  mutating func cast(_ operand: Operand, to type: ValueType) -> Int? {
    if let register = converted(operand, to: type) { return register }
    let register = operand.register
    switch (operand.type, type) {
    case (.int64, .string): return code.emit(.int64ToText, register)
    case (.double, .string): return code.emit(.doubleToText, register)
    case (.bool, .string): return code.emit(.boolToText, register)
    case (.timestamp, .string): return code.emit(.timestampToText, register)
    case (.string, .int64): return code.emit(.textToInt64, register)
    case (.string, .double): return code.emit(.textToDouble, register)
    case (.string, .bool): return code.emit(.textToBool, register)
    case (.string, .timestamp): return code.emit(.textToTimestamp, register)
    case (.double, .int64): return code.emit(.doubleToInt64, register)
    // The bits are the same.
    case (.bool, .int64), (.int64, .timestamp), (.timestamp, .int64): return register
    case (.bool, .double): return code.emit(.int64ToDouble, register)
    case (.int64, .bool): return code.emit(.notEqualInt64, register, code.constant(.int64(0)))
    default: return nil
    }
  }
}
