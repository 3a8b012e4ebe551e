/// Checks the types of one expression and emits its instructions.
struct Compiler {
  /// A computed value; a NULL that nothing has given a type has none.
  struct Operand {
    var register: Int
    var type: ValueType?
    var offset: Int

    static func untypedNull(_ offset: Int) -> Operand { Operand(register: -1, type: nil, offset: offset) }
  }

  private let columns: [ExpressionColumn]
  let zones: [String: TimeZoneRules]
  /// The text, if there is one: quotes matter for hints.
  private let source: [UInt8]
  var code: CodeBuilder

  init(
    columns: [ExpressionColumn], zones: [String: TimeZoneRules], source: [UInt8], code: CodeBuilder
  ) {
    self.columns = columns
    self.zones = zones
    self.source = source
    self.code = code
  }

  mutating func compile(
    _ expression: Expression, expecting: ValueType?
  ) throws(ExpressionError) -> Register {
    let operand = try lower(expression)
    guard let type = expecting ?? operand.type else {
      throw ExpressionError(
        offset: expression.offset, "the type of NULL is unknown here",
        suggestion: "give it one: CAST(NULL AS double)")
    }
    guard let register = converted(operand, to: type) else {
      let found = operand.type?.rawValue ?? "NULL"
      throw ExpressionError(
        offset: expression.offset, "expected an expression of type \(type.rawValue), this one is \(found)",
        suggestion: "convert it: CAST(... AS \(type.rawValue))")
    }
    return Register(index: register, type: type)
  }

  func failure(of register: Register) -> ScalarFailure? {
    guard let scalar = code.constant(register.index), scalar.tag == .failed else { return nil }
    return ScalarFailure(rawValue: UInt8(truncatingIfNeeded: scalar.bits))
  }

  // MARK: Expressions

  mutating func lower(_ expression: Expression) throws(ExpressionError) -> Operand {
    let offset = expression.offset
    switch expression {
    case .literal(let literal, _): return lower(literal, offset)
    case .column(let name, _): return try lowerColumn(name, offset)
    case .unary(let operation, let operand, _): return try lower(operation, operand, offset)
    case .binary(let operation, let lhs, let rhs, _): return try lower(operation, lhs, rhs, offset)
    case .like(let value, let pattern, let escape, let negated, _):
      return negate(try lowerLike(value, pattern, escape, offset), if: negated)
    case .among(let value, let list, let negated, _):
      return negate(try lowerAmong(value, list, offset), if: negated)
    case .between(let value, let lower, let upper, let negated, _):
      return negate(try lowerBetween(value, lower, upper, offset), if: negated)
    case .choice(let operand, let branches, let otherwise, _):
      return try lowerChoice(operand, branches, otherwise, offset)
    case .cast(let value, let type, _): return try lowerCast(value, type, offset)
    case .extract(let part, let value, _): return try lowerExtract(part, value, offset)
    case .call(let name, let arguments, _): return try lowerCall(name, arguments, offset)
    }
  }

  private mutating func lower(_ literal: ExpressionLiteral, _ offset: Int) -> Operand {
    switch literal {
    case .null: .untypedNull(offset)
    case .bool(let value): Operand(register: code.constant(.bool(value)), type: .bool, offset: offset)
    case .int64(let value): Operand(register: code.constant(.int64(value)), type: .int64, offset: offset)
    case .double(let value): Operand(register: code.constant(.double(value)), type: .double, offset: offset)
    case .string(let text): Operand(register: code.constant(Text(text)), type: .string, offset: offset)
    case .timestamp(let time):
      Operand(register: code.constant(.int64(time.microseconds)), type: .timestamp, offset: offset)
    }
  }

  private func lowerColumn(_ name: String, _ offset: Int) throws(ExpressionError) -> Operand {
    if let index = columns.firstIndex(where: { $0.name.utf8.elementsEqual(name.utf8) }) {
      return Operand(register: index, type: columns[index].type, offset: offset)
    }
    if name == Expression.now {
      throw ExpressionError(
        offset: offset, "there is no function 'now'", suggestion: FunctionCatalog.suggestion("now"))
    }
    let isQuoted = offset < source.count && source[offset] == UInt8(ascii: "\"")
    let known = columns.map(\.name).filter { $0 != Expression.now }
    let windows = known.filter { $0.hasPrefix("\(name)_") }
    let near =
      windows.isEmpty
      ? Suggestion.didYouMean(name, among: known)
      : "columns that begin so are \(windows.prefix(5).joined(separator: ", ")); a derived feature with 'windows' takes that of "
        + "each window"
    let names =
      known.isEmpty
      ? "there are no columns" : "columns are \(known.prefix(20).joined(separator: ", "))"
    throw ExpressionError(
      offset: offset, "column \"\(name)\" is unknown",
      suggestion: near ?? (isQuoted ? "strings take single quotes: '\(name)'" : names))
  }

  private mutating func lower(
    _ operation: UnaryOperator, _ expression: Expression, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let operand = try lower(expression)
    switch operation {
    case .minus: return try lowerMinus(operand, offset)
    case .isNull, .isNotNull:
      let register = untypedAsNull(operand)
      return bool(code.emit(operation == .isNull ? .isNull : .isNotNull, register), offset)
    case .not, .isTrue, .isNotTrue, .isFalse, .isNotFalse:
      let register = try require(operand, .bool, by: operation.rawValue)
      return bool(code.emit(Self.tests[operation] ?? .not, register), offset)
    }
  }

