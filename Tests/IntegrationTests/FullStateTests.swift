import Foundation
import LiveView
import Processor
import Testing
import TestSupport

extension Integration {
  /// An entity whose state is as large as one may be.
  @Suite struct FullStateTests {}
}

extension Integration.FullStateTests {
  private static let definitions = """
    name: shop
    version: 1
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string, item: string }
    views:
      users:
        source: clicks
        entity: user
        features:
          n: { aggregate: count, windows: lifetime }
          top: { aggregate: top_k, value: item, k: 5, counters: 1000, windows: [24h] }
    """

  /// Its events become dead letters, it is named once, its partition goes on, and what there is verifies.
  @Test func oneEntityThatIsFullStopsNobody() async throws {
    try await Integration.expectNone {
      let site = try Site(Self.definitions)
      let producer = try EventProducer(site)
      let now = Int64(Date().timeIntervalSince1970 * 1_000)
      func event(_ user: String, _ item: String, age: Int) -> WrittenEvent {
        let value = #"{"ts":\#(now - Int64(age) * 1_000),"user":"\#(user)","item":"\#(item)"}"#
        return WrittenEvent(key: Array(user.utf8), value: Array(value.utf8))
      }
      // Within 24 hours more different texts than a state can hold, in many tiles.
      let count = 6_000
      let filling = String(repeating: "x", count: 240)
      try site.start(Site.Instance("a"))
      for start in stride(from: 0, to: count, by: 500) {
        try producer.produce(
          (start..<(start + 500)).map { event("hot", "\($0)\(filling)", age: (count - $0) * 14) })
        try producer.produce((0..<20).map { event("u\($0)", "i\($0)", age: 10) })
      }
      let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
      let partitions = site.inputs.map(\.partition)
      try waitUntil("everything is processed: \(site.logs)", seconds: 120) {
        try Audit.positions(site, reader).stored == reader.ends(partitions)
      }
      var problems = site.complaints()
      let told = site.logs.split(separator: "\n").filter { $0.contains("is as large as one may be") }
      if told.count != 1 || !told[0].contains("'hot'") { problems.append("told: \(told)") }
      let letters = try site.output(of: ["dead-letters", "tail", "--reason", "state_too_large"])
        .split(separator: "\n")
      if letters.isEmpty || !letters.allSatisfy({ $0.contains("hot") }) {
        problems.append("\(letters.count) letters: \(letters.prefix(1))")
      }
      let states = try site.redis.states()
      let largest = states.values.map(\.count).max() ?? 0
      if !(512 << 10...1 << 20).contains(largest) { problems.append("the largest state: \(largest) bytes") }
      for user in 0..<20 {
        let row = try site.answer(["get", "users", "user=u\(user)"])
        if !row.contains(#""n_lifetime":12"#) { problems.append(row) }
      }
      let verification = try site.command(["verify", "--redis", site.redis.url])
      if try verification.status(within: 120) != 0 { problems.append(verification.text) }
      return problems
    }
  }
}
