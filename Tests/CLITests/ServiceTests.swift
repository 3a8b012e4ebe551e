import Foundation
import Testing

/// `plumb training-set --service`: rows get what a request at their time would have been answered.
@Suite struct ServiceTests {
  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Shop.definitions + Self.services, to: "d.yaml")
    try work.write(Shop.events, to: "e.ndjson")
  }

  private static let services = """

    services:
      ranker:
        features: [pairs.clicks_1h, users.spend_24h]
        inputs: { price: double }
        derive:
          usual: price / nullif(users__clicks_lifetime, 0)
          twice: usual * 2
        max_age: { pairs: 90s }

    """

  private func rows(_ spine: String, _ arguments: String...) throws -> Workspace.Result {
    try work.write(spine, to: "s.csv")
    return try work.run(
      Workspace.binary,
      [
        "training-set", "-d", "d.yaml", "--as", "happened", "--events", "clicks=e.ndjson", "--spine", "s.csv",
        "--service",
        "ranker", "--out", "t.csv",
      ] + arguments)
  }

  @Test func rowsHaveTheColumnsOfTheService() throws {
    let result = try rows(
      """
      user,n,ts,price
      a,1,1700000010000,3
      a,1,1700000120001,3
      b,2,1700000060001,2.5
      nobody,1,1700000120001,7
      a,,1700000120001,3

      """)
    #expect(result.status == 0, "\(result.error)")
    let lines = try work.read("t.csv").split(separator: "\n").map(String.init)
    #expect(lines.first == "user,n,ts,price,pairs__clicks_1h,users__spend_24h,usual,twice")
    let cells = lines.dropFirst().map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    // Of the first a pair's latest event is 10 s old, of the second 120 s: silent for longer than max_age.
    #expect(cells.map { $0[4] } == ["1", "", "1", "0", ""])
    #expect(cells.map { $0[6] } == ["3.0", "1.5", "2.5", "", "1.5"])
    #expect(cells.map { $0[7] } == ["6.0", "3.0", "5.0", "", "3.0"])
  }

  private static let tableDefinitions = """
    name: shop
    sources:
      clicks:
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string }
      users:
        table: true
        key: user
        timestamp: { field: at, unit: ms }
        fields: { user: string, tier: string, since: { type: timestamp, unit: ms } }
    views:
      clicks: { source: clicks, entity: user, features: { n: { aggregate: count, windows: lifetime } } }
      profile:
        source: users
        entity: user
        features: { tier: { column: tier, default: none }, since: { column: since } }
    services:
      ranker:
        features: [profile.tier, clicks.n_lifetime]
        derive:
          hours: "date_diff('hour', profile__since, now())"
          rate: clicks__n_lifetime / nullif(hours, 0)

    """

  /// A row of a table and what was counted of events, at each row's own time, which `now()` is.
  @Test func tablesAndEventsAnswerTogether() throws {
    try work.write(Self.tableDefinitions, to: "d.yaml")
    try work.write(#"{"user":"a","ts":10000}"# + "\n" + #"{"user":"a","ts":20000}"# + "\n", to: "e.ndjson")
    try work.write("user,tier,since,at\na,gold,0,5000\na,silver,0,15000\n", to: "u.csv")
    let result = try rows(
      "user,ts\na,12000\na,36000000\nb,36000000\n", "--spine-time", "ts", "--events", "users=u.csv")
    #expect(result.status == 0, "\(result.error)")
    #expect(
      try work.read("t.csv") == """
        user,ts,profile__tier,clicks__n_lifetime,hours,rate
        a,12000,gold,1,0,
        a,36000000,silver,2,10,0.2
        b,36000000,none,0,,

        """)
  }

  /// A file of Debezium's changes holds deletions, which lines of plain rows can't.
  @Test func filesOfChangesHoldDeletions() throws {
    let definitions = Self.tableDefinitions
      .replacing("    timestamp: { field: at, unit: ms }", with: "    timestamp: { field: ts_ms, unit: ms }")
      .replacing("    table: true", with: "    table: true\n    format: debezium")
    try work.write(definitions, to: "d.yaml")
    let changes = [
      #"{"op":"c","before":null,"after":{"user":"a","tier":"gold","since":0},"source":{"ts_ms":5000}}"#,
      #"{"op":"d","before":{"user":"a"},"after":null,"source":{"ts_ms":15000}}"#,
      #"{"op":"r","before":null,"after":{"user":"a","tier":"silver","since":0},"source":{"ts_ms":25000}}"#,
    ]
    try work.write(changes.map { $0 + "\n" }.joined(), to: "u.ndjson")
    let result = try rows(
      "user,ts\na,12000\na,22000\na,32000\n", "--spine-time", "ts", "--events", "users=u.ndjson")
    #expect(result.status == 0, "\(result.error)")
    let lines = try work.read("t.csv").split(separator: "\n").dropFirst()
    #expect(lines.map { $0.split(separator: ",")[2] } == ["gold", "none", "silver"], "\(lines)")
  }

  @Test func whatIsMissingIsNamed() throws {
    let lacking = try rows("user,n,ts\na,1,1700000010000\n")
    #expect(lacking.status != 0 && lacking.error.contains("the service 'ranker' has the input 'price'"))
    let unknown = try work.run(
      Workspace.binary,
      [
        "training-set", "-d", "d.yaml", "--as", "happened", "--events", "e.ndjson", "--spine", "s.csv",
        "--service",
        "rankr", "--out", "t.csv",
      ])
    #expect(unknown.status == 64 && unknown.error.contains("did you mean 'ranker'?"))
    let both = try rows("user,n,ts,price\n", "--view", "users")
    #expect(both.status == 64 && both.error.contains("leave --view"))
  }
}
