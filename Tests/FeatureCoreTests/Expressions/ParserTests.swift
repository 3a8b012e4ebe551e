import FeatureCore
import Testing
import TestSupport

@Suite struct ParserTests {
  /// Left: as written. Right: with every parenthesis.
  @Test(arguments: [
    ("a OR b AND c", "a OR (b AND c)"),
    ("NOT a AND b", "(NOT a) AND b"),
    ("NOT a = b", "NOT (a = b)"),
    ("a = b IS NULL", "(a = b) IS NULL"),
    ("NOT a IS NULL", "NOT (a IS NULL)"),
    ("a + b * c", "a + (b * c)"),
    ("a - b - c", "(a - b) - c"),
    ("a / b * c % d // e", "(((a / b) * c) % d) // e"),
    ("-a * b", "(-a) * b"),
    ("a || b + c", "a || (b + c)"),
    ("a || b = c || d", "(a || b) = (c || d)"),
    ("a BETWEEN b + 1 AND c AND d", "(a BETWEEN (b + 1) AND c) AND d"),
    ("a BETWEEN b AND c = d", "(a BETWEEN b AND c) = d"),
    ("a IN (1, 2) = b", "(a IN (1, 2)) = b"),
    ("NOT a IN (1)", "NOT (a IN (1))"),
    ("a NOT IN (1) OR b", "(a NOT IN (1)) OR b"),
    ("a LIKE b || 'x' AND c", "(a LIKE (b || 'x')) AND c"),
    ("a < b IS NOT DISTINCT FROM c < d", "(a < b) IS NOT DISTINCT FROM (c < d)"),
    ("CASE WHEN a OR b THEN c + 1 END + 1", "(CASE WHEN (a OR b) THEN (c + 1) END) + 1"),
    ("- - a", "-(-a)"),
    ("+a", "a"),
  ])
  func precedence(written: String, explicit: String) throws {
    #expect(try Expression.parse(written) == Expression.parse(explicit))
  }

  @Test(arguments: [
    ("a<>1", "a  !=\n1", "a <> 1"),
    ("A and b", "A AND(b)", "A AND b"),
    ("((a))", "a", "a"),
    ("case when a then 1 else 2 end", "CASE\tWHEN (a) THEN (1) ELSE 2 END", "CASE WHEN a THEN 1 ELSE 2 END"),
    ("ABS(a)", "abs( a )", "abs(a)"),
    ("cast(a as BIGINT)", "CAST(a AS int64)", "CAST(a AS int64)"),
    ("pow(a, 2)", "POWER(a,2)", "power(a, 2)"),
    ("\"a\"", "a", "a"),
    ("\"order by\"", "\"order by\"", "\"order by\""),
    ("\"and\"", "(\"and\")", "\"and\""),
    ("'it''s'", "('it''s')", "'it''s'"),
    ("1e3", "1000.0", "1000.0"),
    ("-(5)", "-5", "-5"),
    (".5", "0.5", "0.5"),
    ("5.", "5.0", "5.0"),
    ("-9223372036854775808", "- 9223372036854775808", "-9223372036854775808"),
    (
      "timestamp '2024-01-01T01:00:00+01:00'", "TIMESTAMP '2024-01-01 00:00:00Z'",
      "TIMESTAMP '2024-01-01T00:00:00Z'"
    ),
    ("extract(HOUR from t)", "EXTRACT(hour FROM (t))", "EXTRACT(hour FROM t)"),
    ("position('a' in s)", "strpos(s, 'a')", "strpos(s, 'a')"),
    ("a is not null", "(a) IS NOT NULL", "a IS NOT NULL"),
    ("not (a and b)", "NOT (a AND b)", "NOT (a AND b)"),
    ("(a or b) and c", "((a OR b)) AND c", "(a OR b) AND c"),
    ("a - (b - c)", "a - ((b - c))", "a - (b - c)"),
    ("a like 'x' escape '!'", "a LIKE 'x' ESCAPE '!'", "a LIKE 'x' ESCAPE '!'"),
  ])
  func canonicalText(one: String, other: String, canonical: String) throws {
    let tree = try Expression.parse(one)
    #expect(tree.canonicalText == canonical)
    #expect(try Expression.parse(other).canonicalText == canonical)
    #expect(try Expression.parse(canonical) == tree)
  }

  @Test func differentMeaningsHaveDifferentTexts() throws {
    let texts = ["a", "A", "'a'", "1", "1.0", "a + b", "b + a", "a - b - c", "a - (b - c)", "NOT a", "-a"]
    let canonical = try texts.map { try Expression.parse($0).canonicalText }
    #expect(Set(canonical).count == texts.count)
  }

  @Test func columnsInOrderOfFirstUse() throws {
    let text = "CASE b WHEN a THEN c ELSE b END + \"d e\" * coalesce(a, f) + length('g')"
    #expect(try Expression.parse(text).columns == ["b", "a", "c", "d e", "f"])
  }

  @Test func limits() throws {
    let nested = { (depth: Int) in
      String(repeating: "(", count: depth) + "1" + String(repeating: ")", count: depth)
    }
    #expect(throws: Never.self) { try Expression.parse(nested(Limits.expressionDepthMax - 1)) }
    #expect(throws: ExpressionError.self) { try Expression.parse(nested(Limits.expressionDepthMax)) }
    #expect(throws: ExpressionError.self) { try Expression.parse(nested(5_000)) }
    for prefix in ["NOT ", "- ", "abs(", "CASE WHEN ", "1 IN ("] {
      let error = #expect(throws: ExpressionError.self) {
        try Expression.parse(String(repeating: prefix, count: 5_000) + "a")
      }
      #expect(error?.message.contains("nests at most") == true)
    }
    let sum = { (terms: Int) in Array(repeating: "a", count: terms).joined(separator: " + ") }
    let longest = try Expression.parse(sum(Limits.expressionNodesMax / 2))
    #expect(try Expression.parse(longest.canonicalText) == longest)
    #expect(throws: ExpressionError.self) { try Expression.parse(sum(Limits.expressionNodesMax)) }
  }

  /// No input may trap.
  @Test func garbageIsAnError() {
    var random = SplitMix64(seed: 5)
    let pieces = [
      "a", "1", "'x'", "\"", "'", "(", ")", ",", "+", "-", "*", "/", "//", "%", "=", "==", "<", "!", "||",
      "|", "AND",
      "OR", "NOT", "IS", "NULL", "CASE", "WHEN", "THEN", "ELSE", "END", "IN", "BETWEEN", "LIKE", "ESCAPE",
      "CAST(",
      "AS", "int64", "EXTRACT(", "FROM", "hour", "abs(", "1.", ".", "1e", "é", "\u{0}", "TIMESTAMP",
      "DISTINCT", ";",
    ]
    var parsed = 0
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...8, using: &random)
      let text = (0..<count).map { _ in pieces.randomElement(using: &random)! }.joined(separator: " ")
      var builder = ProgramBuilder(columns: [ExpressionColumn("a", .int64)])
      do {
        _ = try builder.add(text)
        parsed += 1
      } catch {
        #expect(error.offset >= 0 && error.offset <= text.utf8.count, "\(text)")
        #expect(!error.message.isEmpty)
      }
    }
    #expect(parsed > 0)
  }
}
