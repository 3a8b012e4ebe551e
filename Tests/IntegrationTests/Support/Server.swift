import Foundation
import LiveView
import Processor
import TestSupport

/// The shop behind a feature server: what is asked for, and what was answered.
enum ServedShop {
  static let definitions =
    ShopEvents.definitions.replacing(
      "    entity: user\n", with: "    entity: user\n    owner: growth\n    tags: { tier: 1 }\n")
      + """

        pairs:
          source: clicks
          entity: [user, item]
          features:
            n: { aggregate: count, windows: lifetime }
      services:
        ranking:
          features: [users.*, items.*, pairs.n_lifetime]
          inputs: { price: double }
          derive:
            of_version: 1 + 0
            price_per_event: price / nullif(users__events_lifetime, 0)
          max_lag: 5s
          served: { share: 1.0 }
        plain: { features: [users.*, items.*] }
        strict: { features: [users.*], max_lag: 5s, when_stale: fail }

      """

  /// A site whose service has folded some events, and goes on running.
  static func site(_ seed: UInt64, redis: Redis.Kind = .memory) throws -> Site {
    let site = try Site(definitions, redis: redis)
    let events = try ShopEvents(site, seed: seed)
    try site.start(Site.Instance("a"))
    for _ in 0..<10 { try events.produce(200) }
    _ = try Audit(site, seconds: 120)
    return site
  }

  /// Rows of users and items, some of which nobody knows, as `plumb get --service` reads them.
  static func expectedRows(_ site: Site) throws -> String {
    var lines = ""
    for index in 0..<24 {
      lines += try site.answer([
        "get", "--service", "ranking", "user=u\(index * 13 % 310)", "item=i\(index * 29 % 210)", "price=10",
        "--at", "2033-01-02T03:04:05Z",
      ])
    }
    let path = site.path("expected.ndjson")
    try lines.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  /// Every answer of the service that logs all is in the topic: a record a row and view, and one of what was derived.
  static func checkLog(_ site: Site, _ server: Server) throws -> [String] {
    let (logged, dropped) = try log(site, server)
    // 24 rows of three views and one of derived columns, at the least.
    return logged >= 24 * 4 && dropped == 0 ? [] : ["\(logged) records logged, \(dropped) dropped"]
  }

  /// Waits until the topic of answers holds what the server has logged; returns how many records those are, and how many
  /// were dropped.
  static func log(_ site: Site, _ server: Server) throws -> (logged: Int, dropped: Int) {
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    let partitions = (0..<Site.partitions).map { TopicPartition(site.routing.servedTopic, $0) }
    try waitUntil("all answers are logged: \(server.text)", seconds: 60) {
      try server.metric("plumb_served_records_total") == Int(reader.ends(partitions).reduce(0, +))
    }
    return (
      try server.metric("plumb_served_records_total"), try server.metric("plumb_served_dropped_total")
    )
  }
}

/// A feature server of a test, and what asks it.
final class Server {
  let port: Int
  private let process: ChildProcess
  private let site: Site

  init(
    _ site: Site, _ arguments: [String] = [], redis: [String]? = nil, isPlain: Bool = true
  ) throws {
    self.site = site
    let process = try site.command(
      ["serve", "--listen", "127.0.0.1:0"] + (redis ?? ["--redis", site.redis.url]) + arguments)
    var port: Int?
    try waitUntil("the server listens: \(process.text)", seconds: 60) {
      port = process.text.firstMatch(of: /listening .*port=(\d+)/).flatMap { Int($0.1) }
      return port != nil
    }
    self.process = process
    self.port = port ?? 0
    guard isPlain else { return }
    try waitUntil("the server is ready: \(process.text)", seconds: 60) {
      (try? HTTPGet.body(host: "127.0.0.1", port: self.port, path: "/readyz")) != nil
    }
  }

  deinit { process.kill() }

  var text: String { process.text }

  /// A counter without labels.
  func metric(_ name: String) throws -> Int {
    let text = try HTTPGet.body(host: "127.0.0.1", port: port, path: "/metrics")
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
    return line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? -1
  }

  /// How often it has said something.
  func count(of line: String) -> Int { text.split(separator: "\n").count { $0.contains(line) } }

  /// SIGTERM; the exit status.
  func terminate() throws -> Int32 {
    process.signal(SIGTERM)
    return try process.status(within: 60)
  }

  /// A check of serve_check.py beside the test; by another port if something stands between.
  func start(_ check: String, over other: Int? = nil, _ arguments: String...) throws -> ChildProcess {
    try ChildProcess(
      "/usr/bin/env",
      [Python.executable, "-B", "\(Python.scripts)/serve_check.py", check, "\(other ?? port)"]
        + arguments, log: URL(fileURLWithPath: site.path("check-\(UUID().uuidString).log")))
  }

  /// What such a check finds.
  func check(_ arguments: String...) throws -> [String] {
    let outcome = try Python.run(
      ["\(Python.scripts)/serve_check.py", arguments[0], "\(port)"] + arguments.dropFirst())
    if outcome.status == 0 {
      if !outcome.output.isEmpty { print(outcome.output) }
      return []
    }
    return ["\(arguments): \(outcome.output)\n\(process.text.suffix(2_000))"]
  }
}
