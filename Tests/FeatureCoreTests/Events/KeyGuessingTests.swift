import FeatureCore
import Testing

/// The guess of the next key must change nothing but the speed: one decoder that has seen other events reads
/// a record as a new one does.
@Suite struct KeyGuessingTests {
  @Test func anyOrderAfterAnyOther() throws {
    var random = EventRandom(seed: 11)
    let used = EventReader(.everyType)
    var members = [
      #""s":"text""#, #""i":12"#, #""d":1.25"#, #""b":false"#, #""ts":1000"#, #""at_s":5"#, #""x":"other""#,
      #""sx":{"s":1}"#, #""long_name_of_a_field_nobody_declared_and_that_does_not_fit_in_a_slot":null"#,
      #""ts_":"a""#, #""t":"b""#, #""é":"c""#, #""a\nb":1"#, #""":0"#,
    ]
    for round in 0..<2_000 {
      members.shuffle(using: &random)
      let separator = random.pick([",", " , ", ",\n"])
      let payload = "{" + members[..<random.below(members.count + 1)].joined(separator: separator) + "}"
      let fresh = EventReader(.everyType)
      #expect(used.failure(payload) == fresh.failure(payload), "round \(round): \(payload)")
      if used.failure(payload) == nil {
        #expect(try used.read(payload) == fresh.read(payload), "round \(round): \(payload)")
      }
    }
  }

  @Test func copiesOfADecoderDoNotDisturbEachOther() throws {
    var first = EventDecoder(EventSchema(.keyed))
    var second = first
    let row = UnsafeMutablePointer<Scalar>.allocate(capacity: 3)
    defer { row.deallocate() }
    let arena = TextArena()
    for event in 0..<10 {
      try [UInt8]("{\"user\":\"u\",\"ts\":\(event)}".utf8).withUnsafeBytes { payload in
        try first.decode(payload, into: row, arena: arena)
        try second.decode(payload, into: row, arena: arena)
      }
      #expect(row[2].int64 == Int64(event) * 1000)
    }
  }

  @Test func moreUndeclaredKeysThanAreRemembered() throws {
    let reader = EventReader(.everyType)
    for event in 0..<50 {
      let extras = (0..<40).map { "\"extra_\(event * 7 + $0)\":\($0)" }.joined(separator: ",")
      let row = try reader.read("{\"ts\":\(event),\(extras),\"i\":\(event),\(extras)}")
      #expect(row[1] == .int64(Int64(event)))
    }
  }

  @Test(arguments: [1, 4, 5, 6, 12, 13, 14, 59, 60, 61, 62, 63, 64, 65, 200])
  func namesOfAnyLength(length: Int) throws {
    let name = String(repeating: "n", count: length)
    let reader = EventReader(
      Source(
        "s", topic: "s", timestamp: .init(field: "ts", unit: .seconds),
        fields: [.init(name, .int64), .init(name + "n", .int64)]))
    for _ in 0..<3 {
      let row = try reader.read(
        "{\"\(name)\":1,\"ts\":0,\"\(name)n\":2,\"\(name)nn\":3,\"\(name.dropLast())\":4}")
      #expect(row[..<2] == [.int64(1), .int64(2)])
      #expect(try reader.read("{\"ts\":0,\"\(name)n\":2}")[..<2] == [.null, .int64(2)])
    }
  }

  @Test func namesThatMustBeEscaped() throws {
    let reader = EventReader(
      Source(
        "s", topic: "s", timestamp: .init(field: "ts", unit: .seconds),
        fields: [.init("a\"b", .int64), .init("c\\", .int64), .init("\n", .int64), .init("日本", .int64)]))
    for _ in 0..<3 {
      let row = try reader.read(#"{"ts":0,"a\"b":1,"c\\":2,"\n":3,"日本":4}"#)
      #expect(row[..<4] == [.int64(1), .int64(2), .int64(3), .int64(4)])
      #expect(reader.failure(#"{"ts":0,"a"b":1}"#)?.problem == .expectedColon)
      #expect(reader.failure("{\"ts\":0,\"\n\":1}")?.problem == .controlCharacter)
    }
  }

  @Test func everyPrefixOfARecordFails() throws {
    let reader = EventReader(.everyType)
    let payload = [UInt8](
      #"{"ts":1454255994000,"s":"a\ud83d\ude00é","i":1,"d":-1.5e3,"b":true,"x":[{"y":null}]}"#.utf8)
    _ = try reader.read(payload)
    for count in 0..<payload.count {
      let failure = try #require(reader.failure(Array(payload[..<count])), "\(count) bytes")
      #expect(failure.offset <= count)
      #expect([.malformedJSON, .empty, .invalidUTF8].contains(failure.reason), "\(count) bytes")
    }
  }
}
