/// Functions that take names of parts, zones and patterns: what those name is decided when the expression is compiled.
extension Compiler {
  mutating func lowerTruncate(
    _ arguments: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let step = code.constant(.int64(try stepIndex(arguments[0], of: "date_trunc")))
    let time = try require(try lower(arguments[1]), .timestamp, by: "date_trunc")
    guard arguments.count == 3 else {
      return Operand(register: code.emit(.truncate, time, step), type: .timestamp, offset: offset)
    }
    let clock = try clock(arguments[2])
    return Operand(register: code.emit(.truncateLocal, time, step, clock), type: .timestamp, offset: offset)
  }

  mutating func lowerDifference(
    _ arguments: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let step = code.constant(.int64(try stepIndex(arguments[0], of: "date_diff")))
    let from = try require(try lower(arguments[1]), .timestamp, by: "date_diff")
    let to = try require(try lower(arguments[2]), .timestamp, by: "date_diff")
    return Operand(register: code.emit(.dateDifference, step, from, to), type: .int64, offset: offset)
  }

  /// `EXTRACT(part FROM time AT TIME ZONE zone)`: the call that the parser makes of it.
  mutating func lowerLocalExtract(
    _ arguments: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    guard case .literal(.string(let name), _) = arguments[0], let part = TimePart(rawValue: name),
      let index = TimePart.allCases.firstIndex(of: part)
    else { preconditionFailure("Cannot extract an unknown part") }
    let time = try require(try lower(arguments[1]), .timestamp, by: "EXTRACT")
    let register = code.emit(
      .extractLocal, time, code.constant(.int64(Int64(index))), try clock(arguments[2]))
    return Operand(register: register, type: .int64, offset: offset)
  }

  /// `TRY_CAST(value AS type)`: null where a CAST fails, but not where its operand does.
  mutating func lowerTryCast(
    _ arguments: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    guard case .literal(.string(let name), _) = arguments[1], let type = ValueType(rawValue: name) else {
      preconditionFailure("Cannot cast to an unknown type")
    }
    let operand = try lower(arguments[0])
    guard let register = cast(operand, to: type) else {
      throw ExpressionError(
        offset: offset, "there is no CAST from \(operand.type?.rawValue ?? "NULL") to \(type.rawValue)")
    }
    guard operand.type != nil else { return Operand(register: register, type: type, offset: offset) }
    return Operand(
      register: code.emit(.tryCast, register, operand.register), type: type, offset: offset)
  }

  mutating func lowerPattern(
    _ name: String, _ arguments: [Expression], _ offset: Int
  ) throws(ExpressionError) -> Operand {
    let text = try require(try lower(arguments[0]), .string, by: name)
    guard case .literal(.string(let pattern), let at) = arguments[1] else {
      throw ExpressionError(
        offset: arguments[1].offset, "the pattern of \(name) is no constant",
        suggestion: "write it into the expression, such as \(name)(s, '^a+')")
    }
    let compiled: (scalar: Scalar, groups: Int)
    do throws(RegexPattern.Mistake) {
      compiled = try code.objects.pattern(pattern)
    } catch {
      throw ExpressionError(
        offset: at.bytes,
        "the pattern '\(pattern)' can't be read at its character \(error.offset + 1): \(error.message)")
    }
    let register = code.constant(compiled.scalar)
    guard name == "regexp_extract" else {
      return bool(code.emit(.regexpMatches, text, register), offset)
    }
    var group: Int64 = 0
    if arguments.count == 3 {
      guard case .literal(.int64(let number), _) = arguments[2], 0...Int64(compiled.groups) ~= number else {
        throw ExpressionError(
          offset: arguments[2].offset,
          "the pattern has the groups 0 (all of the match) to \(compiled.groups)",
          suggestion: "write one of these numbers")
      }
      group = number
    }
    return Operand(
      register: code.emit(.regexpExtract, text, register, code.constant(.int64(group))), type: .string,
      offset: offset)
  }

  mutating func lowerHash(_ argument: Expression, _ offset: Int) throws(ExpressionError) -> Operand {
    let operand = try lower(argument)
    let opcode: Opcode =
      operand.type == .string ? .hashText : operand.type == .double ? .hashDouble : .hashWord
    return Operand(register: code.emit(opcode, untypedAsNull(operand)), type: .int64, offset: offset)
  }

  private func stepIndex(_ argument: Expression, of name: String) throws(ExpressionError) -> Int64 {
    let steps = TimeStep.allCases.map(\.rawValue)
    guard case .literal(.string(let text), _) = argument else {
      throw ExpressionError(
        offset: argument.offset, "\(name) needs a unit in single quotes first",
        suggestion: "such as \(name)('day', ...); units are \(steps.joined(separator: ", "))")
    }
    let lower = text.lowercased()
    guard let index = steps.firstIndex(where: { $0 == lower || "\($0)s" == lower }) else {
      throw ExpressionError(
        offset: argument.offset, "there is no unit '\(text)'",
        suggestion: Suggestion.didYouMean(lower, among: steps) ?? "units are \(steps.joined(separator: ", "))"
      )
    }
    return Int64(index)
  }

  private mutating func clock(_ argument: Expression) throws(ExpressionError) -> Int {
    guard case .literal(.string(let name), _) = argument else {
      throw ExpressionError(
        offset: argument.offset, "the time zone is no constant",
        suggestion: "write it in single quotes, such as 'Europe/Berlin'")
    }
    guard let rules = zones[name] else {
      throw ExpressionError(
        offset: argument.offset, "there is no time zone '\(name)'",
        suggestion: Suggestion.didYouMean(name, among: zones.keys.sorted())
          ?? "an IANA name such as Europe/Berlin")
    }
    return code.constant(code.objects.clock(rules))
  }
}

extension Expression {
  /// The time zones that it names, as far as they are constants.
  public var zones: [String] {
    var names = children.flatMap(\.zones)
    if case .call(let name, let arguments, _) = self, arguments.count == 3,
      name == "date_trunc" || name == Parser.localExtract, case .literal(.string(let zone), _) = arguments[2]
    {
      names.append(zone)
    }
    return names
  }
}
