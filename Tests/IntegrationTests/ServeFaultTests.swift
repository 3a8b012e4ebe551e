import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing
import TestSupport

extension Integration {
  /// What `plumb serve` does while Kafka or a part of Redis is away, and within which bounds.
  @Suite struct ServeFaultTests {}
}

extension Integration.ServeFaultTests {
  /// The log of answers is full at once, and answers go on: what is lost is counted, and told once.
  @Test func withoutKafkaAnswersGoOn() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      guard try site.terminate("a") == 0 else { return [site.logs] }
      let server = try Server(
        site, ["--served-rows-max", "50", "-X", "producer.queue.buffering.max.messages=100"])
      var problems = try server.check("prompt", "40")
      let first = try ServedShop.log(site, server)
      if first.logged != 40 * 4 || first.dropped != 0 { problems.append("before: \(first)") }
      site.broker.kill()
      problems += try server.check("prompt", "200")
      let lost = try server.metric("plumb_served_dropped_total")
      if lost < 200 { problems.append("\(lost) records were dropped, of 800 that had no place") }
      // A server that starts now has no topic to write to, and answers all the same.
      let late = try Server(site, ["--served-rows-max", "50"])
      problems += try late.check("prompt", "200")
      try site.broker.start()
      for server in [server, late] {
        try waitUntil("answers are logged again: \(server.text)", seconds: 120) {
          problems += try server.check("prompt", "1")
          return server.count(of: "answers are logged again") > 0 || !problems.isEmpty
        }
        let told = ["answers are not logged", "answers are logged again"].map { server.count(of: $0) }
        if told != [1, 1] { problems.append("told \(told) times: \(server.text)") }
      }
      // Once it is over nothing is dropped, and what was logged is in the topic, whole.
      let dropped = try server.metric("plumb_served_dropped_total")
      problems += try server.check("prompt", "10")
      guard try late.terminate() == 0, try server.terminate() == 0 else {
        return ["\(late.text)\n\(server.text)"]
      }
      if !server.text.contains("dropped=\(dropped)") { problems.append("\(dropped) dropped: \(server.text)") }
      return Integration.report(problems, seed, site)
    }
  }

  /// One round trip a node, whatever is asked for; a slot that moves is followed; and a node that is away takes nothing with
  /// it but what it has.
  @Test func aClusterIsReadNodeByNode() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed, redis: .cluster)
      let server = try Server(site, ["--request-timeout-ms", "500", "--readers", "1"])
      let expected = try ServedShop.expectedRows(site)
      var problems = try server.check("values", expected)
      // Everything has been found by now.
      let names = ["plumb_round_trips_total", "plumb_requests_read_total", "plumb_states_read_total"]
      let before = try names.map(server.metric)
      problems += try server.check("prompt", "100")
      let now = try zip(names.map(server.metric), before).map { $0 - $1 }
      // States of three views, each anywhere on three nodes, and the key that says which version is live.
      if now[1] != 100 || now[2] != 300 || now[0] > 3 * 100 || now[0] < 100 {
        problems.append("\(now): trips, requests, states")
      }
      problems += try Self.moveSlot(site, server, expected)
      problems += try Self.loseNode(site, server, expected)
      // Each outage is told once, and its end.
      let told = ["the store can't be read", "the store answers again"].map { server.count(of: $0) }
      if told[0] != told[1] || told[0] < 2 { problems.append("told \(told) times: \(server.text)") }
      return Integration.report(problems, seed, site)
    }
  }

  /// Moves the slot of a task to another node, key by key, while clients ask.
  private static func moveSlot(_ site: Site, _ server: Server, _ expected: String) throws -> [String] {
    let marker = site.path("moved")
    let load = try server.start("steady", expected, marker)
    try waitUntil("the load runs: \(load.text)", seconds: 60) {
      FileManager.default.fileExists(atPath: "\(marker).loaded")
    }
    try site.redis.moveSlot(of: site.keys.position(site.inputs[0].task))
    try Data().write(to: URL(fileURLWithPath: marker))
    let status = try load.status(within: 120)
    print(load.text)
    return status == 0 ? try server.check("values", expected) : ["a slot moved: \(load.text)\n\(server.text)"]
  }

  /// Stops the nodes one after the other, but for that which knows the live version: nothing can be answered without it.
  private static func loseNode(_ site: Site, _ server: Server, _ expected: String) throws -> [String] {
    let live = try site.redis.node(of: Array("\(site.plan.name):live".utf8))
    var problems: [String] = []
    for (index, node) in site.redis.nodes.enumerated() where index != live {
      let tasks = try site.inputs.filter { try node.has(site.keys.position($0.task)) }
      let users = tasks.count { $0.input.name == "clicks" }
      node.freeze(true)
      problems += try server.check("partly", expected, "\(tasks.count)", "\(users)")
      node.freeze(false)
      problems += try server.check("back")
    }
    site.redis.nodes[live].freeze(true)
    problems += try server.check("away")
    site.redis.nodes[live].freeze(false)
    return problems + (try server.check("back"))
  }

  @Test func boundsAreThoseOfTheSettings() async throws {
    try await Integration.expectNone {
      let site = try Site(ServedShop.definitions)
      let server = try Server(
        site,
        [
          "--request-bytes-max", "2000", "--rows-max", "3", "--connections-max", "16", "--client-timeout-s",
          "1",
          "--idle-timeout-s", "1",
        ], isPlain: false)
      return try server.check("bounds")
    }
  }
}
