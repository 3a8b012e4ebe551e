/// What an instruction computes from its operands a, b and c.
///
/// Comparisons of int64, timestamps and bools look at the same bits and share opcodes. `>` and `>=` swap the
/// operands of `<` and `<=`.
enum Opcode: UInt8, Hashable, Sendable {
  // Logic. Only these, `isNull` and its kin, the choices and the extremes see a null; all others are strict.
  case and, or, not, isNull, isNotNull, isTrue, isNotTrue, isFalse, isNotFalse
  // Choices: `select` is a ? b : c.
  case select, coalesce
  // Comparisons
  case equalInt64, notEqualInt64, lessInt64, lessOrEqualInt64, isDistinctInt64
  case equalDouble, notEqualDouble, lessDouble, lessOrEqualDouble, isDistinctDouble
  case equalText, notEqualText, lessText, lessOrEqualText, isDistinctText
  // Int64
  case addInt64, subtractInt64, multiplyInt64, divideInt64, remainderInt64, negateInt64, absInt64, signInt64
  case greatestInt64, leastInt64
  // Double
  case addDouble, subtractDouble, multiplyDouble, divideDouble, remainderDouble, negateDouble, absDouble
  case signDouble, greatestDouble, leastDouble, roundDouble, roundToDigits, floorDouble, ceilDouble,
    truncDouble
  case sqrt, exp, ln, log10, log2, power
  // Conversions
  case int64ToDouble, doubleToInt64, int64ToText, doubleToText, boolToText, timestampToText
  case textToInt64, textToDouble, textToBool, textToTimestamp
  // Text
  case concatenate, lower, upper, length, octetLength, trim, trimStart, trimEnd, substring, substringFrom
  case left, right, replace, startsWith, endsWith, contains, position, like, likeEscape
  case greatestText, leastText
  // b is the address of a pattern; c the number of a group.
  case splitPart, regexpMatches, regexpExtract
  case hashText, hashDouble, hashWord
  // b is the operand of the CAST whose result is a.
  case tryCast
  // Time: b is the index of the part in `TimePart.allCases`, or of the step in `TimeStep.allCases` (of dateDifference it is
  // a), and c the address of a clock.
  case extract, extractLocal, truncate, truncateLocal, dateDifference
}

/// One step of a program: `destination` becomes `opcode` of a, b and c, which are registers. Operands that the
/// opcode doesn't have are 0.
struct Instruction: Hashable, Sendable {
  var opcode: Opcode
  var destination: Int32
  var a: Int32
  var b: Int32
  var c: Int32

  init(_ opcode: Opcode, _ a: Int, _ b: Int = 0, _ c: Int = 0, to destination: Int = 0) {
    self.opcode = opcode
    self.destination = Int32(destination)
    self.a = Int32(a)
    self.b = Int32(b)
    self.c = Int32(c)
  }

  /// How many of a, b and c are registers.
  var operandCount: Int {
    switch opcode {
    case .select, .substring, .replace, .likeEscape, .splitPart, .regexpExtract, .extractLocal,
      .truncateLocal,
      .dateDifference:
      3
    case .not, .isNull, .isNotNull, .isTrue, .isNotTrue, .isFalse, .isNotFalse, .negateInt64, .absInt64,
      .signInt64, .negateDouble, .absDouble, .signDouble, .roundDouble, .floorDouble, .ceilDouble,
      .truncDouble,
      .sqrt, .exp, .ln, .log10, .log2, .int64ToDouble, .doubleToInt64, .int64ToText, .doubleToText,
      .boolToText,
      .timestampToText, .textToInt64, .textToDouble, .textToBool, .textToTimestamp, .lower, .upper, .length,
      .octetLength, .trim, .trimStart, .trimEnd, .hashText, .hashDouble, .hashWord:
      1
    default: 2
    }
  }

  /// The registers that are read.
  var operands: [Int] { [Int(a), Int(b), Int(c)].prefix(operandCount).map { $0 } }
}

extension Opcode {
  /// Whether a value that it computes is text. A choice between constants is made without running it.
  var givesText: Bool {
    switch self {
    case .concatenate, .lower, .upper, .trim, .trimStart, .trimEnd, .substring, .substringFrom, .left, .right,
      .replace, .int64ToText, .doubleToText, .boolToText, .timestampToText, .greatestText, .leastText,
      .splitPart, .regexpExtract:
      true
    default: false
    }
  }
}
