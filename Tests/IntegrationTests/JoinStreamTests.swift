import FeatureCore
import Foundation
import Processor
import TestSupport
import Testing

extension Journeys {
  /// Two topics that a join reads: however they come in, and when one stands still.
  @Suite struct JoinStreamTests {}
}

extension Journeys.JoinStreamTests {
  private static let definitions = """
    name: shop
    version: 1
    sources:
      shows:
        topic: shows
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { id: int64, user: string, item: string }
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string, item: string }
    joins:
      outcomes:
        left: { source: shows, where: "item <> 'i9'" }
        right: clicks
        on: [user, item]
        within: 30m
        wait: 2m
    views:
      quality:
        source: outcomes
        entity: item
        features:
          shown: { aggregate: count, windows: [lifetime] }
    """

  private struct Event {
    var id: Int?
    var time: Int64
    var user: Int
    var item: Int

    var written: WrittenEvent {
      let id = id.map { "\"id\":\($0)," } ?? ""
      let text = "{\(id)\"ts\":\(time),\"user\":\"u\(user)\",\"item\":\"i\(item)\"}"
      return WrittenEvent(key: Array("u\(user)".utf8), value: Array(text.utf8))
    }
  }

  /// Ten hours of both, ten days ago.
  private struct Streams {
    static let users = 40
    let start = (Int64(Date().timeIntervalSince1970) - 864_000) * 1_000
    let hours: Int64 = 3_600_000
    var shows: [Event] = []
    var clicks: [Event] = []

    init(_ random: inout SplitMix64) {
      func event(_ id: Int?) -> Event {
        Event(
          id: id, time: start + Int64(random.next() % UInt64(10 * hours)),
          user: Int(random.next() % UInt64(Self.users)),
          item: Int(random.next() % 3))
      }
      shows = (0..<1_500).map { event($0) }.sorted { $0.time < $1.time }
      clicks = (0..<700).map { _ in event(nil) }.sorted { $0.time < $1.time }
    }

    /// Takes every partition of a stream far on. None takes part: a left event of far ahead would hold up those behind it.
    /// `id` is the first show's.
    func last(_ id: Int?) -> [Event] {
      (0..<Self.users).map { user in
        Event(id: id.map { $0 + user }, time: start + 48 * hours, user: user, item: 9)
      }
    }

    /// The time of what followed first, by show.
    var pairs: [Int: Int64?] {
      let byKey = Dictionary(grouping: clicks) { "\($0.user) \($0.item)" }
      return Dictionary(
        uniqueKeysWithValues: shows.map { show in
          let times = byKey["\(show.user) \(show.item)", default: []].map(\.time)
          return (show.id ?? 0, times.filter { $0 > show.time && $0 <= show.time + 1_800_000 }.min())
        })
    }
  }

  /// The order in which the streams' events are written.
  enum Order: CaseIterable { case showsFirst, clicksFirst, inTurns }

