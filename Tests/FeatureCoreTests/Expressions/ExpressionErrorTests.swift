import FeatureCore
import Testing

@Suite struct ExpressionErrorTests {
  static let columns = [
    ExpressionColumn("event_type", .string), ExpressionColumn("price", .double),
    ExpressionColumn("quantity", .int64), ExpressionColumn("ts", .timestamp), ExpressionColumn("flag", .bool),
  ]

  struct Case: Sendable, CustomTestStringConvertible {
    var text: String
    var offset: Int
    var message: String
    var suggestion: String

    init(_ text: String, _ offset: Int, _ message: String, _ suggestion: String = "") {
      self.text = text
      self.offset = offset
      self.message = message
      self.suggestion = suggestion
    }

    var testDescription: String { text }
  }

  static let cases = [
    Case("event_type == 'click'", 11, "'==' is no operator", "equality is ="),
    Case("flag && flag", 5, "'&&' is no operator", "AND"),
    Case("!flag", 0, "'!' is no operator", "NOT"),
    Case("flag | flag", 5, "'|' is no operator", "OR"),
    Case("price::int64", 5, "'::' is no operator", "CAST(x AS type)"),
    Case("quantity ^ 2", 9, "'^' is no operator", "power"),
    Case("event_type = \"click\"", 13, "column \"click\" is unknown", "strings take single quotes: 'click'"),
    Case("event_tipe = 'click'", 0, "column \"event_tipe\" is unknown", "did you mean 'event_type'?"),
    Case("zzz", 0, "column \"zzz\" is unknown", "columns are event_type, price"),
    Case("Price > 1", 0, "column \"Price\" is unknown", "did you mean 'price'?"),
    Case("flor(price)", 0, "there is no function 'flor'", "did you mean 'floor'?"),
    Case("log(price)", 0, "there is no function 'log'", "ln is the natural logarithm"),
    Case("hour(price)", 0, "there is no function 'hour'", "extract(hour FROM t)"),
    Case("len(event_type)", 0, "there is no function 'len'", "did you mean 'length'?"),
    Case("event", 0, "column \"event\" is unknown", "columns that begin so are event_type;"),
    Case("sum(price)", 0, "there is no function 'sum'", "aggregates are features"),
    Case("now()", 0, "there is no function 'now'", "without a clock"),
    Case("round(price, 1, 2)", 0, "round takes 1 to 2 arguments, not 3", "usage: round(x)"),
    Case("greatest()", 0, "greatest takes at least 1 argument, not 0", "usage: greatest"),
    Case("price = NULL", 8, "a comparison with NULL is never true", "use IS NULL"),
    Case("price <> NULL", 9, "a comparison with NULL is never true", "use IS NOT NULL"),
    Case("CASE WHEN flag THEN 1", 21, "expected END to close the CASE that starts at byte 0, found the end"),
    Case("CASE price WHEN NULL THEN 1 END", 16, "WHEN NULL never matches", "IS NULL"),
    Case("CASE flag END", 10, "expected WHEN after CASE"),
    Case("(price", 6, "expected ')' to close the parenthesis, found the end of the expression"),
    Case("price)", 5, "found ')'", "there is no ( for this )"),
    Case("price price", 6, "expected an operator or the end", "is an operator missing"),
    Case("price +", 7, "expected a value, found the end of the expression"),
    Case("", 0, "expected a value, found the end of the expression"),
    Case("price + * 2", 8, "expected a value, found '*'"),
    Case("'abc", 0, "no closing '", "written ''"),
    Case("\"abc", 0, "no closing \"", "written \"\""),
    Case("1 < 2 < 3", 6, "comparisons can't be chained", "a < b AND b < c"),
    Case("quantity IN ()", 13, "expected a value", "at least one value"),
    Case("price IS 5", 9, "expected NULL, TRUE, FALSE or DISTINCT FROM after IS", "equality is ="),
    Case("price NOT 5", 10, "expected IN, BETWEEN or LIKE after NOT"),
    Case("9223372036854775808", 0, "does not fit int64", "9223372036854775808.0"),
    Case("1e999", 0, "does not fit a double"),
    Case("12abc", 2, "a number can't be followed by 'a'", "double quotes"),
    Case("CAST(price AS integre)", 14, "there is no type 'integre'", "types are string"),
    Case("CAST(price AS timestmp)", 14, "there is no type 'timestmp'", "did you mean 'timestamp'?"),
    Case("CAST(price AS bool)", 0, "there is no CAST from double to bool", "x <> 0"),
    Case("CAST(price AS timestamp)", 0, "there is no CAST from double to timestamp"),
    Case("EXTRACT(huor FROM ts)", 8, "no part 'huor'", "did you mean 'hour'?"),
    Case("EXTRACT(hour FROM price)", 18, "EXTRACT needs a timestamp, this is a double"),
    Case("TIMESTAMP 'yesterday'", 10, "'yesterday' is no timestamp", "2024-01-31T00:00:00Z"),
    Case("ts > '2024-01-01'", 5, "can't mix timestamp and string", "TIMESTAMP '"),
    Case("ts > 5", 5, "can't mix timestamp and int64", "microseconds"),
    Case("ts * 2", 3, "with a timestamp", "microseconds"),
    Case("event_type + 'x'", 0, "'+' needs a number, this is a string", "joined by ||"),
    Case("event_type || quantity", 14, "|| needs a string, this is a int64", "concat"),
    Case("NOT price", 4, "NOT needs a bool, this is a double"),
    Case("flag AND quantity", 9, "AND needs a bool, this is a int64"),
    Case("price // 2", 6, "divide int64 values", "trunc(x / y)"),
    Case("coalesce(price, event_type)", 16, "coalesce can't mix double and string", "CAST"),
    Case("CASE WHEN flag THEN 1 ELSE 'x' END", 27, "CASE can't mix int64 and string"),
    Case("CASE WHEN price THEN 1 END", 10, "WHEN needs a bool"),
    Case("length(price)", 7, "length needs a string, this is a double"),
    Case("event_type LIKE 'a' ESCAPE 'xy'", 27, "one ASCII character"),
    Case("event_type LIKE 'a!' ESCAPE '!'", 16, "ends with its escape character", "written twice"),
    Case("NULL", 0, "the type of NULL is unknown", "CAST(NULL AS double)"),
    Case("coalesce(NULL, NULL)", 0, "the type of NULL is unknown", "CAST(NULL AS double)"),
    Case("9223372036854775807 + 1", 20, "always fails: integer overflow"),
    Case("sqrt(-1)", 0, "always fails: an argument is outside"),
    Case("and = 1", 0, "expected a value, found 'and'", "\"and\""),
    Case("price; 1", 5, "';' is no operator"),
    Case("price ? 1", 6, "'?' has no meaning here"),
  ]

  @Test(arguments: cases) func messages(_ example: Case) {
    let error = #expect(throws: ExpressionError.self) {
      var builder = ProgramBuilder(columns: Self.columns)
      _ = try builder.add(example.text)
    }
    guard let error else { return }
    #expect(error.message.contains(example.message), "\(error)")
    #expect(error.offset == example.offset, "\(error)")
    #expect((error.suggestion ?? "").contains(example.suggestion), "\(error)")
  }

  @Test func expectedTypes() throws {
    var builder = ProgramBuilder(columns: Self.columns)
    #expect(try builder.add("quantity", expecting: .double).type == .double)
    #expect(try builder.add("NULL", expecting: .string).type == .string)
    #expect(try builder.add("price > 1", expecting: .bool).type == .bool)
    let error = #expect(throws: ExpressionError.self) { try builder.add("price", expecting: .bool) }
    #expect(error?.message == "expected an expression of type bool, this one is double")
    #expect(throws: ExpressionError.self) { try builder.add("price", expecting: .int64) }
  }
}
