import Testing

/// Training rows go by event time, wherever the events stand.
@Suite struct EventOrderTests {
  private struct Event {
    var user: Int
    /// In seconds after the first.
    var second: Int
    var item: Int
    /// Quarters, so that every sum is exact.
    var quarters: Int

    var line: String {
      let time = 1_700_000_000_000 + second * 1000
      return #"{"ts":\#(time),"user":"u\#(user)","item":"i\#(item)","price":\#(Double(quarters) / 4)}"#
    }
  }

  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func rowsDoNotDependOnTheOrderOfEvents(_ seed: UInt64) throws {
    var random = Generator(state: seed)
    let work = try Workspace()
    try work.write(Shop.definitions, to: "d.yaml")
    // Few users and few times: ties, and rows at the very time of events.
    let events = (0..<400).map { item in
      Event(
        user: Int.random(in: 0..<4, using: &random), second: Int.random(in: 0..<200, using: &random) * 300,
        item: item, quarters: Int.random(in: -8...8, using: &random))
    }
    let rows = (0..<200).map { _ in
      (user: Int.random(in: 0..<5, using: &random), second: Int.random(in: 0..<220, using: &random) * 300)
    }
    let sorted = events.enumerated().sorted {
      ($0.element.second, $0.offset) < ($1.element.second, $1.offset)
    }
    .map(\.element)
    let lines = events.map { $0.line + "\n" }
    try work.write(lines[..<150].joined(), to: "a")
    try work.write(lines[150...].joined(), to: "b")
    try work.write(sorted.map { $0.line + "\n" }.joined(), to: "sorted")
    try work.write(
      "user,ts\n" + rows.map { "u\($0.user),\(1_700_000_000_000 + $0.second * 1000)\n" }.joined(), to: "s.csv"
    )
    let common = ["replay", "-d", "d.yaml", "--view", "users", "--spine", "s.csv", "--out", "-", "--events"]
    let shuffled = try work.run(Workspace.binary, common + ["a", "b"])
    #expect(shuffled.status == 0)
    #expect(shuffled.output == (try work.run(Workspace.binary, common + ["sorted"])).output, "seed \(seed)")
    let expected = rows.map { row in
      Self.expected(sorted.filter { $0.user == row.user && $0.second < row.second }, row.user, row.second)
    }
    #expect(shuffled.output.split(separator: "\n").map(String.init) == expected, "seed \(seed)")
  }

  /// The row of docs/semantics.md, from scratch; `events` are those before it, in order.
  private static func expected(_ events: [Event], _ user: Int, _ second: Int) -> String {
    let start = 1_700_000_000
    let since = { (length: Int, hop: Int) in (start + second - length) / hop * hop - start }
    let lastHour = events.count { $0.second >= since(3600, 300) }
    let lastDay = events.filter { $0.second >= since(86_400, 3600) }
    let lastWeek = events.filter { $0.second >= since(7 * 86_400, 3600) }
    let spend = lastDay.isEmpty ? "null" : "\(Double(lastDay.reduce(0) { $0 + $1.quarters }) / 4)"
    let items = lastWeek.suffix(3).map { "\"i\($0.item)\"" }.joined(separator: ",")
    return #"{"user":"u\#(user)","ts":\#((start + second) * 1000),"clicks_1h":\#(lastHour),"#
      + #""clicks_lifetime":\#(events.count),"spend_24h":\#(spend),"#
      + #""items_7d":\#(lastWeek.isEmpty ? "null" : "[\(items)]")}"#
  }
}
