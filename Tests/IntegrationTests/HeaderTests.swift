import EventFiles
import Foundation
import TestSupport
import Testing

extension Journeys {
  /// Fields that are headers of the records, as another client writes them: in Redis, by way of a repartition topic, in dead
  /// letters, an archive, training rows and the eyes of `verify`.
  @Suite(.enabled(if: Python.has("confluent_kafka"), "needs confluent_kafka in PLUMB_PYTHON"))
  struct HeaderTests {}
}

extension Journeys.HeaderTests {
  private static let definitions = """
    name: shop
    version: 1
    sources:
      orders:
        topic: orders
        key: user_id
        timestamp: { field: ts, unit: ms }
        duplicates: { by: request, within: 1h }
        fields:
          user_id: string
          country: { header: country, type: string }
          amount: { header: amount, type: int64 }
          request: { header: request, type: string }
    views:
      by_user:
        source: orders
        entity: user_id
        features:
          orders: { aggregate: count, windows: [lifetime] }
          sum: { aggregate: sum, value: amount, windows: [lifetime] }
      by_country:
        source: orders
        entity: country
        features: { sum: { aggregate: sum, value: amount, windows: [lifetime] } }
    """

  /// What the first events make, by entity.
  private static func expected(_ count: Int) -> (
    users: [String: (count: Int, sum: Int)], countries: [String: Int]
  ) {
    var users: [String: (count: Int, sum: Int)] = [:]
    var countries: [String: Int] = [:]
    for index in 0..<count where index % 10 != 7 {
      users["u\(index % 5)", default: (0, 0)].count += 1
      users["u\(index % 5)", default: (0, 0)].sum += index
      countries["ö\(index % 20)", default: 0] += index
    }
    return (users, countries)
  }

  private static func produce(_ site: Site, _ range: Range<Int>) throws {
    let result = try Python.run([
      "\(Python.scripts)/produce_headers.py", site.brokers, site.sourceTopic, "\(range.lowerBound)",
      "\(range.count)",
    ])
    if result.status != 0 { throw Failure(result.output) }
  }

  @Test func headersAreFields() async throws {
    try await Integration.expectNone {
      let site = try Site(Self.definitions)
      try site.start(Site.Instance("a"))
      try Self.produce(site, 0..<60)
      let (users, countries) = Self.expected(120)
      try waitUntil("something has been folded: \(site.logs)", seconds: 120) {
        try site.answer(["get", "by_country", "country=ö1"]).contains("\"sum_lifetime\":")
      }
      // Ids from before the kill are headers that are read again.
      site.kill("a")
      try Self.produce(site, 60..<120)
      try site.start(Site.Instance("a"))
      try Self.produce(site, 50..<60)
      var wrong: [String] = []
      try waitUntil("every order has been folded: \(wrong), \(site.logs)", seconds: 120) {
        wrong = []
        for (user, expected) in users {
          let answer = try site.answer(["get", "by_user", "user_id=\(user)"])
          if !answer.contains("\"orders_lifetime\":\(expected.count)")
            || !answer.contains("\"sum_lifetime\":\(expected.sum)")
          {
            wrong.append("\(user): \(answer), not \(expected)")
          }
        }
        for (country, sum) in countries {
          let answer = try site.answer(["get", "by_country", "country=\(country)"])
          if !answer.contains("\"sum_lifetime\":\(sum)") { wrong.append("\(country): \(answer), not \(sum)") }
        }
        return wrong.isEmpty
      }
      let letters = try site.output(of: ["dead-letters", "tail"]).split(separator: "\n")
      var problems = letters.filter { !$0.contains("\"headers\":{\"amount\":\"many\",\"country\":") }.map(
        String.init)
      if letters.count < 12 { problems.append("\(letters.count) dead letters") }
      if let letter = letters.first(where: { $0.contains("traceparent") }) { problems.append(String(letter)) }
      let archive = Archive(site)
      let happened = try Self.train(site, "happened", users)
      try archive.complete()
      problems += try archive.verify(0, "no difference")
      try archive.cutTopics(before: \.next)
      problems += try archive.verify(0, "no difference")
      problems += try happened + Self.train(site, "served", users)
      let file = try ChildProcess(
        Site.binary,
        [
          "replay", "-d", site.definitions, "--events", site.path("s.ndjson"), "--view", "by_user", "--out",
          site.path("files.ndjson"), "--features-at",
          "2030-01-01T00:00:00Z",
        ],
        log: URL(fileURLWithPath: site.path("files.log")))
      if try file.status(within: 60) == 0 || !file.text.contains("headers of a topic's records") {
        problems.append("files: \(file.text)")
      }
      return problems + site.complaints()
    }
  }

  private static func train(
    _ site: Site, _ way: String, _ users: [String: (count: Int, sum: Int)]
  ) throws -> [String] {
    let spine = users.keys.sorted().map { "{\"user_id\":\"\($0)\",\"ts\":4102444800000}\n" }.joined()
    try spine.write(toFile: site.path("s.ndjson"), atomically: true, encoding: .utf8)
    _ = try site.output(
      of: [
        "training-set", "--as", way, "--spine", site.path("s.ndjson"), "--spine-time", "ts", "--view",
        "by_user",
        "--out", site.path("rows.ndjson"),
      ])
    let lines = try String(contentsOfFile: site.path("rows.ndjson"), encoding: .utf8).split(separator: "\n")
    return zip(users.sorted { $0.key < $1.key }, lines).compactMap { user, line in
      line.contains("\"sum_lifetime\":\(user.value.sum)") ? nil : "as \(way): \(line), not \(user)"
    }
  }
}
