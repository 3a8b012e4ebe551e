import FeatureCore
import Foundation
import Testing
import TestSupport

@testable import OfflineStore

/// Why what was served is not what happened: each cause by itself, and all of them against a naive oracle.
@Suite struct EntityComparisonTests {
  private static let source = Source(
    "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
    fields: [.init("user", .string), .init("n", .int64), .init("x", .double)])

  private static func plan() throws -> Plan {
    func feature(_ name: String, _ aggregate: Aggregate) -> Feature { Feature(name, .aggregate(aggregate)) }
    let users = View(
      "users", source: "clicks", entity: ["user"],
      features: [
        feature("small", .init(.count, where: "n < 10", windows: [.last("10s")])),
        feature("total", .init(.sum, value: "n", windows: [.lifetime])),
        feature("last", .init(.last, value: "n", windows: [.lifetime])),
        feature("visit", .init(.count, windows: [.session("30s")])),
        feature("x", .init(.sum, value: "x", windows: [.lifetime])),
      ])
    return try Plan(Definitions(name: "shop", sources: [source], views: [users]))
  }

  /// An event, in the order of the log.
  private struct Sent {
    /// Milliseconds.
    var time: Int64
    var arrived: Int64
    var n: Int64 = 1
    var x = 0.0

    var bytes: [UInt8] { Array("{\"user\":\"u\",\"ts\":\(time),\"n\":\(n),\"x\":\(x)}".utf8) }
  }

  /// A commit of the events before an offset.
  private struct Commit {
    var time: Int64
    var offset: Int
  }

  private final class Case {
    let view: ViewPlan
    private let viewFold: ViewFold
    private let batch: EventBatch

    init() throws {
      let plan = try EntityComparisonTests.plan()
      view = plan.views[0]
      viewFold = ViewFold(view)
      batch = EventBatch(plan.sources[0].schema, capacity: 1)
    }

    func fold(_ event: [UInt8], _ time: Int64, _ state: inout State?) {
      batch.removeAll()
      event.withUnsafeBytes { try? batch.append($0, sequence: 0) }
      _ = try? viewFold.fold(batch.row(0), time: time, into: &state)
    }

    func state(of events: [Sent]) -> State? {
      var state: State?
      for event in events { fold(event.bytes, event.time * 1_000, &state) }
      return state
    }

    /// Rows at some times, in ascending order. Events of one time come in the order of the log.
    func rows(
      _ events: [Sent], _ commits: [Commit], at times: [Int64], isForwarded: Bool = false,
      forwards: [Int]? = nil, isLogCut: Bool = false
    ) throws -> [EntityComparison.Row] {
      enum Item { case row, snapshot(Int), forward(Int), event(Int) }
      var items: [(time: Int64, order: Int, item: Item)] = times.map { ($0 * 1_000, -1, .row) }
      for (index, commit) in commits.enumerated() {
        items.append(((commit.time + 1) * 1_000 - 1, index, .snapshot(commit.offset)))
      }
      for (index, event) in events.enumerated() { items.append((event.time * 1_000, index, .event(index))) }
      for (offset, index) in (forwards ?? Array(events.indices)).enumerated() where isForwarded {
        items.append((events[index].time * 1_000, offset, .forward(offset)))
      }
      items.sort { ($0.time, $0.order) < ($1.time, $1.order) }
      let comparison = EntityComparison(view) { self.fold($0, $1, &$2) }
      comparison.reset()
      var rows: [EntityComparison.Row] = []
      for (time, _, item) in items {
        switch item {
        case .row: rows.append(try comparison.row(at: time))
        case .event(let index):
          let event = events[index]
          event.bytes.withUnsafeBytes {
            comparison.add(
              $0, time: time, offset: isForwarded ? (isLogCut ? -1 : nil) : Int64(index),
              arrived: (event.arrived + 1) * 1_000)
          }
        case .forward(let offset):
          let event = events[(forwards ?? Array(events.indices))[offset]]
          event.bytes.withUnsafeBytes { comparison.addForwarded($0, time: time, offset: Int64(offset)) }
        case .snapshot(let offset):
          let seen =
            isForwarded
            ? (forwards ?? Array(events.indices))[..<offset].map { events[$0] } : Array(events[..<offset])
          guard let state = state(of: seen) else { continue }
          view.encode(state).withUnsafeBytes { comparison.add(snapshot: $0, offset: Int64(offset)) }
        }
      }
      return rows
    }

