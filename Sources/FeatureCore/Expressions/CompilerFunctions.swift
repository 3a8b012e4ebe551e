/// Calls of functions.
extension Compiler {
  mutating func lowerCall(
    _ name: String, _ arguments: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    if name == Parser.localExtract { return try lowerLocalExtract(arguments, offset) }
    if name == Parser.tryCast { return try lowerTryCast(arguments, offset) }
    guard let function = FunctionCatalog.function(name), function.arity.contains(arguments.count) else {
      throw ExpressionError(
        offset: offset, "there is no function '\(name)' of \(arguments.count) arguments",
        suggestion: FunctionCatalog.suggestion(name))
    }
    switch function.name {
    case "date_trunc": return try lowerTruncate(arguments, offset)
    case "date_diff": return try lowerDifference(arguments, offset)
    case "regexp_matches", "regexp_extract": return try lowerPattern(function.name, arguments, offset)
    case "hash": return try lowerHash(arguments[0], offset)
    default: break
    }
    var operands: [Operand] = []
    for argument in arguments { operands.append(try lower(argument)) }
    switch function.name {
    case "coalesce": return try chain(.coalesce, .coalesce, .coalesce, operands, function.name, offset)
    case "greatest":
      return try chain(.greatestInt64, .greatestDouble, .greatestText, operands, function.name, offset)
    case "least": return try chain(.leastInt64, .leastDouble, .leastText, operands, function.name, offset)
    case "nullif": return try nullif(operands, offset)
    case "concat": return try concat(operands, offset)
    case "mod": return try arithmetic(.remainder, operands[0], operands[1], offset)
    case "div": return try arithmetic(.divideWhole, operands[0], operands[1], offset)
    case "round" where operands.count == 2:
      return try typed(.roundToDigits, .double, [.double, .int64], operands, function.name, offset)
    case "abs": return try numeric(.absInt64, .absDouble, operands[0], function.name, offset)
    case "sign": return try numeric(.signInt64, .signDouble, operands[0], function.name, offset)
    case "round": return try numeric(nil, .roundDouble, operands[0], function.name, offset)
    case "floor": return try numeric(nil, .floorDouble, operands[0], function.name, offset)
    case "ceil": return try numeric(nil, .ceilDouble, operands[0], function.name, offset)
    case "trunc": return try numeric(nil, .truncDouble, operands[0], function.name, offset)
    case "substr" where operands.count == 2:
      return try typed(.substringFrom, .string, [.string, .int64], operands, function.name, offset)
    default:
      guard let signature = Self.signatures[function.name] else {
        preconditionFailure("Cannot compile the function \(function.name)")
      }
      return try typed(
        signature.opcode, signature.result, signature.parameters, operands, function.name, offset)
    }
  }

  private struct Signature {
    var opcode: Opcode
    var parameters: [ValueType]
    var result: ValueType

    init(_ opcode: Opcode, _ parameters: [ValueType], _ result: ValueType) {
      self.opcode = opcode
      self.parameters = parameters
      self.result = result
    }
  }

  /// Functions of fixed types.
  private static let signatures: [String: Signature] = [
    "sqrt": Signature(.sqrt, [.double], .double),
    "exp": Signature(.exp, [.double], .double),
    "ln": Signature(.ln, [.double], .double),
    "log10": Signature(.log10, [.double], .double),
    "log2": Signature(.log2, [.double], .double),
    "power": Signature(.power, [.double, .double], .double),
    "lower": Signature(.lower, [.string], .string),
    "upper": Signature(.upper, [.string], .string),
    "length": Signature(.length, [.string], .int64),
    "octet_length": Signature(.octetLength, [.string], .int64),
    "trim": Signature(.trim, [.string], .string),
    "ltrim": Signature(.trimStart, [.string], .string),
    "rtrim": Signature(.trimEnd, [.string], .string),
    "substr": Signature(.substring, [.string, .int64, .int64], .string),
    "left": Signature(.left, [.string, .int64], .string),
    "right": Signature(.right, [.string, .int64], .string),
    "replace": Signature(.replace, [.string, .string, .string], .string),
    "split_part": Signature(.splitPart, [.string, .string, .int64], .string),
    "starts_with": Signature(.startsWith, [.string, .string], .bool),
    "ends_with": Signature(.endsWith, [.string, .string], .bool),
    "contains": Signature(.contains, [.string, .string], .bool),
    "strpos": Signature(.position, [.string, .string], .int64),
  ]

  private mutating func typed(
    _ opcode: Opcode, _ result: ValueType, _ parameters: [ValueType], _ operands: [Operand], _ name: String,
    _ offset: Int
  ) throws(ExpressionError) -> Operand {
    var registers = [0, 0, 0]
    for (index, parameter) in parameters.enumerated() {
      registers[index] = try require(operands[index], parameter, by: name)
    }
    let register = code.emit(opcode, registers[0], registers[1], registers[2])
    return Operand(register: register, type: result, offset: offset)
  }

  /// A function that keeps its operand's type; without an int64 opcode, int64 values stay as they are.
  private mutating func numeric(
    _ int64: Opcode?, _ double: Opcode, _ operand: Operand, _ name: String, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    try requireNumber(operand, by: name)
    guard let type = operand.type, let opcode = type == .double ? double : int64 else { return operand }
    return Operand(register: code.emit(opcode, operand.register), type: type, offset: offset)
  }

  /// A function of any number of operands of one type, two at a time from the left.
  private mutating func chain(
    _ int64: Opcode, _ double: Opcode, _ text: Opcode, _ operands: [Operand], _ name: String, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    guard let type = try commonType(operands, in: name) else { return .untypedNull(offset) }
    let registers = registers(operands, as: type)
    let opcode = type == .double ? double : type == .string ? text : int64
    var result = registers[0]
    for register in registers.dropFirst() { result = code.emit(opcode, result, register) }
    return Operand(register: result, type: type, offset: offset)
  }

  /// `CASE WHEN x = y THEN NULL ELSE x END`
  private mutating func nullif(_ operands: [Operand], _ offset: Int) throws(ExpressionError) -> Operand {
    guard let type = operands[0].type else { return .untypedNull(offset) }
    let isEqual = try compare(.equal, operands[0], operands[1], offset)
    let register = code.emit(.select, isEqual.register, code.constant(.null), operands[0].register)
    return Operand(register: register, type: type, offset: offset)
  }

  /// The texts of all operands that are not null.
  private mutating func concat(_ operands: [Operand], _ offset: Int) throws(ExpressionError) -> Operand {
    let nothing = code.constant(Text(""))
    var result = nothing
    for operand in operands {
      guard let text = cast(operand, to: .string) else {
        preconditionFailure("Cannot convert to a string")
      }
      result = code.emit(.concatenate, result, code.emit(.coalesce, text, nothing))
    }
    return Operand(register: result, type: .string, offset: offset)
  }

  mutating func lowerExtract(
    _ part: TimePart, _ value: Expression, _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let time = try require(try lower(value), .timestamp, by: "EXTRACT")
    guard let index = TimePart.allCases.firstIndex(of: part) else {
      preconditionFailure("Cannot find a part of a timestamp")
    }
    let register = code.emit(.extract, time, code.constant(.int64(Int64(index))))
    return Operand(register: register, type: .int64, offset: offset)
  }
}
