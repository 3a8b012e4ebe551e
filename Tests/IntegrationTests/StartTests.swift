import FeatureCore
import Foundation
import LiveView
import OnlineStore
import Processor
import Testing
import TestSupport

extension Integration {
  /// When `plumb run` refuses to start.
  @Suite struct StartTests {}
}

extension Integration.StartTests {
  @Test func statesThatDoNotFitAreNotCarriedOn() async throws {
    try await Integration.expectNone {
      let expected = [
        "'clicks' had 2 partitions when its states were made, and has 3 now",
        "the store has states of other definitions", "counts its events twice after a crash",
      ]
      return zip(expected, try Self.refusals()).filter { !$1.contains($0) }.map { "not '\($0)' but '\($1)'" }
    }
  }

  @Test func readinessFollowsTheStore() async throws {
    try await Integration.expectNone {
      let site = try Site()
      try site.start(Site.Instance("a"), more: ["--http", "127.0.0.1:0"])
      func awaitState(_ what: String, _ isSo: (Bool) -> Bool) throws {
        try waitUntil("the service is \(what): \(site.logs)", seconds: 120) {
          guard let port = site.logs.firstMatch(of: /running http=(?:127\.0\.0\.1:)?(\d+)/)?.1 else {
            return false
          }
          let isReady = (try? HTTPGet.body(host: "127.0.0.1", port: Int(port)!, path: "/readyz")) != nil
          return isSo(isReady)
        }
      }
      try awaitState("ready") { $0 }
      site.redis.freeze(true)
      try awaitState("not ready without its store") { !$0 }
      site.redis.freeze(false)
      try awaitState("ready again") { $0 }
      return site.complaints()
    }
  }

  /// A Redis that reads its data, and a broker that is started later, are waited for, and each is told of once.
  @Test(.enabled(if: Broker.external == nil, "PLUMB_TEST_BROKERS names a broker that this test may not kill"))
  func whoStartsLaterIsWaitedFor() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let redis = site.redis.nodes[0]
      let fill = "for i = 1, 2000 do redis.call('SET', 'other' .. i, string.rep('x', 1000)) end"
      try redis.ask("EVAL", [fill, "0"])
      try redis.ask("SAVE", [])
      redis.kill()
      try redis.startLoading()
      site.broker.kill()
      try site.start(Site.Instance("a"))
      try waitUntil("the brokers are waited for: \(site.logs)", seconds: 60) {
        site.logs.contains("waiting: no broker answers at \(site.brokers)")
      }
      try site.broker.start()
      try waitUntil("Redis is waited for: \(site.logs)", seconds: 60) { site.logs.contains(": LOADING ") }
      try redis.ask("CONFIG", ["SET", "key-load-delay", "0"])
      try site.awaitStarts()
      try events.produce(200)
      let told = site.logs.split(separator: "\n").filter { $0.contains("waiting: ") }
      var problems = told.count == 2 ? [] : ["told: \(told)"]
      if !site.logs.contains("Kafka and Redis answer") { problems.append("it doesn't say that it is over") }
      try redis.ask("FLUSHALL", [])
      let audit = try Audit(site, seconds: 120)
      return Integration.report(try problems + audit.problems(events.written) + site.complaints(), seed, site)
    }
  }

  /// Retention removes everything, the marks of transactions included, while nothing is written.
  @Test func whatRetentionHasEmptiedIsGoneOnWith() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
      let partitions = site.inputs.map(\.partition)
      func awaitEnd() throws {
        try waitUntil("everything is processed: \(site.logs)", seconds: 120) {
          if !site.complaints().isEmpty { throw Failure("\(site.complaints())") }
          return try Audit.positions(site, reader).stored == reader.ends(partitions)
        }
      }
      try events.produce(2_000)
      try site.start(Site.Instance("a"))
      try awaitEnd()
      guard try site.terminate("a") == 0 else { return [site.logs] }
      try reader.deleteRecords(before: Array(zip(partitions, reader.ends(partitions))))
      try site.start(Site.Instance("a"))
      try events.produce(500)
      try awaitEnd()
      return Integration.report(site.complaints(), seed, site)
    }
  }

  /// What the service says when it doesn't start.
  private static func refusals() throws -> [String] {
    let site = try Site()
    let redis = try RedisOptions(url: site.redis.url)
    let (reader, store) = (OnlineReader(redis, keys: site.keys), RedisStateStore(redis, keys: site.keys))
    func refusal(_ more: [String] = []) throws -> String {
      let process = try site.command(["run", "--redis", site.redis.url] + more)
      guard try process.status(within: 30) == 1 else { throw Failure("it started: \(process.text)") }
      return process.text
    }
    let counts = Dictionary(uniqueKeysWithValues: site.routing.inputs.map { ($0.name, Site.partitions) })
    var other = StoreMetadata(fingerprint: site.plan.fingerprint, partitions: counts)
    other.partitions["clicks"] = 2
    try store.publish(other)
    let grown = try refusal()
    // What is stored stays: a second attempt is refused as well.
    guard try refusal() == grown, try reader.refresh() == other else { throw Failure("it was overwritten") }
    try store.publish(StoreMetadata(fingerprint: 1, partitions: counts))
    return [grown, try refusal(), try refusal(["--delivery", "at_least_once"])]
  }
}
