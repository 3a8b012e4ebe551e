import DefinitionFiles
import FeatureCore
import Foundation
import Testing

@Suite struct DefinitionFileTests {
  static let shop = """
    name: shop                     # prefixes keys, internal topics, transactional ids
    version: 1
    sources:
      clicks:
        topic: clicks
        key: user_id               # what the topic is partitioned by; omit if by nothing
        timestamp: { field: ts, unit: ms }
        fields: { user_id: string, item_id: string, event_type: string, price: double, quantity: int64 }
    views:
      user_activity:
        source: clicks
        entity: [user_id]
        where: "event_type <> 'heartbeat'"
        features:
          clicks:     { aggregate: count, where: "event_type = 'click'", windows: [1h, 24h, 7d] }
          spend:      { aggregate: sum, value: "price * quantity", where: "event_type = 'purchase'", windows: [24h, 30d, lifetime], default: 0 }
          last_items: { aggregate: last_k, k: 5, value: item_id, windows: [7d] }
          views:      { aggregate: count, where: "event_type = 'view'", windows: [{ length: 24h, hop: 10m }] }
          ctr_24h:    { derive: "clicks_24h / nullif(views_24h, 0)" }
    """

  static func parse(_ text: String) throws -> DefinitionFile {
    try DefinitionFile.parse(text, file: "features.yaml") { _, _ in [] }
  }

  /// The one feature of a small file, from its YAML.
  private func feature(_ yaml: String, name: String = "f") throws -> Feature {
    let text = """
      name: n
      sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }
      views: { v: { source: s, entity: a, features: { \(name): \(yaml) } } }
      """
    return try #require(try Self.parse(text).definitions.views.first?.features.first)
  }

  @Test func snapshotsMayLeaveTheValuesOut() throws {
    let has = try ["", "    snapshots: { values: true }\n", "    snapshots: { values: false }\n"].map {
      line in
      let text = Self.shop.replacing("    entity: [user_id]\n", with: "    entity: [user_id]\n\(line)")
      return try #require(try Self.parse(text).definitions.views.first).snapshotsHaveValues
    }
    #expect(has == [true, true, false])
  }

  private func aggregate(_ yaml: String) throws -> Aggregate {
    guard case .aggregate(let aggregate) = try feature(yaml).computation else {
      throw CocoaError(.coderInvalidValue)
    }
    return aggregate
  }

  private func windows(_ yaml: String) throws -> [Window] {
    try aggregate("{ aggregate: count, windows: \(yaml) }").windows
  }

  @Test func readsTheDesignsExample() throws {
    let day: Int64 = 86_400_000_000
    let expected = Definitions(
      name: "shop",
      sources: [
        Source(
          "clicks", topic: "clicks", key: "user_id",
          timestamp: Source.Timestamp(field: "ts", unit: .milliseconds),
          fields: [
            Source.Field("user_id", .string), Source.Field("item_id", .string),
            Source.Field("event_type", .string), Source.Field("price", .double),
            Source.Field("quantity", .int64),
          ])
      ],
      views: [
        View(
          "user_activity", source: "clicks", entity: ["user_id"], where: "event_type <> 'heartbeat'",
          features: [
            Feature(
              "clicks",
              .aggregate(
                Aggregate(
                  .count, where: "event_type = 'click'", windows: [.last("1h"), .last("24h"), .last("7d")]))),
            Feature(
              "spend",
              .aggregate(
                Aggregate(
                  .sum, value: "price * quantity", where: "event_type = 'purchase'",
                  windows: [.last("24h"), .last("30d"), .lifetime])),
              default: .int64(0)),
            Feature(
              "last_items",
              .aggregate(
                Aggregate(
                  .lastK, value: "item_id",
                  windows: [Window(name: "7d", span: .sliding(length: 7 * day, hop: nil))], k: 5))),
            Feature(
              "views",
              .aggregate(
                Aggregate(.count, where: "event_type = 'view'", windows: [.last("24h", hop: "10m")]))),
            Feature("ctr_24h", .derive("clicks_24h / nullif(views_24h, 0)")),
          ])
      ])
    let file = try Self.parse(Self.shop)
    #expect(file.definitions == expected)
    #expect(file.zones.isEmpty)
  }

