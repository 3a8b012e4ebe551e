import DefinitionFiles
import FeatureCore
import Testing

/// Files that are wrong, and every word that is said about them: line, column, what is wrong, what was meant.
@Suite struct BrokenFileTests {
  private func expect(_ text: String, _ expected: [String]) {
    let error = #expect(throws: DefinitionFileError.self) {
      try DefinitionFile.parse(text, file: "f.yaml") { _, _ in [] }
    }
    let found = error?.problems.map { problem in
      "\(problem.line):\(problem.column): \(problem.message)"
        + (problem.suggestion.map { "; \($0)" } ?? "")
    }
    #expect(found == expected)
  }

  private static let head = """
    name: n
    sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }

    """

  static let files: [(String, [String])] = [
    (
      "",
      [
        "1:1: the file is empty; a definitions file has a name, sources and views"
      ]
    ),
    (
      "# nothing\n",
      [
        "1:1: the file is empty; a definitions file has a name, sources and views"
      ]
    ),
    (
      "---\n",
      [
        "1:1: the file is empty; a definitions file has a name, sources and views"
      ]
    ),
    (
      "- a\n- b\n",
      [
        "1:1: expected a definitions file: a mapping with the keys name, version, time_zone, sources, joins, views, services, models, found a list"
      ]
    ),
    (
      "just text\n",
      [
        "1:1: expected a definitions file: a mapping with the keys name, version, time_zone, sources, joins, views, services, models, found 'just text'"
      ]
    ),
    (
      "~",
      [
        "1:1: expected a definitions file: a mapping with the keys name, version, time_zone, sources, joins, views, services, models, found '~'"
      ]
    ),
    (
      "{}\n",
      [
        "1:1: a definitions file needs 'name'; for example name: shop",
        "1:1: a definitions file needs 'sources'; for example sources: { clicks: ... }",
        "1:1: a definitions file needs 'views'; for example views: { user_activity: ... }",
      ]
    ),
    (
      "name: n\nversoin: 2\nsources: {}\nviews: {}\n",
      [
        "2:1: unknown key 'versoin' in a definitions file; did you mean 'version'?"
      ]
    ),
    (
      "nmae: n\nsources: {}\nviews: {}\n",
      [
        "1:1: unknown key 'nmae' in a definitions file; did you mean 'name'?"
      ]
    ),
    (
      "name: n\nsources: {}\nviews: {}\nfoo: 1\n",
      [
        "4:1: unknown key 'foo' in a definitions file; the keys are name, version, time_zone, sources, joins, views, services, models"
      ]
    ),
    (
      "name: [a]\nsources: {}\nviews: {}\n",
      [
        "1:7: expected a name, found a list"
      ]
    ),
    (
      "name:\nsources:\nviews: []\n",
      [
        "1:1: expected a name, found nothing",
        "2:1: expected a mapping of sources by name, found nothing",
        "3:8: expected a mapping of views by name, found a list",
      ]
    ),
    (
      "name: n\nversion: 0\nsources: {}\nviews: {}\n",
      [
        "2:10: a version is a whole number from 1, found 0"
      ]
    ),
    (
      "name: n\nversion: '1'\nsources: {}\nviews: {}\n",
      [
        "2:10: expected a whole number, found the text '1'; remove the quotes"
      ]
    ),
    (
      "name: n\nversion: 1.5\nsources: {}\nviews: {}\n",
      [
        "2:10: expected a whole number, found '1.5'"
      ]
    ),
    (
      "name: n\nversion: one\nsources: {}\nviews: {}\n",
      [
        "2:10: expected a whole number, found 'one'"
      ]
    ),
    (
      "name: n\nversion: 010\nsources: {}\nviews: {}\n",
      [
        "2:10: '010' has leading zeros, which some YAML readers take for octal; write 10, or quote it if it is text"
      ]
    ),
    (
      "name: n\ntime_zone: Europe/Berln\nsources: {}\nviews: {}\n",
      [
        "2:12: unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?"
      ]
    ),
    (
      "name: n\ntime_zone: berlin\nsources: {}\nviews: {}\n",
      [
        "2:12: unknown time zone 'berlin'; did you mean 'Europe/Berlin'?"
      ]
    ),
    (
      "name: n\ntime_zone: CEST\nsources: {}\nviews: {}\n",
      [
        "2:12: unknown time zone 'CEST'; did you mean 'CET'?"
      ]
    ),
    (
      "name: n\nsources: {}\nviews: {}\n---\nname: m\n",
      [
        "5:1: a second YAML document begins here; a definitions file holds one; remove the '---' before this or use two files"
      ]
    ),
    (
      "name: n\n\tsources: {}\n",
      [
        "2:1: not valid YAML: found a tab character that violates indentation (while scanning a plain scalar of line 1); YAML is indented with spaces, not with tabs"
      ]
    ),
    (
      "name: n\nsources: { a: b\nviews: {}\n",
      [
        "3:6: not valid YAML: did not find expected ',' or '}' (while parsing a flow mapping of line 2); look for a missing quote, bracket, comma or indentation here or above"
      ]
    ),
    (
      "name: a: b\n",
      [
        "1:8: not valid YAML: mapping values are not allowed in this context; quote a text that contains ': '"
      ]
    ),
    (
      "name: *x\n",
      [
        "1:7: not valid YAML: found undefined alias; define it with '&name' above"
      ]
    ),
    (
      #"name: "x\#n"#,
      [
        "2:1: not valid YAML: found unexpected end of stream (while scanning a quoted scalar of line 1)"
      ]
    ),
    (
      "name: n\nbell: \"\u{7}\"\n",
      [
        "2:8: control character U+7 is not allowed in YAML; in a double-quoted text write it as an escape"
      ]
    ),
    (
      "? [a, b]\n: c\nname: n\nsources: {}\nviews: {}\n",
      [
        "1:3: a key must be text, found a list"
      ]
    ),
    (
      #"name: n\#nname: m\#nsources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } }, s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }\#nviews:\#n  v:\#n    source: s\#n    entity: a\#n    features:\#n      'f': { derive: a }\#n      g: { derive: b }\#n      f: { derive: c }\#n      "f": { derive: d }\#n"#,
      [
        "2:1: duplicate key 'name': line 1 has it already; keep one of them",
        "3:78: duplicate key 's': line 3 has it already; keep one of them",
        "11:7: duplicate key 'f': line 9 has it already; keep one of them",
        "12:7: duplicate key 'f': line 9 has it already; keep one of them",
      ]
    ),
    (
      "name: n\nname: m\nsources: [\n",
      [
        "4:1: not valid YAML: did not find expected node content (while parsing a flow node of line 4); look for a missing quote, bracket, comma or indentation here or above"
      ]
    ),
  ]

  static let sources: [(String, [String])] = [
    (
      "{}",
      [
        "3:3: a source needs 'fields'; for example fields: { user_id: string }",
        "3:3: a source needs 'timestamp'; for example timestamp: { field: ts, unit: ms }",
      ]
    ),
    (
      "clicks",
      [
        "3:6: expected a source: a mapping with the keys topic, key, timestamp, each, fields, partitioner, max_ahead, table, capture, duplicates, format, owner, description, tags, found 'clicks'"
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms } }",
      [
        "3:3: a source needs 'fields'; for example fields: { user_id: string }"
      ]
    ),
    (
      "{ timestamp: ts, fields: { a: string } }",
      [
        "3:19: expected a timestamp: a mapping with the keys field, unit, time_zone, text, any_time, record, found 'ts'; write { field: ts, unit: ms }"
      ]
    ),
    (
      "{ timestamp: { feild: ts, unit: ms }, fields: { a: string } }",
      [
        "3:21: unknown key 'feild' in a timestamp; did you mean 'field'?"
      ]
    ),
    (
      "{ timestamp: { field: ts }, fields: { a: string } }",
      [
        "3:8: a timestamp needs 'unit'; for example unit: ms (s, ms, us, ns, text or rfc3339)"
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: millis }, fields: { a: string } }",
      [
        "3:38: unknown time unit 'millis'; did you mean 'ms'?"
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: parsecs }, fields: { a: string } }",
      [
        "3:38: unknown time unit 'parsecs'; one of s, ms, us, ns, rfc3339, text"
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms }, fields: { a: strng, b: int, c: [string], d: { type: timestamp, unit: mss }, e: { type: string, unit: ms }, f: { unit: ms }, g: blob } }",
      [
        "3:57: unknown type 'strng'; did you mean 'string'?",
        "3:67: unknown type 'int'; did you mean 'int64'?",
        "3:75: expected one of string, int64, double, bool, timestamp, found a list",
        "3:113: unknown time unit 'mss'; did you mean 'ms'?",
        "3:145: only a timestamp has a unit, and this is of type string",
        "3:151: a field needs 'type'; for example type: timestamp",
        "3:171: unknown type 'blob'; one of string, int64, double, bool, timestamp",
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms }, fields: { c: { header: [x], type: string }, d: { header: d, compute: b } } }",
      [
        "3:67: expected the name of a header, found a list",
        "3:101: 'header' does not go with 'compute': the expression has a type of its own; remove it",
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms, time_zone: UTC }, fields: { a: { type: string, text: true }, b: { type: string, time_zone: UTC }, c: { type: timestamp, unit: text, text: true }, d: { type: int64, text: 1 }, e: { type: timestamp, unit: text, time_zone: Europe/Berln } } }",
      [
        "3:133: only a timestamp has a time zone, and this is of type string",
        "3:212: expected true or false, found '1'",
        "3:262: unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms }, fields: [a, b] }",
      [
        "3:52: expected a mapping of field names to types, found a list"
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms }, fields: { a: string }, partitioner: murmur3, max_ahead: 5 }",
      [
        "3:80: unknown partitioner 'murmur3'; did you mean 'murmur2'?",
        "3:100: '5' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '5s'?",
      ]
    ),
    (
      "{ timestamp: { field: ts, unit: ms }, fields: { a: string }, partitioner: crc32, max_ahead: 5 min, topic: [x], key: }",
      [
        "3:80: unknown partitioner 'crc32'; did you mean 'unknown'?",
        "3:98: '5 min' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '5m'?",
        "3:112: expected the name of a topic, found a list",
        "3:117: expected the name of a field, found nothing",
      ]
    ),
  ]

  static let views: [(String, [String])] = [
    (
      "views: { v: { } }",
      [
        "3:10: a view needs 'entity'; for example entity: [user_id]",
        "3:10: a view needs 'features'; for example features: { clicks: ... }",
        "3:10: a view needs 'source'; for example source: clicks",
      ]
    ),
    (
      "views: { v: { source: s, entity: [a, [b]], emit: evnt, features: [f] } }",
      [
        "3:38: expected the name of a field, found a list",
        "3:50: unknown emit 'evnt'; did you mean 'event'?",
        "3:66: expected a mapping of features by name, found a list",
      ]
    ),
    (
      "views: { v: { sorce: s, entity: a, wehre: a, features: {} } }",
      [
        "3:15: unknown key 'sorce' in a view; did you mean 'source'?",
        "3:36: unknown key 'wehre' in a view; did you mean 'where'?",
      ]
    ),
  ]

  static let features: [(String, [String])] = [
    (
      "{}",
      [
        "3:49: a feature needs 'aggregate', 'derive' or 'column'; for example aggregate: count"
      ]
    ),
    (
      "a / b",
      [
        #"3:52: expected a feature: a mapping with the keys aggregate, derive, column, default, value, label, where, windows, k, counters, q, half_life, buckets, baseline, owner, description, tags, found 'a / b'; write { derive: "..." } or { aggregate: ..., windows: [...] }"#
      ]
    ),
    (
      "{ aggregate: cuont, windows: 1h }",
      [
        "3:65: unknown aggregate 'cuont'; did you mean 'count'?"
      ]
    ),
    (
      "{ aggregate: avg, windows: 1h }",
      [
        "3:65: unknown aggregate 'avg'; did you mean 'mean'?"
      ]
    ),
    (
      "{ aggregate: blah, windows: 1h }",
      [
        "3:65: unknown aggregate 'blah'; one of count, sum, product, mean, min, max, variance, stddev, first, last, first_k, last_k, last_distinct_k, count_distinct, approx_quantile, top_k, top_k_counts, top_k_errors, top_k_certain, count_by, histogram, decayed_sum, decayed_count, seconds_since_last, auc, auc_bound, pr_auc, expected_auc, log_loss, normalized_entropy, calibration, ece, brier, mae, rmse, bias, psi, psi_excess, js, null_share"
      ]
    ),
    (
      "{ aggregate: count }",
      [
        "3:49: a feature needs 'windows'; for example windows: [1h, 24h, lifetime]"
      ]
    ),
    (
      "{ aggregate: count, windws: 1h }",
      [
        "3:72: unknown key 'windws' in a feature; did you mean 'windows'?"
      ]
    ),
    (
      "{ aggreagte: count, windows: 1h }",
      [
        "3:54: unknown key 'aggreagte' in a feature; did you mean 'aggregate'?"
      ]
    ),
    (
      "{ aggregate: count, derive: a, windows: 1h }",
      [
        "3:54: 'aggregate' does not go with 'derive'; keep one of them"
      ]
    ),
    (
      "{ derive: a, where: b }",
      [
        "3:65: 'where' does not go with 'derive'; put it where the events are aggregated"
      ]
    ),
    (
      "{ derive: [a] }",
      [
        "3:62: expected a SQL expression, found a list"
      ]
    ),
    (
      "{ aggregate: count, windows: 1h, k: '5', q: high, half_life: 1w, buckets: [1_000, 010, 0x1F, .inf] }",
      [
        "3:88: expected a whole number, found the text '5'; remove the quotes",
        "3:96: expected a number, found 'high'",
        "3:113: '1w' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '7d'?",
        "3:127: '1_000' has underscores; write 1000, or quote it if it is text",
        "3:134: '010' has leading zeros, which some YAML readers take for octal; write 10, or quote it if it is text",
        "3:139: '0x1F' is not written in decimal; write 31, or quote it if it is text",
        "3:145: '.inf' is not a finite number; quote it if it is text",
      ]
    ),
    (
      "{ aggregate: count, windows: 1h, default: ~ }",
      [
        "3:94: expected a number, true, false or text, found '~'"
      ]
    ),
    (
      "{ aggregate: count, windows: 1h, default: [1], k: 99999999999999999999, where: }",
      [
        "3:94: expected a number, true, false or text, found a list",
        "3:102: '99999999999999999999' does not fit int64; quote it if it is text",
        "3:124: expected a SQL expression, found nothing",
      ]
    ),
    (
      "{ derive: a, windows: 1h, windows: 2h, derive: b }",
      [
        "3:78: duplicate key 'windows': line 3 has it already; keep one of them",
        "3:91: duplicate key 'derive': line 3 has it already; keep one of them",
      ]
    ),
  ]

  static let windows: [(String, [String])] = [
    (
      "90x",
      [
        "3:81: '90x' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d"
      ]
    ),
    (
      "24 h",
      [
        "3:81: '24 h' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '24h'?"
      ]
    ),
    (
      "1w",
      [
        "3:81: '1w' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '7d'?"
      ]
    ),
    (
      "60",
      [
        "3:81: '60' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '60s'?"
      ]
    ),
    (
      "1h30m",
      [
        "3:81: '1h30m' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '90m'?"
      ]
    ),
    (
      "1.5h",
      [
        "3:81: '1.5h' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '90m'?"
      ]
    ),
    (
      "7D",
      [
        "3:81: '7D' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '7d'?"
      ]
    ),
    (
      "1M",
      [
        "3:81: '1M' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d"
      ]
    ),
    (
      "[1h, [2h]]",
      [
        "3:86: expected a window such as 24h, lifetime or today, found a list"
      ]
    ),
    (
      "lifetme",
      [
        "3:81: unknown window 'lifetme'; did you mean 'lifetime'?"
      ]
    ),
    (
      "week",
      [
        "3:81: unknown window 'week'; did you mean 'this_week'?"
      ]
    ),
    (
      "session_20m",
      [
        "3:81: unknown window 'session_20m'; write { session: 20m }"
      ]
    ),
    (
      "session",
      [
        "3:81: unknown window 'session'; write { session: 30m }"
      ]
    ),
    (
      "forever and ever",
      [
        "3:81: unknown window 'forever and ever'; a duration such as 24h, today, yesterday, this_week, this_month, lifetime, or { session: 30m }"
      ]
    ),
    (
      "{}",
      [
        "3:81: a window has one of 'length', 'calendar' and 'session', this has none"
      ]
    ),
    (
      "{ length: 1h, session: 5m }",
      [
        "3:81: a window has one of 'length', 'calendar' and 'session', this has 'length' and 'session'"
      ]
    ),
    (
      "{ length: 1y, hop: 5 }",
      [
        "3:91: '1y' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d",
        "3:100: '5' is not a duration: a whole number and s, m, h or d, such as 90s, 5m, 24h or 7d; did you mean '5s'?",
      ]
    ),
    (
      "{ calendar: today, hop: 5m }",
      [
        "3:105: 'hop' goes with 'length', not with 'calendar'"
      ]
    ),
    (
      "{ session: 30m, time_zone: UTC }",
      [
        "3:108: 'time_zone' goes with 'calendar', not with 'session'"
      ]
    ),
    (
      "{ calendar: daily }",
      [
        "3:93: unknown calendar window 'daily'; one of today, yesterday, this_week, this_month"
      ]
    ),
    (
      "{ calendar: today, time_zone: Europe/Munich }",
      [
        "3:111: unknown time zone 'Europe/Munich'; did you mean 'Europe/Zurich'?"
      ]
    ),
    (
      "{ calendar: today, time_zone: America/NewYork }",
      [
        "3:111: unknown time zone 'America/NewYork'; did you mean 'America/New_York'?"
      ]
    ),
    (
      "{ lenght: 1h }",
      [
        "3:83: unknown key 'lenght' in a window; did you mean 'length'?"
      ]
    ),
    (
      "~",
      [
        "3:81: expected a value or a list, found '~'"
      ]
    ),
  ]

  @Test func otherNamesOfKeysAreUnderstood() {
    expect(
      Self.head + """
        views:
          v:
            source: s
            group_by: a
            features:
              f: { agg: count, filter: a, windows: [{ calendar: today, tz: UTC }] }
              g: { sql: a }
        """,
      [
        "6:5: unknown key 'group_by' in a view; did you mean 'entity'?",
        "8:12: unknown key 'agg' in a feature; did you mean 'aggregate'?",
        "8:24: unknown key 'filter' in a feature; did you mean 'where'?",
        "8:64: unknown key 'tz' in a window; did you mean 'time_zone'?",
        "9:12: unknown key 'sql' in a feature; did you mean 'derive'?",
      ])
  }

  @Test func anUnknownZoneIsReportedWhereverItStands() {
    let window = "{ calendar: today, time_zone: Mars }"
    let suggestion = "unknown time zone 'Mars'; an IANA name such as Europe/Berlin, America/New_York or UTC"
    expect(
      Self.head + """
        views:
          v:
            source: s
            entity: a
            features:
              f: { aggregate: count, windows: \(window) }
              g: { aggregate: count, windows: \(window) }
        """,
      ["8:69: \(suggestion)", "9:69: \(suggestion)"])
  }

  @Test func duplicateKeysBeforeASyntaxErrorAreReported() {
    expect(
      "name: n\nsources: { s: {}, s: {}, t: {}, t: {} }\nviews: [\n",
      [
        "2:12: duplicate key 's'; keep one of them",
        "2:26: duplicate key 't'; keep one of them",
        "4:1: not valid YAML: did not find expected node content (while parsing a flow node of line 4); "
          + "look for a missing quote, bracket, comma or indentation here or above",
      ])
  }

  @Test(arguments: files)
  func brokenFiles(_ text: String, _ expected: [String]) {
    expect(
      text, expected)
  }

  @Test(arguments: sources)
  func brokenSources(_ text: String, _ expected: [String]) {
    expect(
      "name: n\nsources:\n  s: \(text)\nviews: {}\n", expected)
  }

  @Test(arguments: views)
  func brokenViews(_ text: String, _ expected: [String]) {
    expect(
      Self.head + text, expected)
  }

  @Test(arguments: features)
  func brokenFeatures(_ text: String, _ expected: [String]) {
    expect(
      Self.head + "views: { v: { source: s, entity: a, features: { f: \(text) } } }", expected)
  }

  @Test(arguments: windows)
  func brokenWindows(_ text: String, _ expected: [String]) {
    expect(
      Self.head
        + "views: { v: { source: s, entity: a, features: { f: { aggregate: count, windows: \(text) } } } }",
      expected)
  }
}
