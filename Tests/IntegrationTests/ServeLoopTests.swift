import Foundation
import Testing
import TestSupport

extension Journeys {
  /// The whole way of an answer while everything runs: events are folded, clients are answered, answers are logged,
  /// verified, and become rows.
  @Suite struct ServeLoopTests {}
}

extension Journeys.ServeLoopTests {
  @Test func answersAreVerifiedAndBecomeTheirRows() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      // Some items' latest events are too old, and others' are not: the events' times lie around this one.
      let age = Int(Date().timeIntervalSince1970) - 1_700_000_000
      let site = try Site(
        ServedShop.definitions.replacing(
          "max_lag: 5s\n    served: { share: 1.0 }",
          with: "max_age: { items: \(age)s }\n    max_lag: 60s\n    served: { share: 0.5 }"))
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      try events.produce(100)
      _ = try Audit(site, seconds: 60)
      let server = try Server(site)
      let (marker, answers) = (site.path("marker"), site.path("answers.ndjson"))
      let clients = try server.start("record", marker, answers)
      // Until clients have asked often enough, however busy the machine is.
      var batches = 0
      while try batches < 60 || server.metric("plumb_requests_read_total") < 400 {
        try events.produce(40)
        batches += 1
      }
      try Data().write(to: URL(fileURLWithPath: marker))
      guard try clients.status(within: 60) == 0 else {
        return ["seed \(seed): \(clients.text)\n\(server.text)"]
      }
      print(clients.text)
      _ = try Audit(site, seconds: 60)
      var problems: [String] = []
      let (logged, dropped) = try ServedShop.log(site, server)
      if dropped != 0 || logged == 0 { problems.append("\(logged) records logged, \(dropped) dropped") }
      problems += try Self.verify(site)
      let table = try Self.rows(site, ["--from", "served", "--service", "ranking"])
      problems += try server.check("rows_of_answers", answers, table, "0.5")
      problems += try Self.compareReaders(site, server, seed)
      return Integration.report(problems + site.complaints(), seed, site)
    }
  }

  private static func verify(_ site: Site) throws -> [String] {
    let process = try site.command(["verify", "--served", "--redis", site.redis.url])
    let status = try process.status(within: 120)
    print(process.text)
    return status == 0 && process.text.contains("no difference") ? [] : ["verify: \(process.text)"]
  }

  /// A training set of the site.
  private static func rows(_ site: Site, _ arguments: [String]) throws -> String {
    let path = site.path("\(UUID().uuidString).ndjson")
    _ = try site.output(of: ["training-set"] + arguments + ["--out", path])
    return path
  }

  /// A server, `plumb get` and `plumb training-set` tell the same of a service at one time.
  private static func compareReaders(_ site: Site, _ server: Server, _ seed: UInt64) throws -> [String] {
    var random = SplitMix64(seed: seed &+ 1)
    let time = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 + 60).rounded())
    var (read, spine) = ("", "")
    var seen: Set<String> = []
    while seen.count < 30 {
      let (user, item) = ("u\(random.next() % 310)", "i\(random.next() % 210)")
      guard seen.insert("\(user) \(item)").inserted else { continue }
      read += try site.answer([
        "get", "--service", "ranking", "user=\(user)", "item=\(item)", "price=10", "--at",
        time.formatted(.iso8601),
      ])
      spine += "{\"user\":\"\(user)\",\"item\":\"\(item)\",\"price\":10.0,\"ts\":"
      spine += "\(Int64(time.timeIntervalSince1970) * 1_000)}\n"
    }
    let (got, asked) = (site.path("got.ndjson"), site.path("spine.ndjson"))
    try read.write(toFile: got, atomically: true, encoding: .utf8)
    try spine.write(toFile: asked, atomically: true, encoding: .utf8)
    let table = try rows(site, ["--as", "happened", "--spine", asked, "--service", "ranking"])
    return try server.check("threefold", got, table)
  }
}