  @Test(arguments: Order.allCases) func anyInterleavingGivesTheSamePairs(_ order: Order) async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      var random = SplitMix64(seed: seed)
      let streams = Streams(&random)
      let site = try Site(Self.definitions)
      let shows = try EventProducer(site, source: "shows")
      let clicks = try EventProducer(site, source: "clicks")
      let (left, right) = (streams.shows + streams.last(100_000), streams.clicks + streams.last(nil))
      try site.start(Site.Instance("a"))
      switch order {
      case .showsFirst:
        try shows.produce(left.map(\.written))
        try clicks.produce(right.map(\.written))
      case .clicksFirst:
        try clicks.produce(right.map(\.written))
        try shows.produce(left.map(\.written))
      case .inTurns:
        var (nextLeft, nextRight) = (0, 0)
        while nextLeft < left.count || nextRight < right.count {
          let ends = (
            min(left.count, nextLeft + Int(random.next() % 120)),
            min(right.count, nextRight + Int(random.next() % 60))
          )
          if ends.0 > nextLeft { try shows.produce(left[nextLeft..<ends.0].map(\.written)) }
          if ends.1 > nextRight { try clicks.produce(right[nextRight..<ends.1].map(\.written)) }
          (nextLeft, nextRight) = ends
        }
      }
      let problems = try Self.compare(site, streams) + site.complaints()
      return Integration.report(problems, seed, site)
    }
  }

  /// Shows go on for hours while nobody's clicks come: none of them is taken for not clicked, and the process says that it lags.
  @Test func aStreamThatStandsStillMakesNoNegatives() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      var random = SplitMix64(seed: seed)
      let streams = Streams(&random)
      let site = try Site(Self.definitions)
      let shows = try EventProducer(site, source: "shows")
      let clicks = try EventProducer(site, source: "clicks")
      let early = streams.clicks.prefix { $0.time < streams.start + 3 * streams.hours }
      try site.start(Site.Instance("a"), more: ["--http", "127.0.0.1:0"])
      try shows.produce((streams.shows + streams.last(100_000)).map(\.written))
      try clicks.produce(early.map(\.written))
      // Every partition of the clicks has said that nothing comes, and the join has heard it.
      let members = try KafkaAuditor(brokers: site.brokers, group: site.group)
      let sides = site.inputs.filter { $0.input.join != nil }.map(\.partition)
      try waitUntil("the clicks are idle: \(site.logs)", seconds: 120) {
        let marks = try members.read(sides).joined().compactMap { record in
          (record.value ?? []).withUnsafeBytes { JoinMark($0) }
        }
        let idle = marks.filter { $0.side == .right && $0.isIdle }.map(\.partition)
        return try Set(idle).count == Int(Site.partitions)
          && zip(members.committed(sides), members.ends(sides)).allSatisfy { $0 ?? 0 >= $1 }
      }
      var problems: [String] = []
      let known = try Self.outcomes(site)
      let latest = early.last?.time ?? 0
      for show in streams.shows where known[show.id ?? 0] != nil && show.time + 1_920_000 > latest {
        problems.append("show \(show) has an outcome, but clicks have come to \(latest) only")
      }
      if known.isEmpty { problems.append("there are no outcomes at all") }
      try Self.awaitLags(site, "nothing is known of 45 hours") { $0.allSatisfy { $0 > Self.alertedSeconds } }
      try clicks.produce((streams.clicks.dropFirst(early.count) + streams.last(nil)).map(\.written))
      problems += try Self.compare(site, streams) + site.complaints()
      try Self.awaitLags(site, "everything is known") { $0.allSatisfy { $0 < Self.alertedSeconds } }
      return Integration.report(problems, seed, site)
    }
  }

  /// More shows become due by one mark than a cursor takes for it, and nothing comes after that: the join's log gets turns, and nobody
  /// waits for partitions to say again that they have nothing to read.
  @Test func whatBecomesDueAtOnceIsTakenInTurns() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      var random = SplitMix64(seed: seed)
      let streams = Streams(&random)
      let site = try Site(Self.definitions)
      let shows = try EventProducer(site, source: "shows")
      let clicks = try EventProducer(site, source: "clicks")
      let burst = (0...Limits.joinFollowMax).map { Event(id: $0, time: streams.start, user: 1, item: 1) }
      try site.start(Site.Instance("a"))
      try shows.produce((burst + streams.last(100_000)).map(\.written))
      try clicks.produce(streams.last(nil).map(\.written))
      var found = 0
      try waitUntil("\(burst.count) outcomes are there: \(found); \(site.logs)", seconds: 120) {
        found = try Self.outcomes(site).count
        return found >= burst.count
      }
      let sides = site.inputs.filter { $0.input.join != nil }.map(\.partition)
      let records = try KafkaAuditor(brokers: site.brokers, group: "audit").read(sides).joined()
      let hasTurns = records.contains { record in (record.value ?? []).withUnsafeBytes { JoinTurn.isOne($0) }
      }
      return Integration.report(
        (hasTurns ? [] : ["no turn is in the log of the join"]) + site.complaints(), seed, site)
    }
  }

  /// As `PlumbOutcomesLagging` in Compose/alerts.yaml has it.
  private static let alertedSeconds = 900.0

  /// Waits until what the process says of each partition of the join's log is as it should be.
  private static func awaitLags(_ site: Site, _ what: String, _ isRight: ([Double]) -> Bool) throws {
    var lines: [Substring] = []
    try waitUntil("\(what): \(lines)", seconds: 60) {
      lines = Endpoint(site).metrics.filter { $0.hasPrefix("plumb_outcome_lag_seconds{join=\"outcomes\"") }
      let lags = lines.compactMap { line in line.split(separator: " ").last.flatMap { Double($0) } }
      return lags.count == Int(Site.partitions) && isRight(lags)
    }
  }

  /// The label times of outcomes, nil for those without; by show.
  private static func outcomes(_ site: Site) throws -> [Int: Int64?] {
    let auditor = try KafkaAuditor(brokers: site.brokers, group: "audit")
    let partitions = (0..<Site.partitions).map {
      TopicPartition("\(site.plan.name).\(site.plan.version).outcomes", $0)
    }
    var found: [Int: Int64?] = [:]
    for record in try auditor.read(partitions).joined() {
      guard let object = try JSONSerialization.jsonObject(with: Data(record.value ?? [])) as? [String: Any],
        let id = object["id"] as? Int
      else { throw Failure("no outcome: \(String(decoding: record.value ?? [], as: UTF8.self))") }
      if found.updateValue((object["label_time"] as? Int64).map { $0 / 1_000 }, forKey: id) != nil {
        throw Failure("show \(id) has two outcomes")
      }
    }
    return found
  }

  private static func compare(_ site: Site, _ streams: Streams) throws -> [String] {
    var found: [Int: Int64?] = [:]
    try waitUntil("\(streams.shows.count) outcomes are there: \(found.count); \(site.logs)", seconds: 120) {
      found = try outcomes(site)
      return found.count >= streams.shows.count
    }
    return streams.pairs.sorted { $0.key < $1.key }.compactMap { id, time in
      found[id] == .some(time) ? nil : "show \(id): \(found[id] as Any), not \(time as Any)"
    }
  }
}
