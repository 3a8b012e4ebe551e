import Testing

@testable import FeatureCore

/// Services: what they read, compute and refuse, and that they change no state.
@Suite struct ServicePlanTests {
  private static func count(_ name: String, _ windows: [Window]) -> Feature {
    Feature(name, .aggregate(Aggregate(.count, windows: windows)))
  }

  static let base = Definitions(
    name: "shop",
    sources: [
      Source(
        "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [.init("user", .string), .init("item", .string), .init("price", .double)])
    ],
    views: [
      View(
        "activity", source: "clicks", entity: ["user"],
        features: [
          count("clicks", [.last("1h"), .last("24h")]),
          Feature("spend", .aggregate(Aggregate(.sum, value: "price", windows: [.lifetime]))),
          Feature("items", .aggregate(Aggregate(.lastK, value: "item", windows: [.lifetime], k: 3))),
        ]),
      View("popularity", source: "clicks", entity: ["item"], features: [count("n", [.last("1h")])]),
      View("pairs", source: "clicks", entity: ["user", "item"], features: [count("n", [.last("1h")])]),
    ])

  private func plan(_ service: Service) throws -> Plan {
    var definitions = Self.base
    definitions.services = [service]
    return try Plan(definitions)
  }

  private func mistakes(_ service: Service) -> String {
    do {
      _ = try plan(service)
      return "nothing"
    } catch {
      return "\(error)".replacing("services.ranker", with: "~")
    }
  }

  @Test func columnsComeInTheListedOrderAndOnce() throws {
    let plan = try plan(
      Service("ranker", features: ["popularity.n_1h", "activity.spend_lifetime", "activity.*", "pairs.*"]))
    let service = try #require(plan.service("ranker"))
    #expect(
      service.columns.map(\.name) == [
        "popularity__n_1h", "activity__spend_lifetime", "activity__clicks_1h", "activity__clicks_24h",
        "activity__items_lifetime", "pairs__n_1h",
      ])
    #expect(service.entity.map(\.name) == ["item", "user"])
    #expect(service.reads.map(\.view) == [1, 0, 2])
    #expect(service.reads.map(\.key) == [[0], [1], [1, 0]])
  }

  @Test func derivedColumnsUseFeaturesInputsAndEachOther() throws {
    let plan = try plan(
      Service(
        "ranker", features: ["popularity.n_1h"], inputs: [.init("price", .double), .init("rank", .int64)],
        derived: [
          .init("twice", "gap * 2"), .init("gap", "price - activity__spend_lifetime"),
          .init("top", "rank < 3 and popularity__n_1h > 1"),
          .init("broken", "cast('x' || cast(rank as string) as int64)"),
          .init("moment", "date_trunc('minute', now())"),
        ]))
    let service = try #require(plan.service("ranker"))
    #expect(service.columns.map(\.name) == ["popularity__n_1h", "twice", "gap", "top", "broken", "moment"])
    // The view that only a derived column uses is read, and makes the rows name its entity.
    #expect(service.reads.map(\.view) == [1, 0])
    #expect(service.entity.map(\.name) == ["item", "user"])
    let minute = FeatureValue.timestamp(EventTime(microseconds: 120_000_000))
    let values = service.values(
      features: [[.int64(2)], [.int64(0), .int64(0), .double(1.5), .null]], inputs: [.double(4), .int64(2)],
      at: EventTime(microseconds: 179_000_000))
    #expect(values == [.int64(2), .double(5), .double(2.5), .bool(true), .null, minute])
    let unknown = service.values(
      features: [[.int64(2)], [.int64(0), .int64(0), .null, .null]], inputs: [.double(4), .null],
      at: EventTime(microseconds: 120_000_000))
    #expect(unknown == [.int64(2), .null, .null, .null, .null, minute])
  }

