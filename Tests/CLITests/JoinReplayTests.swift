import Foundation
import Testing

/// `plumb replay --join`: event files into what a join makes of them.
@Suite struct JoinReplayTests {
  let work: Workspace

  private static let definitions = """
    name: shop
    sources:
      predictions:
        key: user_id
        timestamp: { field: ts, unit: ms }
        fields: { id: string, user_id: string, item_id: string }
      clicks:
        key: user_id
        timestamp: { field: ts, unit: ms }
        fields: { user_id: string, item_id: string, event_type: string, place: int64 }
      items:
        table: true
        key: item_id
        timestamp: { field: ts, unit: ms }
        fields: { item_id: string, price: double }
    joins:
      outcomes:
        left: predictions
        right: { source: clicks, where: "event_type = 'click'" }
        on: [user_id, item_id]
        within: 30m
        wait: 2m
        fields: [place]
      priced:
        left: clicks
        table: items
        on: item_id
        fields: [price]
    views:
      user:
        source: clicks
        entity: user_id
        features: { n: { aggregate: count, windows: 1h } }
      quality:
        source: outcomes
        entity: item_id
        features: { labelled: { aggregate: count, where: label, windows: lifetime } }
    """

  private struct Prediction {
    var id: String
    var time: Int64
    var pair: String
  }

  private let predictions: [Prediction]
  private let clicks: [(time: Int64, pair: String, place: Int64, isClick: Bool)]
  private static let minute: Int64 = 60_000
  private static let begin: Int64 = 1_767_225_600_000

  init() throws {
    work = try Workspace()
    try work.write(Self.definitions, to: "d.yaml")
    var seed: UInt64 = 15
    func draw(_ count: Int64) -> Int64 {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int64(seed >> 33) % count
    }
    // Six hours of fifty pairs; times are whole seconds, so that some are equal.
    func times(_ count: Int) -> [Int64] {
      (0..<count).map { _ in Self.begin + draw(21_600) * 1_000 }.sorted()
    }
    func pair() -> String { "\"user_id\":\"u\(draw(10))\",\"item_id\":\"i\(draw(5))\"" }
    predictions = times(2_000).enumerated().map { Prediction(id: "p\($0)", time: $1, pair: pair()) }
    clicks = times(800).enumerated().map { ($1, pair(), Int64($0), draw(3) > 0) }
    try work.write(
      predictions.map { "{\"id\":\"\($0.id)\",\"ts\":\($0.time),\($0.pair)}\n" }.joined(), to: "p.ndjson")
    let lines = clicks.map { click in
      "{\"ts\":\(click.time),\(click.pair),\"event_type\":\"\(click.isClick ? "click" : "view")\",\"place\":\(click.place)}\n"
    }
    // In two files, and a line that is none.
    try work.write(lines.prefix(300).joined() + "broken\n", to: "c1.ndjson")
    try work.write(lines.dropFirst(300).joined(), to: "c2.ndjson")
  }

  private func join(_ arguments: String...) throws -> Workspace.Result {
    try work.run(Workspace.binary, ["replay", "-d", "d.yaml", "--join"] + arguments)
  }

