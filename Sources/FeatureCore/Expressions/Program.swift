/// Straight-line code for one or more expressions, which share what they have in common.
///
/// Every instruction runs; none jumps. A computation that fails leaves a failure in its register, and CASE,
/// COALESCE, AND and OR look only at what they need: what SQL would not have evaluated can fail without harm.
///
/// Immutable and shareable between threads. Owns the memory of its constants.
public final class Program: Sendable {
  /// How many scalars a register buffer has.
  public let registerCount: Int
  /// How many of them, the first ones, the caller writes before each run.
  public let columnCount: Int
  /// How many instructions a run executes.
  public let instructionCount: Int
  nonisolated(unsafe) private let instructions: UnsafeMutablePointer<Instruction>
  nonisolated(unsafe) private let constants: [(register: Int, scalar: Scalar)]
  /// Keeps the constants' text alive. Nothing reads the arena itself.
  nonisolated(unsafe) private let texts: TextArena
  /// Keeps alive what constants name.
  private let objects: ProgramObjects

  init(
    registerCount: Int, columnCount: Int, instructions: [Instruction],
    constants: [(register: Int, scalar: Scalar)], texts: TextArena, objects: ProgramObjects
  ) {
    self.registerCount = registerCount
    self.columnCount = columnCount
    self.instructionCount = instructions.count
    self.instructions = .allocate(capacity: max(1, instructions.count))
    self.instructions.initialize(from: instructions, count: instructions.count)
    self.constants = constants
    self.texts = texts
    self.objects = objects
  }

  deinit { instructions.deallocate() }

  /// Loads the constants into their registers: once per register buffer, as no instruction overwrites them.
  /// All other registers become null.
  public func prepare(_ registers: UnsafeMutablePointer<Scalar>) {
    registers.initialize(repeating: .null, count: registerCount)
    for constant in constants { registers[constant.register] = constant.scalar }
  }

  /// Runs every instruction. Numeric work doesn't allocate; new text goes to the arena.
  public func run(_ registers: UnsafeMutablePointer<Scalar>, arena: TextArena) {
    var next = UnsafePointer(instructions)
    let end = next + instructionCount
    while next != end {
      Self.execute(next.pointee, registers, arena)
      next += 1
    }
  }
}