    /// The causes of one row by feature.
    func causes(_ events: [Sent], _ commits: [Commit], at time: Int64) throws -> [String: DifferenceCause] {
      let row = try rows(events, commits, at: [time])[0]
      return Dictionary(
        uniqueKeysWithValues: zip(view.features, row.causes).compactMap { feature, cause in
          cause.map { (feature.name, $0) }
        })
    }
  }

  // MARK: Each cause

  @Test func whatWasSeenInTimeIsTheSame() throws {
    let events = [Sent(time: 1_000, arrived: 1_010), Sent(time: 2_000, arrived: 2_010)]
    #expect(try Case().causes(events, [Commit(time: 2_100, offset: 2)], at: 5_000) == [:])
  }

  @Test func whatWasInTheLogAndNotInTheSnapshotIsLag() throws {
    let events = [Sent(time: 1_000, arrived: 1_010), Sent(time: 2_000, arrived: 2_010)]
    let commits = [Commit(time: 1_100, offset: 1), Commit(time: 5_000, offset: 2)]
    let lag = [
      "small_10s": DifferenceCause.freshnessLag, "total_lifetime": .freshnessLag,
      "visit_session_30s": .freshnessLag,
    ]
    #expect(try Case().causes(events, commits, at: 5_000) == lag)
    // A row sees what was committed in an earlier millisecond.
    #expect(try Case().causes(events, commits, at: 5_001) == [:])
    // Nothing committed at all.
    #expect(try Case().causes(events, [], at: 5_000)["total_lifetime"] == .freshnessLag)
  }

