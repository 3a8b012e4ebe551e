import Foundation
import Testing
import TestSupport

extension Journeys {
  /// Orders that are sent again, to a service that is killed: each counts once, in Redis, by way of a repartition topic, in
  /// training rows and in the eyes of `verify`.
  @Suite struct DuplicateTests {}
}

extension Journeys.DuplicateTests {
  private static let definitions = """
    name: shop
    version: 1
    sources:
      orders:
        topic: orders
        key: user_id
        timestamp: { field: ts, unit: ms }
        duplicates: { by: order_id, within: 1h }
        fields: { user_id: string, item: string, order_id: string, n: int64 }
    views:
      by_user:
        source: orders
        entity: user_id
        features:
          orders: { aggregate: count, windows: [lifetime] }
          sum: { aggregate: sum, value: n, windows: [lifetime] }
      by_item:
        source: orders
        entity: item
        features: { orders: { aggregate: count, windows: [lifetime] } }
    """

  @Test func anOrderCountsOnceAcrossKills() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      var random = SplitMix64(seed: seed)
      let site = try Site(Self.definitions)
      let producer = try EventProducer(site)
      var sent: [WrittenEvent] = []
      var orders: [String: (count: Int, sum: Int)] = [:]
      var items: [String: Int] = [:]
      try site.start(Site.Instance("a"))
      for round in 0..<16 {
        var events: [WrittenEvent] = []
        for _ in 0..<40 {
          if !sent.isEmpty, Int.random(in: 0..<3, using: &random) == 0 {
            // Orders of before the last kill, too.
            var again = sent.randomElement(using: &random) ?? sent[0]
            again.value = again.value.map { $0.dropLast() + Array(",\"try\":\(round)}".utf8) }
            events.append(again)
            continue
          }
          let (user, item) = (
            "u\(Int.random(in: 0..<9, using: &random))", "i\(Int.random(in: 0..<5, using: &random))"
          )
          let time = Int64(Date().timeIntervalSince1970 * 1_000)
          let event = WrittenEvent(
            key: Array(user.utf8),
            value: Array(
              "{\"ts\":\(time),\"user_id\":\"\(user)\",\"item\":\"\(item)\",\"order_id\":\"o\(sent.count)\",\"n\":\(round)}"
                .utf8))
          sent.append(event)
          events.append(event)
          orders[user, default: (0, 0)].count += 1
          orders[user, default: (0, 0)].sum += round
          items[item, default: 0] += 1
        }
        try producer.produce(events)
        if round % 4 == 1 { site.kill("a") }
        if round % 4 == 2 { try site.start(Site.Instance("a")) }
      }
      var wrong: [String] = []
      try waitUntil("every order has been folded: \(wrong), \(site.logs)", seconds: 120) {
        wrong = []
        for (user, expected) in orders {
          let answer = try site.answer(["get", "by_user", "user_id=\(user)"])
          let whole = "\"orders_lifetime\":\(expected.count)"
          if !answer.contains(whole) || !answer.contains("\"sum_lifetime\":\(expected.sum)") {
            wrong.append("\(user): \(answer), not \(expected)")
          }
        }
        for (item, count) in items {
          let answer = try site.answer(["get", "by_item", "item=\(item)"])
          if !answer.contains("\"orders_lifetime\":\(count)") {
            wrong.append("\(item): \(answer), not \(count)")
          }
        }
        return wrong.isEmpty
      }
      let verified = try site.command(["verify", "--redis", site.redis.url])
      var problems = try verified.status(within: 120) == 0 ? [] : [verified.text]
      let spine = orders.keys.sorted().map { "{\"user_id\":\"\($0)\",\"ts\":4102444800000}\n" }.joined()
      try spine.write(toFile: site.path("s.ndjson"), atomically: true, encoding: .utf8)
      for way in ["happened", "served"] {
        _ = try site.output(
          of: [
            "training-set", "--as", way, "--spine", site.path("s.ndjson"), "--spine-time", "ts", "--view",
            "by_user", "--out", site.path("\(way).ndjson"),
          ])
        let lines = try String(contentsOfFile: site.path("\(way).ndjson"), encoding: .utf8)
          .split(separator: "\n")
        for (user, line) in zip(orders.keys.sorted(), lines) {
          let count = orders[user]?.count ?? 0
          if !line.contains("orders_lifetime\":\(count)") {
            problems.append("as \(way): \(line), not \(count)")
          }
        }
        if lines.count != orders.count { problems.append("as \(way): \(lines.count) rows") }
      }
      return problems.map { "seed \(seed): \($0)" } + site.complaints()
    }
  }
}
