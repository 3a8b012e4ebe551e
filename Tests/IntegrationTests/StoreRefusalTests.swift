import Foundation
import Testing

extension Integration {
  /// Redis is there and doesn't do what it is asked: told once when it begins and when it is over, and never ready in between.
  @Suite struct StoreRefusalTests {}
}

extension Integration.StoreRefusalTests {
  /// What makes Redis refuse, what undoes it, and how its answer begins.
  enum Refusal: CaseIterable {
    case outOfMemory, readOnly

    var answer: String { self == .outOfMemory ? "OOM" : "READONLY" }

    func begin(_ redis: RedisNode) throws {
      switch self {
      case .outOfMemory: try redis.ask("CONFIG", ["SET", "maxmemory", "1"])
      // A replica of nobody who answers; it keeps what it has.
      case .readOnly: try redis.ask("REPLICAOF", ["127.0.0.1", "1"])
      }
    }

    func end(_ redis: RedisNode) throws {
      switch self {
      case .outOfMemory: try redis.ask("CONFIG", ["SET", "maxmemory", "0"])
      case .readOnly: try redis.ask("REPLICAOF", ["NO", "ONE"])
      }
    }
  }

  @Test(arguments: Refusal.allCases) func refusedWritesAreToldOnce(_ refusal: Refusal) async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let endpoint = try site.startReady()
      try events.produce(milliseconds: 500)
      try site.awaitStored(events)
      try endpoint.awaitState("ready") { $0.isReady }
      try refusal.begin(site.redis.nodes[0])
      try events.produce(milliseconds: 300)
      try endpoint.awaitState("not ready") { !$0.isReady }
      var problems: [String] = []
      for look in 0..<30 {
        try events.produce(20)
        if endpoint.isReady || !endpoint.isAlive { problems.append("look \(look): ready or dead") }
      }
      let told = site.logs.split(separator: "\n").filter { $0.contains("until it succeeds") }
      if told.count != 1 || !told[0].contains(refusal.answer) { problems.append("told: \(told)") }
      if site.logs.contains("the store works again") { problems.append("over before it is") }
      try refusal.end(site.redis.nodes[0])
      try site.awaitLine("the store works again")
      try endpoint.awaitState("ready again") { $0.isReady }
      problems += try Audit(site, seconds: 120).problems(events.written) + site.complaints()
      return Integration.report(problems, seed, site)
    }
  }

  /// Emptied under load: everything is folded again from the log, which is told, and not ready before that.
  @Test func anEmptiedStoreIsFilledAgain() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try Site()
      let events = try ShopEvents(site, seed: seed)
      let endpoint = try site.startReady()
      try events.produce(milliseconds: 800)
      try site.awaitStored(events)
      try endpoint.awaitState("ready") { $0.isReady }
      var problems: [String] = []
      for _ in 0..<2 {
        try site.redis.clear()
        try events.produce(milliseconds: 300)
      }
      try site.awaitLine("begins at 0 of ")
      try site.awaitLine("is complete at ")
      try site.awaitStored(events)
      try endpoint.awaitState("ready again") { $0.isReady }
      problems += try Audit(site, seconds: 120).problems(events.written) + site.complaints()
      return Integration.report(problems, seed, site)
    }
  }
}
