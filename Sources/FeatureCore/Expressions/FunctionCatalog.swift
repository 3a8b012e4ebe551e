/// The functions that a call may name.
enum FunctionCatalog {
  struct Function {
    /// The canonical, lower-case name.
    var name: String
    var arity: ClosedRange<Int>
    /// How a call looks, for messages.
    var usage: String

    var arityText: String {
      switch (arity.lowerBound, arity.upperBound) {
      case (let least, .max): "at least \(least) argument\(least == 1 ? "" : "s")"
      case (1, 1): "1 argument"
      case (let least, let most) where least == most: "\(least) arguments"
      case (let least, let most): "\(least) to \(most) arguments"
      }
    }
  }

  private static let functions: [Function] = [
    Function(name: "abs", arity: 1...1, usage: "abs(x)"),
    Function(name: "sign", arity: 1...1, usage: "sign(x)"),
    Function(name: "round", arity: 1...2, usage: "round(x) or round(x, digits)"),
    Function(name: "floor", arity: 1...1, usage: "floor(x)"),
    Function(name: "ceil", arity: 1...1, usage: "ceil(x)"),
    Function(name: "trunc", arity: 1...1, usage: "trunc(x)"),
    Function(name: "sqrt", arity: 1...1, usage: "sqrt(x)"),
    Function(name: "exp", arity: 1...1, usage: "exp(x)"),
    Function(name: "ln", arity: 1...1, usage: "ln(x)"),
    Function(name: "log10", arity: 1...1, usage: "log10(x)"),
    Function(name: "log2", arity: 1...1, usage: "log2(x)"),
    Function(name: "power", arity: 2...2, usage: "power(x, y)"),
    Function(name: "mod", arity: 2...2, usage: "mod(x, y)"),
    Function(name: "div", arity: 2...2, usage: "div(x, y)"),
    Function(name: "greatest", arity: 1...Int.max, usage: "greatest(x, y, ...)"),
    Function(name: "least", arity: 1...Int.max, usage: "least(x, y, ...)"),
    Function(name: "coalesce", arity: 1...Int.max, usage: "coalesce(x, y, ...)"),
    Function(name: "nullif", arity: 2...2, usage: "nullif(x, y)"),
    Function(name: "lower", arity: 1...1, usage: "lower(s)"),
    Function(name: "upper", arity: 1...1, usage: "upper(s)"),
    Function(name: "length", arity: 1...1, usage: "length(s)"),
    Function(name: "octet_length", arity: 1...1, usage: "octet_length(s)"),
    Function(name: "trim", arity: 1...1, usage: "trim(s)"),
    Function(name: "ltrim", arity: 1...1, usage: "ltrim(s)"),
    Function(name: "rtrim", arity: 1...1, usage: "rtrim(s)"),
    Function(name: "substr", arity: 2...3, usage: "substr(s, from) or substr(s, from, count)"),
    Function(name: "left", arity: 2...2, usage: "left(s, count)"),
    Function(name: "right", arity: 2...2, usage: "right(s, count)"),
    Function(name: "concat", arity: 1...Int.max, usage: "concat(x, y, ...)"),
    Function(name: "replace", arity: 3...3, usage: "replace(s, from, to)"),
    Function(name: "starts_with", arity: 2...2, usage: "starts_with(s, prefix)"),
    Function(name: "ends_with", arity: 2...2, usage: "ends_with(s, suffix)"),
    Function(name: "contains", arity: 2...2, usage: "contains(s, part)"),
    Function(name: "strpos", arity: 2...2, usage: "strpos(s, part)"),
    Function(name: "split_part", arity: 3...3, usage: "split_part(s, separator, number)"),
    Function(name: "regexp_matches", arity: 2...2, usage: "regexp_matches(s, 'pattern')"),
    Function(
      name: "regexp_extract", arity: 2...3,
      usage: "regexp_extract(s, 'pattern') or regexp_extract(s, 'pattern', group)"),
    Function(name: "hash", arity: 1...1, usage: "hash(x)"),
    Function(
      name: "date_trunc", arity: 2...3, usage: "date_trunc('day', t) or date_trunc('day', t, 'Europe/Berlin')"
    ),
    Function(name: "date_diff", arity: 3...3, usage: "date_diff('day', from, to)"),
  ]

  private static let aliases = [
    "ceiling": "ceil", "pow": "power", "substring": "substr", "char_length": "length", "ifnull": "coalesce",
    "datediff": "date_diff", "datetrunc": "date_trunc", "regexp_like": "regexp_matches",
    "regexp_contains": "regexp_matches",
  ]

  private static let byName = Dictionary(uniqueKeysWithValues: functions.map { ($0.name, $0) })

  /// The function of a lower-case name or alias.
  static func function(_ name: String) -> Function? { byName[aliases[name] ?? name] }

  /// What was meant by an unknown name.
  static func suggestion(_ name: String) -> String? {
    switch name {
    case "log": return "ln is the natural logarithm; log10 and log2 are the others"
    case "if", "iif": return "CASE WHEN condition THEN x ELSE y END"
    case "isnull": return "x IS NULL"
    case "isnan", "is_nan": return "no value is NaN: a computation that would give it fails"
    case "len", "strlen": return "did you mean 'length'?"
    case "date_part", "datepart", "year", "month", "day", "hour", "minute", "second", "dayofweek", "weekday",
      "epoch":
      return "extract(hour FROM t), of UTC or AT TIME ZONE 'Europe/Berlin'"
    case "to_timestamp", "from_unixtime": return "CAST(microseconds AS timestamp)"
    case "date_add", "date_sub": return "t + microseconds: t + 86400000000 is a day later"
    case "count", "sum", "avg", "min", "max":
      return "aggregates are features of their own; greatest and least compare values of one row"
    case "now", "current_timestamp":
      return
        "events are folded without a clock, so that a replay gives the same values; now() is for 'derive'"
    default:
      let names = functions.map(\.name) + aliases.keys.sorted() + ["cast", "try_cast", "extract", "position"]
      return Suggestion.didYouMean(name, among: names)
    }
  }
}
