/// Collects instructions, each distinct computation once; computes at once what has only constants.
struct CodeBuilder {
  private let columnCount: Int
  /// Destinations are 0 in the keys: two computations are the same whatever their registers.
  private var computed: [Instruction: Int] = [:]
  private var instructions: [Instruction] = []
  private var pool: [Constant: Int] = [:]
  private var constants: [(register: Int, scalar: Scalar)] = []
  /// The value of each register that is a constant.
  private var known: [Scalar?]
  private let texts = TextArena()
  /// Clocks and patterns that constants name.
  let objects = ProgramObjects()

  /// A constant by its bits, so that 0.0 and -0.0 stay two.
  private struct Constant: Hashable {
    var tag: Scalar.Tag
    var bits: UInt64
    var text: Text?
  }

  init(columnCount: Int) {
    self.columnCount = columnCount
    known = Array(repeating: nil, count: columnCount)
  }

  /// The scalar of a register that is a constant.
  func constant(_ register: Int) -> Scalar? { known[register] }

  // MARK: Constants

  /// A register that holds a constant that is not text.
  mutating func constant(_ scalar: Scalar) -> Int {
    intern(Constant(tag: scalar.tag, bits: scalar.bits, text: nil), scalar)
  }

  /// A register that holds a copy of a text.
  mutating func constant(_ text: Text) -> Int {
    let key = Constant(tag: .value, bits: 0, text: text)
    if let register = pool[key] { return register }
    let bytes = texts.allocate(text.utf8.count)
    bytes.copyBytes(from: text.utf8)
    return intern(key, .text(UnsafeRawBufferPointer(bytes)))
  }

  private mutating func intern(_ key: Constant, _ scalar: Scalar) -> Int {
    if let register = pool[key] { return register }
    let register = known.count
    pool[key] = register
    known.append(scalar)
    constants.append((register, scalar))
    return register
  }

  // MARK: Instructions

  /// The register of a computation.
  mutating func emit(_ opcode: Opcode, _ a: Int, _ b: Int = 0, _ c: Int = 0) -> Int {
    var key = Instruction(opcode, a, b, c)
    if let register = shortcut(opcode, a, b, c) { return register }
    if let register = folded(key) { return register }
    if isSymmetric(opcode), known[a] != nil {
      // 'click' = event_type is event_type = 'click'.
      key = Instruction(opcode, b, a)
    }
    if let register = computed[key] { return register }
    let register = known.count
    known.append(nil)
    computed[key] = register
    key.destination = Int32(register)
    instructions.append(key)
    return register
  }

  private func isSymmetric(_ opcode: Opcode) -> Bool {
    switch opcode {
    case .equalInt64, .equalDouble, .equalText, .notEqualInt64, .notEqualDouble, .notEqualText: true
    default: false
    }
  }

  /// Computations that one constant operand decides or leaves to the other operand.
  private mutating func shortcut(_ opcode: Opcode, _ a: Int, _ b: Int, _ c: Int) -> Int? {
    switch opcode {
    case .and, .or:
      for (decided, other) in [(a, b), (b, a)] {
        guard let value = known[decided], value.isValue else { continue }
        return value.isTrue == (opcode == .and) ? other : decided
      }
      return nil
    case .select:
      guard let condition = known[a] else { return nil }
      if condition.tag == .failed { return a }
      return condition.isTrue ? b : c
    case .coalesce:
      guard let first = known[a] else { return nil }
      return first.tag == .null ? b : a
    default: return nil
    }
  }

  private mutating func folded(_ instruction: Instruction) -> Int? {
    var registers: [Scalar] = [.null]
    for operand in instruction.operands {
      guard let value = known[operand] else { return nil }
      registers.append(value)
    }
    registers += Array(repeating: .null, count: 4 - registers.count)
    registers.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("Cannot fold without registers") }
      Program.execute(Instruction(instruction.opcode, 1, 2, 3), base, texts)
    }
    let result = registers[0]
    guard result.isValue, instruction.opcode.givesText else { return constant(result) }
    return constant(Text(result.text))
  }

  // MARK: Result

  /// The program, without computations that neither a root nor another computation needs.
  func program(roots: [Int]) -> Program {
    var needed = Set(roots)
    var kept: [Instruction] = []
    for instruction in instructions.reversed() where needed.contains(Int(instruction.destination)) {
      needed.formUnion(instruction.operands)
      kept.append(instruction)
    }
    return Program(
      registerCount: max(1, known.count), columnCount: columnCount, instructions: kept.reversed(),
      constants: constants.filter { needed.contains($0.register) }, texts: texts, objects: objects)
  }
}