  private static let tests: [UnaryOperator: Opcode] = [
    .isTrue: .isTrue, .isNotTrue: .isNotTrue, .isFalse: .isFalse, .isNotFalse: .isNotFalse,
  ]

  private mutating func lowerMinus(_ operand: Operand, _ offset: Int) throws(ExpressionError) -> Operand {
    guard let type = operand.type else { return operand }
    try requireNumber(operand, by: "-")
    let opcode: Opcode = type == .double ? .negateDouble : .negateInt64
    return Operand(register: code.emit(opcode, operand.register), type: type, offset: offset)
  }

  private mutating func lower(
    _ operation: BinaryOperator, _ lhs: Expression, _ rhs: Expression, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    switch operation {
    case .or, .and:
      let a = try require(try lower(lhs), .bool, by: operation.rawValue)
      let b = try require(try lower(rhs), .bool, by: operation.rawValue)
      return bool(code.emit(operation == .or ? .or : .and, a, b), offset)
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual:
      try refuseNull(operation, lhs, rhs)
      return try compare(operation, try lower(lhs), try lower(rhs), offset)
    case .isDistinct, .isNotDistinct:
      return negate(
        try compare(.isDistinct, try lower(lhs), try lower(rhs), offset), if: operation == .isNotDistinct)
    case .concatenate:
      let hint = "convert it with CAST(... AS string), or use concat(x, y), which converts"
      let a = try require(try lower(lhs), .string, by: "||", suggestion: hint)
      let b = try require(try lower(rhs), .string, by: "||", suggestion: hint)
      return Operand(register: code.emit(.concatenate, a, b), type: .string, offset: offset)
    case .add, .subtract, .multiply, .divide, .divideWhole, .remainder:
      return try arithmetic(operation, try lower(lhs), try lower(rhs), offset)
    }
  }

  private func refuseNull(
    _ operation: BinaryOperator, _ lhs: Expression, _ rhs: Expression
  ) throws(ExpressionError) {
    for side in [rhs, lhs] {
      guard case .literal(.null, _) = side else { continue }
      throw ExpressionError(
        offset: side.offset, "a comparison with NULL is never true",
        suggestion: operation == .notEqual ? "use IS NOT NULL" : "use IS NULL")
    }
  }

  // MARK: Helpers

  func bool(_ register: Int, _ offset: Int) -> Operand {
    Operand(register: register, type: .bool, offset: offset)
  }

  mutating func negate(_ operand: Operand, if negated: Bool) -> Operand {
    negated ? bool(code.emit(.not, operand.register), operand.offset) : operand
  }

  mutating func untypedAsNull(_ operand: Operand) -> Int {
    operand.type == nil ? code.constant(.null) : operand.register
  }

  /// The operand's register as another type, where that needs no CAST.
  mutating func converted(_ operand: Operand, to type: ValueType) -> Int? {
    switch (operand.type, type) {
    case (nil, _): return code.constant(.null)
    case (.int64, .double): return code.emit(.int64ToDouble, operand.register)
    case (let own, type) where own == type: return operand.register
    default: return nil
    }
  }

  /// The register of an operand that has to be of a type.
  mutating func require(
    _ operand: Operand, _ type: ValueType, by name: String, suggestion: String? = nil
  ) throws(ExpressionError) -> Int {
    if let register = converted(operand, to: type) { return register }
    throw ExpressionError(
      offset: operand.offset,
      "\(name) needs a \(type.rawValue), this is a \(operand.type?.rawValue ?? "NULL")",
      suggestion: suggestion)
  }

  func requireNumber(
    _ operand: Operand, by name: String, suggestion: String? = nil
  ) throws(ExpressionError) {
    switch operand.type {
    case nil, .int64, .double: return
    case .string, .bool, .timestamp:
      throw ExpressionError(
        offset: operand.offset, "\(name) needs a number, this is a \(operand.type?.rawValue ?? "NULL")",
        suggestion: suggestion)
    }
  }

  /// The type that all operands can take without a CAST; nil if all are untyped.
  func commonType(_ operands: [Operand], in name: String) throws(ExpressionError) -> ValueType? {
    var common: ValueType?
    for operand in operands {
      guard let type = operand.type else { continue }
      switch (common, type) {
      case (nil, _), (.int64, .double): common = type
      case (.double, .int64): continue
      case (let known, type) where known == type: continue
      default: throw mismatch(common ?? type, operand, in: name)
      }
    }
    return common
  }

  private func mismatch(_ type: ValueType, _ operand: Operand, in name: String) -> ExpressionError {
    let other = operand.type ?? type
    var suggestion: String?
    switch (type, other) {
    case (.timestamp, .string), (.string, .timestamp):
      suggestion = "write a constant time as TIMESTAMP '2024-01-31T00:00:00Z', or CAST(... AS timestamp)"
    case (.timestamp, .int64), (.int64, .timestamp):
      suggestion = "CAST(... AS int64) gives the microseconds of a timestamp"
    default: suggestion = "convert one of them: CAST(... AS \(type.rawValue))"
    }
    return ExpressionError(
      offset: operand.offset, "\(name) can't mix \(type.rawValue) and \(other.rawValue)",
      suggestion: suggestion)
  }

  /// The registers of operands of which each can take the type.
  mutating func registers(_ operands: [Operand], as type: ValueType) -> [Int] {
    operands.map { operand in
      guard let register = converted(operand, to: type) else {
        preconditionFailure("Cannot convert to the common type of operands")
      }
      return register
    }
  }
}
