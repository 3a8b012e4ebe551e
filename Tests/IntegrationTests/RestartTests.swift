import Foundation
import Testing
import TestSupport

extension Integration {
  /// The Redis and the broker are killed and come back, some with less than they had.
  @Suite struct RestartTests {}
}

extension Integration.RestartTests {
  private enum Fault: CaseIterable { case kill, losePower, loseEverything, killWithService }

  @Test func aRedisThatComesBackIsBroughtUpToDate() async throws {
    try await Integration.expectNone(Self.withRedisRestarts)
  }

  @Test(.enabled(if: Broker.external == nil, "PLUMB_TEST_BROKERS names a broker that this test may not kill"))
  func aBrokerThatComesBackIsGoneOnWith() async throws {
    try await Integration.expectNone(Self.withBrokerRestarts)
  }

  private static func withRedisRestarts() throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site(redis: .appendOnly)
    let events = try ShopEvents(site, seed: seed &+ 1)
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    for instance in instances { try site.start(instance) }
    var cuts: [Int] = []
    var backwards = 0
    let faults = [Fault](repeating: .losePower, count: 8) + [.kill, .kill, .loseEverything, .killWithService]
    for fault in faults.shuffled(using: &random) {
      try events.produce(milliseconds: 500 + random.next() % 1_500)
      let before = try Audit.positions(site, reader).stored
      site.redis.kill()
      switch fault {
      case .kill: break
      // Up to some seconds' worth of writes, and nearly always amid one.
      case .losePower: cuts.append(try site.redis.losePower(bytes: 1 + Int(random.next() % 200_000)))
      case .loseEverything: cuts.append(try site.redis.losePower(bytes: .max))
      case .killWithService:
        site.kill("a")
        cuts.append(try site.redis.losePower(bytes: 1 + Int(random.next() % 20_000)))
      }
      try events.produce(milliseconds: random.next() % 500)
      try site.redis.start()
      if fault == .killWithService { try site.start(instances[0]) }
      let after = try site.redis.positions(site.keys, site.inputs.map(\.task))
      backwards += zip(before, after).count { ($0 ?? 0) > ($1 ?? 0) }
    }
    // Once more while there is nothing to do: nobody comes upon the loss by chance.
    _ = try Audit(site, seconds: 300)
    site.redis.kill()
    cuts.append(try site.redis.losePower(bytes: 20_000))
    try site.redis.start()
    let audit = try Audit(site, seconds: 300)
    var problems = try audit.problems(events.written) + site.complaints()
    print("seed \(seed): cut off \(cuts) bytes, \(backwards) positions went back; \(audit.summary)")
    if backwards == 0 { problems.append("the Redis never lost a commit") }
    return Integration.report(problems, seed, site)
  }

  private static func withBrokerRestarts() throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site()
    let events = try ShopEvents(site, seed: seed &+ 1)
    for instance in instances { try site.start(instance) }
    for round in 0..<8 {
      try events.produce(milliseconds: 500 + random.next() % 1_500)
      site.broker.kill()
      // Now and then long enough for the service to lose its patience with a request.
      usleep(UInt32(random.next() % (round % 4 == 0 ? 3_000_000 : 200_000)))
      try site.broker.start()
    }
    try events.produce(milliseconds: 500)
    let audit = try Audit(site, seconds: 300)
    let problems = try audit.problems(events.written) + site.complaints()
    print("seed \(seed): \(audit.summary), \(try audit.abortedRecords()) more in aborted transactions")
    return Integration.report(problems, seed, site)
  }

  private static let instances = [Site.Instance("a"), Site.Instance("b", workers: 2)]
}
