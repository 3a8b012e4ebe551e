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

  @Test func killsLoseAndRepeatNothing() async throws {
    try await expectNone(Self.underKills)
  }

  @Test func stoppingCompletesTheLastCommit() async throws {
    try await expectNone(Self.whenStopped)
  }

  /// A test's body on a thread of its own: it waits for processes, and the pool's threads have other work.
  private func expectNone(_ body: @escaping @Sendable () throws -> [String]) async throws {
    let problems = try await withCheckedThrowingContinuation {
      (done: CheckedContinuation<[String], any Error>) in
      Thread.detachNewThread { done.resume(with: Result { try body() }) }
    }
    if !problems.isEmpty { Issue.record("\(problems.joined(separator: "\n"))") }
  }

  @Sendable private static func underKills() throws -> [String] {
    let chosen = ProcessInfo.processInfo.environment["PLUMB_TEST_SEED"].flatMap(UInt64.init)
    let seed = chosen ?? UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let start = ContinuousClock.now
    let site = try Site()
    let events = try ShopEvents(brokers: site.brokers, seed: seed &+ 1)
    for instance in ["a", "b"] { try site.start(instance) }
    var behind = 0
    for fault in faults.shuffled(using: &random) {
      try produce(events, milliseconds: 300 + random.next() % 1_700, &random)
      behind += try cause(fault, site, events, &random)
    }
    let audit = try Audit(site, seconds: 120)
    var problems = try audit.problems(events) + site.complaints()
    let aborted = try audit.abortedRecords()
    print(
      "seed \(seed): \(faults.count) faults, after which \(behind) tasks' states were behind the log; "
        + "\(audit.summary), \(aborted) more in aborted transactions; \(start.duration(to: .now))")
    if ProcessInfo.processInfo.environment["PLUMB_TEST_VERBOSE"] != nil { print(site.logs) }
    // The faults really meet the service at work.
    if behind == 0 || aborted == 0 { problems.append("no kill hit a commit") }
    return report(problems, seed, site)
  }

  /// Lets something happen to one of the processes. Returns how many tasks a kill has left with less in the store than
  /// in the log.
  private static func cause(
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

  @Sendable private static func whenStopped() throws -> [String] {
    let seed = UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    let site = try Site()
    let events = try ShopEvents(brokers: site.brokers, seed: seed &+ 1)
    try site.start("a")
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    try waitUntil("the service works: \(site.logs)") {
      try events.produce(20)
      return try !Audit.positions(site, reader).stored.contains { ($0 ?? 0) == 0 }
    }
    try produce(events, milliseconds: 100 + random.next() % 400, &random)
    var problems: [String] = []
    func stop() throws {
      let status = try site.terminate("a")
      if status != 0 { problems.append("exit status \(status)") }
      let positions = try Audit.positions(site, reader)
      if positions.stored != positions.committed { problems.append("\(positions) after the end") }
    }
    try stop()
    // A successor goes on where it was.
    try events.produce(500)
    try site.start("a")
    problems += try Audit(site, seconds: 60).problems(events)
    try stop()
    return report(problems + site.complaints(), seed, site)
  }

  /// The first of the problems, with what it takes to find their cause.
  private static func report(_ problems: [String], _ seed: UInt64, _ site: Site) -> [String] {
    if problems.isEmpty { return [] }
    return ["seed \(seed), \(problems.count) problems:"] + problems.prefix(5) + [site.logs]
  }

  /// Writes transactions of random sizes, at random distances, until a time is over.
  private static func produce(
    _ events: ShopEvents, milliseconds: UInt64, _ random: inout SplitMix64
  ) throws {
    let end = ContinuousClock.now + .milliseconds(Int64(milliseconds))
    while ContinuousClock.now < end {
      try events.produce(1 + Int(random.next() % 60))
      usleep(UInt32(random.next() % 50_000))
    }
  }
}
