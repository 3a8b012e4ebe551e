import Foundation
import Testing

@testable import FeatureCore

/// A view, events, and what becomes of them: see Topics/golden/README.md.
struct GoldenVector: Sendable, CustomTestStringConvertible {
  var name: String
  var about: String
  var features: [Feature]
  var events: [TestEvent]
  /// Distances from as_of at which the file holds values.
  var later: [Int64] = [0, 3_600_000_000]
  var watched: [Trigger] = []

  var testDescription: String { name }

  static let zones = [
    "UTC": TimeZoneRules.utc,
    "Europe/Berlin": TimeZoneRules(
      name: "Europe/Berlin", initialOffsetSeconds: 3600,
      transitions: [
        .init(atSeconds: 1_711_846_800, offsetSeconds: 7200),
        .init(atSeconds: 1_729_990_800, offsetSeconds: 3600),
      ]),
  ]

  var view: ViewPlan {
    get throws {
      var definitions = TestSource.definitions(features)
      definitions.sources[0].isTable = isTable
      definitions.views[0].triggers = watched
      return try Plan(definitions, zones: Self.zones).views[0]
    }
  }

  /// Whether the events are rows.
  var isTable: Bool { features.contains { if case .column = $0.computation { true } else { false } } }

  static let second: Int64 = 1_000_000
  static let hour: Int64 = 3_600_000_000
  static let day: Int64 = 86_400_000_000
  /// 2024-03-30T10:34:56Z, the day before clocks went forward in Berlin.
  static let start: Int64 = 1_711_794_896_000_000

  static func event(_ time: Int64, _ values: [String: FeatureValue] = [:]) -> TestEvent {
    TestEvent(time: time, values: values.merging(["user": .string("u")]) { own, _ in own })
  }

  static func feature(
    _ name: String, _ function: Aggregate.Function, _ value: String? = nil, label: String? = nil,
    where filter: String? = nil, over windows: [Window], k: Int? = nil, counters: Int? = nil,
    q: Double? = nil, halfLife: Int64? = nil,
    buckets: [Literal]? = nil, baseline: Baseline? = nil,
    default fallback: Literal? = nil
  ) -> Feature {
    let aggregate = Aggregate(
      function, value: value, label: label, where: filter, windows: windows, k: k, counters: counters, q: q,
      halfLife: halfLife,
      buckets: buckets, baseline: baseline)
    return Feature(name, .aggregate(aggregate), default: fallback)
  }

  static let all: [GoldenVector] = [
    oneEvent, nothingCounted, sparse, late, before1970, numbers, overflow, texts, lists, lastDistinct,
    distinctExact,
    distinctDense, quantilesCollapsed, topCountsFull, topCountsEqual, topCountsMerged, heavyHitters, countBy,
    calendar,
    session, nineColumns, seventyColumns, derived, products, windowsBefore,
    measures, drift, tableRow, tableRowDeleted, triggers,
  ]

  private static let rowFeatures =
    ["s", "i", "d", "b", "t"].map { Feature("row_\($0)", .column($0)) }
    + [feature("n", .count, over: [.last("1h")])]

  private static let rows = [
    event(start, ["s": .string("gold"), "i": .int64(-3), "d": .double(0.5), "b": .bool(true)]),
    event(
      start - 7,
      [
        "s": .string("silver"), "i": .int64(4), "b": .bool(false),
        "t": .timestamp(EventTime(microseconds: start)),
      ]),
  ]

  static let tableRow = GoldenVector(
    name: "table_row", about: "The row that is last in the log, whatever its time; a null takes no bytes.",
    features: rowFeatures, events: rows)

  static let tableRowDeleted = GoldenVector(
    name: "table_row_deleted", about: "A row of which everything is null leaves no tile of lifetime.",
    features: rowFeatures, events: rows + [event(start + 9)])

  static let oneEvent = GoldenVector(
    name: "one_event", about: "The smallest state: one event, counted in one tile.",
    features: [feature("n", .count, over: [.last("1h")])], events: [event(start)], later: [0, hour, 2 * hour])

