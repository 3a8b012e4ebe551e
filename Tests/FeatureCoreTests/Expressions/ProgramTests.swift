import FeatureCore
import Testing

@Suite struct ProgramTests {
  static let bools: [OracleValue] = [.bool(true), .bool(false), .null]

  /// SQL's truth tables, rows and columns in the order TRUE, FALSE, NULL.
  @Test func threeValuedLogic() throws {
    let (t, f, n) = (OracleValue.bool(true), OracleValue.bool(false), OracleValue.null)
    let tables: [(String, [[OracleValue]])] = [
      ("a AND b", [[t, f, n], [f, f, f], [n, f, n]]),
      ("a OR b", [[t, t, t], [t, f, n], [t, n, n]]),
      ("a = b", [[t, f, n], [f, t, n], [n, n, n]]),
      ("a IS DISTINCT FROM b", [[f, t, t], [t, f, t], [t, t, f]]),
      ("a IS NOT DISTINCT FROM b", [[t, f, f], [f, t, f], [f, f, t]]),
      ("a IN (b, TRUE)", [[t, t, t], [f, t, n], [n, n, n]]),
      ("a NOT IN (b, TRUE)", [[f, f, f], [t, f, n], [n, n, n]]),
    ]
    let columns = [ExpressionColumn("a", .bool), ExpressionColumn("b", .bool)]
    for (text, table) in tables {
      for (a, expected) in zip(Self.bools, table) {
        for (b, value) in zip(Self.bools, expected) {
          #expect(try evaluate(text, columns, [a, b]) == value, "\(text) of \(a), \(b)")
        }
      }
    }
    let tests: [(String, [OracleValue])] = [
      ("NOT a", [f, t, n]), ("a IS TRUE", [t, f, f]), ("a IS NOT TRUE", [f, t, t]),
      ("a IS FALSE", [f, t, f]),
      ("a IS NOT FALSE", [t, f, t]), ("a IS NULL", [f, f, t]), ("a IS NOT NULL", [t, t, f]),
    ]
    for (text, expected) in tests {
      for (a, value) in zip(Self.bools, expected) {
        #expect(try evaluate(text, columns, [a, .null]) == value, "\(text) of \(a)")
      }
    }
  }

