import Foundation
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb on-trigger` with a real broker and real commands, killed and stopped.
  @Suite struct OnTriggerTests {}
}

extension Journeys.OnTriggerTests {
  private static let definitions = ShopEvents.definitions.replacing(
    "    entity: user\n",
    with: "    entity: user\n    triggers: { seen: { when: events_lifetime > 0, every: 10m } }\n")

  /// What a training record says.
  private struct Training: Decodable {
    var id: String
    var event: String
    var attempt: Int
    var outcome: String?
    var exit_status: Int?
    var signal: Int?
    var problem: String?
    var timed_out: Bool?
    var last_line: String?
  }

  /// A site whose service has made some triggers fire, and their ids in their order.
  private static func fired(atLeast count: Int, of rounds: Int) throws -> (site: Site, ids: [String]) {
    let site = try Site(definitions)
    let events = try ShopEvents(site, seed: Integration.seed())
    try site.start(Site.Instance("a"))
    var ids: [String] = []
    // How many fire is a matter of the seed, and a transaction in twenty is aborted.
    while ids.count < count {
      for _ in 0..<rounds { try events.produce(40) }
      _ = try Audit(site, seconds: 120)
      ids = try site.output(of: ["triggers", "tail"]).split(separator: "\n").compactMap { line in
        line.firstRange(of: "\"id\":\"").map { String(line[$0.upperBound...].prefix(16)) }
      }
    }
    try check(site.terminate("a") == 0)
    return (site, ids)
  }

  private static func trainings(_ site: Site) throws -> [Training] {
    let auditor = try KafkaAuditor(brokers: site.brokers, group: "audit-\(UUID())")
    let records = try auditor.read([TopicPartition(site.routing.trainingTopic, 0)])[0]
    return try records.map { try JSONDecoder().decode(Training.self, from: Data($0.value ?? [])) }
  }

  private static func script(_ site: Site, _ text: String) throws -> String {
    let path = site.path("command-\(UUID()).sh")
    try Data("#!/bin/bash\n\(text)\n".utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    return path
  }

  private static func follow(_ site: Site, _ options: [String], _ command: [String]) throws -> ChildProcess {
    try ChildProcess(
      "/usr/bin/env",
      [
        "TMPDIR=\(site.path(""))", Site.binary, "on-trigger", "-d", site.definitions, "--brokers",
        site.brokers,
      ]
        + options + ["--"] + command,
      log: URL(fileURLWithPath: site.path("follow-\(UUID()).log")))
  }

  private static func text(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }

  private static func check(_ isRight: Bool, _ text: String = "", line: Int = #line) throws {
    if !isRight { throw Failure("line \(line) is not so. \(text)") }
  }

  // MARK: - Tests

  /// Standard input, environment, output, exit status; failures, and commands that can't be run or take too long.
  @Test func whatACommandIsToldAndWhatIsToldOfIt() async throws {
    try await Integration.expectNone(Self.courses)
  }

  private static func courses() throws -> [String] {
    let (site, ids) = try fired(atLeast: 5, of: 4)
    let out = site.path("out")
    let command = try script(
      site,
      """
      read line
      echo "$PLUMB_TRIGGER_ID $PLUMB_TRIGGER $PLUMB_VIEW $PLUMB_ATTEMPT $line" >> \(out)
      n=$(wc -l < \(out))
      if [ $n = 2 ]; then echo failing >&2; exit 7; fi
      if [ $n = 3 ]; then sleep 1000 & wait; fi
      printf 'one\\n\\nlast of %s' "$1"
      """)
    let follower = try follow(
      site, ["--timeout", "10s", "--backoff", "0s", "--retries", "1"], [command, "an argument"])
    try waitUntil("all are done: \(follower.text)", seconds: 120) {
      try trainings(site).filter { $0.outcome == "succeeded" }.count >= ids.count - 1
    }
    follower.signal(SIGTERM)
    try check(try follower.status(within: 30) == 0, follower.text)
    let lines = text(out).split(separator: "\n").map(String.init)
    let found = try trainings(site)
    var problems: [String] = []
    func expect(_ isRight: Bool, _ what: @autoclosure () -> String) {
      if !isRight { problems.append(what()) }
    }
    expect(lines[0].hasPrefix("\(ids[0]) seen users 1 {\"id\":\"\(ids[0])\""), "input: \(lines[0])")
    // The second failed, its second attempt took too long.
    expect(lines[1].hasPrefix("\(ids[1]) seen users 1 "), "attempt: \(lines[1])")
    expect(lines[2].hasPrefix("\(ids[1]) seen users 2 "), "attempt: \(lines[2])")
    let ends = found.filter { $0.event == "end" }
    expect(ends[0].outcome == "succeeded" && ends[0].exit_status == 0, "\(ends[0])")
    expect(ends[0].last_line == "last of an argument", "\(ends[0])")
    expect(
      ends[1].outcome == "retrying" && ends[1].exit_status == 7 && ends[1].last_line == "failing",
      "\(ends[1])")
    expect(ends[2].outcome == "failed" && ends[2].timed_out == true && ends[2].signal == 15, "\(ends[2])")
    let final = ends.filter { $0.outcome != "retrying" }.map(\.id)
    expect(final == ids, "\(final) are not \(ids)")
    expect(found.filter { $0.event == "begin" }.count == ends.count, "begin and end")
    expect(follower.text.contains("command: failing"), "the log: \(follower.text)")
    // Who comes later has nothing to do.
    let later = try follow(site, ["--log-format", "json", "--from", "beginning"], ["/no/such/command"])
    try waitUntil("it follows: \(later.text)") { later.text.contains("following") }
    later.signal(SIGTERM)
    try check(try later.status(within: 30) == 0, later.text)
    expect(try trainings(site).count == found.count, "something ran again")
    return try problems + unrunnable(site, ids)
  }

  /// Another group, whose command isn't there.
  private static func unrunnable(_ site: Site, _ ids: [String]) throws -> [String] {
    let follower = try follow(site, ["--view", "users", "--retries", "0"], ["/no/such/command"])
    try waitUntil("it has failed: \(follower.text)", seconds: 120) {
      try trainings(site).contains { $0.problem?.contains("No such file or directory") == true }
    }
    follower.kill()
    return follower.text.contains("could not be run") ? [] : ["not told: \(follower.text)"]
  }

  /// kill -9 again and again: every trigger ends once for good, in order, no two commands run beside each other, and what is repeated has
  /// the same id.
  @Test func killsLoseNothing() async throws { try await Integration.expectNone(Self.kills) }

  private static func kills() throws -> [String] {
    let (site, ids) = try fired(atLeast: 20, of: 8)
    let (out, busy) = (site.path("out"), site.path("busy"))
    let command = try script(
      site,
      """
      mkdir \(busy) || echo "$PLUMB_TRIGGER_ID beside another" >> \(out)
      echo "$PLUMB_TRIGGER_ID" >> \(out)
      sleep 0.05
      rmdir \(busy)
      """)
    var random = SplitMix64(seed: Integration.seed())
    var follower = try follow(site, [], [command])
    var kills = 0
    while try trainings(site).filter({ $0.outcome == "succeeded" }).count < ids.count {
      if kills < 25 {
        // Each gets far enough to run something.
        let before = text(out).utf8.count
        try waitUntil("a command runs: \(follower.text)", seconds: 60) { text(out).utf8.count > before }
        usleep(UInt32(random.next() % 120_000))
        follower.kill()
        kills += 1
        follower = try follow(site, [], [command])
      }
      usleep(50_000)
    }
    follower.signal(SIGTERM)
    try check(try follower.status(within: 30) == 0, follower.text)
    let lines = text(out).split(separator: "\n").map(String.init)
    let ends = try trainings(site).filter { $0.outcome == "succeeded" }.map(\.id)
    var problems: [String] = []
    if ends != ids { problems.append("ended: \(ends), fired: \(ids)") }
    let order = lines.compactMap { ids.firstIndex(of: $0) }
    if order.count != lines.count {
      problems.append("beside each other: \(lines.filter { $0.contains(" ") })")
    }
    if order != order.sorted() || Set(order).count != ids.count { problems.append("order: \(order)") }
    print("on-trigger: \(ids.count) triggers, \(lines.count) commands, \(kills) kills")
    return problems
  }

  /// Of several processes one is at work; when it is killed another goes on. Two of one name are told so.
  @Test func oneIsAtWorkAndOthersStandBy() async throws { try await Integration.expectNone(Self.standingBy) }

  private static func standingBy() throws -> [String] {
    let (site, ids) = try fired(atLeast: 3, of: 3)
    let out = site.path("out")
    let command = try script(site, "echo $1 $PLUMB_TRIGGER_ID >> \(out); sleep 0.5")
    let session = [
      "-X", "consumer.session.timeout.ms=\(Broker.sessionMilliseconds)", "-X",
      "consumer.heartbeat.interval.ms=\(Broker.sessionMilliseconds / 4)",
    ]
    let first = try follow(site, ["--instance", "one"] + session, [command, "one"])
    try waitUntil("it runs: \(first.text)", seconds: 60) { text(out).contains("one") }
    let second = try follow(site, ["--instance", "two"] + session, [command, "two"])
    try waitUntil("it is there: \(second.text)", seconds: 60) { second.text.contains(" running ") }
    try waitUntil("another command runs", seconds: 60) { text(out).split(separator: "\n").count > 1 }
    first.kill()
    try waitUntil("the second goes on: \(second.text)", seconds: 120) { text(out).contains("two") }
    let lines = text(out).split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    var problems: [String] = []
    let order = lines.compactMap { ids.firstIndex(of: $0[1]) }
    if order != order.sorted() { problems.append("order: \(lines)") }
    if lines.map({ $0[0] }) != lines.map({ $0[0] }).sorted() { problems.append("both at work: \(lines)") }
    // A third takes the second's name: they take it from each other until one gives up.
    let third = try follow(site, ["--instance", "two"] + session, [command, "three"])
    try waitUntil("one of them says so: \(third.text)\n\(second.text)", seconds: 120) {
      [second, third].contains {
        $0.text.contains("another live process has the same instance name") || !$0.isRunning
      }
    }
    return problems
  }

  /// SIGTERM ends the command and what it has started; its trigger comes again.
  @Test func stoppingEndsTheCommandFirst() async throws { try await Integration.expectNone(Self.stopping) }

  private static func stopping() throws -> [String] {
    let (site, ids) = try fired(atLeast: 1, of: 3)
    let out = site.path("out")
    let command = try script(
      site,
      """
      trap 'echo ended >> \(out); exit 143' TERM
      sleep 1000 &
      echo "$PLUMB_TRIGGER_ID $!" >> \(out)
      wait
      """)
    let follower = try follow(site, ["--instance", "one"], [command])
    try waitUntil("it runs: \(follower.text)", seconds: 60) { text(out).contains(" ") }
    follower.signal(SIGTERM)
    try check(try follower.status(within: 30) == 0, follower.text)
    let lines = text(out).split(separator: "\n").map(String.init)
    let sleeper = pid_t(lines[0].split(separator: " ")[1]) ?? 0
    var problems: [String] = []
    if lines.last != "ended" { problems.append("the command was not asked: \(lines)") }
    // Dead, although perhaps nobody has asked after it.
    try waitUntil("what the command has started is gone") {
      let status = text("/proc/\(sleeper)/stat")
      return status.isEmpty || status.contains(") Z ")
    }
    // Readers see a transaction once its marks are written, a little after its commit.
    try waitUntil("the interruption is told: \(follower.text)") {
      try trainings(site).map { $0.outcome ?? $0.event } == ["begin", "interrupted"]
    }
    // Another instance goes on with the same trigger.
    let next = try follow(site, ["--instance", "one"], ["/bin/true"])
    try waitUntil("it goes on: \(next.text)", seconds: 60) {
      try trainings(site).contains { $0.outcome == "succeeded" && $0.id == ids[0] }
    }
    next.kill()
    return problems
  }
}
