import FeatureCore
import Foundation
import Testing
import TestSupport

/// Functions of times, patterns and hashes, by example and against what others make of the same.
@Suite struct FunctionTests {
  private static let columns = [
    ExpressionColumn("s", .string), ExpressionColumn("t", .timestamp), ExpressionColumn("u", .timestamp),
    ExpressionColumn("n", .int64), ExpressionColumn("d", .double), ExpressionColumn("b", .bool),
  ]

  private func value(
    _ text: String, s: String? = nil, t: Int64? = nil, u: Int64? = nil, n: Int64? = nil, d: Double? = nil
  ) throws -> OracleValue {
    var builder = ProgramBuilder(columns: Self.columns, zones: TestZones.all)
    let register = try builder.add(text)
    let row: [OracleValue] = [
      s.map { .string($0) } ?? .null, t.map { .timestamp($0) } ?? .null, u.map { .timestamp($0) } ?? .null,
      n.map { .int64($0) } ?? .null, d.map { .double($0) } ?? .null, .null,
    ]
    return evaluate(builder.build(), register, row)
  }

  private static func time(_ text: String) -> Int64 {
    Array(text.utf8).withUnsafeBytes { RFC3339.parse($0)?.microseconds ?? .min }
  }

  @Test(arguments: [
    ("year", "2024-01-01T00:00:00Z"), ("quarter", "2024-07-01T00:00:00Z"), ("month", "2024-08-01T00:00:00Z"),
    ("week", "2024-08-12T00:00:00Z"), ("day", "2024-08-15T00:00:00Z"), ("hour", "2024-08-15T13:00:00Z"),
    ("minute", "2024-08-15T13:47:00Z"), ("second", "2024-08-15T13:47:58Z"), ("Days", "2024-08-15T00:00:00Z"),
    ("millisecond", "2024-08-15T13:47:58.123Z"), ("microsecond", "2024-08-15T13:47:58.123456Z"),
  ])
  func truncatedTimes(unit: String, expected: String) throws {
    let time = Self.time("2024-08-15T13:47:58.123456Z")
    #expect(try value("date_trunc('\(unit)', t)", t: time) == .timestamp(Self.time(expected)))
    #expect(try value("date_trunc('\(unit)', t, 'UTC')", t: time) == .timestamp(Self.time(expected)))
    #expect(try value("date_trunc('\(unit)', t)") == .null)
  }

