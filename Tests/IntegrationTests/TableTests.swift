import Foundation
import Testing
import TestSupport

extension Journeys {
  /// The rows of a table's topic as features: served, verified, and in training rows.
  @Suite struct TableTests {}
}

extension Journeys.TableTests {
  /// Who writes the topic, and how.
  enum Form: String, CaseIterable {
    /// Keys placed by murmur2: views fold straight from the source.
    case murmur2
    /// By way of a repartition topic, through which deletions have to be passed on.
    case unknown
    /// Envelopes of Debezium, and behind each deletion a record without a value.
    case debezium
  }

  private static func definitions(_ form: Form) -> String {
    let isDebezium = form == .debezium
    let way = isDebezium ? "format: debezium" : "partitioner: \(form.rawValue)"
    return """
      name: shop
      version: 1
      sources:
        users:
          table: true
          topic: users
          key: user_id
          \(way)
          timestamp: { field: \(isDebezium ? "ts_us" : "_at"), unit: us }
          fields: { user_id: int64, tier: string, n: int64, bio: string }
      views:
        users:
          source: users
          entity: user_id
          features:
            tier: { column: tier, default: none }
            n: { column: n }
            bio: { column: bio }
            changes: { aggregate: count, windows: [lifetime] }
            old: { derive: "date_diff('year', TIMESTAMP '2000-01-01T00:00:00Z', now())" }
      """
  }

  private struct Row: Equatable {
    var tier: String?
    var n: Int?
    var bio: String?
    var changes = 0

    init() {}

    init(_ json: String, bare: Bool) throws {
      let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any] ?? [:]
      func value(_ name: String) -> Any? { bare ? object[name] : object["users__\(name)"] }
      (tier, n, bio) = (value("tier") as? String, value("n") as? Int, value("bio") as? String)
      changes = value("changes_lifetime") as? Int ?? -1
    }
  }

  @Test(arguments: Form.allCases) func rowsAreServed(_ form: Form) async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      var random = SplitMix64(seed: seed)
      let site = try Site(Self.definitions(form))
      let producer = try EventProducer(site)
      var rows = (0..<12).map { _ in Row() }
      try site.start(Site.Instance("a"))
      for round in 0..<30 {
        var events: [WrittenEvent] = []
        for user in rows.indices where Int.random(in: 0..<3, using: &random) == 0 {
          let event = Self.change(&rows[user], user, round, &random)
          events += form == .debezium ? Self.enveloped(event, user) : [event]
        }
        if !events.isEmpty { try producer.produce(events) }
        // The service goes away in between, and carries on.
        if round == 12 { site.kill("a") }
        if round == 18 { try site.start(Site.Instance("a")) }
      }
      let expected = rows.map { row in
        var row = row
        if row.tier == nil { row.tier = "none" }
        return row
      }
      var served: [Row] = []
      try waitUntil("the last rows are served: \(site.logs)", seconds: 120) {
        served = try rows.indices.map {
          try Row(try site.answer(["get", "users", "user_id=\($0)"]), bare: true)
        }
        return served == expected
      }
      let verified = try site.command(["verify", "--redis", site.redis.url])
      var problems = try verified.status(within: 120) == 0 ? [] : [verified.text]
      let spine = rows.indices.map { "{\"user_id\":\($0),\"ts\":4102444800000000}\n" }.joined()
      try spine.write(toFile: site.path("s.ndjson"), atomically: true, encoding: .utf8)
      for way in ["happened", "served"] {
        let out = site.path("\(way).ndjson")
        _ = try site.output(
          of: [
            "training-set", "--as", way, "--spine", site.path("s.ndjson"), "--spine-time", "ts", "--view",
            "users",
            "--out", out,
          ])
        let lines = try String(contentsOfFile: out, encoding: .utf8).split(separator: "\n")
        let found = try lines.map { line in
          let bare = try Row(String(line), bare: true)
          return bare.changes >= 0 ? bare : try Row(String(line), bare: false)
        }
        if found != expected { problems.append("as \(way): \(lines)") }
        if !lines.allSatisfy({ $0.contains("old\":100") }) { problems.append("now() as \(way): \(lines)") }
      }
      return problems.map { "seed \(seed), \(form): \($0)" } + site.complaints()
    }
  }

  /// The same change as Debezium writes it.
  private static func enveloped(_ event: WrittenEvent, _ user: Int) -> [WrittenEvent] {
    let key = "{\"user_id\":\(user)}"
    let time = Int64(Date().timeIntervalSince1970 * 1_000) * 1_000
    let source = "{\"connector\":\"postgresql\",\"table\":\"users\",\"ts_us\":\(time)}"
    guard let value = event.value else {
      let text = "{\"op\":\"d\",\"before\":\(key),\"after\":null,\"source\":\(source)}"
      return [
        WrittenEvent(key: Array(key.utf8), value: Array(text.utf8)),
        WrittenEvent(key: Array(key.utf8), value: nil),
      ]
    }
    let row = String(decoding: value, as: UTF8.self)
      .replacing("null,\"_kept\":[\"bio\"]", with: "\"__debezium_unavailable_value\"")
    let text = "{\"op\":\"u\",\"before\":null,\"after\":\(row),\"source\":\(source)}"
    return [WrittenEvent(key: Array(key.utf8), value: Array(text.utf8))]
  }

  /// A row, a row that keeps a value, or a deletion.
  private static func change(_ row: inout Row, _ user: Int, _ round: Int, _ random: inout SplitMix64)
    -> WrittenEvent
  {
    row.changes += 1
    let key = Array("\(user)".utf8)
    guard Int.random(in: 0..<4, using: &random) > 0 else {
      (row.tier, row.n, row.bio) = (nil, nil, nil)
      return WrittenEvent(key: key, value: nil)
    }
    row.tier = ["gold", "silver", nil].randomElement(using: &random) ?? nil
    row.n = round
    let keeps = Bool.random(using: &random)
    if !keeps { row.bio = "bio \(round)" }
    let bio = keeps ? "null,\"_kept\":[\"bio\"]" : "\"bio \(round)\""
    let tier = row.tier.map { "\"\($0)\"" } ?? "null"
    let time = Int64(Date().timeIntervalSince1970 * 1_000) * 1_000
    let text = "{\"user_id\":\(user),\"tier\":\(tier),\"n\":\(round),\"bio\":\(bio),\"_at\":\(time)}"
    return WrittenEvent(key: key, value: Array(text.utf8))
  }
}