  /// One line a rule of docs/expressions.md.
  @Test(arguments: [
    ("7 / 2", OracleValue.double(3.5)), ("7 // 2", .int64(3)), ("-7 // 2", .int64(-3)),
    ("-7 % 2", .int64(-1)),
    ("7 % -2", .int64(1)), ("7.5 % 2", .double(1.5)), ("1 / 0", .null), ("1 // 0", .null), ("1 % 0", .null),
    ("1.0 / 0", .null), ("1.5 % 0", .null), ("div(7, 2)", .int64(3)), ("mod(7, 2)", .int64(1)),
    ("1 + 1.5", .double(2.5)), ("1 = 1.0", .bool(true)), ("-9223372036854775808 % -1", .int64(0)),
    ("'a' || 'b'", .string("ab")), ("'a' < 'é'", .bool(true)), ("'Z' < 'a'", .bool(true)),
    ("round(2.5)", .double(3)), ("round(-2.5)", .double(-3)), ("round(1234.5678, 2)", .double(1234.57)),
    ("round(1234.5, -2)", .double(1200)), ("round(3)", .int64(3)), ("floor(-1.5)", .double(-2)),
    ("ceil(1.2)", .double(2)), ("trunc(-1.7)", .double(-1)), ("abs(-3)", .int64(3)),
    ("sign(-2.5)", .double(-1)),
    ("sqrt(9)", .double(3)), ("exp(0)", .double(1)), ("ln(1)", .double(0)), ("log10(1000)", .double(3)),
    ("log2(8)", .double(3)), ("power(2, 10)", .double(1024)), ("greatest(1, NULL, 3)", .int64(3)),
    ("least(2, 1.5)", .double(1.5)), ("coalesce(NULL, 2, 3)", .int64(2)), ("nullif(0, 0)", .null),
    ("nullif(1, 0)", .int64(1)), ("lower('ÀB')", .string("Àb")), ("upper('straße')", .string("STRAßE")),
    ("length('日本')", .int64(2)), ("octet_length('日本')", .int64(6)), ("trim('  a b ')", .string("a b")),
    ("ltrim(' a ')", .string("a ")), ("rtrim(' a ')", .string(" a")), ("substr('hello', 2)", .string("ello")),
    ("substr('hello', 2, 3)", .string("ell")), ("substr('hello', 0, 2)", .string("h")),
    ("left('grün', 3)", .string("grü")), ("left('grün', -1)", .string("grü")),
    ("right('grün', 2)", .string("ün")),
    ("right('grün', -1)", .string("rün")), ("concat('a', NULL, 1, TRUE)", .string("a1true")),
    ("replace('banana', 'an', '-')", .string("b--a")), ("starts_with('abc', 'ab')", .bool(true)),
    ("ends_with('abc', 'bc')", .bool(true)), ("contains('abc', 'x')", .bool(false)),
    ("strpos('日本語', '語')", .int64(3)), ("position('x' IN 'abc')", .int64(0)),
    ("'100%' LIKE '100!%' ESCAPE '!'", .bool(true)), ("'abc' LIKE 'a_c'", .bool(true)),
    ("'abc' NOT LIKE '%b%'", .bool(false)), ("2 BETWEEN 1 AND 3", .bool(true)), ("2 IN (1, 2)", .bool(true)),
    ("CAST(2.5 AS int64)", .int64(2)), ("CAST(3.5 AS int64)", .int64(4)),
    ("CAST(' 12 ' AS int64)", .int64(12)),
    ("CAST('1e3' AS double)", .double(1000)), ("CAST('TRUE' AS bool)", .bool(true)),
    ("CAST(0.1 AS string)", .string("0.1")),
    ("CAST(TRUE AS int64)", .int64(1)), ("CAST(5 AS bool)", .bool(true)),
    ("CAST(TIMESTAMP '2024-01-01T00:00:00Z' AS string)", .string("2024-01-01T00:00:00Z")),
    ("CAST('1970-01-01T00:00:01Z' AS timestamp)", .timestamp(1_000_000)),
    ("CAST(TIMESTAMP '1970-01-01T00:00:01Z' AS int64)", .int64(1_000_000)),
    ("TIMESTAMP '2024-01-02T00:00:00Z' - TIMESTAMP '2024-01-01T00:00:00Z'", .int64(86_400_000_000)),
    ("TIMESTAMP '1970-01-01T00:00:01Z' + 1", .timestamp(1_000_001)),
    ("extract(dow FROM TIMESTAMP '2024-02-29T12:34:56Z')", .int64(4)),
    ("extract(doy FROM TIMESTAMP '2024-02-29T12:34:56Z')", .int64(60)),
    ("extract(epoch FROM TIMESTAMP '1969-12-31T23:59:59.5Z')", .int64(-1)),
    ("CASE WHEN 1 > 2 THEN 'a' WHEN NULL THEN 'b' ELSE 'c' END", .string("c")),
    ("CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END", .string("b")), ("CASE 3 WHEN 1 THEN 'a' END", .null),
    ("1 IN (2, NULL)", .null), ("1 IN (1, NULL)", .bool(true)), ("1 NOT IN (2, NULL)", .null),
  ])
  func values(text: String, expected: OracleValue) throws {
    #expect(try evaluate(text) == expected)
  }

  @Test(arguments: [
    ("n + 1", OracleValue.int64(.max), ScalarFailure.integerOverflow),
    ("n * 2", .int64(.max), .integerOverflow),
    ("-n", .int64(.min), .integerOverflow), ("abs(n)", .int64(.min), .integerOverflow),
    ("n // -1", .int64(.min), .integerOverflow), ("n - 1", .int64(.min), .integerOverflow),
    ("exp(n)", .int64(1000), .notFinite), ("power(10, n)", .int64(400), .notFinite),
    ("sqrt(n)", .int64(-1), .domain),
    ("ln(n)", .int64(0), .domain), ("power(-8, 1.0 / n)", .int64(3), .domain),
    ("CAST(n * 1e10 AS int64)", .int64(.max), .castFailed),
    ("CAST(CAST(n AS string) || 'x' AS int64)", .int64(1), .castFailed),
    ("CAST(CAST(n AS timestamp) AS string)", .int64(.max), .castFailed),
    ("substr('abc', 1, n)", .int64(-1), .domain),
    (
      "replace(replace(replace(concat('aaaaaaaaaa', n), 'a', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'), 'b', 'cccccccccccccccccccccccccccccc'), 'c', 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd')",
      .int64(1), .textTooLong
    ),
  ])
  func failures(text: String, n: OracleValue, failure: ScalarFailure) throws {
    var builder = ProgramBuilder(columns: [ExpressionColumn("n", .int64)])
    let register = try builder.add(text)
    let program = builder.build()
    var registers = Array(repeating: Scalar.null, count: program.registerCount)
    let arena = TextArena()
    registers.withUnsafeMutableBufferPointer { buffer in
      program.prepare(buffer.baseAddress!)
      buffer[0] = n.scalar(arena)
      program.run(buffer.baseAddress!, arena: arena)
    }
    #expect(registers[register.index].tag == .failed)
    #expect(registers[register.index].bits == UInt64(failure.rawValue))
  }