  @Test(arguments: [
    ("day", "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z"),
    ("month", "2024-03-31T22:30:00Z", "2024-03-31T22:00:00Z"),
    ("hour", "2024-03-31T01:59:00Z", "2024-03-31T01:00:00Z"),
    ("year", "2023-12-31T23:00:00Z", "2023-12-31T23:00:00Z"),
    ("hour", "2024-10-27T01:30:00Z", "2024-10-27T01:00:00Z"),
    ("week", "2024-10-27T23:00:00Z", "2024-10-27T23:00:00Z"),
  ])
  func truncatedLocalTimes(unit: String, time: String, expected: String) throws {
    #expect(
      try value("date_trunc('\(unit)', t, 'Europe/Berlin')", t: Self.time(time))
        == .timestamp(Self.time(expected)))
  }

  @Test(
    arguments: [
      ("day", "2024-02-28T23:59:59Z", "2024-03-01T00:00:00Z", 2),
      ("day", "2024-03-01T00:00:00Z", "2024-02-28T23:59:59Z", -2),
      ("month", "2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z", 1),
      ("year", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", 1),
      ("week", "2024-08-11T23:00:00Z", "2024-08-12T00:00:00Z", 1),
      ("quarter", "2023-12-31T00:00:00Z", "2024-04-01T00:00:00Z", 2),
      ("hour", "2024-01-01T00:59:59Z", "2024-01-01T01:00:00Z", 1),
      ("second", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.5Z", -1),
    ] as [(String, String, String, Int64)])
  func differences(unit: String, from: String, to: String, expected: Int64) throws {
    #expect(
      try value("date_diff('\(unit)', t, u)", t: Self.time(from), u: Self.time(to)) == .int64(expected))
  }

  /// Truncating gives a time of which every smaller part is least, and no later one does.
  @Test func truncationAgreesWithTheCalendar() throws {
    var random = SplitMix64(seed: 41)
    var calendar = Calendar(identifier: .iso8601)
    calendar.timeZone = .gmt
    let components: [(String, Calendar.Component)] = [
      ("year", .year), ("month", .month), ("week", .weekOfYear), ("day", .day), ("hour", .hour),
      ("minute", .minute),
    ]
    for (unit, component) in components {
      for _ in 0..<300 {
        let seconds = Int64.random(in: -11_676_096_000...253_402_300_000, using: &random)
        let start = try #require(
          calendar.dateInterval(of: component, for: Date(timeIntervalSince1970: Double(seconds)))?.start)
        #expect(
          try value("date_trunc('\(unit)', t)", t: seconds * 1_000_000)
            == .timestamp(Int64(start.timeIntervalSince1970) * 1_000_000), "\(unit) of \(seconds)")
      }
    }
  }

  @Test func partsOnAClock() throws {
    let time = Self.time("2024-03-30T23:30:00Z")
    #expect(try value("extract(hour FROM t AT TIME ZONE 'Europe/Berlin')", t: time) == .int64(0))
    #expect(try value("EXTRACT(day from t at time zone 'Europe/Berlin')", t: time) == .int64(31))
    #expect(try value("extract(hour FROM t AT TIME ZONE 'America/St_Johns')", t: time) == .int64(20))
    #expect(
      try value("extract(epoch FROM t AT TIME ZONE 'Europe/Berlin')", t: time) == .int64(time / 1_000_000))
    #expect(throws: ExpressionError.self) {
      try value("extract(hour FROM t AT TIME ZONE 'Mars/Base')", t: time)
    }
    #expect(throws: ExpressionError.self) { try value("extract(hour FROM t AT TIME ZONE s)", t: time) }
  }

  @Test(
    arguments: [
      ("a/b/c", "/", 1, "a"), ("a/b/c", "/", 3, "c"), ("a/b/c", "/", 4, ""), ("a/b/c", "/", -1, "c"),
      ("a/b/c", "/", -3, "a"), ("a/b/c", "/", -4, ""), ("abc", "/", 1, "abc"), ("abc", "/", -1, "abc"),
      ("", "/", 1, ""),
      ("a::b", "::", 2, "b"), ("a:::b", "::", 2, ":b"), ("/a", "/", 1, ""), ("a", "", 1, "a"),
      ("a", "", 2, ""),
      ("日本", "本", 1, "日"),
    ] as [(String, String, Int64, String)])
  func splitParts(text: String, separator: String, number: Int64, expected: String) throws {
    #expect(try value("split_part(s, '\(separator)', n)", s: text, n: number) == .string(expected))
  }

  @Test func partZeroDoesNotExist() throws {
    #expect(try value("split_part(s, '/', n)", s: "a", n: 0) == .failed)
  }

  @Test func castsThatMayFail() throws {
    #expect(try value("TRY_CAST(s AS int64)", s: "12") == .int64(12))
    #expect(try value("try_cast(s AS int64)", s: "x") == .null)
    #expect(try value("try_cast(s AS timestamp)", s: "x") == .null)
    #expect(try value("try_cast(d AS int64)", d: 1e300) == .null)
    #expect(try value("try_cast('x' AS double)") == .null)
    #expect(try value("coalesce(try_cast(s AS double), 0.5)", s: "") == .double(0.5))
    #expect(
      try value("try_cast(n + 1 AS string)", n: .max) == .failed, "what its operand does is another matter")
    let tree = try Expression.parse("try_cast(s as bigint)")
    #expect(tree.canonicalText == "TRY_CAST(s AS int64)")
    #expect(try Expression.parse(tree.canonicalText) == tree)
  }

  @Test func likeInAnyCase() throws {
    #expect(try value("s ILIKE 'CLICK%'", s: "click_through") == .bool(true))
    #expect(try value("s NOT ILIKE '%Ü%'", s: "Grün") == .bool(true), "ASCII letters alone")
    #expect(try value("s ilike 'a!%' ESCAPE '!'", s: "A%") == .bool(true))
  }

  @Test func hashesAreStable() throws {
    // XXH64 with seed 0, without its highest bit.
    #expect(try value("hash(s)", s: "") == .int64(Int64(bitPattern: 0xEF46_DB37_51D8_E999 >> 1)))
    #expect(try value("hash(s)", s: "a") == .int64(Int64(bitPattern: 0xD24E_C4F1_A98C_6E5B >> 1)))
    #expect(try value("hash(d)", d: 0.0) == (try value("hash(d)", d: -0.0)))
    #expect(try value("hash(n)", n: 1) == (try value("hash(t)", t: 1)))
    #expect(try value("hash(n)") == .null)
    #expect(try value("hash(n) >= 0", n: -1) == .bool(true))
  }

  // MARK: Patterns

  @Test(
    arguments: [
      ("user-(\\d+)", "xx user-42.", 1, "42"), ("a|ab", "ab", 0, "a"), ("(a|ab)(c|bcd)", "abcd", 0, "abcd"),
      ("a*?b", "aab", 0, "aab"), ("(a*)(a*)", "aaa", 2, ""), ("a{2}", "aaa", 0, "aa"),
      ("a{2,}?", "aaa", 0, "aa"),
      ("^[^@]+@([a-z.]+)$", "me@example.org", 1, "example.org"), ("(?i)ABC", "xabc", 0, "abc"),
      ("[[:-]]", "a:]", 0, ":]"),
      ("\\bcat\\b", "a cat.", 0, "cat"), ("日.", "x日本", 0, "日本"), ("[^a]", "a\u{10FFFF}", 0, "\u{10FFFF}"),
      ("(?:ab)+", "ababx", 0, "abab"), ("(?P<x>b)", "abc", 1, "b"), ("", "abc", 0, ""), ("x?", "abc", 0, ""),
      ("[a\\]b]+", "a]b", 0, "a]b"), ("[-a]+", "a-a", 0, "a-a"), ("a{,2}", "a{,2}", 0, "a{,2}"),
      ("\\.", "a.b", 0, "."),
    ] as [(String, String, Int, String)])
  func extracts(pattern: String, text: String, group: Int, expected: String) throws {
    #expect(try value("regexp_extract(s, '\(pattern)', \(group))", s: text) == .string(expected))
    #expect(try value("regexp_matches(s, '\(pattern)')", s: text) == .bool(true))
  }

  @Test func whatDoesNotMatchIsNull() throws {
    #expect(try value("regexp_extract(s, 'x')", s: "abc") == .null)
    #expect(try value("regexp_extract(s, '(x)|b', 1)", s: "abc") == .null)
    #expect(try value("regexp_matches(s, '^b')", s: "abc") == .bool(false))
    #expect(try value("regexp_matches(s, 'b$')", s: "abc") == .bool(false))
    #expect(try value("regexp_matches(s, 'b')") == .null)
  }

  @Test(arguments: [
    "(", ")", "[", "[b-a]", "*", "a**", "a{3,2}", "a{2000}", "\\1", "\\", "(?=a)", "(?<n", "\\y", "[a",
  ])
  func patternsThatCannotBeRead(pattern: String) {
    #expect(throws: ExpressionError.self) { try value("regexp_matches(s, '\(pattern)')", s: "a") }
  }

  @Test func patternsAreConstants() {
    #expect(throws: ExpressionError.self) { try value("regexp_matches(s, s)", s: "a") }
    #expect(throws: ExpressionError.self) { try value("regexp_extract(s, 'a', 1)", s: "a") }
  }

  /// What takes a backtracking matcher for ever.
  @Test(.timeLimit(.minutes(1))) func hostilePatternsTakeLinearTime() throws {
    let text = String(repeating: "a", count: 50_000)
    #expect(try value("regexp_matches(s, '^(a+)+$')", s: text + "b") == .bool(false))
    #expect(try value("regexp_matches(s, '(a|a)*(a|aa)+b')", s: text) == .bool(false))
    #expect(
      try value("regexp_extract(s, '(a?){50}a{50}', 0)", s: String(repeating: "a", count: 50))
        == .string(String(repeating: "a", count: 50)))
  }

  /// Random patterns, and what ICU finds by them. Loops around what may be empty are left out: engines differ there.
  @Test func patternsAgreeWithICU() throws {
    let seed: UInt64 = 1_968
    var random = SplitMix64(seed: seed)
    func pick<T>(_ choices: [T]) -> T { choices[Int.random(in: 0..<choices.count, using: &random)] }
    func atom(_ depth: Int) -> String {
      guard depth > 0, Int.random(in: 0..<3, using: &random) == 0 else {
        return pick(["a", "b", "→", ".", "[ab]", "[^a]", "\\d", "\\w", "\\W", "[a-c1]", "1", " "])
      }
      return pick(["(", "(?:"]) + choice(depth - 1) + ")"
    }
    func part(_ depth: Int) -> String {
      // A group may match nothing: it is not repeated without end.
      let single = pick(["a", "b", "[ab]", ".", "→", "\\w"])
      switch Int.random(in: 0..<4, using: &random) {
      case 0: return single + pick(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,3}?"])
      case 1: return atom(depth) + pick(["", "?", "{2}"])
      case 2: return pick(["", "^", "$", "\\b"]) + atom(depth)
      default: return atom(depth)
      }
    }
    func sequence(_ depth: Int) -> String {
      (0..<Int.random(in: 1...3, using: &random)).map { _ in part(depth) }.joined()
    }
    func choice(_ depth: Int) -> String {
      (0..<pick([1, 1, 2, 3])).map { _ in sequence(depth) }.joined(separator: "|")
    }
    var found = 0
    for index in 0..<2_000 {
      let pattern = choice(2)
      let reference = try NSRegularExpression(pattern: pattern)
      for _ in 0..<3 {
        let text = (0..<Int.random(in: 0...8, using: &random)).map { _ in
          pick(["a", "b", "→", "1", " ", "c"])
        }.joined()
        let match = reference.firstMatch(in: text, range: NSRange(text.startIndex..., in: text))
        let expected: OracleValue =
          match.flatMap { Range($0.range, in: text) }.map { .string(String(text[$0])) } ?? .null
        if expected != .null { found += 1 }
        #expect(
          try value("regexp_extract(s, '\(pattern)')", s: text) == expected,
          "seed \(seed), pattern \(index): \(pattern) in '\(text)'")
      }
    }
    #expect(found > 1_000)
  }
}
