import FeatureCore
import TestSupport
import Testing

/// Values inside of objects and arrays, one event for each element, and computed columns.
@Suite struct NestedEventTests {
  private static let source = Source(
    "orders", topic: "orders", timestamp: .init(field: "ts", unit: .milliseconds),
    fields: [
      .init("user_id", .string, path: "user.id"), .init("city", .string, path: "user.address.city"),
      .init("first", .string, path: "tags[0]"), .init("third", .int64, path: "tags[2].n"),
      .init("dotted", .double, path: #""a.b".c"#), .init("ts", .timestamp, path: "meta.ts"),
    ])
  private static let time = FeatureValue.timestamp(EventTime(microseconds: 5000))

  @Test func valuesAreReadWhereTheyStand() throws {
    let reader = EventReader(Self.source)
    let record =
      #"{"x":{"id":9},"user":{"id":"u","y":[1,{"id":2}],"address":{"city":"\u0041"}},"tags":["t",7,{"m":1,"n":3.0},8],"#
      + #""a.b":{"c":1.5},"a":{"b":{"c":2}},"meta":{"ts":5}}"#
    #expect(
      try reader.read(record) == [
        .string("u"), .string("A"), .string("t"), .int64(3), .double(1.5), Self.time,
      ])
    // The same again in another order, spaced out: guesses from before change nothing.
    let other =
      #" { "meta" : { "ts" : 5 } , "tags" : [ "t" , null , { "n" : 3 } ] , "user" : { "address" : { "city" : "A" } , "id" : "u" } } "#
    #expect(
      try reader.read(other) == [.string("u"), .string("A"), .string("t"), .int64(3), .null, Self.time])
    #expect(try reader.read(record).count == 6)
  }

  @Test(arguments: [
    #"{"meta":{"ts":5}}"#, #"{"user":null,"tags":null,"a.b":null,"meta":{"ts":5}}"#,
    #"{"user":{},"tags":[],"a.b":{},"meta":{"ts":5}}"#,
    #"{"user":{"id":null,"address":null},"tags":[null,1,null],"meta":{"ts":5}}"#,
    #"{"user":{"address":{}},"tags":[null],"meta":{"ts":5}}"#, #"{"tags":[null,1,{}],"meta":{"ts":5}}"#,
  ])
  func whatIsNotThereIsNull(record: String) throws {
    #expect(try EventReader(Self.source).read(record) == [.null, .null, .null, .null, .null, Self.time])
  }

  @Test(arguments: [
    (
      #"{"user":"u"}"#,
      "field 'user_id' (user.id) at byte 8: expected an object on the way to it, found a string"
    ),
    (#"{"user":{"id":1}}"#, "field 'user_id' (user.id) at byte 14: expected string, found an integer"),
    (#"{"user":{"id":"a","id":"b"}}"#, "field 'user_id' (user.id) at byte 18: the field stands twice"),
    (#"{"user":{"id":"a"},"user":1}"#, "field 'user_id' (user.id) at byte 19: the field stands twice"),
    (
      #"{"tags":{}}"#,
      "field 'first' (tags[0]) at byte 8: expected an array on the way to it, found an object"
    ),
    (#"{"tags":[1]}"#, "field 'first' (tags[0]) at byte 9: expected string, found an integer"),
    (
      #"{"tags":["",0,[1]]}"#,
      "field 'third' (tags[2].n) at byte 14: expected an object on the way to it, found an array"
    ),
    (#"{"user":{"id":"a"}}"#, "field 'ts' (meta.ts): the event time is null or absent"),
    (#"{"user":{"id":"a"}"#, "at byte 18: malformed JSON: the payload ends too early"),
    (#"{"user":{"id":"a",}}"#, "at byte 18: malformed JSON: expected a string as key"),
    (#"{"user":{"id":"a";}}"#, "at byte 17: malformed JSON: expected ',' or '}'"),
    (#"{"tags":["a" 1]}"#, "at byte 13: malformed JSON: expected ',' or ']'"),
    (#"{"tags":["a",]}"#, "at byte 13: malformed JSON: expected a value"),
    (#"{"tags":["a",1,{"n":1]}"#, "at byte 21: malformed JSON: expected ',' or '}'"),
  ])
  func messages(record: String, message: String) {
    #expect(EventReader(Self.source).message(record) == message)
  }

  @Test func depthCountsFromTheRecord() {
    let reader = EventReader(Self.source)
    for (inside, expected) in [
      (Limits.jsonDepthMax - 2, nil), (Limits.jsonDepthMax - 1, DecodeFailure.Reason.tooDeep),
    ] {
      let deep = String(repeating: "[", count: inside) + String(repeating: "]", count: inside)
      #expect(reader.failure(#"{"user":{"y":\#(deep)},"meta":{"ts":5}}"#)?.reason == expected)
      #expect(reader.failure(#"{"tags":["",\#(deep)],"meta":{"ts":5}}"#)?.reason == expected)
    }
  }

  /// Nested values equal what a flat record of the same values gives, whatever stands around them.
  @Test func nestedEqualsFlat() throws {
    let seed: UInt64 = 31
    var documents = EventDocuments(seed: seed)
    let flat = EventReader(.generated)
    let deep = EventReader(.generatedDeep)
    var accepted = 0
    for index in 0..<40_000 {
      let bytes = index % 3 == 0 ? documents.record() : documents.mutant()
      let inner = String(decoding: bytes, as: UTF8.self)
      guard Array(inner.utf8) == bytes else { continue }
      let outer = Array(#"{"a":[{"s":1},{"b":\#(inner),"i":{"s":2}}],"s":[]}"#.utf8)
      let (expected, found) = (try? flat.read(bytes), try? deep.read(outer))
      // One level is lost to what stands around, and an object in one may end with the other.
      guard let expected else { continue }
      accepted += 1
      if expected != found { Issue.record("seed \(seed), document \(index): \(inner)") }
    }
    #expect(accepted > 8_000)
  }

  @Test func mutantsOfNestedRecordsNeverTrap() {
    let seed: UInt64 = 6502
    var documents = EventDocuments(seed: seed)
    let readers = [EventReader(.generatedDeep), EventReader(Self.source), EventReader(.generatedElements)]
    for _ in 0..<40_000 {
      let inner = documents.mutant()
      for (head, tail) in [
        (#"{"a":[{},{"b":"#, "}]}"), (#"{"user":"#, #","tags":[]}"#), (#"{"ts":1,"a":["#, "]}"),
      ] {
        let bytes = Array(head.utf8) + inner + Array(tail.utf8)
        for reader in readers {
          guard let failure = reader.failure(bytes) else { continue }
          #expect(failure.offset >= 0 && failure.offset <= bytes.count, "seed \(seed)")
        }
      }
    }
  }

  // MARK: Elements

  private static let basket = Source(
    "baskets", topic: "baskets", timestamp: .init(field: "ts", unit: .milliseconds),
    fields: [
      .init("user", .string), .init("sku", .string, path: "lines.sku"), .init("n", .int64, path: "lines.n"),
      .init("color", .string, path: "lines.options[1].color"),
    ], each: "lines")

  private func rows(_ source: Source, _ record: String) throws -> (rows: [[FeatureValue]], refused: [String])
  {
    let batch = EventBatch(EventSchema(source), capacity: 2)
    var refused: [String] = []
    let bytes = Array(record.utf8)
    return try bytes.withUnsafeBytes { payload in
      try batch.append(payload, sequence: 7) { refused.append($0.message(batch.schema)) }
      return (
        (0..<batch.count).map { row in
          #expect(batch.sequence(row) == 7)
          return batch.schema.columns.enumerated().map { FeatureValue(batch.row(row)[$0], $1.type) }
        }, refused
      )
    }
  }

  @Test func anEventForEachElement() throws {
    let record =
      #"{"ts":5,"lines":[{"sku":"a","n":1,"options":[0,{"color":"red"}]},{"sku":"b"},null,{"n":2,"sku":"a"},{}],"user":"u"}"#
    let (found, refused) = try rows(Self.basket, record)
    #expect(refused.isEmpty)
    #expect(
      found == [
        [.string("u"), .string("a"), .int64(1), .string("red"), Self.time],
        [.string("u"), .string("b"), .null, .null, Self.time],
        [.string("u"), .null, .null, .null, Self.time],
        [.string("u"), .string("a"), .int64(2), .null, Self.time],
        [.string("u"), .null, .null, .null, Self.time],
      ])
  }

  @Test(arguments: [
    #"{"ts":5}"#, #"{"ts":5,"lines":null}"#, #"{"ts":5,"lines":[]}"#, #"{"ts":5,"lines":[ ]}"#,
  ])
  func noElementsAreNoEvents(record: String) throws {
    let (found, refused) = try rows(Self.basket, record)
    #expect(found.isEmpty && refused.isEmpty)
  }

  @Test func anElementThatCannotBeUsedCostsNoOther() throws {
    let record = #"{"ts":5,"lines":[{"n":"x"},7,{"n":1},{"n":1,"n":2},{"n":2}],"user":"u"}"#
    let (found, refused) = try rows(Self.basket, record)
    #expect(found.map { $0[2] } == [.int64(1), .int64(2)])
    #expect(
      refused == [
        "element 0 of 'lines': field 'n' (lines.n) at byte 22: expected int64, found a string (if it comes in quotes, declare text: true)",
        "element 1 of 'lines': field 'sku' (lines.sku) at byte 27: expected an object on the way to it, found an integer",
        "element 3 of 'lines': field 'n' (lines.n) at byte 44: the field stands twice",
      ])
  }

  @Test(arguments: [
    (#"{"ts":5,"lines":{"n":1}}"#, DecodeFailure.Reason.wrongType), (#"{"ts":5,"lines":"x"}"#, .wrongType),
    (#"{"ts":5,"lines":[{"n":1},]}"#, .malformedJSON), (#"{"ts":5,"lines":[{"n":1}"#, .malformedJSON),
    (#"{"ts":5,"lines":[],"lines":[]}"#, .duplicateField), (#"{"lines":[{"n":1}]}"#, .missingTime),
  ])
  func recordsThatAreRefusedWhole(record: String, reason: DecodeFailure.Reason) {
    do {
      _ = try rows(Self.basket, record)
      Issue.record("accepted")
    } catch {
      #expect((error as? DecodeFailure)?.reason == reason)
    }
  }

  @Test func timesOfElementsAndElementsThatAreValues() throws {
    let times = Source(
      "t", topic: "t", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("ts", .timestamp, path: "a.b.at")], each: "a.b")
    let (found, refused) = try rows(times, #"{"a":{"b":[{"at":5},{},{"at":5}]}}"#)
    #expect(found == [[Self.time], [Self.time]])
    #expect(refused == ["element 1 of 'a.b': field 'ts' (a.b.at): the event time is null or absent"])
    let values = Source(
      "v", topic: "v", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("tag", .string, path: "tags")], each: "tags")
    #expect(
      try rows(values, #"{"tags":["x", null ,"y"],"ts":5}"#).rows.map { $0[0] } == [
        .string("x"), .null, .string("y"),
      ])
  }

  @Test func aRecordHasABoundedNumberOfElements() throws {
    let list = { (count: Int) in "[" + String(repeating: "{},", count: count - 1) + "{}]" }
    #expect(
      try rows(Self.basket, #"{"ts":5,"lines":\#(list(Limits.elementsMax))}"#).rows.count
        == Limits.elementsMax)
    do {
      _ = try rows(Self.basket, #"{"ts":5,"lines":\#(list(Limits.elementsMax + 1))}"#)
      Issue.record("accepted")
    } catch {
      #expect((error as? DecodeFailure)?.reason == .tooManyElements)
    }
  }

  /// As if every element had been a record.
  @Test func elementsEqualRecords() throws {
    let seed: UInt64 = 77
    var documents = EventDocuments(seed: seed)
    let flat = EventReader(.generated)
    for index in 0..<3_000 {
      let parts = (0..<documents.random.below(6)).map { _ in documents.record() }
      let expected = parts.compactMap { try? flat.read($0) }
      let list = parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")
      let (found, refused) = try rows(.generatedElements, #"{"a":[\#(list)]}"#)
      #expect(found == expected, "seed \(seed), document \(index): \(list)")
      #expect(refused.count == parts.count - expected.count)
    }
  }

  // MARK: The record, and computed columns

  @Test func partsOfTheRecord() throws {
    var source = Source(
      "r", topic: "r", timestamp: .ofRecord,
      fields: [.record("user", .key, .int64), .record("at", .timestamp, .timestamp)])
    func read(_ record: RecordFields) throws -> [FeatureValue] {
      let batch = EventBatch(EventSchema(source), capacity: 1)
      return try Array("{}".utf8).withUnsafeBytes { payload in
        try batch.append(payload, sequence: 0, record: record)
        return batch.schema.columns.enumerated().map { FeatureValue(batch.row(0)[$0], $1.type) }
      }
    }
    try Array("42".utf8).withUnsafeBytes { (key) throws in
      #expect(try read(.init(timestampMilliseconds: 5, key: key)) == [.int64(42), Self.time, Self.time])
      source.fields[0].type = .string
      #expect(try read(.init(timestampMilliseconds: 5, key: key)) == [.string("42"), Self.time, Self.time])
    }
    #expect(try read(.init(timestampMilliseconds: 5, key: nil))[0] == .null)
    let invalid: [UInt8] = [0xC3, 0x28]
    _ = invalid.withUnsafeBytes { key in
      #expect(throws: DecodeFailure.self) { try read(.init(timestampMilliseconds: 5, key: key)) }
    }
    for record in [RecordFields.none, .init(timestampMilliseconds: .max, key: nil)] {
      #expect(throws: DecodeFailure.self) { try read(record) }
    }
  }

  /// Their bytes, their order and what clients take for a header's value.
  @Test func headersOfTheRecord() throws {
    var source = Source(
      "r", topic: "r", timestamp: .init(field: "at", unit: .milliseconds),
      fields: [
        .header("country", "country", .string), .header("trace", "trace-id", .int64),
        .header("at", "sent", .timestamp),
      ])
    source.fields.append(.header("share", "share", .double))
    let schema = EventSchema(source)
    #expect(schema.needsRecord && schema.headerNames == ["country", "sent", "share", "trace-id"])
    func encoded(_ headers: [(name: String, value: [UInt8]?)]) -> [UInt8] {
      headers.reduce(into: []) { bytes, header in
        let size = RecordHeaders.size(name: header.name.utf8.count, value: header.value?.count)
        var room = [UInt8](repeating: 0, count: size)
        let (name, value) = (Array(header.name.utf8), header.value ?? [])
        name.withUnsafeBytes { name in
          value.withUnsafeBytes { value in
            room.withUnsafeMutableBytes {
              RecordHeaders.write(name: name, value: header.value == nil ? nil : value, to: $0)
            }
          }
        }
        bytes += room
      }
    }
    func read(_ bytes: [UInt8]?) throws -> [FeatureValue] {
      let batch = EventBatch(schema, capacity: 1)
      return try Array("{\"country\":\"xx\"}".utf8).withUnsafeBytes { payload in
        try (bytes ?? []).withUnsafeBytes { headers in
          let headers = bytes == nil ? nil : RecordHeaders(headers)
          try batch.append(
            payload, sequence: 0, record: .init(timestampMilliseconds: 1, key: nil, headers: headers))
          return schema.columns.enumerated().map { FeatureValue(batch.row(0)[$0], $1.type) }
        }
      }
    }
    let long = String(repeating: "x", count: 300)
    let headers: [(name: String, value: [UInt8]?)] = [
      ("sent", Array("5".utf8)), ("country", Array("de".utf8)), ("Country", Array("up".utf8)), (long, nil),
      ("trace-id", Array("1".utf8)), ("share", Array("0.25".utf8)), ("trace-id", Array("-42".utf8)),
    ]
    #expect(try read(encoded(headers)) == [.string("de"), .int64(-42), Self.time, .double(0.25)])
    // The last one of a name counts, a null too; an empty text is one.
    let others = headers + [("country", []), ("trace-id", nil), (long, Array(long.utf8))]
    #expect(try read(encoded(others)) == [.string(""), .null, Self.time, .double(0.25)])
    for (name, value) in [("trace-id", "x"), ("share", "1 "), ("share", "NaN"), ("sent", "")] {
      let wrong = headers + [(name, Array(value.utf8))]
      #expect(throws: DecodeFailure.self, "\(name): \(value)") { try read(encoded(wrong)) }
    }
    #expect(throws: DecodeFailure.self) { try read(encoded(headers + [("country", [0xFF])])) }
    #expect(throws: DecodeFailure.self, "no time") { try read(nil) }
    // Whatever bytes: they are read as far as they go.
    let whole = encoded(others)
    var random = SplitMix64(seed: 3)
    for cut in 0..<whole.count { _ = try? read(Array(whole[..<cut])) }
    for _ in 0..<2_000 {
      var bytes = whole
      bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      _ = try? read(bytes)
    }
  }

  @Test func computedColumns() throws {
    let source = Source(
      "c", topic: "c", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [
        .computed("label", "domain || '!'"), .init("email", .string),
        .computed("domain", "lower(substr(email, strpos(email, '@') + 1))"), .init("n", .int64),
        .computed("next", "n + 1"),
      ])
    let (found, _) = try rows(source, #"{"ts":5,"email":"A@Example.ORG","n":1}"#)
    let schema = EventSchema(source)
    #expect(schema.columns.map(\.name) == ["email", "n", "ts", "domain", "label", "next"])
    #expect(schema.columns.map(\.type) == [.string, .int64, .timestamp, .string, .string, .int64])
    #expect(
      found == [
        [
          .string("A@Example.ORG"), .int64(1), Self.time, .string("example.org"), .string("example.org!"),
          .int64(2),
        ]
      ])
    #expect(try rows(source, #"{"ts":5}"#).rows[0].suffix(3) == [.null, .null, .null])
    do {
      _ = try rows(source, #"{"ts":5,"n":9223372036854775807}"#)
      Issue.record("accepted")
    } catch let failure as DecodeFailure {
      #expect(failure.reason == .computationFailed)
      #expect(
        failure.message(schema) == "field 'next' (computed): integer overflow: the result does not fit int64")
    }
  }
}

extension Source {
  private static let generatedFields: [Field] = [
    .init("s", .string), .init("i", .int64), .init("d", .double), .init("b", .bool), .init("ts", .timestamp),
  ]

  /// What `EventDocuments` makes.
  static let generated = Source(
    "generated", topic: "generated", timestamp: .init(field: "ts", unit: .milliseconds),
    fields: generatedFields)

  /// The same inside of an array and an object.
  static let generatedDeep = inside("a[1].b", each: nil)
  /// The same as an element each.
  static let generatedElements = inside("a", each: "a")

  private static func inside(_ path: String, each: String?) -> Source {
    let fields = generatedFields.map { field in
      var field = field
      field.path = "\(path).\(field.name)"
      return field
    }
    return Source(
      "generated", topic: "generated", timestamp: .init(field: "ts", unit: .milliseconds), fields: fields,
      each: each)
  }
}
