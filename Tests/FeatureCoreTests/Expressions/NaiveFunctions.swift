import FeatureCore
import Foundation

/// Operators and functions of values that are neither null nor failed, over code points instead of bytes.
enum NaiveFunctions {
  static func binary(_ operation: BinaryOperator, _ lhs: OracleValue, _ rhs: OracleValue) -> OracleValue {
    switch (lhs, rhs) {
    case (.int64(let a), .int64(let b)): int64(operation, a, b) ?? .failed
    case (.double(let a), .double(let b)): double(operation, a, b)
    case (.string(let a), .string(let b)):
      operation == .concatenate
        ? limited(a + b)
        : ordered(operation, Array(a.unicodeScalars.map(\.value)), Array(b.unicodeScalars.map(\.value)))
    case (.bool(let a), .bool(let b)): ordered(operation, [a ? 1 : 0], [b ? 1 : 0])
    case (.timestamp(let a), .timestamp(let b)):
      operation == .subtract ? int64(.subtract, a, b) ?? .failed : int64(operation, a, b) ?? .failed
    case (.timestamp(let a), .int64(let b)), (.int64(let a), .timestamp(let b)):
      if case .int64(let moved)? = int64(operation, a, b) { .timestamp(moved) } else { .failed }
    default: .failed
    }
  }

  private static func limited(_ text: String) -> OracleValue {
    text.utf8.count > Limits.textBytesMax ? .failed : .string(text)
  }

  /// By way of 128 bits: nil is an overflow.
  private static func int64(_ operation: BinaryOperator, _ a: Int64, _ b: Int64) -> OracleValue? {
    let (wideA, wideB) = (Int128(a), Int128(b))
    switch operation {
    case .add: return Int64(exactly: wideA + wideB).map { .int64($0) }
    case .subtract: return Int64(exactly: wideA - wideB).map { .int64($0) }
    case .multiply: return Int64(exactly: wideA * wideB).map { .int64($0) }
    case .divideWhole: return b == 0 ? .null : Int64(exactly: wideA / wideB).map { .int64($0) }
    case .remainder: return b == 0 ? .null : .int64(Int64(wideA % wideB))
    default: return compared(operation, a < b, a == b)
    }
  }

  private static func double(_ operation: BinaryOperator, _ a: Double, _ b: Double) -> OracleValue {
    switch operation {
    case .add: finite(a + b)
    case .subtract: finite(a - b)
    case .multiply: finite(a * b)
    case .divide: b == 0 ? .null : finite(a / b)
    case .remainder: b == 0 ? .null : .double(fmod(a, b))
    default: compared(operation, a < b, a == b)
    }
  }

  private static func finite(_ value: Double) -> OracleValue { value.isFinite ? .double(value) : .failed }

  private static func ordered(_ operation: BinaryOperator, _ a: [UInt32], _ b: [UInt32]) -> OracleValue {
    compared(operation, a.lexicographicallyPrecedes(b), a == b)
  }

  private static func compared(_ operation: BinaryOperator, _ less: Bool, _ equal: Bool) -> OracleValue {
    switch operation {
    case .equal: .bool(equal)
    case .notEqual: .bool(!equal)
    case .less: .bool(less)
    case .lessOrEqual: .bool(less || equal)
    case .greater: .bool(!less && !equal)
    case .greaterOrEqual: .bool(!less)
    default: .failed
    }
  }

  // MARK: LIKE

  static func like(_ text: OracleValue, _ pattern: OracleValue, _ escape: OracleValue?) -> OracleValue {
    guard case .string(let text) = text, case .string(let pattern) = pattern else { return .failed }
    var escapeScalar: UnicodeScalar?
    if case .string(let escape)? = escape {
      guard escape.utf8.count == 1 else { return .failed }
      escapeScalar = escape.unicodeScalars.first
    }
    // A pattern as its elements: nil is %, an empty array _, else the code point.
    var elements: [[UnicodeScalar]?] = []
    var iterator = pattern.unicodeScalars.makeIterator()
    while let scalar = iterator.next() {
      if scalar == escapeScalar {
        guard let next = iterator.next() else { return .failed }
        elements.append([next])
      } else {
        elements.append(scalar == "%" ? nil : scalar == "_" ? [] : [scalar])
      }
    }
    return .bool(like(Array(text.unicodeScalars)[...], elements[...]))
  }

