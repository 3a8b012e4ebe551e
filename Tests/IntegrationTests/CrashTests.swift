import Foundation
import Testing

/// The real binary, with a real broker and a real Redis: processes are killed, frozen and stopped, and everything
/// ends as one fold of the log makes it.
@Suite(
  .serialized, .timeLimit(.minutes(5)),
  .enabled(if: Redis.executable != nil, "redis-server is missing: install it to run these tests"))
struct CrashTests {
  private enum Fault { case kill, killWhileStoring, freeze }

  private static let faults =
    [Fault](repeating: .kill, count: 10) + [Fault](repeating: .killWhileStoring, count: 10)
    + [Fault](repeating: .freeze, count: 3)

  @Test func killsLoseAndRepeatNothing() throws {
    let chosen = ProcessInfo.processInfo.environment["PLUMB_TEST_SEED"].flatMap(UInt64.init)
    let seed = chosen ?? UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let start = ContinuousClock.now
    let site = try Site()
    let events = try ShopEvents(brokers: site.brokers, seed: seed &+ 1)
    for instance in ["a", "b"] { try site.start(instance) }
    var behind = 0
    for fault in Self.faults.shuffled(using: &random) {
      try produce(events, milliseconds: 300 + random.next() % 1_700, &random)
      behind += try cause(fault, site, events, &random)
    }
    let audit = try Audit(site, seconds: 120)
    let problems = try audit.problems(events) + site.complaints()
    let aborted = try audit.abortedRecords()
    print(
      "seed \(seed): \(Self.faults.count) faults, after which \(behind) tasks' states were behind the log; "
        + "\(audit.summary), \(aborted) more in aborted transactions; \(start.duration(to: .now))")
    if ProcessInfo.processInfo.environment["PLUMB_TEST_VERBOSE"] != nil { print(site.logs) }
    #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(5)) of \(problems.count)\n\(site.logs)")
    // The faults really meet the service at work.
    #expect(behind > 0 && aborted > 0, "seed \(seed)")
  }

  /// Lets something happen to one of the processes. Returns how many tasks a kill has left with less in the store than
  /// in the log.
  private func cause(
    _ fault: Fault, _ site: Site, _ events: ShopEvents, _ random: inout SplitMix64
  ) throws -> Int {
    let instance = random.next() % 2 == 0 ? "a" : "b"
    switch fault {
    case .freeze:
      // Longer than the session: the group gives its partitions away, and it doesn't know.
      site.services[instance]?.signal(SIGSTOP)
      try produce(events, milliseconds: 1_500 + random.next() % 1_000, &random)
      site.services[instance]?.signal(SIGCONT)
      return 0
    case .kill: site.kill(instance)
    case .killWhileStoring:
      // The log commits, the store doesn't answer; and what was sent to it is done after the sender's death.
      site.redis.freeze(true)
      try produce(events, milliseconds: 50 + random.next() % 200, &random)
      site.kill(instance)
      site.redis.freeze(false)
    }
    try produce(events, milliseconds: random.next() % 300, &random)
    let positions = try Audit.positions(
      site, KafkaAuditor(brokers: site.brokers, group: site.group, isolation: "read_uncommitted"))
    try site.start(instance)
    return zip(positions.stored, positions.committed).count { ($0 ?? 0) < ($1 ?? 0) }
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
    let problems = try Audit(site, seconds: 60).problems(events) + site.complaints()
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