  static let nothingCounted = GoldenVector(
    name: "nothing_counted",
    about: "Events that no feature counts leave as_of and, for the session, an empty row.",
    features: [
      feature("n", .count, where: "f", over: [.last("1h"), .lifetime]),
      feature("s", .count, "i", over: [.session("30m")]),
    ],
    events: [event(start), event(start + 5, ["f": .bool(false)])])

  static let sparse = GoldenVector(
    name: "sparse", about: "Tiles are kept where events were, none in between; two windows share a level.",
    features: [
      feature("n", .count, over: [.last("24h"), .last("7d"), .last("30d")]),
      feature("sum", .sum, "i", over: [.last("7d"), .lifetime]),
    ],
    events: [0, 1, 5 * day, 5 * day + 3 * hour, 7 * day + 1].enumerated().map { index, later in
      event(start + later, ["i": .int64(Int64(index * 1000) - 1500)])
    })

  static let late = GoldenVector(
    name: "late",
    about:
      "Late events: into an older tile, into a tile that only the longer window sees, and into lifetime alone.",
    features: [feature("d", .sum, "d", over: [.last("1h"), .last("24h"), .lifetime])],
    events: zip([0, -1, -2 * hour, -30 * hour, 1], [0.1, 0.2, 0.3, 0.4, 0.7]).map { later, value in
      event(start + later, ["d": .double(value)])
    })

  static let before1970 = GoldenVector(
    name: "before_1970", about: "Negative times, and a hop that doesn't divide its window.",
    features: [
      feature(
        "last", .last, "i",
        over: [Window(name: "24h_by_7m", span: .sliding(length: day, hop: 420 * second)), .lifetime])
    ],
    events: [-3 * day, -1, 0, -hour].enumerated().map { event($1, ["i": .int64(.min + Int64($0))]) })

  static let distinctExact = GoldenVector(
    name: "distinct_exact", about: "Hashes of distinct values of every type; 0.0 and -0.0 are one value.",
    features: ["s", "i", "d", "b", "t"].map { (value: String) in
      feature("n_\(value)", .countDistinct, value, over: [.last("1h")])
    },
    events: [
      event(
        start,
        [
          "s": .string(""), "i": .int64(-1), "d": .double(0), "b": .bool(true),
          "t": .timestamp(EventTime(microseconds: 1)),
        ]),
      event(start + 1, ["s": .string("é"), "i": .int64(7), "d": .double(-0.0), "b": .bool(true)]),
    ])

  static let distinctDense = GoldenVector(
    name: "distinct_dense", about: "129 and more distinct values: HyperLogLog registers.",
    features: [feature("n", .countDistinct, "i", over: [.lifetime])],
    events: (0..<200).map { event(start + $0, ["i": .int64($0 * $0)]) })

  static let quantilesCollapsed = GoldenVector(
    name: "quantiles_collapsed", about: "More than 1,024 buckets: neighbours are joined in pairs.",
    features: [feature("p", .approxQuantile, "i", over: [.lifetime], q: 0.5)],
    events: (0..<1100 as Range<Int64>).map { event(start, ["i": .int64((128 + $0 % 110) << ($0 / 110 + 1))]) }
  )

  static let topCountsFull = GoldenVector(
    name: "top_counts_full",
    about: "Two distinct values more than counters: each takes over the smallest counter.",
    features: [feature("top", .topK, "i", over: [.lifetime], k: 2)],
    events: (0..<70).map { event(start + $0, ["i": .int64($0 < 6 ? $0 / 3 : $0)]) })

  static let topCountsEqual = GoldenVector(
    name: "top_counts_equal",
    about: "65 equally frequent values and 64 counters: the last one counts double.",
    features: [feature("top", .topK, "i", over: [.lifetime], k: 2)],
    events: (0..<65).map { event(start + $0, ["i": .int64($0)]) })

  static let heavyHitters = GoldenVector(
    name: "heavy_hitters",
    about:
      "top_k with 4 counters: newcomers that take over smallest ones, of several the one that their hash chooses, and tiles that are merged.",
    features: ["s", "i"].flatMap { (value: String) -> [Feature] in
      [
        feature("\(value)_top", .topK, value, over: [.last("1h"), .lifetime], k: 3, counters: 4),
        feature("\(value)_counts", .topKCounts, value, over: [.last("1h"), .lifetime], k: 3, counters: 4),
        feature("\(value)_errors", .topKErrors, value, over: [.last("1h"), .lifetime], k: 3, counters: 4),
        feature("\(value)_certain", .topKCertain, value, over: [.last("1h"), .lifetime], k: 3, counters: 4),
      ]
    },
    events: (0..<40 as Range<Int64>).map { number in
      let value: Int64 = number % 3 == 0 ? 7 : number % 7 == 0 ? -1 : number
      return event(
        start + number * 120 * second, ["i": .int64(value), "s": .string(Text("value \(value)"))])
    })