  private static func like(_ text: ArraySlice<UnicodeScalar>, _ pattern: ArraySlice<[UnicodeScalar]?>) -> Bool
  {
    guard let element = pattern.first else { return text.isEmpty }
    guard let element else {
      return like(text, pattern.dropFirst()) || (!text.isEmpty && like(text.dropFirst(), pattern))
    }
    guard let first = text.first, element.isEmpty || element == [first] else { return false }
    return like(text.dropFirst(), pattern.dropFirst())
  }

  // MARK: CAST

  static func cast(_ value: OracleValue, _ type: ValueType) -> OracleValue {
    switch (value, type) {
    case (.int64, .int64), (.double, .double), (.bool, .bool), (.string, .string), (.timestamp, .timestamp):
      value
    case (.int64(let value), .double): .double(Double(value))
    case (.int64(let value), .bool): .bool(value != 0)
    case (.int64(let value), .timestamp): .timestamp(value)
    case (.int64(let value), .string): .string(String(value))
    case (.double(let value), .int64):
      Int64(exactly: value.rounded(.toNearestOrEven)).map { .int64($0) } ?? .failed
    case (.double(let value), .string): .string(value.description)
    case (.bool(let value), .int64): .int64(value ? 1 : 0)
    case (.bool(let value), .double): .double(value ? 1 : 0)
    case (.bool(let value), .string): .string(value ? "true" : "false")
    case (.timestamp(let value), .int64): .int64(value)
    case (.timestamp(let value), .string): timestampText(value)
    case (.string(let text), _): parsed(text.trimmingCharacters(in: [" "]), type)
    default: .failed
    }
  }

  private static func parsed(_ text: String, _ type: ValueType) -> OracleValue {
    switch type {
    case .int64:
      guard text.wholeMatch(of: /-?(0|[1-9][0-9]*)/) != nil else { return .failed }
      return Int64(text).map { .int64($0) } ?? .failed
    case .double:
      guard text.wholeMatch(of: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/) != nil,
        let value = Double(text), value.isFinite
      else { return .failed }
      return .double(value)
    case .bool:
      return ["true": .bool(true), "false": .bool(false)][text.lowercased()] ?? .failed
    default: return .failed
    }
  }

  private static func timestampText(_ microseconds: Int64) -> OracleValue {
    guard Limits.eventTimeMin...Limits.eventTimeMax ~= microseconds else { return .failed }
    return .string(RFC3339.format(EventTime(microseconds: microseconds)))
  }

  // MARK: Time

  static func extract(_ part: TimePart, _ time: OracleValue) -> OracleValue {
    guard case .timestamp(let microseconds) = time else { return .failed }
    let seconds =
      Int64((Double(microseconds / 1_000_000)).rounded(.down)) - (microseconds % 1_000_000 < 0 ? 1 : 0)
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(identifier: "UTC")!
    let date = Date(timeIntervalSince1970: Double(seconds))
    func component(_ name: Calendar.Component) -> Int64 { Int64(calendar.component(name, from: date)) }
    switch part {
    case .year: return .int64(component(.year))
    case .quarter: return .int64((component(.month) + 2) / 3)
    case .month: return .int64(component(.month))
    case .day: return .int64(component(.day))
    case .dow: return .int64(component(.weekday) - 1)
    case .isodow: return .int64((component(.weekday) + 5) % 7 + 1)
    case .doy: return .int64(Int64(calendar.ordinality(of: .day, in: .year, for: date)!))
    case .hour: return .int64(component(.hour))
    case .minute: return .int64(component(.minute))
    case .second: return .int64(component(.second))
    case .epoch: return .int64(seconds)
    }
  }

  // MARK: Functions

  static func call(_ name: String, _ values: [OracleValue]) -> OracleValue {
    switch values[0] {
    case .string(let text): string(name, Array(text.unicodeScalars), values)
    case .int64(let value)
    where ["abs", "sign", "round", "floor", "ceil", "trunc"].contains(name) && values.count == 1:
      switch name {
      case "abs": value == .min ? .failed : .int64(Swift.abs(value))
      case "sign": .int64(value > 0 ? 1 : value < 0 ? -1 : 0)
      default: .int64(value)
      }
    case .int64(let value): number(name, Double(value), values)
    case .double(let value): number(name, value, values)
    default: .failed
    }
  }