  private func rows(_ name: String) throws -> [[String: Any]] {
    try work.read(name).split(separator: "\n").map { line in
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }

  /// Each prediction that is due has the outcome that counting by hand gives, in the order of the predictions, and
  /// the label that a training set of the same files has.
  @Test func outcomesAreThoseOfATrainingSet() throws {
    let result = try join(
      "outcomes", "--events", "predictions=p.ndjson", "clicks=c1.ndjson", "clicks=c2.ndjson", "--out",
      "o.ndjson",
      "--dead-letters", "letters.ndjson")
    #expect(result.status == 0, "\(result.error)")
    let passed = min(predictions.last?.time ?? 0, clicks.last?.time ?? 0)
    let due = predictions.filter { $0.time + 32 * Self.minute <= passed }
    #expect(
      result.error.contains(
        "2801 events, \(due.count) records, \(2_000 - due.count) events not due where the files end; 1 dead letter"
      ),
      "\(result.error)")
    #expect(try rows("letters.ndjson").map { $0["file"] as? String } == ["c1.ndjson"])
    let made = try rows("o.ndjson")
    #expect(made.compactMap { $0["id"] as? String } == due.map(\.id))
    for (row, prediction) in zip(made, due) {
      let first = clicks.first {
        $0.isClick && $0.pair == prediction.pair && $0.time > prediction.time
          && $0.time <= prediction.time + 30 * Self.minute
      }
      #expect(row["label"] as? Bool == (first != nil), "\(prediction.id)")
      #expect(row["label_time"] as? Int64 == first.map { $0.time * 1_000 }, "\(prediction.id)")
      #expect(row["place"] as? Int64 == first?.place, "\(prediction.id)")
      #expect(row["revision"] as? Int64 == 0, "\(prediction.id)")
    }
    let trained = try work.plumb(
      "training-set", "-d", "d.yaml", "--as", "happened", "--source", "predictions", "--spine-events", "TRUE",
      "--view", "user", "--events", "predictions=p.ndjson", "clicks=c1.ndjson", "clicks=c2.ndjson", "--label",
      "event_type = 'click'", "--label-source", "clicks", "--within", "30m", "--on", "user_id,item_id",
      "--out",
      "t.ndjson", "--dead-letters", "letters.ndjson")
    #expect(trained.status == 0, "\(trained.error)")
    let labels = Dictionary(
      uniqueKeysWithValues: try rows("t.ndjson").map {
        ($0["id"] as? String, ($0["label"] as? NSNumber)?.intValue)
      })
    #expect(made.allSatisfy { labels[$0["id"] as? String] == ($0["label"] as? Bool == true ? 1 : 0) })
    #expect(Set(made.map { $0["label"] as? Bool }) == [true, false])
  }

  /// What the join makes is a file of its source's events.
  @Test func outcomesAreFoldedAsEvents() throws {
    let joined = try join(
      "outcomes", "--events", "predictions=p.ndjson", "clicks=c2.ndjson", "--out", "o.ndjson")
    #expect(joined.status == 0, "\(joined.error)")
    let folded = try work.plumb(
      "replay", "-d", "d.yaml", "--source", "outcomes", "--events", "o.ndjson", "--features-at", "end",
      "--out",
      "q.ndjson")
    #expect(folded.status == 0, "\(folded.error)")
    let labelled = try rows("o.ndjson").count { $0["label"] as? Bool == true }
    let counted = try rows("q.ndjson").compactMap { ($0["labelled_lifetime"] as? NSNumber)?.intValue }
    #expect(labelled > 0 && counted.reduce(0, +) == labelled)
  }

  /// A click has the row that was there before it.
  @Test func eventsGetRowsOfATable() throws {
    try work.write(
      [(Int64(1), 1.5), (5, 2.5)].map { second, price in
        "{\"item_id\":\"i1\",\"ts\":\(Self.begin + second * 1_000),\"price\":\(price)}\n"
      }.joined(),
      to: "i.ndjson")
    try work.write(
      ([0, 1, 2, 6] as [Int64]).map {
        "{\"ts\":\(Self.begin + $0 * 1_000),\"user_id\":\"u1\",\"item_id\":\"i1\",\"event_type\":\"click\",\"place\":1}\n"
      }.joined(), to: "c.ndjson")
    let result = try join("priced", "--events", "clicks=c.ndjson", "items=i.ndjson", "--out", "-")
    #expect(result.status == 0, "\(result.error)")
    try work.write(result.output, to: "priced.ndjson")
    #expect(try rows("priced.ndjson").map { $0["price"] as? Double } == [nil, nil, 1.5, 2.5])
  }

  @Test func saysWhatIsMissing() throws {
    func refusal(_ arguments: String...) throws -> String {
      let result = try work.run(Workspace.binary, ["replay", "-d", "d.yaml", "--join"] + arguments)
      #expect(result.status == 64, "\(result.error)")
      return result.error
    }
    #expect(
      try refusal("outcomes", "--events", "clicks=c1.ndjson", "--out", "-").contains(
        "give --events predictions=FILE"))
    #expect(
      try refusal("outcome", "--events", "clicks=c1.ndjson", "--out", "-").contains(
        "no join 'outcome' (did you mean"))
    #expect(
      try refusal(
        "priced", "--events", "clicks=c1.ndjson", "items=c2.ndjson", "predictions=p.ndjson", "--out", "-"
      )
      .contains("'predictions' is no side of the join"))
    #expect(try refusal("outcomes", "--events", "clicks=c1.ndjson").contains("--out FILE"))
    #expect(
      try refusal("outcomes", "--events", "clicks=c1.ndjson", "--out", "-", "--view", "user").contains(
        "as NDJSON"))
  }
}
