/// Compiles the computed fields of a source, each after those that it names.
struct ComputedCompiler {
  private let path: DefinitionPath
  private let zones: [String: TimeZoneRules]
  /// The columns that are there: those that are read, then the computed ones in the order of their computation.
  private(set) var columns: [EventSchema.Column]
  private(set) var computations: [Computation] = []
  private(set) var mistakes: [Mistake] = []

  init(
    _ columns: [EventSchema.Column], path: DefinitionPath = DefinitionPath(), zones: [String: TimeZoneRules]
  ) {
    self.zones = zones
    self.columns = columns
    self.path = path.child("fields")
  }

  mutating func compile(_ source: Source) {
    var pending: [(name: String, text: String, expression: Expression)] = []
    // What names a field with a mistake can't be checked, and nothing is said about it.
    var broken: Set<String> = []
    // By name, so that the order of the file changes nothing.
    for field in source.fields.sorted(by: { Text($0.name) < Text($1.name) }) {
      guard let text = field.compute else { continue }
      do {
        pending.append((field.name, text, try Expression.parse(text)))
      } catch {
        broken.insert(field.name)
        report(field.name, error)
      }
    }
    while !pending.isEmpty {
      let names = Set(pending.map(\.name))
      guard let next = pending.firstIndex(where: { names.isDisjoint(with: $0.expression.columns) }) else {
        reportCycles(pending.map { ($0.name, $0.expression.columns.filter(names.contains)) })
        return
      }
      let (name, text, expression) = pending.remove(at: next)
      guard broken.isDisjoint(with: expression.columns) else {
        broken.insert(name)
        continue
      }
      do {
        try compile(name, text, expression)
      } catch {
        broken.insert(name)
        report(name, error)
      }
    }
  }

  private mutating func compile(
    _ name: String, _ text: String, _ expression: Expression
  ) throws(ExpressionError) {
    // Checked against every column, so that suggestions know them all.
    var checker = ProgramBuilder(
      columns: columns.map { ExpressionColumn($0.name, $0.type) }, zones: zones)
    _ = try checker.add(text)
    let used = Set(expression.columns)
    let operands = columns.indices.filter { used.contains(columns[$0].name) }
    var builder = ProgramBuilder(
      columns: operands.map { ExpressionColumn(columns[$0].name, columns[$0].type) }, zones: zones)
    let result = try builder.add(expression)
    computations.append(
      Computation(
        column: columns.count, operands: operands, program: builder.build(), result: result.index))
    columns.append(EventSchema.Column(name: name, type: result.type, origin: .computed))
  }

  private mutating func report(_ name: String, _ error: ExpressionError) {
    mistakes.append(
      Mistake(
        path.child(name).child("compute"), offset: error.offset, error.message, suggestion: error.suggestion))
  }

  private mutating func reportCycles(_ pending: [(name: String, others: [String])]) {
    for (name, others) in pending {
      mistakes.append(
        Mistake(
          path.child(name).child("compute"),
          "'\(name)' is computed from '\(others.joined(separator: "', '"))', which depends on it in turn",
          suggestion: "break the cycle"))
    }
  }
}

/// How a column is computed from others of its row.
struct Computation: Sendable {
  var column: Int
  /// Column i of the program is `operands[i]` of the row.
  var operands: [Int]
  var program: Program
  var result: Int
}

/// Computes the columns of rows. One owner, one thread.
final class RowComputer {
  private let computations: [Computation]
  private let registers: [UnsafeMutablePointer<Scalar>]

  init(_ computations: [Computation]) {
    self.computations = computations
    registers = computations.map { computation in
      let memory = UnsafeMutablePointer<Scalar>.allocate(capacity: computation.program.registerCount)
      computation.program.prepare(memory)
      return memory
    }
  }

  deinit { for memory in registers { memory.deallocate() } }

  /// Writes the computed columns of a row whose other columns are there. Texts are of the arena.
  func run(_ row: UnsafeMutablePointer<Scalar>, arena: TextArena) throws(DecodeFailure) {
    for (computation, registers) in zip(computations, registers) {
      for (index, column) in computation.operands.enumerated() { registers[index] = row[column] }
      computation.program.run(registers, arena: arena)
      let value = registers[computation.result]
      guard value.tag != .failed else {
        var failure = DecodeFailure(.computationFailed, column: computation.column, offset: 0)
        failure.failure = ScalarFailure(rawValue: UInt8(truncatingIfNeeded: value.bits))
        throw failure
      }
      row[computation.column] = value
    }
  }
}
