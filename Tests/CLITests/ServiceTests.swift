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
        "training-set", "-d", "d.yaml", "--as", "happened", "--events", "e.ndjson", "--spine", "s.csv",
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
