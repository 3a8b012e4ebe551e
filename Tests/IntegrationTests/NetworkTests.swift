import Foundation
import Testing
import TestSupport

extension Integration {
  /// Connections that stay while nothing passes, in one direction or both; sides that send no more; and clients that say
  /// nothing and hold what they have.
  @Suite struct NetworkTests {}
}

extension Integration.NetworkTests {
  static let cuts: [Set<Wire.Direction>] = [[.toServer, .toClient], [.toServer], [.toClient]]

  /// Between the feature server and Redis: 503 within the time of a request, told once, and well again by itself.
  @Test func theServerOutlivesACutToRedis() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      let wire = try site.wireToRedis()
      defer { wire.stop() }
      let server = try Server(
        site, ["--request-timeout-ms", "500"], redis: ["--redis", "redis://127.0.0.1:\(wire.port)"])
      let expected = try ServedShop.expectedRows(site)
      var problems = try server.check("back")
      for cut in Self.cuts {
        wire.cut(cut)
        problems += try server.check("away").map { "\(cut): \($0)" }
        wire.mend()
        problems += try server.check("back").map { "\(cut): \($0)" }
        // A reply that comes late belongs to nobody's request but its own.
        problems += try server.check("values", expected).map { "\(cut): \($0)" }
      }
      for direction in Wire.Direction.allCases {
        wire.halfClose(direction)
        problems += try server.check("back").map { "half closed \(direction): \($0)" }
        problems += try server.check("values", expected).map { "half closed \(direction): \($0)" }
      }
      let told = ["the store can't be read", "the store answers again"].map { server.count(of: $0) }
      if told[0] != told[1] || told[0] < Self.cuts.count { problems.append("told \(told): \(server.text)") }
      return Integration.report(problems, seed, site)
    }
  }

  /// Between clients and the feature server: whoever is cut off is closed in time, and nobody else waits for it.
  @Test func theServerOutlivesACutToItsClients() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      let server = try Server(
        site, ["--client-timeout-s", "2", "--idle-timeout-s", "2", "--connections-max", "32"])
      let wire = try Wire(to: .port(server.port))
      defer { wire.stop() }
      var problems: [String] = []
      for cut in Self.cuts {
        // They ask all the time, so some are amid a request or an answer.
        let mended = site.path("mended-\(UUID().uuidString)")
        let clients = try (0..<4).map { _ in try server.start("through", over: wire.port, mended) }
        // Which is counted once a second.
        try waitUntil("they ask: \(clients.map(\.text))", seconds: 60) {
          try clients.allSatisfy { $0.text.contains("asked") }
            && server.metric("plumb_connections") >= clients.count
        }
        wire.cut(cut)
        problems += try server.check("prompt", "50").map { "\(cut): \($0)" }
        // The request for the count is a connection too.
        try waitUntil("those that are cut off are closed, \(cut): \(server.text)", seconds: 60) {
          try server.metric("plumb_connections") <= 1
        }
        wire.mend()
        try Data().write(to: URL(fileURLWithPath: mended))
        for client in clients {
          let status = try client.status(within: 120)
          if status != 0 { problems.append("\(cut): \(status), \(client.text)") }
        }
      }
      problems += try server.check("half_closed")
      if try server.terminate() != 0 { problems.append("it ended badly: \(server.text)") }
      return Integration.report(problems, seed, site)
    }
  }

  /// Between the service and Redis, under load: not ready while it lasts, nothing lost or counted twice.
  @Test func theServiceOutlivesACutToRedis() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let wire = try site.wireToRedis()
      defer { wire.stop() }
      let endpoint = try site.startReady(more: ["--redis", "redis://127.0.0.1:\(wire.port)"])
      for cut in Self.cuts {
        try events.produce(milliseconds: 300)
        wire.cut(cut)
        try events.produce(milliseconds: 300)
        try endpoint.awaitState("not ready, but alive: \(cut)") { !$0.isReady && $0.isAlive }
        wire.mend()
        try endpoint.awaitState("ready again: \(cut)") { $0.isReady }
      }
      for direction in Wire.Direction.allCases {
        wire.halfClose(direction)
        try events.produce(milliseconds: 300)
      }
      try endpoint.awaitState("ready at the end") { $0.isReady }
      let problems = try Audit(site, seconds: 300).problems(events.written) + site.complaints()
      return Integration.report(problems, seed, site)
    }
  }

  /// More idle connections to the metrics' port than the process may have descriptors: the service folds, commits and reaches
  /// its brokers and Redis anew, and the port answers again when they have gone.
  @Test func idleClientsOfTheMetricsPortTakeNothing() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let endpoint = try site.startReady(descriptors: 1_024)
      guard let port = site.logs.firstMatch(of: /running http=(?:127\.0\.0\.1:)?(\d+)/)?.1 else {
        return [site.logs]
      }
      let crowd = try ChildProcess(
        "/usr/bin/env", [Python.executable, "-B", "\(Python.scripts)/idle.py", "\(port)", "1100"],
        log: URL(fileURLWithPath: site.path("idle.log")))
      try waitUntil("they are there: \(crowd.text)", seconds: 60) { crowd.text.contains("connected") }
      try events.produce(milliseconds: 500)
      // What it needs now is new connections.
      site.redis.kill()
      try events.produce(milliseconds: 300)
      try site.redis.start()
      var problems = try Audit(site, seconds: 300).problems(events.written) + site.complaints()
      if !crowd.isRunning { problems.append("the crowd has gone: \(crowd.text)") }
      crowd.kill()
      try endpoint.awaitState("ready") { $0.isReady && $0.isAlive }
      return Integration.report(problems, seed, site)
    }
  }
}

extension Site {
  /// A network to the Redis of the test.
  fileprivate func wireToRedis() throws -> Wire {
    guard redis.url.hasPrefix("unix://") else { throw Failure("no Unix socket: \(redis.url)") }
    return try Wire(to: .path(String(redis.url.dropFirst("unix://".count))))
  }
}
