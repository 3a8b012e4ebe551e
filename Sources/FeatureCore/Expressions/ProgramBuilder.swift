/// Where a program keeps the value of an expression.
public struct Register: Hashable, Sendable {
  /// The index in the register buffer.
  public let index: Int
  /// The type of the value.
  public let type: ValueType

  /// A register from its parts.
  public init(index: Int, type: ValueType) {
    self.index = index
    self.type = type
  }
}

/// Builds one program out of several expressions; what they have in common is computed once.
public struct ProgramBuilder {
  private let columns: [ExpressionColumn]
  private let zones: [String: TimeZoneRules]
  private var code: CodeBuilder
  private var roots: [Int] = []

  /// Registers 0..<columns.count are the columns, which the caller of the program writes. `zones` has the time zones that
  /// expressions may name.
  public init(columns: [ExpressionColumn], zones: [String: TimeZoneRules] = ["UTC": .utc]) {
    self.columns = columns
    self.zones = zones
    code = CodeBuilder(columnCount: columns.count)
  }

  /// Parses, checks and compiles a text. Expecting a double accepts an int64, which is converted.
  public mutating func add(
    _ text: String, expecting: ValueType? = nil
  ) throws(ExpressionError) -> Register {
    try add(try Expression.parse(text), text: text, expecting: expecting)
  }

  /// Checks and compiles a tree.
  public mutating func add(
    _ expression: Expression, expecting: ValueType? = nil
  ) throws(ExpressionError) -> Register {
    try add(expression, text: nil, expecting: expecting)
  }

  /// The program of everything that was added.
  public func build() -> Program { code.program(roots: roots) }

  private mutating func add(
    _ expression: Expression, text: String?, expecting: ValueType?
  ) throws(ExpressionError) -> Register {
    var compiler = Compiler(
      columns: columns, zones: zones, source: text.map { Array($0.utf8) } ?? [], code: code)
    let register = try compiler.compile(expression, expecting: expecting)
    if let failure = compiler.failure(of: register) {
      throw ExpressionError(offset: expression.offset, "the expression always fails: \(failure.explanation)")
    }
    code = compiler.code
    roots.append(register.index)
    return register
  }
}
