import FeatureCore

/// A value of the oracle.
enum OracleValue: Equatable, CustomStringConvertible {
  case null
  case failed
  case int64(Int64)
  case double(Double)
  case bool(Bool)
  case string(String)
  case timestamp(Int64)

  var description: String {
    switch self {
    case .null: "NULL"
    case .failed: "failed"
    case .int64(let value): "\(value)"
    case .double(let value): "\(value)e0"
    case .bool(let value): "\(value)"
    case .string(let value): "'\(value.prefix(100))'"
    case .timestamp(let value): "ts \(value)"
    }
  }

  /// Bit for bit: Swift's String has no say in what is equal.
  static func == (lhs: OracleValue, rhs: OracleValue) -> Bool {
    switch (lhs, rhs) {
    case (.null, .null), (.failed, .failed): true
    case (.int64(let a), .int64(let b)), (.timestamp(let a), .timestamp(let b)): a == b
    case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
    case (.bool(let a), .bool(let b)): a == b
    case (.string(let a), .string(let b)): Array(a.unicodeScalars) == Array(b.unicodeScalars)
    default: false
    }
  }

  init(_ scalar: Scalar, _ type: ValueType) {
    switch (scalar.tag, type) {
    case (.null, _): self = .null
    case (.failed, _): self = .failed
    case (.value, .int64): self = .int64(scalar.int64)
    case (.value, .double): self = .double(scalar.double)
    case (.value, .bool): self = .bool(scalar.bits != 0)
    case (.value, .string): self = .string(String(decoding: scalar.text, as: UTF8.self))
    case (.value, .timestamp): self = .timestamp(scalar.int64)
    }
  }

  /// The scalar, with text in the arena.
  func scalar(_ arena: TextArena) -> Scalar {
    switch self {
    case .null: return .null
    case .failed: return .failed(.domain)
    case .int64(let value), .timestamp(let value): return .int64(value)
    case .double(let value): return .double(value)
    case .bool(let value): return .bool(value)
    case .string(let value):
      let bytes = arena.allocate(value.utf8.count)
      bytes.copyBytes(from: value.utf8)
      return .text(UnsafeRawBufferPointer(bytes))
    }
  }
}

/// Compiles one expression and runs it on one row.
func evaluate(_ program: Program, _ register: Register, _ row: [OracleValue]) -> OracleValue {
  let arena = TextArena()
  let registers = UnsafeMutablePointer<Scalar>.allocate(capacity: program.registerCount)
  defer { registers.deallocate() }
  program.prepare(registers)
  for (index, value) in row.enumerated() { registers[index] = value.scalar(arena) }
  program.run(registers, arena: arena)
  return OracleValue(registers[register.index], register.type)
}

/// The value of a text over no columns or given ones.
func evaluate(
  _ text: String, _ columns: [ExpressionColumn] = [], _ row: [OracleValue] = [],
  expecting: ValueType? = nil
) throws -> OracleValue {
  var builder = ProgramBuilder(columns: columns)
  let register = try builder.add(text, expecting: expecting)
  return evaluate(builder.build(), register, row)
}