  static let countBy = GoldenVector(
    name: "count_by", about: "Values with their counts as JSON objects, and more values than are counted.",
    features: ["s", "i", "b", "t"].flatMap { (value: String) -> [Feature] in
      [
        feature("\(value)_all", .countBy, value, over: [.last("1h"), .lifetime], k: 20),
        feature("\(value)_few", .countBy, value, over: [.lifetime], k: 2, counters: 3),
      ]
    },
    events: (0..<24 as Range<Int64>).map { number in
      let value: Int64 = number % 3 == 0 ? 7 : number % 5 - 2
      return event(
        start + number * 200 * second,
        [
          "i": .int64(value), "s": .string(Text("\"\(value)\"\n")), "b": .bool(value > 0),
          "t": .timestamp(EventTime(microseconds: value)),
        ])
    })

  static let topCountsMerged = GoldenVector(
    name: "top_counts_merged",
    about:
      "A tile whose counters are all taken, and two that add its smallest count to a value it doesn't have.",
    features: [feature("top", .topK, "i", over: [.last("1h")], k: 2)],
    events: (0..<128).map { event(start + $0, ["i": .int64($0 / 2)]) }
      + [1, 2].map { event(start + $0 * 600 * second, ["i": .int64(1000)]) })

  static let calendar = GoldenVector(
    name: "calendar", about: "Local days around a day of 23 hours.",
    features: [
      feature(
        "n", .count,
        over: [.calendar(.today), .calendar(.thisWeek)]
          + [CalendarUnit.today, .thisWeek, .thisMonth].map {
            Window(name: "\($0.rawValue)_berlin", span: .calendar($0, zone: "Europe/Berlin"))
          })
    ],
    events: [0, 12 * hour, 13 * hour, 36 * hour, -20 * day].map { event(start + $0) },
    later: [0, hour, 2 * day])

  static let session = GoldenVector(
    name: "session", about: "A session that is over, and one that an earlier event joins.",
    features: [
      feature("n", .count, over: [.session("30m")]),
      feature("s", .last, "s", where: "f", over: [.session("30m"), .session("2h")]),
    ],
    events: [
      (0, "a", true), (hour, "b", true), (hour - 60 * second, "c", true), (0, "d", true),
      (hour + 1, "e", false),
    ]
    .map { event(start + $0, ["s": .string(Text($1)), "f": .bool($2)]) },
    later: [0, hour / 2, hour / 2 + 1, 3 * hour])

  static let nineColumns = GoldenVector(
    name: "nine_columns", about: "A mask of two bytes.",
    features: (0..<9).map { feature("n\($0)", .count, where: "small > \($0)", over: [.last("1h")]) },
    events: [1, 9, 5].map { event(start + $0, ["small": .int64($0)]) })

  static let seventyColumns = GoldenVector(
    name: "seventy_columns", about: "A mask of nine bytes, and a tile that fills only its last one.",
    features: (0..<70).map {
      feature("n\($0 + 10)", .count, where: "small = \($0)", over: [.lifetime, .last("1h")])
    },
    events: [69, 0, 64].enumerated().map { event(start + Int64($0) * hour, ["small": .int64($1)]) })

  static let derived = GoldenVector(
    name: "derived", about: "Defaults, and expressions over other features.",
    features: [
      feature("clicks", .count, where: "f", over: [.last("1h")]),
      feature("views", .count, over: [.last("1h")]),
      feature("spend", .sum, "d", over: [.last("1h")], default: .double(0)),
      Feature("ctr", .derive("clicks_1h / nullif(views_1h, 0)")),
      Feature("rich", .derive("spend_1h > 10 or ctr is null")),
    ],
    events: [event(start, ["f": .bool(true)]), event(start + 1), event(start + 2, ["d": .double(7.5)])])