  @Test func whatCameAfterTheRowIsLate() throws {
    let events = [Sent(time: 1_000, arrived: 1_010), Sent(time: 2_000, arrived: 5_000, n: 20)]
    let commits = [Commit(time: 1_100, offset: 1), Commit(time: 5_100, offset: 2)]
    #expect(
      try Case().causes(events, commits, at: 5_000) == [
        "total_lifetime": .lateData, "last_lifetime": .lateData, "visit_session_30s": .lateData,
      ])
    // In the log, and not yet in a snapshot.
    #expect(try Case().causes(events, commits, at: 5_001)["total_lifetime"] == .freshnessLag)
    #expect(try Case().causes(events, commits, at: 5_101) == [:])
  }

  @Test func theLargerChangeIsTheCause() throws {
    for (late, lagging, cause) in [
      (2, 1, DifferenceCause.lateData), (1, 2, .freshnessLag), (2, 2, .lateData),
    ] {
      let events = [
        Sent(time: 1_000, arrived: 1_010), Sent(time: 2_000, arrived: 2_010, n: Int64(lagging)),
        Sent(time: 3_000, arrived: 9_000, n: Int64(late)),
      ]
      let found = try Case().causes(events, [Commit(time: 1_100, offset: 1)], at: 5_000)
      #expect(found["total_lifetime"] == cause, "\(late) \(lagging)")
    }
  }

  /// A clock that is ahead moves the served state's windows on, and its events are in it.
  @Test func clocksAheadMoveWindows() throws {
    let events = [Sent(time: 1_000, arrived: 1_010), Sent(time: 60_000, arrived: 2_000, n: 50)]
    #expect(
      try Case().causes(events, [Commit(time: 2_100, offset: 2)], at: 5_000) == [
        "small_10s": .windowTail, "total_lifetime": .aheadOfTime, "last_lifetime": .aheadOfTime,
      ])
  }

  @Test func theOrderOfArrivalMatters() throws {
    // The first visit is over before the event that joins the two comes.
    let visits = [
      Sent(time: 0, arrived: 0), Sent(time: 40_000, arrived: 40_000), Sent(time: 20_000, arrived: 41_000),
    ]
    let found = try Case().causes(visits, [Commit(time: 41_100, offset: 3)], at: 45_000)
    #expect(found == ["visit_session_30s": .arrivalOrder])
    let sums = [
      Sent(time: 3_000, arrived: 3_000, x: 0.1), Sent(time: 1_000, arrived: 3_000, x: 0.2),
      Sent(time: 2_000, arrived: 3_100, x: 0.3),
    ]
    #expect(
      try Case().causes(sums, [Commit(time: 3_200, offset: 3)], at: 5_000) == ["x_lifetime": .arrivalOrder])
  }

  // MARK: Forwarded records

  @Test func forwardedRecordsTellPositions() throws {
    // Sent in one order, forwarded in another; one twice, with the same bytes.
    let events = [
      Sent(time: 1_000, arrived: 1_000, n: 5), Sent(time: 1_000, arrived: 1_000, n: 7),
      Sent(time: 1_000, arrived: 1_000, n: 5), Sent(time: 2_000, arrived: 2_000, n: 1),
    ]
    let rows = try Case().rows(
      events, [Commit(time: 3_000, offset: 2), Commit(time: 4_000, offset: 4)], at: [3_500, 4_500],
      isForwarded: true, forwards: [1, 3, 0, 2])
    #expect(rows[0].happened[1] == .int64(18) && rows[0].served[1] == .int64(8))
    #expect(rows[0].causes[1] == .freshnessLag)
    #expect(rows[1].causes.allSatisfy { $0 == nil })
  }

  @Test func whatTheForwardingTopicHasLostWasServed() throws {
    let events = [Sent(time: 1_000, arrived: 1_000, n: 5), Sent(time: 2_000, arrived: 2_000, n: 7)]
    let commits = [Commit(time: 2_500, offset: 1)]
    let known = try Case().rows(
      events, commits, at: [3_000], isForwarded: true, forwards: [1], isLogCut: true)
    // The snapshot has only the second one: what the first would have added is no lag.
    #expect(known[0].causes[1] == .arrivalOrder)
    let unknown = try Case().rows(events, commits, at: [3_000], isForwarded: true, forwards: [1])
    #expect(unknown[0].causes[1] == .freshnessLag)
  }

  // MARK: All together

  /// The definition, literally: states of whole lists of events.
  private static func expected(
    _ one: Case, _ events: [Sent], _ commits: [Commit], at time: Int64
  ) -> (happened: [FeatureValue], served: [FeatureValue], causes: [DifferenceCause?]) {
    let position = commits.filter { ($0.time + 1) * 1_000 <= time * 1_000 }.map(\.offset).max() ?? 0
    let (view, at) = (one.view, EventTime(microseconds: time * 1_000))
    func values(_ isIncluded: (Int) -> Bool, at: EventTime) -> [FeatureValue] {
      let order = events.indices.filter { events[$0].time < time && isIncluded($0) }
        .sorted { (events[$0].time, $0) < (events[$1].time, $1) }
      return view.evaluate(one.state(of: order.map { events[$0] }), at: at)
    }
    let state = one.state(of: Array(events[..<position]))
    let later = max(at, state?.asOf ?? at)
    let served = view.evaluate(state, at: later)
    var chain: [(DifferenceCause, [FeatureValue])] = [
      (.lateData, values({ $0 < position || events[$0].arrived + 1 <= time }, at: at)),
      (.freshnessLag, values({ $0 < position }, at: at)),
    ]
    if later > at { chain.append((.windowTail, values({ $0 < position }, at: later))) }
    chain.append((later > at ? .aheadOfTime : .arrivalOrder, served))
    let happened = values({ _ in true }, at: at)
    let causes = happened.indices.map { index -> DifferenceCause? in
      guard happened[index] != served[index] else { return nil }
      var (before, best) = (happened[index], (DifferenceCause?.none, -1.0))
      for (cause, values) in chain {
        let change = before == values[index] ? -1 : distance(before, values[index])
        if change > best.1 { best = (cause, change) }
        before = values[index]
      }
      return best.0
    }
    return (happened, served, causes)
  }

  private static func distance(_ lhs: FeatureValue, _ rhs: FeatureValue) -> Double {
    switch (lhs, rhs) {
    case (.int64(let left), .int64(let right)): abs(Double(left) - Double(right))
    case (.double(let left), .double(let right)): abs(left - right)
    default: .infinity
    }
  }

  @Test func equalsTheDefinition() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SplitMix64(seed: seed)
    var found: [DifferenceCause: Int] = [:]
    for round in 0..<150 {
      var events: [Sent] = []
      var clock: Int64 = 100_000
      for _ in 0..<(1 + random.next() % 40) {
        clock += Int64(random.next() % 3_000)
        // Some are late, some ahead.
        let shift = [0, 0, 0, Int64(random.next() % 40_000), -Int64(random.next() % 20_000)][
          Int(random.next() % 5)]
        events.append(
          Sent(
            time: clock - shift, arrived: clock, n: Int64(random.next() % 20),
            x: Double(random.next() % 99) / 7))
      }
      // Whatever is committed had arrived before.
      var commits: [Commit] = []
      var offset = 0
      while offset < events.count {
        offset += 1 + Int(random.next() % 5)
        offset = min(offset, events.count)
        commits.append(
          Commit(time: events[offset - 1].arrived + Int64(random.next() % 2_000), offset: offset))
      }
      let times = (0..<20).map { _ in 100_000 + Int64(random.next() % UInt64(clock - 90_000)) }.sorted()
      let one = try Case()
      let isForwarded = round % 2 == 0
      let rows = try one.rows(events, commits, at: times, isForwarded: isForwarded)
      for (time, row) in zip(times, rows) {
        let (happened, served, causes) = Self.expected(one, events, commits, at: time)
        #expect(row.happened == happened, "seed \(seed), round \(round), row at \(time)")
        #expect(row.served == served, "seed \(seed), round \(round), row at \(time)")
        #expect(row.causes == causes, "seed \(seed), round \(round), row at \(time)")
        for case let cause? in row.causes { found[cause, default: 0] += 1 }
      }
    }
    #expect(found.count == DifferenceCause.allCases.count, "seed \(seed): \(found)")
  }

  // MARK: The report

  @Test func reportCountsAndMeasures() throws {
    let one = try Case()
    var view = ComparisonReport.ViewReport(one.view)
    let events = [Sent(time: 1_000, arrived: 1_010, n: 2), Sent(time: 2_000, arrived: 2_010, n: 6)]
    let rows = try one.rows(events, [Commit(time: 1_100, offset: 1)], at: [900, 1_500, 3_000, 4_000])
    for row in rows { view.add(row.differences) }
    view.addUnserved()
    let report = ComparisonReport(rows: 5, views: [view])
    let total = view.features[1]
    #expect((view.rows, view.differing, view.beforeFirstSnapshot) == (4, 2, 1))
    #expect((total.differing, total.nulls, total.causes) == (2, 0, [.freshnessLag: 2]))
    #expect((total.absolute.mean, total.absolute.max, total.relative.max) == (6, 6, 0.75))
    let json = try JSONSerialization.jsonObject(with: Data(report.json)) as? [String: Any]
    let found = (json?["views"] as? [[String: Any]])?[0]
    #expect(found?["share"] as? Double == 0.5)
    let features = found?["features"] as? [[String: Any]]
    #expect((features?[1]["causes"] as? [String: Int])?["freshness_lag"] == 2)
    #expect((features?[1]["absolute"] as? [String: Double]) == ["mean": 6, "max": 6])
    #expect(features?[4]["absolute"] is NSNull)
    let lines = report.text.split(separator: "\n")
    #expect(
      lines[0] == "users: of 4 rows 2 differ (50.0 %); 1 more are before the first snapshot and not compared")
    let line = try #require(lines.first { $0.contains("total_lifetime") })
    #expect(
      line.split(separator: " ").joined(separator: " ")
        == "total_lifetime 2 50.0 % 6 6 75.0 % 75.0 % freshness lag 100.0 %")
  }

  @Test func distancesOfNumbers() {
    func distance(_ lhs: FeatureValue, _ rhs: FeatureValue) -> [Double]? {
      ValueDistance(lhs, rhs).map { [$0.absolute, $0.relative] }
    }
    #expect(distance(.int64(4), .int64(1)) == [3, 0.75])
    #expect(distance(.double(-1), .double(1)) == [2, 2])
    #expect(distance(.double(0), .double(-0.0)) == [0, 0])
    #expect(distance(.int64(.min), .int64(.max))?[1] == 2)
    let largest = Double.greatestFiniteMagnitude
    #expect(distance(.double(largest), .double(-largest)) == [largest, 2])
    let times = [1_500_000, 1_000_000].map { FeatureValue.timestamp(EventTime(microseconds: $0)) }
    #expect(distance(times[0], times[1])?[0] == 0.5)
    #expect(distance(.null, .int64(1)) == nil)
    #expect(distance(.bool(true), .bool(false)) == nil)
  }
}