  /// What SQL doesn't evaluate may fail.
  @Test(arguments: [
    ("CASE WHEN n > 0 THEN ln(n) ELSE 0 END", OracleValue.double(0)),
    ("n <> 0 AND ln(n) > 0", .bool(false)), ("ln(n) > 0 AND n <> 0", .bool(false)),
    ("n = 0 OR ln(n) > 0", .bool(true)), ("ln(n) > 0 OR n = 0", .bool(true)),
    ("coalesce(n, CAST(ln(n) AS int64))", .int64(0)), ("n IN (CAST(ln(n) AS int64), 0)", .bool(true)),
    ("CASE n WHEN 0 THEN 1 WHEN CAST(ln(n) AS int64) THEN 2 END", .int64(1)), ("ln(n) IS NULL", .failed),
    ("coalesce(ln(n), 1)", .failed), ("CASE WHEN ln(n) > 0 THEN 1 ELSE 2 END", .failed),
    ("(ln(n) > 0) IS NOT TRUE", .failed), ("greatest(1, ln(n))", .failed),
    ("CAST(NULL AS double) + ln(n)", .failed),
    ("CASE WHEN n = 0 THEN 1 ELSE 9223372036854775807 + 1 END", .int64(1)),
  ])
  func failuresStayWhereTheyAreNotNeeded(text: String, expected: OracleValue) throws {
    #expect(try evaluate(text, [ExpressionColumn("n", .int64)], [.int64(0)]) == expected)
  }

  @Test func commonPartsAreComputedOnce() throws {
    let columns = [ExpressionColumn("event_type", .string), ExpressionColumn("price", .double)]
    var builder = ProgramBuilder(columns: columns)
    let click = try builder.add("event_type = 'click'")
    #expect(try builder.add(" (event_type)='click' ") == click)
    #expect(try builder.add("'click' = event_type") == click)
    let both = try builder.add("event_type = 'click' AND price > 1 + 1")
    #expect(try builder.add("event_type = 'click' AND price > 2.0") == both)
    #expect(try builder.add("event_type LIKE 'click'") == click)
    #expect(try builder.add("price") == Register(index: 1, type: .double))
    let program = builder.build()
    let row: [OracleValue] = [.string("click"), .double(3)]
    #expect(evaluate(program, click, row) == .bool(true))
    #expect(evaluate(program, both, row) == .bool(true))
    #expect(evaluate(program, both, [.string("view"), .double(3)]) == .bool(false))
  }

  /// A failed `add` leaves nothing behind that changes the others.
  @Test func errorsLeaveTheBuilderAsItWas() throws {
    var builder = ProgramBuilder(columns: [ExpressionColumn("n", .int64)])
    let first = try builder.add("n + 1")
    let count = builder.build().registerCount
    #expect(throws: ExpressionError.self) { try builder.add("n * 7 + missing") }
    #expect(builder.build().registerCount == count)
    let second = try builder.add("n * 2")
    let program = builder.build()
    #expect(evaluate(program, first, [.int64(5)]) == .int64(6))
    #expect(evaluate(program, second, [.int64(5)]) == .int64(10))
  }

  /// A buffer serves many rows, and a program outlives its builder.
  @Test func registersAreReusable() throws {
    func make() throws -> (Program, Register) {
      var builder = ProgramBuilder(columns: [ExpressionColumn("s", .string)])
      let register = try builder.add("CASE WHEN s = 'click through' THEN upper(s) || '!' ELSE 'other' END")
      return (builder.build(), register)
    }
    let (program, register) = try make()
    let registers = UnsafeMutablePointer<Scalar>.allocate(capacity: program.registerCount)
    defer { registers.deallocate() }
    let arena = TextArena()
    program.prepare(registers)
    for round in 0..<1_000 {
      arena.reset()
      let text: OracleValue = round.isMultiple(of: 2) ? .string("click through") : .string("view")
      registers[0] = text.scalar(arena)
      program.run(registers, arena: arena)
      let expected: OracleValue = round.isMultiple(of: 2) ? .string("CLICK THROUGH!") : .string("other")
      #expect(OracleValue(registers[register.index], .string) == expected)
    }
  }

  @Test func wholeTextsAreCompared() throws {
    let columns = [ExpressionColumn("a", .string), ExpressionColumn("b", .string)]
    var builder = ProgramBuilder(columns: columns)
    let equal = try builder.add("a = b")
    let less = try builder.add("a < b")
    let program = builder.build()
    for length in 0...40 {
      let text = String(repeating: "x", count: length)
      #expect(evaluate(program, equal, [.string(text), .string(text)]) == .bool(true))
      for position in 0..<length {
        var other = Array(text.utf8)
        other[position] = UInt8(ascii: "y")
        let row: [OracleValue] = [.string(text), .string(String(decoding: other, as: UTF8.self))]
        #expect(evaluate(program, equal, row) == .bool(false), "\(row)")
        #expect(evaluate(program, less, row) == .bool(true), "\(row)")
      }
    }
  }
}
