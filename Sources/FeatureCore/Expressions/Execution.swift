extension Program {
  private typealias Numeric = NumericOperations

  /// Runs one instruction: the frequent ones here, the rest in functions of their own.
  @inline(__always)
  static func execute(
    _ instruction: Instruction, _ registers: UnsafeMutablePointer<Scalar>, _ arena: TextArena
  ) {
    let a = registers[Int(instruction.a)]
    let b = registers[Int(instruction.b)]
    let result: Scalar
    switch instruction.opcode {
    case .and: result = Numeric.and(a, b)
    case .or: result = Numeric.or(a, b)
    case .not: result = Numeric.strict(a) { .bool($0.bits == 0) }
    case .isNull: result = Numeric.test(a) { $0.tag == .null }
    case .isNotNull: result = Numeric.test(a) { $0.tag != .null }
    case .isTrue: result = Numeric.test(a) { $0.isTrue }
    case .isNotTrue: result = Numeric.test(a) { !$0.isTrue }
    case .isFalse: result = Numeric.test(a) { Numeric.isFalse($0) }
    case .isNotFalse: result = Numeric.test(a) { !Numeric.isFalse($0) }
    case .select: result = Numeric.select(a, b, registers[Int(instruction.c)])
    case .coalesce: result = Numeric.coalesce(a, b)
    case .equalInt64: result = Numeric.strict(a, b) { .bool($0.bits == $1.bits) }
    case .notEqualInt64: result = Numeric.strict(a, b) { .bool($0.bits != $1.bits) }
    case .lessInt64: result = Numeric.strict(a, b) { .bool($0.int64 < $1.int64) }
    case .lessOrEqualInt64: result = Numeric.strict(a, b) { .bool($0.int64 <= $1.int64) }
    case .equalDouble: result = Numeric.strict(a, b) { .bool($0.double == $1.double) }
    case .notEqualDouble: result = Numeric.strict(a, b) { .bool($0.double != $1.double) }
    case .lessDouble: result = Numeric.strict(a, b) { .bool($0.double < $1.double) }
    case .lessOrEqualDouble: result = Numeric.strict(a, b) { .bool($0.double <= $1.double) }
    case .equalText: result = Numeric.strict(a, b) { .bool(TextOperations.equal($0, $1)) }
    case .notEqualText: result = Numeric.strict(a, b) { .bool(!TextOperations.equal($0, $1)) }
    case .addInt64:
      result = Numeric.strict(a, b) { Numeric.checked($0.int64.addingReportingOverflow($1.int64)) }
    case .subtractInt64:
      result = Numeric.strict(a, b) { Numeric.checked($0.int64.subtractingReportingOverflow($1.int64)) }
    case .multiplyInt64:
      result = Numeric.strict(a, b) { Numeric.checked($0.int64.multipliedReportingOverflow(by: $1.int64)) }
    case .addDouble: result = Numeric.strict(a, b) { Numeric.finite($0.double + $1.double) }
    case .subtractDouble: result = Numeric.strict(a, b) { Numeric.finite($0.double - $1.double) }
    case .multiplyDouble: result = Numeric.strict(a, b) { Numeric.finite($0.double * $1.double) }
    case .divideDouble: result = Numeric.strict(a, b) { Numeric.divideDouble($0, $1) }
    case .int64ToDouble: result = Numeric.strict(a) { .double(Double($0.int64)) }
    default: result = executeRare(instruction, a, b, registers[Int(instruction.c)], arena)
    }
    registers[Int(instruction.destination)] = result
  }

  /// The other numeric opcodes.
  @inline(never)
  private static func executeRare(
    _ instruction: Instruction, _ a: Scalar, _ b: Scalar, _ c: Scalar, _ arena: TextArena
  ) -> Scalar {
    switch instruction.opcode {
    case .isDistinctInt64: Numeric.isDistinct(a, b) { $0.bits == $1.bits }
    case .isDistinctDouble: Numeric.isDistinct(a, b) { $0.double == $1.double }
    case .isDistinctText: Numeric.isDistinct(a, b) { TextOperations.equal($0, $1) }
    case .divideInt64: Numeric.strict(a, b) { Numeric.divideInt64($0, $1) }
    case .remainderInt64: Numeric.strict(a, b) { Numeric.remainderInt64($0, $1) }
    case .negateInt64: Numeric.strict(a) { Numeric.checked(Int64(0).subtractingReportingOverflow($0.int64)) }
    case .absInt64: Numeric.strict(a) { $0.int64 == .min ? .failed(.integerOverflow) : .int64(abs($0.int64)) }
    case .signInt64: Numeric.strict(a) { .int64($0.int64.signum()) }
    case .greatestInt64: Numeric.extreme(a, b) { $0.int64 > $1.int64 }
    case .leastInt64: Numeric.extreme(a, b) { $0.int64 < $1.int64 }
    case .greatestDouble: Numeric.extreme(a, b) { $0.double > $1.double }
    case .leastDouble: Numeric.extreme(a, b) { $0.double < $1.double }
    case .remainderDouble: Numeric.strict(a, b) { Numeric.remainderDouble($0, $1) }
    case .roundToDigits: Numeric.strict(a, b) { Numeric.finite(Numeric.round($0.double, digits: $1.int64)) }
    case .power: Numeric.strict(a, b) { Numeric.power($0.double, $1.double) }
    case .doubleToInt64: Numeric.strict(a) { Numeric.doubleToInt64($0.double) }
    case .extract: Numeric.strict(a, b) { .int64(Numeric.extract(timeParts[Int($1.int64)], $0.int64)) }
    case .negateDouble, .absDouble, .signDouble, .roundDouble, .floorDouble, .ceilDouble, .truncDouble, .sqrt,
      .exp, .ln, .log10, .log2:
      Numeric.strict(a) { executeDouble(instruction.opcode, $0.double) }
    case .extractLocal, .truncate, .truncateLocal, .dateDifference:
      executeTime(instruction.opcode, a, b, c)
    case .tryCast: a.tag == .failed && b.tag != .failed ? .null : a
    case .hashText: Numeric.strict(a) { hashed(Hash64.hash($0.text)) }
    case .hashDouble: Numeric.strict(a) { hashed(word: ($0.double == 0 ? 0.0 : $0.double).bitPattern) }
    case .hashWord: Numeric.strict(a) { hashed(word: $0.bits) }
    default: executeText(instruction.opcode, a, b, c, arena)
    }
  }

  private static let timeParts = TimePart.allCases
  private static let timeSteps = TimeStep.allCases

  private static func executeTime(_ opcode: Opcode, _ a: Scalar, _ b: Scalar, _ c: Scalar) -> Scalar {
    switch opcode {
    case .extractLocal:
      Numeric.strict(a) {
        .int64(TimeOperations.extract(timeParts[Int(b.int64)], $0.int64, ProgramObjects.clock(c)))
      }
    case .truncate: Numeric.strict(a) { TimeOperations.truncate(timeSteps[Int(b.int64)], $0.int64, nil) }
    case .truncateLocal:
      Numeric.strict(a) {
        TimeOperations.truncate(timeSteps[Int(b.int64)], $0.int64, ProgramObjects.clock(c))
      }
    default:
      Numeric.strict(b, c) { TimeOperations.difference(timeSteps[Int(a.int64)], $0.int64, $1.int64) }
    }
  }

  /// Without its highest bit, so that a remainder is not negative.
  private static func hashed(_ hash: UInt64) -> Scalar { .int64(Int64(hash >> 1)) }

  private static func hashed(word: UInt64) -> Scalar {
    withUnsafeBytes(of: word.littleEndian) { hashed(Hash64.hash($0)) }
  }

  /// Functions of one double.
  private static func executeDouble(_ opcode: Opcode, _ value: Double) -> Scalar {
    switch opcode {
    case .negateDouble: .double(-value)
    case .absDouble: .double(value.magnitude)
    case .signDouble: Numeric.signDouble(value)
    case .roundDouble: .double(PortableMath.roundHalfAway(value))
    case .floorDouble: .double(PortableMath.floor(value))
    case .ceilDouble: .double(PortableMath.ceil(value))
    case .truncDouble: .double(PortableMath.truncate(value))
    case .sqrt: value < 0 ? .failed(.domain) : .double(value.squareRoot())
    case .exp: Numeric.finite(PortableMath.exp(value))
    case .ln: Numeric.logarithm(value, PortableMath.ln)
    case .log10: Numeric.logarithm(value, PortableMath.log10)
    case .log2: Numeric.logarithm(value, PortableMath.log2)
    default: preconditionFailure("Cannot run \(opcode) on one double")
    }
  }

  /// Functions of text, and conversions.
  private static func executeText(
    _ opcode: Opcode, _ a: Scalar, _ b: Scalar, _ c: Scalar, _ arena: TextArena
  ) -> Scalar {
    switch opcode {
    case .greatestText: return Numeric.extreme(a, b) { compareBytes($0.text, $1.text) > 0 }
    case .leastText: return Numeric.extreme(a, b) { compareBytes($0.text, $1.text) < 0 }
    case .substring, .replace, .likeEscape, .splitPart, .regexpExtract:
      let others = Numeric.strict(b, c) { b, _ in b }
      return Numeric.strict(a, others) { a, b in executeText3(opcode, a, b, c, arena) }
    case .lessText, .lessOrEqualText, .concatenate, .substringFrom, .left, .right, .startsWith, .endsWith,
      .contains, .position, .like, .regexpMatches:
      return Numeric.strict(a, b) { executeText2(opcode, $0, $1, arena) }
    default:
      return Numeric.strict(a) { executeText1(opcode, $0, arena) }
    }
  }

  private static func executeText1(_ opcode: Opcode, _ a: Scalar, _ arena: TextArena) -> Scalar {
    switch opcode {
    case .lower: TextOperations.mapASCII(a.text, from: UInt8(ascii: "A")...UInt8(ascii: "Z"), arena)
    case .upper: TextOperations.mapASCII(a.text, from: UInt8(ascii: "a")...UInt8(ascii: "z"), arena)
    case .length: .int64(TextOperations.length(a.text))
    case .octetLength: .int64(Int64(a.length))
    case .trim: .text(TextOperations.trim(a.text, start: true, end: true))
    case .trimStart: .text(TextOperations.trim(a.text, start: true, end: false))
    case .trimEnd: .text(TextOperations.trim(a.text, start: false, end: true))
    case .int64ToText: TextConversion.text(int64: a, arena)
    case .doubleToText: TextConversion.text(double: a, arena)
    case .boolToText: TextConversion.text(bool: a, arena)
    case .timestampToText: TextConversion.text(timestamp: a, arena)
    case .textToInt64: TextConversion.int64(a)
    case .textToDouble: TextConversion.double(a)
    case .textToBool: TextConversion.bool(a)
    case .textToTimestamp: TextConversion.timestamp(a)
    default: preconditionFailure("Cannot run \(opcode) on one text")
    }
  }

  private static func executeText2(_ opcode: Opcode, _ a: Scalar, _ b: Scalar, _ arena: TextArena) -> Scalar {
    switch opcode {
    case .lessText: .bool(compareBytes(a.text, b.text) < 0)
    case .lessOrEqualText: .bool(compareBytes(a.text, b.text) <= 0)
    case .concatenate: TextOperations.concatenate(a, b, arena)
    case .substringFrom: TextOperations.substring(a.text, from: b.int64, count: nil)
    case .left: .text(TextOperations.left(a.text, b.int64))
    case .right: .text(TextOperations.right(a.text, b.int64))
    case .startsWith: .bool(TextOperations.startsWith(a.text, b.text))
    case .endsWith: .bool(TextOperations.endsWith(a.text, b.text))
    case .contains: .bool(TextOperations.find(b.text, in: a.text) != nil)
    case .position: .int64(TextOperations.position(of: b.text, in: a.text))
    case .like: .bool(LikePattern.matches(a.text, b.text, escape: nil))
    case .regexpMatches: .bool(ProgramObjects.pattern(b).find(in: a.text, group: 0, arena) != .nothing)
    default: preconditionFailure("Cannot run \(opcode) on two texts")
    }
  }

  private static func executeText3(
    _ opcode: Opcode, _ a: Scalar, _ b: Scalar, _ c: Scalar, _ arena: TextArena
  ) -> Scalar {
    switch opcode {
    case .substring: return TextOperations.substring(a.text, from: b.int64, count: c.int64)
    case .replace: return TextOperations.replace(a.text, b.text, c.text, arena)
    case .splitPart: return TextOperations.splitPart(a.text, b.text, c.int64)
    case .regexpExtract:
      guard case .group(let bytes) = ProgramObjects.pattern(b).find(in: a.text, group: Int(c.int64), arena)
      else {
        return .null
      }
      return .text(TextOperations.slice(a.text, bytes.lowerBound, bytes.upperBound))
    case .likeEscape:
      guard let escape = LikePattern.escape(c.text), LikePattern.isWellFormed(b.text, escape: escape) else {
        return .failed(.domain)
      }
      return .bool(LikePattern.matches(a.text, b.text, escape: escape))
    default: preconditionFailure("Cannot run \(opcode) on three operands")
    }
  }
}