  @Test func anEntityIsSilentForAsLongAsItMayBe() throws {
    let plan = try plan(Service("ranker", features: ["activity.*", "pairs.*"], maxAge: [.init("pairs", 90)]))
    let reads = try #require(plan.service("ranker")).reads
    func time(_ microseconds: Int64) -> EventTime { EventTime(microseconds: microseconds) }
    #expect(!reads[1].isSilent(since: time(1_000), at: time(1_090)))
    #expect(reads[1].isSilent(since: time(1_000), at: time(1_091)))
    // Before its latest event, without events, and without a bound nobody is.
    #expect(!reads[1].isSilent(since: time(1_000), at: time(0)))
    #expect(!reads[1].isSilent(since: nil, at: time(1_091)))
    #expect(!reads[0].isSilent(since: time(1_000), at: time(.max)))
  }

  @Test func mistakesNamePlaceAndRemedy() {
    func expect(_ service: Service, _ expected: String) { #expect(mistakes(service) == expected) }
    expect(
      Service("ranker", features: []),
      "~.features: the service has no feature (list some, such as [view.feature, view.*])")
    expect(
      Service(
        "ranker", features: ["activity.clicks_2h", "activty.*", "activity", "pairs.n_1h", "pairs.n_1h"]),
      """
      ~.features.0: view 'activity' has no feature 'clicks_2h' (did you mean 'clicks_1h'?)
      ~.features.1: there is no view 'activty' (did you mean 'activity'?)
      ~.features.2: 'activity' is no feature of a view (write view.feature, or view.* for all)
      ~.features.4: 'pairs.n_1h' is listed already (remove it)
      """)
    expect(
      Service(
        "ranker", features: ["pairs.*"],
        derived: [.init("a", "b + 1"), .init("b", "a + 1"), .init("c", "pairs__m_1h"), .init("d", "1 +")]),
      """
      ~.derive.d: expected a value, found the end of the expression
      ~.derive.c: column "pairs__m_1h" is unknown (did you mean 'pairs__n_1h'?)
      ~.derive.a: 'a' is derived from 'b', which depends on it in turn (break the cycle)
      ~.derive.b: 'b' is derived from 'a', which depends on it in turn (break the cycle)
      """)
    expect(
      Service("ranker", features: ["pairs.*"], derived: [.init("l", "activity__items_lifetime")]),
      "~.derive.l: 'activity__items_lifetime' is a list, and expressions take single values (use an aggregate that has one value, such as last)"
    )
    expect(
      Service(
        "ranker", features: ["pairs.*"], inputs: [.init("user", .string), .init("a__b", .bool)],
        derived: [.init("x", "1"), .init("x", "2")]),
      """
      ~.inputs.user: 'user' is the name of an entity column, too (rename one)
      ~.inputs.a__b: the name 'a__b' has two underscores in a row (use one)
      ~.derive.x: 'x' is the name of a derived column, too (rename one)
      """)
    expect(
      Service(
        "ranker", features: ["pairs.*"], maxAge: [.init("activity", 1), .init("pairs", 0)], maxLag: 0,
        servedShare: 1.5),
      """
      ~.max_age.activity: no feature of view 'activity' is listed (list one, or remove the bound)
      ~.max_age.pairs: max_age is not positive (use more than 0s)
      ~.max_lag: max_lag is not positive (use more than 0s, such as 60s)
      ~.served.share: the share is not from 0 to 1 (use 1.0 for all answers)
      """)
    expect(
      Service("ranker", features: ["pairs.*"], whenStale: .fail),
      "~.when_stale: nothing says when features are stale (add max_lag, such as 60s)")
  }

  /// What is asked for, and what is told of it, changes no state and no value.
  @Test func fingerprintsDontChange() throws {
    let bare = try Plan(Self.base)
    var definitions = Self.base
    definitions.services = [Service("ranker", features: ["activity.*"], maxLag: 1)]
    let told = Annotations(owner: "team", description: "words", tags: ["tier": "1"])
    definitions.sources[0].annotations = told
    definitions.views[0].annotations = told
    definitions.views[0].features[0].annotations = told
    definitions.services[0].annotations = told
    let plan = try Plan(definitions)
    #expect(plan.fingerprint == bare.fingerprint)
    #expect(plan.views.map(\.fingerprint) == bare.views.map(\.fingerprint))
  }
}
