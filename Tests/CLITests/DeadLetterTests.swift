import Foundation
import Testing

@Suite struct DeadLetterTests {
  struct Letter: Decodable, Equatable {
    var file: String
    var line: Int
    var reason: String
    var view: String?
    var message: String
    var record: String
  }

  /// Each kind of bad record, among good ones.
  private static let records: [(record: [UInt8], reason: String?)] = [
    (bytes(#"{"ts":1,"user":"a"}"#), nil),
    (bytes(#"{"ts":1,"user":""#) + [0xFF, 0xC3] + bytes(#""}"#), "invalid_utf8"),
    (bytes(#"{"ts":1,"user":"a"}"#) + [0], "malformed_json"),
    ([0], "malformed_json"),
    (bytes(#"{"ts":1,"user":"a""#), "malformed_json"),
    (bytes(#"{"ts":"x","user":"a"}"#), "wrong_type"),
    (bytes(#"{"user":"a"}"#), "missing_time"),
    (bytes(#"{"ts":99999999999999999,"user":"a"}"#), "time_out_of_range"),
    (bytes(#"{"ts":1,"user":null}"#), "missing_key"),
    ([], nil),
    (bytes(#"{"ts":1,"user":5}"#), "wrong_type"),
    (bytes(#"{"ts":1,"user":"a","n":99999999999999999999}"#), "number_out_of_range"),
    (bytes(#"{"ts":1,"user":"a","user":"b"}"#), "duplicate_field"),
    (bytes(String(repeating: "[", count: 100)), "malformed_json"),
    (bytes(#"{"ts":1,"user":"a","x":"# + String(repeating: "[", count: 100)), "too_deep"),
    (Array(repeating: UInt8(ascii: "y"), count: 1_100_000), "oversized"),
    (bytes(#"{"ts":1,"user":"a\"\\\u0001"}"# + "\r"), nil),
    (bytes(#"{"ts":2,"user":"a"}"#), nil),
  ]

  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Shop.definitions, to: "d.yaml")
    try work.write(Array(Self.records.map(\.record).joined(separator: [0x0A])), to: "bad.ndjson")
    try work.write("user,ts\na,3\n", to: "s.csv")
  }

  private func letters(_ name: String) throws -> [Letter] {
    try work.read(name).split(separator: "\n").map {
      try JSONDecoder().decode(Letter.self, from: Data($0.utf8))
    }
  }

  @Test func everyBadRecordIsKeptWithItsPlaceAndReason() throws {
    let result = try work.plumb(
      "replay", "-d", "d.yaml", "--events", "bad.ndjson", "--view", "users", "--features-at", "end", "--out",
      "-",
      "--dead-letters", "letters")
    #expect(result.status == 0)
    let expected = Self.records.enumerated().filter { $0.element.reason != nil }
    let found = try letters("letters")
    #expect(found.map(\.line) == expected.map { $0.offset + 1 })
    #expect(found.map(\.reason) == expected.map { $0.element.reason })
    for (letter, (_, record)) in zip(found, expected) {
      #expect(letter.file == "bad.ndjson" && letter.view == nil && !letter.message.isEmpty)
      #expect(
        letter.record
          == String(decoding: record.record.prefix(letter.reason == "oversized" ? 200 : 2000), as: UTF8.self))
    }
    #expect(
      result.error.hasPrefix(
        "17 events, 2 entities, 0 late; 14 dead letters (4 malformed_json, 2 wrong_type, "))
    #expect(result.error.hasSuffix(" in letters\n"))
    // Training rows lose the same records.
    let rows = try work.plumb(
      "replay", "-d", "d.yaml", "--events", "bad.ndjson", "--view", "users", "--spine", "s.csv", "--out", "-",
      "--dead-letters", "others")
    #expect(rows.error.hasPrefix("17 events, 1 row; 14 dead letters (4 malformed_json, "))
    #expect(rows.output.hasPrefix(#"{"user":"a","ts":3,"clicks_1h":2,"#))
    #expect(try letters("others") == found)
  }

  @Test func lostRecordsAreAStatusOfTheirOwn() throws {
    for mode in [["--features-at", "end"], ["--spine", "s.csv"]] {
      let result = try work.run(
        Workspace.binary,
        ["replay", "-d", "d.yaml", "--events", "bad.ndjson", "--view", "users", "--out", "o"] + mode)
      #expect(result.status == 3)
      #expect(result.error.hasSuffix("not kept: name a file with --dead-letters\n"))
      #expect(try work.read("o").contains(#""clicks_1h":2"#), "the rest is done")
    }
  }

  /// A record may be bad for one view only.
  @Test func lettersOfAView() throws {
    try work.write(
      "{\"ts\":1,\"user\":\"\(String(repeating: "u", count: 5000))\",\"n\":1}\n{\"ts\":1,\"user\":\"a\",\"n\":1}",
      to: "e")
    try work.write("user,n,ts\na,1,2\n", to: "p.csv")
    for mode in [["--view", "pairs", "--features-at", "end"], ["--view", "pairs", "--spine", "p.csv"]] {
      let result = try work.run(
        Workspace.binary,
        ["replay", "-d", "d.yaml", "--events", "e", "--out", "o", "--dead-letters", "letters"] + mode)
      #expect(result.status == 0)
      #expect(result.error.contains("; 1 dead letter (1 key_too_long) in letters"))
      let letter = try #require(try letters("letters").first)
      #expect(letter.line == 1 && letter.view == "pairs" && letter.message.hasPrefix("view 'pairs'"))
      #expect(try work.read("o").contains(#""user":"a","n":1,"#))
    }
  }

  @Test func lettersThatCannotBeKept() throws {
    let result = try work.plumb(
      "replay", "-d", "d.yaml", "--events", "bad.ndjson", "--view", "users", "--features-at", "end", "--out",
      "o",
      "--dead-letters", "/dev/full")
    #expect(result.status == 1)
    #expect(result.error.hasPrefix("plumb: /dev/full: cannot be written"))
    #expect(try work.names == ["bad.ndjson", "d.yaml", "s.csv"], "no rows without their letters")
  }
}
