import FeatureCore
import Testing
import TestSupport

/// Compiled programs against the tree-walking oracle.
@Suite struct ExpressionOracleTests {
  static let seeds: [UInt64] = [1, 2, 3, 4]
  static let expressionsPerSeed = 600
  static let rowsPerExpression = 5

  @Test(arguments: seeds) func randomExpressions(seed: UInt64) throws {
    var generator = ExpressionGenerator(seed: seed)
    var values = 0
    for index in 0..<Self.expressionsPerSeed {
      let type = generator.pick(ValueType.allCases)
      let tree = generator.make(type, 4)
      let text = tree.canonicalText
      try #require(try Expression.parse(text) == tree, "seed \(seed), expression \(index): \(text)")
      var builder = ProgramBuilder(columns: ExpressionGenerator.columns)
      guard let register = try Self.add(text, to: &builder) else {
        let oracle = ExpressionOracle(
          columns: ExpressionGenerator.columns, row: ExpressionGenerator.columns.map { _ in .null })
        #expect(oracle.evaluate(tree) == .failed, "seed \(seed), expression \(index): \(text)")
        continue
      }
      #expect(register.type == type, "seed \(seed), expression \(index): \(text)")
      let program = builder.build()
      for _ in 0..<Self.rowsPerExpression {
        let row = generator.row()
        let expected = ExpressionOracle(columns: ExpressionGenerator.columns, row: row).evaluate(tree)
        let found = evaluate(program, register, row)
        if case .null = expected {} else if expected != .failed { values += 1 }
        try #require(
          found == expected,
          "seed \(seed), expression \(index): \(text)\nrow \(row)\nfound \(found), expected \(expected)")
      }
    }
    // Not all may be null or failed, or the test shows nothing.
    #expect(values > Self.expressionsPerSeed)
  }

  /// Nil for an expression that fails whatever the row.
  static func add(_ text: String, to builder: inout ProgramBuilder) throws -> Register? {
    do {
      return try builder.add(text)
    } catch {
      if error.message.contains("always fails") { return nil }
      throw error
    }
  }

  @Test func timePartsAgreeWithTheCalendar() throws {
    var random = SplitMix64(seed: 9)
    for part in TimePart.allCases {
      var builder = ProgramBuilder(columns: [ExpressionColumn("ts", .timestamp)])
      let register = try builder.add("EXTRACT(\(part.rawValue) FROM ts)")
      let program = builder.build()
      for _ in 0..<300 {
        // From 1600 on: Foundation's calendar is Julian before 1582.
        let time = OracleValue.timestamp(
          .random(in: -11_676_096_000_000_000...Limits.eventTimeMax, using: &random))
        #expect(
          evaluate(program, register, [time]) == NaiveFunctions.extract(part, time), "\(part) of \(time)")
      }
    }
  }

  @Test func likeAgreesWithTheNaiveMatcher() throws {
    var random = SplitMix64(seed: 11)
    let columns = [ExpressionColumn("s", .string), ExpressionColumn("p", .string)]
    var builder = ProgramBuilder(columns: columns)
    let plain = try builder.add("s LIKE p")
    let escaped = try builder.add("s LIKE p ESCAPE '!'")
    let program = builder.build()
    func text(_ alphabet: [String], _ count: Int) -> String {
      (0..<Int.random(in: 0...count, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
        .joined()
    }
    for _ in 0..<20_000 {
      let row: [OracleValue] = [
        .string(text(["a", "b", "é", "日", "%"], 8)), .string(text(["a", "b", "é", "日", "%", "_", "!"], 6)),
      ]
      #expect(evaluate(program, plain, row) == NaiveFunctions.like(row[0], row[1], nil), "\(row)")
      let expected = NaiveFunctions.like(row[0], row[1], .string("!"))
      #expect(evaluate(program, escaped, row) == expected, "\(row)")
      guard case .string(let pattern) = row[1], expected != .failed else { continue }
      // A constant pattern may take another way.
      let constant = Expression.like(
        .column("s"), pattern: .literal(.string(pattern)), escape: .literal(.string("!")), negated: false)
      var single = ProgramBuilder(columns: columns)
      let register = try single.add(constant)
      #expect(evaluate(single.build(), register, row) == expected, "\(row)")
    }
  }
}
