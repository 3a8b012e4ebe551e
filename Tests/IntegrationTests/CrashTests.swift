import Foundation
import Testing
import TestSupport

extension Integration {
  /// Processes of the service are killed, frozen and stopped, and everything ends as one fold of the log makes it.
  @Suite struct CrashTests {}
}

extension Integration.CrashTests {
  private enum Fault { case kill, killWhileStoring, freeze, freezeWhileStoring }

  /// kill -9 of the service: PLUMB_TEST_KILLS says how often.
  private static let kills = Int(
    Integration.number("PLUMB_TEST_KILLS") ?? (Broker.external == nil ? 200 : 20))

  @Test func killsLoseAndRepeatNothing() async throws {
    try await Integration.expectNone {
      try Self.underFaults(Self.faults(kills: Self.kills, freezes: 3), on: try Site())
    }
  }

  @Test func whoIsFrozenWhileTheStoreIsAwayGoesOn() async throws {
    try await Integration.expectNone {
      try Self.underFaults([.killWhileStoring, .freezeWhileStoring, .freezeWhileStoring], on: try Site())
    }
  }

  @Test func killsLoseAndRepeatNothingOnARedisCluster() async throws {
    try await Integration.expectNone {
      try Self.underFaults(Self.faults(kills: 20, freezes: 1), on: try Site(redis: .cluster))
    }
  }

  /// Without transactions Redis is as exact; snapshots may come again, but each is true.
  @Test func killsRepeatOnlySnapshotsAtLeastOnce() async throws {
    try await Integration.expectNone {
      let definitions = ShopEvents.definitions.replacing("entity: item", with: "entity: user")
      return try Self.underFaults(
        Self.faults(kills: 30, freezes: 1), on: try Site(definitions),
        more: ["--delivery", "at_least_once"]
      ) { try $0.problemsAtLeastOnce($1) }
    }
  }

  @Test func stoppingCompletesTheLastCommit() async throws {
    try await Integration.expectNone(Self.whenStopped)
  }

  /// One kill in ten comes while the store doesn't answer.
  private static func faults(kills: Int, freezes: Int) -> [Fault] {
    let storing = max(1, kills / 10)
    return [Fault](repeating: .kill, count: kills - storing)
      + [Fault](repeating: .killWhileStoring, count: storing) + [Fault](repeating: .freeze, count: freezes)
  }

  private static func underFaults(
    _ faults: [Fault], on site: Site, more: [String] = [],
    _ problems: (Audit, [WrittenEvent]) throws -> [String] = { try $0.problems($1) }
  ) throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let start = ContinuousClock.now
    let events = try ShopEvents(site, seed: seed &+ 1)
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group, isolation: "read_uncommitted")
    for instance in instances { try site.start(instance, more: more) }
    var behind = 0
    var caused = 0
    func cause(_ fault: Fault) throws {
      try events.produce(milliseconds: 50 + random.next() % 600)
      behind += try Self.cause(fault, site, more, events, reader, &random)
      caused += 1
    }
    for fault in faults.shuffled(using: &random) { try cause(fault) }
    // Few kills may all have missed what this is about.
    while behind == 0 && caused < faults.count + 100 { try cause(.killWhileStoring) }
    let faulted = start.duration(to: .now)
    let audit = try Audit(site, seconds: 300)
    var problems = try problems(audit, events.written) + site.complaints()
    let aborted = try audit.abortedRecords()
    print(
      "seed \(seed): \(caused) faults in \(faulted), after which \(behind) tasks' states were behind the "
        + "log; \(audit.summary), \(aborted) more in aborted transactions; \(start.duration(to: .now))")
    if ProcessInfo.processInfo.environment["PLUMB_TEST_VERBOSE"] != nil { print(site.logs) }
    // The faults really meet the service at work; only many kills surely meet an open transaction, too.
    if behind == 0 || aborted == 0 && faults.count > 100 { problems.append("no kill hit a commit") }
    return Integration.report(problems, seed, site)
  }

  /// Static members come back to their partitions at once; what a dynamic one had moves when its session is over.
  private static let instances = [
    Site.Instance("a"), Site.Instance("b"), Site.Instance("c", workers: 2),
  ]

  /// Lets something happen to one of the processes. Returns how many tasks a kill has left with less in the store than
  /// in the log.
  private static func cause(
    _ fault: Fault, _ site: Site, _ more: [String], _ events: ShopEvents, _ reader: KafkaAuditor,
    _ random: inout SplitMix64
  ) throws -> Int {
    let isMoving = random.next() % 5 == 0
    let instance = isMoving ? instances[2] : instances[Int(random.next() % 2)]
    switch fault {
    case .freeze:
      // Longer than the session: the group gives its partitions away, and it doesn't know.
      site.services[instance.name]?.signal(SIGSTOP)
      try events.produce(milliseconds: UInt64(Broker.sessionMilliseconds) + 500 + random.next() % 1_000)
      site.services[instance.name]?.signal(SIGCONT)
      return 0
    case .freezeWhileStoring:
      // When it goes on the store is away, too: it loses partitions that it has paused.
      try site.awaitStarts()
      site.redis.freeze(true)
      try events.produce(milliseconds: 100 + random.next() % 100)
      site.services[instance.name]?.signal(SIGSTOP)
      try events.produce(milliseconds: UInt64(Broker.sessionMilliseconds) + 500 + random.next() % 1_000)
      site.services[instance.name]?.signal(SIGCONT)
      try events.produce(milliseconds: 1_000 + random.next() % 5_000)
      site.redis.freeze(false)
      return 0
    case .kill:
      site.kill(instance.name)
    case .killWhileStoring:
      // The log commits, the store doesn't answer; and what was sent to it is done after the sender's death.
      site.redis.freeze(true)
      try events.produce(milliseconds: 50 + random.next() % 200)
      site.kill(instance.name)
      site.redis.freeze(false)
    }
    let positions = try Audit.positions(site, reader)
    try site.start(instance, more: more)
    return zip(positions.stored, positions.committed).count { ($0 ?? 0) < ($1 ?? 0) }
  }

  private static func whenStopped() throws -> [String] {
    let seed = Integration.seed()
    var random = SplitMix64(seed: seed)
    let site = try Site()
    let events = try ShopEvents(site, seed: seed &+ 1)
    try site.start(Site.Instance("a"))
    let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
    try waitUntil("the service works: \(site.logs)", seconds: 120) {
      try events.produce(20)
      return try !Audit.positions(site, reader).stored.contains { ($0 ?? 0) == 0 }
    }
    try events.produce(milliseconds: 100 + random.next() % 400)
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
    try site.start(Site.Instance("a"))
    problems += try Audit(site, seconds: 120).problems(events.written)
    try stop()
    return Integration.report(problems + site.complaints(), seed, site)
  }
}