  private static func number(_ name: String, _ x: Double, _ values: [OracleValue]) -> OracleValue {
    switch name {
    case "abs": return .double(Swift.abs(x))
    case "sign": return .double(x > 0 ? 1 : x < 0 ? -1 : 0)
    case "floor": return .double(x.rounded(.down))
    case "ceil": return .double(x.rounded(.up))
    case "trunc": return .double(x.rounded(.towardZero))
    case "sqrt": return x < 0 ? .failed : .double(x.squareRoot())
    case "exp": return finite(PortableMath.exp(x))
    case "ln": return x > 0 ? .double(PortableMath.ln(x)) : .failed
    case "log10": return x > 0 ? .double(PortableMath.log10(x)) : .failed
    case "log2": return x > 0 ? .double(PortableMath.log2(x)) : .failed
    case "power":
      guard case .double(let y) = cast(values[1], .double) else { return .failed }
      return finite(PortableMath.pow(x, y))
    case "round":
      guard values.count == 2 else { return .double(x.rounded()) }
      guard case .int64(let digits) = values[1] else { return .failed }
      return finite(round(x, digits))
    default: return .failed
    }
  }

  private static func round(_ x: Double, _ digits: Int64) -> Double {
    if digits > 308 { return x }
    if digits < -308 { return 0 * x }
    let power = Double("1e\(Swift.abs(digits))")!
    if digits < 0 { return (x / power).rounded() * power }
    return Swift.abs(x * power) < 0x1p52 ? (x * power).rounded() / power : x
  }

  private static func string(_ name: String, _ text: [UnicodeScalar], _ values: [OracleValue]) -> OracleValue
  {
    func make(_ scalars: some Sequence<UnicodeScalar>) -> OracleValue {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: scalars)
      return limited(String(view))
    }
    func argument(_ index: Int) -> [UnicodeScalar] {
      if case .string(let value) = values[index] { return Array(value.unicodeScalars) }
      return []
    }
    func number(_ index: Int) -> Int128 {
      if case .int64(let value) = values[index] { return Int128(value) }
      return 0
    }
    switch name {
    case "lower":
      return make(text.map { $0.isASCII ? $0.properties.lowercaseMapping.unicodeScalars.first! : $0 })
    case "upper":
      return make(text.map { $0.isASCII ? $0.properties.uppercaseMapping.unicodeScalars.first! : $0 })
    case "length": return .int64(Int64(text.count))
    case "octet_length": return .int64(Int64(text.reduce(0) { $0 + UTF8.width($1) }))
    case "trim": return make(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    case "ltrim": return make(text.drop { $0 == " " })
    case "rtrim": return make(text.reversed().drop { $0 == " " }.reversed())
    case "substr":
      let from = number(1)
      if values.count == 3, number(2) < 0 { return .failed }
      let end = values.count == 3 ? from + number(2) : Int128.max
      return make(
        text.enumerated().filter { Int128($0.offset) + 1 >= from && Int128($0.offset) + 1 < end }.map(
          \.element))
    case "left":
      let count = number(1) >= 0 ? number(1) : max(0, Int128(text.count) + number(1))
      return make(text.prefix(Int(clamping: count)))
    case "right":
      let count = number(1) >= 0 ? number(1) : max(0, Int128(text.count) + number(1))
      return make(text.suffix(Int(clamping: count)))
    case "replace": return make(replace(text, argument(1), argument(2)))
    case "starts_with": return .bool(text.starts(with: argument(1)))
    case "ends_with": return .bool(text.reversed().starts(with: argument(1).reversed()))
    case "contains": return .bool(position(argument(1), text) > 0)
    case "strpos": return .int64(Int64(position(argument(1), text)))
    default: return .failed
    }
  }

  private static func position(_ part: [UnicodeScalar], _ text: [UnicodeScalar]) -> Int {
    (0...text.count).first { text.dropFirst($0).starts(with: part) }.map { $0 + 1 } ?? 0
  }

  private static func replace(
    _ text: [UnicodeScalar], _ part: [UnicodeScalar], _ other: [UnicodeScalar]
  ) -> [UnicodeScalar] {
    if part.isEmpty { return text }
    var result: [UnicodeScalar] = []
    var rest = text[...]
    while let first = rest.first {
      if rest.starts(with: part) {
        result += other
        rest = rest.dropFirst(part.count)
      } else {
        result.append(first)
        rest = rest.dropFirst()
      }
    }
    return result
  }
}