  static let products = GoldenVector(
    name: "products", about: "Products of numbers and extremes of bools, over two tiles.",
    features: [
      feature("d", .product, "d", over: [.last("1h"), .lifetime]),
      feature("i", .product, "i", over: [.last("1h")]),
      feature("any", .max, "b", over: [.last("1h")]), feature("all", .min, "b", over: [.last("1h")]),
    ],
    events: [
      event(start, ["d": .double(1.5), "i": .int64(3), "b": .bool(false)]),
      event(start + 600 * second, ["d": .double(-0.1), "i": .int64(-7), "b": .bool(true)]),
    ])

  static let windowsBefore = GoldenVector(
    name: "windows_before", about: "Windows that end before now: an offset, and yesterday in Berlin.",
    features: [
      feature(
        "n", .count,
        over: [.last("1h"), .last("1h", offset: "30m"), .calendar(.yesterday, zone: "Europe/Berlin")])
    ],
    events: [event(start - day), event(start - hour), event(start - 1200 * second), event(start)],
    later: [0, 1_800_000_000, day])

  static let drift = GoldenVector(
    name: "drift",
    about: "Numbers and texts against baselines, over two tiles, with nulls: the last bin of each.",
    features: [Aggregate.Function.psi, .psiExcess, .js, .nullShare].flatMap { function in
      [
        feature(
          "d_\(function.rawValue)", function, "d", over: [.last("1h"), .lifetime],
          baseline: Baseline(.edges([0.25, 0.5]), counts: [40, 30, 0], nulls: 1)),
        feature(
          "s_\(function.rawValue)", function, "s", over: [.last("1h"), .lifetime],
          baseline: Baseline(.categories(["de", "fr"]), counts: [7, 2, 1])),
      ]
    },
    events: [0.1, 0.25, 0.9, -0.0, 0.3].enumerated().map { index, value in
      event(
        start + Int64(index) * 800 * second,
        [
          "d": index == 4 ? .null : .double(value),
          "s": index == 1 ? .null : .string(index < 3 ? "de" : "it"),
        ])
    })

  static let measures = GoldenVector(
    name: "measures",
    about:
      "Scores against a label and predicted numbers against what came, over two tiles; a score above 1 and a missing label don't count.",
    features: [
      Aggregate.Function.auc, .aucBound, .prAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier,
    ].map { feature($0.rawValue, $0, "d", label: "b", over: [.last("1h"), .lifetime]) } + [
      feature("expected_auc", .expectedAUC, "d", over: [.last("1h"), .lifetime])
    ]
      + [Aggregate.Function.mae, .rmse, .bias].map {
        feature($0.rawValue, $0, "d", label: "i", over: [.last("1h"), .lifetime])
      },
    events: [0.0, 1, 0.3, 0.31, 0.9, 0.02, -0.0, 1.5, 0.5].enumerated().map { index, score in
      event(
        start + Int64(index) * 400 * second,
        ["d": .double(score), "b": index == 8 ? .null : .bool(index % 2 == 1), "i": .int64(Int64(index % 3))])
    })

  static let triggers = GoldenVector(
    name: "triggers",
    about:
      "Triggers by name: one that counts, one that has fired for good, one that may fire again, one that never held.",
    features: [feature("n", .count, over: [.last("1h")])],
    events: [0, 60, 600, 1_500].map { event(start + $0 * second) },
    watched: [
      Trigger("counting", when: "n_1h >= 3", for: 5), Trigger("fired", when: "n_1h >= 2", for: 2),
      Trigger("again", when: "n_1h >= 1", every: 60 * second, againAfter: 20 * 60 * second),
      Trigger("never", when: "n_1h > 100"),
    ])

