import EventFiles
import Foundation
import Testing
import TestSupport

extension Integration {
  /// Triggers of a real service, under kill -9: what fires is what a fold of the log says, once.
  @Suite struct TriggerTests {}
}

extension Integration.TriggerTests {
  private static let definitions = ShopEvents.definitions
    .replacing(
      "    entity: user\n",
      with: """
            entity: user
            triggers:
              busy: { when: events_1h >= 3, for: 2, every: 1m, again_after: 10m }
              regular: { when: "events_lifetime > 4", every: 5m }

        """
    ).replacing(
      "    entity: item\n",
      with: "    entity: item\n    triggers: { sold: { when: quantity_lifetime > 6, every: 30s } }\n")

  @Test func killsLoseAndDoubleNothing() async throws {
    try await Integration.expectNone(Self.exactlyOnce)
  }

  /// Without transactions a firing may come again, with the same id and the same bytes.
  @Test func killsRepeatOnlyTheSameAtLeastOnce() async throws {
    try await Integration.expectNone(Self.atLeastOnce)
  }

  private static func exactlyOnce() throws -> [String] {
    let site = try Site(definitions)
    let events = try underKills(site)
    var problems = try complaints(site)
    let rows = try tail(site)
    let ids = rows.map { String($0.prefix(25)) }
    if Set(ids).count != ids.count { problems.append("a trigger has fired twice: \(ids.count)") }
    if rows.count < 100 { problems.append("only \(rows.count) triggers have fired") }
    let replayed = try lines(site.output(of: ["replay", "--triggers"]))
    if replayed.sorted() != rows.sorted() {
      problems.append("\(replayed.count) replayed, \(rows.count) live: \(difference(replayed, rows))")
    }
    return try problems + fromFiles(site, events, rows) + views(site, rows) + fromArchive(site, rows)
  }

  /// What the topics no longer hold, an archive tells.
  private static func fromArchive(_ site: Site, _ rows: [String]) throws -> [String] {
    let archive = Archive(site)
    try archive.complete()
    try archive.cutTopics { ($0.first + $0.next) / 2 }
    let cut = try lines(site.output(of: ["replay", "--triggers"]))
    let found = try lines(site.output(of: ["replay", "--triggers", "--archive", archive.path]))
    let isRight = found.sorted() == rows.sorted() && cut.sorted() != rows.sorted()
    return isRight ? [] : ["from the archive: \(difference(found, rows)); \(cut.count) from the rest"]
  }

  private static func atLeastOnce() throws -> [String] {
    let site = try Site(definitions.replacing("entity: item", with: "entity: user"))
    let config = ["--config", site.path("config.yaml")]
    try Data("delivery: at_least_once\n".utf8).write(to: URL(fileURLWithPath: config[1]))
    _ = try underKills(site, more: config)
    let rows = Set(try tail(site))
    let replayed = Set(try lines(site.output(of: ["replay", "--triggers"])))
    return try complaints(site, config)
      + (rows == replayed ? [] : ["\(difference(Array(replayed), Array(rows)))"])
  }

  private static func underKills(_ site: Site, more: [String] = []) throws -> ShopEvents {
    let events = try ShopEvents(site, seed: Integration.seed())
    for name in ["a", "b"] { try site.start(Site.Instance(name), more: more) }
    for round in 0..<12 {
      try events.produce(milliseconds: 400)
      let name = round % 2 == 0 ? "a" : "b"
      site.kill(name)
      try events.produce(20)
      try site.start(Site.Instance(name), more: more)
    }
    _ = try Audit(site, seconds: 240)
    return events
  }

  /// What the service and a verification have to say.
  private static func complaints(_ site: Site, _ more: [String] = []) throws -> [String] {
    let verify = try site.command(["verify", "--redis", site.redis.url] + more)
    let status = try verify.status(within: 120)
    return site.complaints() + (status == 0 ? [] : ["verify: \(verify.text)"])
  }

  /// The records of the topic, without where they stand.
  private static func tail(_ site: Site, _ more: [String] = []) throws -> [String] {
    try lines(site.output(of: ["triggers", "tail"] + more)).map { line in
      guard let begin = line.range(of: "\"id\":") else { throw Failure("no record: \(line)") }
      return "{" + line[begin.lowerBound...]
    }
  }

  private static func lines(_ text: String) throws -> [String] {
    text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("{") }
  }

  private static func difference(_ a: [String], _ b: [String]) -> [String] {
    Array(Set(a).symmetricDifference(Set(b)).sorted().prefix(5))
  }

  /// The same events in a file fire the same: ids, times and values.
  private static func fromFiles(_ site: Site, _ events: ShopEvents, _ rows: [String]) throws -> [String] {
    let good = events.written.filter { event in
      !event.refusals.contains { $0.view.isEmpty || $0.view == "users" }
    }
    let file = site.path("events.ndjson")
    let text = good.map { String(decoding: $0.value ?? [], as: UTF8.self) }.joined(separator: "\n") + "\n"
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    let out = site.path("fired.ndjson")
    let replay = try ChildProcess(
      Site.binary,
      ["replay", "-d", site.definitions, "--triggers", "--events", file, "--view", "users", "--out", out],
      log: URL(fileURLWithPath: site.path("replay.log")))
    guard try replay.status(within: 60) == 0 else { return ["replay of a file: \(replay.text)"] }
    func withoutPosition(_ lines: [String]) -> [String] {
      lines.map { String($0.prefix(upTo: $0.range(of: ",\"position\":")?.lowerBound ?? $0.endIndex)) }
        .sorted()
    }
    let found = withoutPosition(try lines(String(contentsOfFile: out, encoding: .utf8)))
    let expected = withoutPosition(rows.filter { $0.contains("\"view\":\"users\"") })
    return found == expected ? [] : ["from a file: \(difference(found, expected))"]
  }

  /// Names choose.
  private static func views(_ site: Site, _ rows: [String]) throws -> [String] {
    let items = rows.filter { $0.contains("\"view\":\"items\"") }
    let busy = rows.filter { $0.contains("\"trigger\":\"busy\"") }
    let found = [
      try tail(site, ["--view", "items"]),
      try lines(site.output(of: ["replay", "--triggers", "--view", "items"])),
      try tail(site, ["--trigger", "busy"]),
    ]
    let isRight = zip(found, [items, items, busy]).allSatisfy { $0.sorted() == $1.sorted() && !$0.isEmpty }
    return isRight ? [] : ["names don't choose: \(found.map(\.count)), \(items.count), \(busy.count)"]
  }
}