  @Test func readsEveryKeyOfASource() throws {
    let file = try Self.parse(
      """
      name: n
      version: 12
      sources:
        logs:
          timestamp: { field: at, unit: text, time_zone: Europe/Berlin }
          partitioner: unknown
          max_ahead: 90s
          fields:
            seen: { type: timestamp, unit: ns }
            also: timestamp
            "on": bool
            no: { type: int64, text: true }
            local: { type: timestamp, unit: text, time_zone: America/New_York }
            millis: { type: timestamp, unit: ms, text: true }
      views: {}
      """)
    #expect(file.definitions.version == 12)
    #expect(
      file.definitions.sources == [
        Source(
          "logs", topic: "logs", timestamp: Source.Timestamp(field: "at", unit: .text, zone: "Europe/Berlin"),
          fields: [
            Source.Field("seen", .timestamp, unit: .nanoseconds), Source.Field("also", .timestamp),
            Source.Field("on", .bool), Source.Field("no", .int64, isText: true),
            Source.Field("local", .timestamp, unit: .text, zone: "America/New_York"),
            Source.Field("millis", .timestamp, unit: .milliseconds, isText: true),
          ], partitioner: .unknown, maxAhead: 90_000_000)
      ])
    #expect(file.zones.keys.sorted() == ["America/New_York", "Europe/Berlin"])
  }

  @Test func oneFeatureMayStandForSeveral() throws {
    let file = try Self.parse(
      """
      name: n
      sources:
        s: { timestamp: { field: ts, unit: ms }, fields: { u: string, n: int64 } }
      views:
        v:
          source: s
          entity: u
          features:
            clicks: { aggregate: count, where: "n = 1", windows: [1h, 24h] }
            views: { aggregate: count, windows: [1h, 24h] }
            ctr: { derive: "clicks / nullif(views, 0)", windows: [1h, 24h], default: 0.5 }
            twice: { derive: "2 * ctr + clicks_1h", windows: 24h }
            n: { aggregate: approx_quantile, value: n, q: [0.5, 0.95, 0.999], windows: 1h }
      """)
    let features = file.definitions.views[0].features
    #expect(
      features.map(\.name) == [
        "clicks", "views", "ctr_1h", "ctr_24h", "twice_24h", "n_q50", "n_q95", "n_q99_9",
      ])
    #expect(features[2].computation == .derive("clicks_1h / nullif(views_1h, 0)"))
    #expect(features[2].fallback == .double(0.5))
    #expect(features[4].computation == .derive("2 * ctr_24h + clicks_1h"))
    #expect(
      features[7].computation
        == .aggregate(Aggregate(.approxQuantile, value: "n", windows: [.last("1h")], q: 0.999)))
    let plan = try Plan(file.definitions)
    #expect(plan.views[0].features.map(\.name).suffix(3) == ["n_q50_1h", "n_q95_1h", "n_q99_9_1h"])
  }

  @Test func windowsOfTheTimeBefore() throws {
    #expect(try windows("{ length: 7d, offset: 24h }") == [.last("7d", offset: "24h")])
    #expect(
      try windows("[{ length: 1h, hop: 1m, offset: 30m }, yesterday]") == [
        .last("1h", hop: "1m", offset: "30m"), .calendar(.yesterday),
      ])
  }

  @Test func readsEveryKindOfWindow() throws {
    let berlin = CalendarUnit.thisWeek
    #expect(try windows("24h") == [.last("24h")])
    #expect(try windows("[1d, '24h']") == [.last("1d"), .last("24h")])
    #expect(try windows("[lifetime, today]") == [.lifetime, .calendar(.today)])
    #expect(try windows("{ session: 30m }") == [.session("30m")])
    #expect(
      try windows("[{ length: 2h, hop: 1m }, { length: 1h }]") == [.last("2h", hop: "1m"), .last("1h")])
    #expect(try windows("[{ calendar: this_month }]") == [.calendar(.thisMonth)])
    #expect(
      try windows("{ calendar: this_week, time_zone: Europe/Berlin }")
        == [Window(name: "this_week", span: .calendar(berlin, zone: "Europe/Berlin"))])
  }

  @Test func readsTheOtherKeysOfAnAggregate() throws {
    #expect(
      try aggregate("{ aggregate: approx_quantile, q: 0.99, value: a, windows: 1h }")
        == Aggregate(.approxQuantile, value: "a", windows: [.last("1h")], q: 0.99))
    #expect(try aggregate("{ aggregate: approx_quantile, q: 1, windows: 1h }").q == 1)
    #expect(
      try aggregate("{ aggregate: decayed_count, half_life: 12h, windows: lifetime }").halfLife
        == 43_200_000_000)
    #expect(
      try aggregate("{ aggregate: histogram, buckets: [1, 2.5, -3, 1e3], windows: 1h }").buckets
        == [.int64(1), .double(2.5), .int64(-3), .double(1000)])
    #expect(
      try aggregate("{ aggregate: histogram, buckets: [no, y, 2024-01-01, 12:30:00, '5'], windows: 1h }")
        .buckets
        == [.string("no"), .string("y"), .string("2024-01-01"), .string("12:30:00"), .string("5")])
  }

  @Test(arguments: [
    ("0", Literal.int64(0)), ("-7", .int64(-7)), ("+7", .int64(7)), ("0.5", .double(0.5)), ("1.", .double(1)),
    (".5", .double(0.5)), ("-1e-3", .double(-0.001)), ("true", .bool(true)), ("false", .bool(false)),
    ("yes", .string("yes")), ("off", .string("off")), ("True", .string("True")), ("'true'", .string("true")),
    ("\"1\"", .string("1")), ("!!str 1", .string("1")), ("''", .string("")),
    ("none of these", .string("none of these")),
    ("9223372036854775807", .int64(.max)), ("a_b", .string("a_b")), ("e5", .string("e5")),
  ])
  func readsLiterals(_ yaml: String, _ literal: Literal) throws {
    #expect(try feature("{ derive: a, default: \(yaml) }").fallback == literal)
  }

  @Test(arguments: [
    "on", "y", "no", "null", "1_000", "0123", "12:30:00", "2024-01-01", "日本", "'a b'", "\"x\\ty\"",
  ])
  func namesStayText(_ name: String) throws {
    let expected = ["'a b'": "a b", "\"x\\ty\"": "x\ty"][name] ?? name
    #expect(try feature("{ derive: a }", name: name).name == expected)
  }

  @Test func keepsTheOrderOfTheFile() throws {
    let names = (0..<50).map { "f\(($0 * 37) % 50)" }
    let features = names.map { "      \($0): { derive: a }" }.joined(separator: "\n")
    let file = try Self.parse(
      """
      name: n
      sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }
      views:
        v:
          source: s
          entity: a
          features:
      \(features)
      """)
    #expect(file.definitions.views.first?.features.map(\.name) == names)
  }

  @Test func expandsAliasesAndMergeKeys() throws {
    let file = try Self.parse(
      """
      name: n
      sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }
      views:
        v:
          source: s
          entity: &entity [a]
          features:
            base: &base { aggregate: count, windows: [1h], where: a = 'x' }
            same: *base
            other:
              where: a = 'y'
              <<: *base
            many: { <<: [{ aggregate: sum }, *base], value: "1" }
        w: { source: s, entity: *entity, features: { f: { derive: a } } }
      """)
    let features = file.definitions.views[0].features
    let base = Aggregate(.count, where: "a = 'x'", windows: [.last("1h")])
    #expect(features[1].computation == .aggregate(base))
    #expect(
      features[2].computation == .aggregate(Aggregate(.count, where: "a = 'y'", windows: [.last("1h")])))
    #expect(
      features[3].computation
        == .aggregate(Aggregate(.sum, value: "1", where: "a = 'x'", windows: [.last("1h")])))
    #expect(file.definitions.views[1].entity == ["a"])
  }

  @Test func calendarWindowsUseTheFilesZone() throws {
    let file = try Self.parse(
      """
      name: n
      time_zone: Asia/Kolkata
      sources: { s: { timestamp: { field: ts, unit: ms }, fields: { a: string } } }
      views:
        v:
          source: s
          entity: a
          features:
            f: { aggregate: count, windows: [today, { calendar: today, time_zone: UTC }] }
      """)
    guard case .aggregate(let aggregate) = file.definitions.views[0].features[0].computation else {
      Issue.record("no aggregate")
      return
    }
    #expect(aggregate.windows == [.calendar(.today, zone: "Asia/Kolkata"), .calendar(.today, zone: "UTC")])
    #expect(file.zones.keys.sorted() == ["Asia/Kolkata", "UTC"])
    #expect(file.zones["UTC"] == .utc)
    #expect(file.zones["Asia/Kolkata"] == ZoneDatabase.rules("Asia/Kolkata"))
  }

  @Test func byteOrderMarksAndLineEndsOfWindowsAreFine() throws {
    let text = "\u{FEFF}" + Self.shop.replacing("\n", with: "\r\n")
    #expect(try Self.parse(text).definitions == Self.parse(Self.shop).definitions)
  }

  private static func captured(_ capture: String) -> String {
    """
    name: shop
    sources:
      users:
        table: true
        topic: users
        key: id
        timestamp: { field: _at, unit: us }
        fields: { id: string }
        capture: { \(capture) }
    views:
      v: { source: users, entity: id, features: { n: { aggregate: count, windows: lifetime } } }
    """
  }

  @Test func capturesSayWhereRowsAre() throws {
    func capture(_ text: String) throws -> TableCapture? {
      try Self.parse(Self.captured(text)).definitions.sources[0].capture
    }
    #expect(
      try capture("postgres: x, table: a.b")
        == TableCapture(.postgres(address: "x"), table: "a.b", mode: .replicate))
    #expect(
      try capture("postgres: x, mode: diff, every: 1s")
        == TableCapture(.postgres(address: "x"), table: "users", mode: .diff, every: 1_000_000))
    #expect(
      try capture("sqlite: s.db, on_truncate: delete")
        == TableCapture(.sqlite(path: "s.db"), table: "users", mode: .diff, onTruncate: .delete))
    #expect(
      try capture("file: u.csv, every: 1h")
        == TableCapture(.file(path: "u.csv"), table: "users", mode: .diff, every: 3_600_000_000))
  }

  @Test(arguments: [
    ("table: t", "a capture is from one place"), ("sqlite: a, file: b", "a capture is from one place"),
    ("sqlite: a, mode: replicate", "SQLite keeps no log of changes; use mode: diff"),
    ("file: a, mode: replicate", "a file keeps no log of changes; use mode: diff"),
    ("file: a, table: t", "a file is one table; remove 'table'"),
    ("file: a, every: 0s", "the table would be compared without a pause; use 1s or more"),
  ]) func mistakesOfCapturesAreNamed(_ capture: String, _ problem: String) throws {
    let error = #expect(throws: DefinitionFileError.self) { try Self.parse(Self.captured(capture)) }
    #expect("\(error!)".contains("9:") && "\(error!)".contains(problem), "\(error!)")
  }

  @Test(arguments: ["shop", "jd"])
  func theExamplesAreRight(_ name: String) throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../examples/\(name).yaml").standardizedFileURL.path
    let file = try DefinitionFile.load(path: path) { _, _ in [] }
    #expect(file.definitions.name == name)
    #expect(
      file.definitions.views.map(\.name).prefix(3) == ["user_activity", "item_popularity", "user_category"])
  }

  @Test func theExampleOfAModelIsRight() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../examples/ranker.yaml").standardizedFileURL.path
    let plan = try DefinitionFile.compile(path: path)
    #expect(plan.joins.map(\.name) == ["ranker_outcomes"])
    #expect(plan.definitions.models.map(\.name) == ["ranker"])
    #expect(plan.views.flatMap(\.triggers).map(\.name) == ["drifted", "worse"])
  }
}