  static let numbers = GoldenVector(
    name: "numbers", about: "Every aggregate of numbers, over two tiles of an hour's window and a lifetime.",
    features: ["i", "d"].flatMap { value -> [Feature] in
      let windows: [Window] = [.last("1h"), .lifetime]
      let functions: [Aggregate.Function] = [
        .count, .sum, .mean, .variance, .stddev, .min, .max, .first, .last,
      ]
      return functions.map { feature("\(value)_\($0.rawValue)", $0, value, over: windows) } + [
        feature("\(value)_p90", .approxQuantile, value, over: windows, q: 0.9),
        feature("\(value)_decayed", .decayedSum, value, over: windows, halfLife: 600 * second),
        feature(
          "\(value)_buckets", .histogram, value, over: windows, buckets: [.int64(-5), .int64(0), .int64(100)]),
      ]
    } + [
      feature("heat", .decayedCount, over: [.last("1h")], halfLife: 600 * second),
      feature("age", .secondsSinceLast, over: [.last("1h")]),
    ],
    events: [
      event(start, ["i": .int64(3), "d": .double(0.1)]),
      event(start + 90 * second, ["i": .int64(-7), "d": .double(-0.0)]),
      event(start + 60 * second, ["i": .int64(1_000_000), "d": .double(1e300)]),
      event(start + 900 * second, ["i": .int64(.min), "d": .double(-123.456)]),
      event(start + 901 * second, ["i": .null, "d": .double(0x1p-1074)]),
    ])

  static let overflow = GoldenVector(
    name: "overflow", about: "An integer sum beyond int64, a double sum beyond infinity, and not a number.",
    features: [
      feature("i", .sum, "i", over: [.lifetime]), feature("mean", .mean, "i", over: [.lifetime]),
      feature("d", .sum, "d", over: [.lifetime]), feature("nan", .variance, "d", over: [.lifetime]),
      feature("decayed", .decayedSum, "d", over: [.lifetime], halfLife: 1),
    ],
    events: [1, 1, -1, 1].enumerated().map { index, sign in
      event(
        start + Int64(index / 3) * hour,
        ["i": .int64(.max), "d": .double(Double(sign) * .greatestFiniteMagnitude)])
    })

  static let texts = GoldenVector(
    name: "texts", about: "Every aggregate of strings; long ones are cut to whole characters in 256 bytes.",
    features: [
      feature("min", .min, "s", over: [.last("1h")]), feature("max", .max, "s", over: [.last("1h")]),
      feature("first", .first, "s", over: [.last("1h")]), feature("last", .last, "s", over: [.last("1h")]),
      feature("first_two", .firstK, "s", over: [.last("1h")], k: 2),
      feature("last_two", .lastK, "s", over: [.last("1h")], k: 2),
      feature("top", .topK, "s", over: [.last("1h")], k: 3),
      feature("buckets", .histogram, "s", over: [.last("1h")], buckets: [.string("a"), .string("")]),
    ],
    events: [
      "b", "a", "", "a", "é\u{0}\"", String(repeating: "€", count: 90), String(repeating: "z", count: 257),
    ]
    .enumerated().map { event(start + [0, 1, 1, 400 * second, 0, 2, 1][$0], ["s": .string(Text($1))]) })

  static let lastDistinct = GoldenVector(
    name: "last_distinct",
    about: "The values that came last, each once: late events, equal times, one that is pushed out.",
    features: ["s", "i", "b"].map { (value: String) in
      feature("\(value)_last", .lastDistinctK, value, over: [.last("1h")], k: 2)
    },
    events: [(0, 1), (5, 2), (5, 1), (2, 3), (9, 3), (1, 2), (-600, 4), (400, 1)].map { later, value in
      event(
        start + later * second,
        ["s": .string(Text("v\(value)")), "i": .int64(value), "b": .bool(value > 1)])
    })

  static let lists = GoldenVector(
    name: "lists", about: "Lists, firsts, lasts and most frequent values of the types that are no strings.",
    features: ["i", "d", "b", "t"].flatMap { value -> [Feature] in
      let lists = [
        feature("\(value)_first", .firstK, value, over: [.last("1h")], k: 2),
        feature("\(value)_last", .lastK, value, over: [.last("1h")], k: 3),
        feature("\(value)_one", .last, value, over: [.lifetime]),
      ]
      return value == "d" ? lists : lists + [feature("\(value)_top", .topK, value, over: [.last("1h")], k: 2)]
    },
    events: [(0, 1), (5, 2), (5, 3), (2, 2), (-600, -1)].map { later, value in
      event(
        start + later * second,
        [
          "i": .int64(value), "d": .double(Double(value) / 3), "b": .bool(value > 1),
          "t": .timestamp(EventTime(microseconds: start + value)),
        ])
    })
}
