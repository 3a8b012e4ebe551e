import Foundation
import Testing
import TestSupport

extension Integration {
  /// The primary of a watched Redis goes, its replica takes over, and it comes back. All over TLS.
  @Suite(.enabled(if: Certificates.executable != nil, "openssl is missing")) struct SentinelTests {}
}

extension Integration.SentinelTests {
  @Test func aRunningServiceFollowsFailovers() async throws {
    try await Integration.expectNone(Self.withFailovers)
  }

  private static func withFailovers() throws -> [String] {
    let seed = Integration.seed()
    let site = try Site(redis: .sentinels)
    let events = try ShopEvents(site, seed: seed)
    guard let sentinels = site.redis.sentinels else { throw Failure("no sentinels") }
    try site.start(Site.Instance("a"))
    try site.start(Site.Instance("b", workers: 2))
    try site.awaitStarts()
    var lacking = 0
    for loss in [Sentineled.Loss.killed, .stopped, .killed] {
      try events.produce(milliseconds: 500)
      if loss == .killed { try sentinels.detachReplica() }
      // Until the primary has taken something that the replica has not.
      if loss == .killed {
        try waitUntil("the replica lacks commits", seconds: 60) {
          try events.produce(milliseconds: 100)
          return try sentinels.replicaLacksCommits()
        }
        lacking += 1
      }
      let (old, new) = try sentinels.lose(loss)
      try waitUntil("the replica is promoted", seconds: 60) {
        try events.produce(milliseconds: 100)
        return sentinels.isPrimary(new)
      }
      try sentinels.bringBack(old, after: loss)
      try waitUntil("the old primary is a replica", seconds: 60) {
        try events.produce(milliseconds: 100)
        return sentinels.isWhole()
      }
    }
    let audit = try Audit(site, seconds: 300)
    var problems = try audit.problems(events.written) + site.complaints()
    let verified = try site.command(["verify", "--redis", site.redis.url])
    if try verified.status(within: 120) != 0 { problems.append("verify: \(verified.text)") }
    print("seed \(seed): \(lacking) times the new primary lacked commits; \(audit.summary)")
    return Integration.report(problems, seed, site)
  }

  /// The feature server, too: its answers have the same values before, behind and during a failover, or say when to ask again.
  @Test func aFeatureServerFollowsAFailover() async throws {
    try await Integration.expectNone(Self.servingThroughFailover)
  }

  private static func servingThroughFailover() throws -> [String] {
    let seed = Integration.seed()
    let site = try ServedShop.site(seed, redis: .sentinels)
    guard let sentinels = site.redis.sentinels else { throw Failure("no sentinels") }
    // The address is a secret, which no argument shows.
    let address = site.path("redis-address")
    try site.redis.url.write(toFile: address, atomically: true, encoding: .utf8)
    let server = try Server(site, ["--request-timeout-ms", "500"], redis: ["--redis-file", address])
    let expected = try ServedShop.expectedRows(site)
    var problems = try server.check("values", expected)
    let marker = site.path("promoted")
    let load = try server.start("steady", expected, marker)
    try waitUntil("the load runs: \(load.text)", seconds: 60) {
      FileManager.default.fileExists(atPath: "\(marker).loaded")
    }
    try waitUntil("the replica has everything", seconds: 60) { try !sentinels.replicaLacksCommits() }
    let (old, new) = try sentinels.lose(.stopped)
    try waitUntil("the replica is promoted", seconds: 60) { sentinels.isPrimary(new) }
    try Data().write(to: URL(fileURLWithPath: marker))
    if try load.status(within: 120) != 0 { problems.append("\(load.text)\n\(server.text)") }
    print(load.text)
    try sentinels.bringBack(old, after: .stopped)
    try waitUntil("the old primary is a replica", seconds: 60) { sentinels.isWhole() }
    problems += try server.check("back") + server.check("values", expected)
    return Integration.report(problems, seed, site)
  }
}
