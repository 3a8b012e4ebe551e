import Foundation
import Testing

/// The real binary, with a real broker and a real Redis: processes are killed, frozen and stopped, and everything
/// ends as one fold of the log makes it.
@Suite(
  .serialized, .timeLimit(.minutes(5)),
  .enabled(if: Redis.executable != nil, "redis-server is missing: install it to run these tests"))
struct CrashTests {
  private static let kills = 18
  private static let freezes = 3

  @Test func killsLoseAndRepeatNothing() throws {
    let chosen = ProcessInfo.processInfo.environment["PLUMB_TEST_SEED"].flatMap(UInt64.init)
    let seed = chosen ?? UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let start = ContinuousClock.now
    let site = try Site()
    let events = try ShopEvents(brokers: site.brokers, seed: seed &+ 1)
    for instance in ["a", "b"] { try site.start(instance) }
    var faults = [Bool](repeating: true, count: Self.kills) + [Bool](repeating: false, count: Self.freezes)
    faults.shuffle(using: &random)
    for isKill in faults {
      try produce(events, milliseconds: 300 + random.next() % 1_900, &random)
      let instance = random.next() % 2 == 0 ? "a" : "b"
      if isKill {
        site.kill(instance)
        try produce(events, milliseconds: random.next() % 300, &random)
        try site.start(instance)
      } else {
        // Longer than the session: the group gives its partitions away, and it doesn't know.
        site.services[instance]?.signal(SIGSTOP)
        try produce(events, milliseconds: 1_500 + random.next() % 1_000, &random)
        site.services[instance]?.signal(SIGCONT)
      }
    }
    let faulty = start.duration(to: .now)
    let audit = try Audit(site, events, seconds: 120)
    let problems = try audit.problems(events) + site.complaints()
    print(
      "seed \(seed): \(Self.kills) kills, \(Self.freezes) freezes in \(faulty); \(audit.summary); "
        + "in all \(start.duration(to: .now))")
    #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(5)) of \(problems.count)\n\(site.logs)")
  }

  @Test func stoppingCompletesTheLastCommit() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let site = try Site()
    let events = try ShopEvents(brokers: site.brokers, seed: seed &+ 1)
    try site.start("a")
    try events.produce(500)
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    try waitUntil("the service works: \(site.logs)") {
      try events.produce(20)
      return try !Audit.positions(site, reader).stored.contains(nil)
    }
    try produce(events, milliseconds: 100 + random.next() % 400, &random)
    #expect(try site.terminate("a") == 0, "\(site.logs)")
    let positions = try Audit.positions(site, reader)
    #expect(positions.stored == positions.committed, "seed \(seed): \(site.logs)")
    // A successor goes on where it was.
    try events.produce(500)
    try site.start("a")
    let problems = try Audit(site, events, seconds: 60).problems(events) + site.complaints()
    #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(5)) of \(problems.count)\n\(site.logs)")
    #expect(try site.terminate("a") == 0, "\(site.logs)")
  }

  /// Writes transactions of random sizes, at random distances, until a time is over.
  private func produce(
    _ events: ShopEvents, milliseconds: UInt64, _ random: inout SplitMix64
  ) throws {
    let end = ContinuousClock.now + .milliseconds(Int64(milliseconds))
    while ContinuousClock.now < end {
      try events.produce(1 + Int(random.next() % 60))
      usleep(UInt32(random.next() % 50_000))
    }
  }
}
