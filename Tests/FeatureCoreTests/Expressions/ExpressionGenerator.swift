import FeatureCore
import TestSupport

/// Random trees that type-check, and random rows with many nulls and extremes.
struct ExpressionGenerator {
  var random: SplitMix64

  static let columns = [
    ExpressionColumn("i1", .int64), ExpressionColumn("i2", .int64), ExpressionColumn("d1", .double),
    ExpressionColumn("d2", .double), ExpressionColumn("b1", .bool), ExpressionColumn("b2", .bool),
    ExpressionColumn("s1", .string), ExpressionColumn("s2", .string),
    ExpressionColumn("Größe \"x\"", .string),
    ExpressionColumn("t1", .timestamp), ExpressionColumn("order", .timestamp),
  ]

  private static let integers: [Int64] = [
    0, 1, -1, 2, 3, -3, 7, 10, 100, -5, .max, .min, .max - 1, .min + 1, 1 << 53, (1 << 53) + 1, 1 << 32,
  ]
  private static let doubles: [Double] = [
    0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 0.1, 1e15, 1e300, -1e300, 1.7976931348623157e308, 1e-300,
    0x1p-1074,
    0x1p63, -0x1p63, 3, 2.675, 1234.5678,
  ]
  private static let strings = [
    "", " ", "click", "view", "Click", "a", "ab", "abc", "aab", "abab", " padded  ", "grün", "日本語",
    "e\u{301}", "é",
    "😀x", "100%", "a_c", "a%c", "12", " -7 ", "1.5", "1e3", "007", "+5", "true", "FALSE",
    "9223372036854775808",
    "click_through", "clicks", "cliCk", "it's", "\u{0}", "%", "_", "a\\", "\\%",
  ]
  private static let patterns = [
    "%", "_", "", "a%", "%c", "%b%", "a_c", "a%c", "__", "%_%", "%ü%", "_本_", "cl%k", "100\\%", "\\", "a\\",
    "\\_",
    "%a%b", "%%", "%ab", "_%_", "abc",
  ]
  private static let times: [Int64] = [
    0, -1, 1, 1_704_067_200_000_000, 951_782_400_000_000, -62_135_596_800_000_000, 253_402_300_799_999_999,
    1_709_251_199_999_999, -86_400_000_001, 4_102_444_800_000_000,
  ]

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func pick<T>(_ choices: [T]) -> T { choices[Int.random(in: 0..<choices.count, using: &random)] }
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  mutating func row() -> [OracleValue] {
    Self.columns.map { column in chance(20) ? .null : value(column.type) }
  }

  mutating func value(_ type: ValueType) -> OracleValue {
    switch type {
    case .int64:
      return .int64(chance(70) ? pick(Self.integers) : Int64.random(in: -1000...1000, using: &random))
    case .double:
      return .double(chance(70) ? pick(Self.doubles) : Double.random(in: -10...10, using: &random))
    case .bool: return .bool(chance(50))
    case .string:
      if chance(10), chance(2) { return .string(String(repeating: "xyß", count: 100_000)) }
      return .string(pick(Self.strings))
    case .timestamp: return .timestamp(pick(Self.times))
    }
  }

  mutating func literal(_ type: ValueType) -> Expression {
    switch type {
    case .int64: return .literal(.int64(pick(Self.integers)))
    case .double: return .literal(.double(pick(Self.doubles)))
    case .bool: return .literal(.bool(chance(50)))
    case .string: return .literal(.string(pick(Self.strings)))
    case .timestamp: return .literal(.timestamp(EventTime(microseconds: pick(Self.times))))
    }
  }

  mutating func leaf(_ type: ValueType) -> Expression {
    if chance(30) { return literal(type) }
    if chance(5) { return .cast(.literal(.null), type) }
    return .column(pick(Self.columns.filter { $0.type == type }).name)
  }

  /// An int64 where a double is due, now and then.
  mutating func numeric(_ type: ValueType, _ depth: Int) -> Expression {
    make(type == .double && chance(25) ? .int64 : type, depth)
  }

  mutating func comparable(_ depth: Int, _ count: Int) -> [Expression] {
    let type = pick(ValueType.allCases)
    return (0..<count).map { _ in numeric(type, depth) }
  }

  mutating func make(_ type: ValueType, _ depth: Int) -> Expression {
    if depth <= 0 || chance(10) { return leaf(type) }
    if chance(25) { return general(type, depth - 1) }
    switch type {
    case .bool: return bool(depth - 1)
    case .int64: return int64(depth - 1)
    case .double: return double(depth - 1)
    case .string: return string(depth - 1)
    case .timestamp: return timestamp(depth - 1)
    }
  }

  /// What every type has.
  private mutating func general(_ type: ValueType, _ depth: Int) -> Expression {
    // At least the first operand has the type: otherwise the result might not.
    let some =
      [make(type, depth)] + (0..<Int.random(in: 0...2, using: &random)).map { _ in numeric(type, depth) }
    switch Int.random(in: 0..<6, using: &random) {
    case 0: return .call("coalesce", some)
    case 1: return .call(pick(["greatest", "least"]), some)
    case 2: return .call("nullif", [make(type, depth), numeric(type, depth)])
    case 3:
      let branches = some.map { CaseBranch(when: make(.bool, depth), then: $0) }
      return .choice(operand: nil, branches, otherwise: chance(60) ? numeric(type, depth) : nil)
    case 4:
      let operands = comparable(depth, some.count + 1)
      let branches = zip(operands.dropFirst(), some).map { CaseBranch(when: $0, then: $1) }
      return .choice(operand: operands[0], branches, otherwise: chance(60) ? .literal(.null) : nil)
    default: return .cast(make(castable(to: type), depth), type)
    }
  }

