import Foundation
import LiveView
import OnlineStore
import Testing
import TestSupport

extension Integration {
  /// What somebody or something does to Redis under a running service: it is told, and mended or set aside.
  @Suite struct StoreFaultTests {}
}

extension Integration.StoreFaultTests {
  /// A position that is deleted, and one that is set back, under load: nothing is counted twice.
  @Test func positionsThatAreLostDoubleNothing() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      try events.produce(milliseconds: 500)
      try site.awaitStored(events)
      let position = site.keys.position(site.inputs[0].task)
      try site.redis.delete(position)
      try events.produce(milliseconds: 300)
      try site.awaitLine("begins at 0 of ")
      try site.awaitStored(events)
      try site.redis.set(position, Array("1".utf8))
      try events.produce(milliseconds: 300)
      try site.awaitLine("is folded anew from its beginning")
      let audit = try Audit(site, seconds: 120)
      return Integration.report(try audit.problems(events.written) + site.complaints(), seed, site)
    }
  }

  /// A flipped bit in one state: its entity is named, its events are dead letters, and all other entities go on.
  @Test func aDamagedStateIsSetAside() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      try site.start(Site.Instance("a"))
      try events.produce(milliseconds: 1_000)
      try site.awaitStored(events)
      guard try site.terminate("a") == 0 else { return [site.logs] }
      let users = try site.redis.contents().filter {
        String(decoding: $0.key, as: UTF8.self).contains(":s:users:")
      }
      // The last bit of whoever has most events: he comes again.
      guard
        let (key, healthy) = users.max(by: { ($0.value.count, $0.key.count) < ($1.value.count, $1.key.count) }
        )
      else { return ["no states"] }
      var value = healthy
      value[value.count - 1] ^= 1
      try site.redis.set(key, value)
      try site.start(Site.Instance("a"))
      try waitUntil("the damage is noticed: \(site.logs)", seconds: 120) {
        try events.produce(200)
        return site.logs.contains("is damaged: its checksum is another")
      }
      try site.awaitStored(events)
      let user = String(decoding: key, as: UTF8.self).split(separator: ":").last ?? ""
      let letters = try site.output(of: [
        "dead-letters", "tail", "--reason", "state_damaged",
      ])
      var problems = site.complaints()
      if !letters.contains("state in the store is damaged") { problems.append("no dead letters: \(letters)") }
      guard try site.terminate("a") == 0 else { return [site.logs] }
      // The events are in the log: folded again, everything is as if nothing had happened, but for the letters.
      let replay = try site.command([
        "replay", "--into", "redis", "--from", "beginning", "--redis", site.redis.url,
      ])
      guard try replay.status(within: 120) == 0 else { return [replay.text] }
      let audit = try Audit(site, seconds: 120)
      problems += try audit.problems(events.written).filter { !$0.contains(user) && !$0.contains("letters") }
      return Integration.report(problems, seed, site)
    }
  }
}

extension Site {
  /// Waits until everything that was produced is folded and stored.
  func awaitStored(_ events: ShopEvents) throws {
    let reader = try KafkaAuditor(brokers: brokers, group: group)
    let partitions = inputs.map(\.partition)
    try waitUntil("everything is processed: \(logs)", seconds: 120) {
      if !complaints().isEmpty { throw Failure("\(complaints())") }
      return try Audit.positions(self, reader).stored == reader.ends(partitions)
    }
  }

  /// Waits until the service says something.
  func awaitLine(_ text: String) throws {
    try waitUntil("the service says '\(text)': \(logs)", seconds: 120) { logs.contains(text) }
  }
}