  private mutating func castable(to type: ValueType) -> ValueType {
    switch type {
    case .string: pick(ValueType.allCases)
    case .int64: pick(ValueType.allCases)
    case .double: pick([.string, .int64, .double, .bool])
    case .bool: pick([.string, .int64, .bool])
    case .timestamp: pick([.int64, .timestamp])
    }
  }

  private mutating func bool(_ depth: Int) -> Expression {
    switch Int.random(in: 0..<11, using: &random) {
    case 0, 1, 2: return .binary(pick([.and, .or]), make(.bool, depth), make(.bool, depth))
    case 3: return .unary(pick([.not, .isTrue, .isNotTrue, .isFalse, .isNotFalse]), make(.bool, depth))
    case 4: return .unary(pick([.isNull, .isNotNull]), make(pick(ValueType.allCases), depth))
    case 5, 6:
      let operands = comparable(depth, 2)
      return .binary(
        pick([.equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .isDistinct, .isNotDistinct]
        ),
        operands[0], operands[1])
    case 7:
      let operands = comparable(depth, Int.random(in: 2...5, using: &random))
      return .among(operands[0], Array(operands.dropFirst()), negated: chance(30))
    case 8:
      let operands = comparable(depth, 3)
      return .between(operands[0], lower: operands[1], upper: operands[2], negated: chance(30))
    case 9:
      // Short texts: the naive matcher is exponential.
      let pattern = Expression.literal(.string(pick(Self.patterns)))
      if chance(50) { return .like(shortText(), pattern: pattern, escape: nil, negated: chance(30)) }
      let openPattern: Expression = .call(
        "coalesce", [.cast(.literal(.null), .string), shortText(), pattern])
      let escape: Expression = .call(
        "left", [.literal(.string("\\")), .call("abs", [.call("sign", [.column("i1")])])])
      return .like(shortText(), pattern: openPattern, escape: escape, negated: chance(30))
    default:
      return .call(
        pick(["starts_with", "ends_with", "contains"]), [make(.string, depth), make(.string, min(depth, 1))])
    }
  }

  private mutating func shortText() -> Expression {
    .call("left", [leaf(.string), .literal(.int64(8))])
  }

  private mutating func int64(_ depth: Int) -> Expression {
    switch Int.random(in: 0..<7, using: &random) {
    case 0, 1, 2:
      return .binary(
        pick([.add, .subtract, .multiply, .divideWhole, .remainder]), make(.int64, depth), make(.int64, depth)
      )
    case 3: return .call(pick(["abs", "sign", "round", "floor", "ceil", "trunc"]), [make(.int64, depth)])
    case 4: return .call(pick(["length", "octet_length"]), [make(.string, depth)])
    case 5: return .call("strpos", [make(.string, depth), make(.string, depth)])
    default:
      if chance(50) { return .binary(.subtract, make(.timestamp, depth), make(.timestamp, depth)) }
      return .call(pick(["mod", "div"]), [make(.int64, depth), make(.int64, depth)])
    }
  }

  private mutating func double(_ depth: Int) -> Expression {
    switch Int.random(in: 0..<7, using: &random) {
    case 0: return .binary(.divide, numeric(.double, depth), numeric(.double, depth))
    case 1, 2:
      return .binary(
        pick([.add, .subtract, .multiply, .remainder]), make(.double, depth), numeric(.double, depth))
    case 3: return .call(pick(["abs", "sign", "round", "floor", "ceil", "trunc"]), [make(.double, depth)])
    case 4:
      return .call(pick(["sqrt", "exp", "ln", "log10", "log2"]), [numeric(.double, depth)])
    case 5: return .call("power", [numeric(.double, depth), numeric(.double, depth)])
    default: return .call("round", [numeric(.double, depth), make(.int64, depth)])
    }
  }

  private mutating func string(_ depth: Int) -> Expression {
    switch Int.random(in: 0..<6, using: &random) {
    case 0: return .binary(.concatenate, make(.string, depth), make(.string, depth))
    case 1: return .call(pick(["lower", "upper", "trim", "ltrim", "rtrim"]), [make(.string, depth)])
    case 2:
      let arguments = [make(.string, depth), make(.int64, depth), make(.int64, depth)]
      return .call("substr", Array(arguments.prefix(chance(50) ? 2 : 3)))
    case 3: return .call(pick(["left", "right"]), [make(.string, depth), make(.int64, depth)])
    case 4: return .call("replace", [make(.string, depth), make(.string, depth), make(.string, depth)])
    default: return .call("concat", [make(.string, depth), make(pick([.int64, .bool, .string]), depth)])
    }
  }

  private mutating func timestamp(_ depth: Int) -> Expression {
    if chance(70) { return .binary(pick([.add, .subtract]), make(.timestamp, depth), make(.int64, depth)) }
    return .binary(.add, make(.int64, depth), make(.timestamp, depth))
  }
}
