import Testing

@testable import FeatureCore

/// Changes in the shape of Debezium's documentation: rows, deletions, and what is neither.
@Suite struct ChangeEnvelopeTests {
  private static func source(_ format: Source.Format) -> Source {
    let isEnvelope = format == .debezium
    var source = Source(
      "customers", topic: "customers", key: "id",
      timestamp: .init(field: isEnvelope ? "ts_ms" : "__source_ts_ms", unit: .milliseconds),
      fields: [
        .init("id", .int64), .init("first_name", .string), .init("email", .string), .init("photo", .string),
      ], partitioner: .unknown)
    source.isTable = true
    source.format = format
    return source
  }

  private static func envelope(
    _ operation: String, before: String = "null", after: String = "null", time: Int = 1_559_033_904_863
  ) -> String {
    """
    {"before":\(before),"after":\(after),"source":{"version":"3.0.8.Final","connector":"postgresql",\
    "name":"PostgreSQL_server","ts_ms":\(time),"ts_us":\(time)863,"snapshot":true,"db":"postgres",\
    "sequence":"[\\"24023119\\",\\"24023128\\"]","schema":"public","table":"customers","txId":555,"lsn":24023128,\
    "xmin":null},"transaction":null,"op":"\(operation)","ts_ms":1559033904900}
    """
  }

  private static func withSchema(_ payload: String) -> String {
    """
    {"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],\
    "optional":true,"name":"PostgreSQL_server.inventory.customers.Value","field":"after"}],"optional":false},\
    "payload":\(payload)}
    """
  }

  private static let anne = #"{"id":1,"first_name":"Anne","email":"anne@noanswer.org","photo":null}"#
  private static let time = FeatureValue.timestamp(EventTime(microseconds: 1_559_033_904_863_000))

  /// The rows of one record; what is kept is told as `kept`.
  private func rows(
    _ payload: String?, key: String? = #"{"id":1}"#, _ format: Source.Format = .debezium,
    time: Int64? = 1_559_033_905_000
  ) throws -> [[FeatureValue]] {
    let batch = EventBatch(EventSchema(Self.source(format)), capacity: 1)
    let (bytes, key) = (Array((payload ?? "").utf8), key.map { Array($0.utf8) })
    return try bytes.withUnsafeBytes { bytes in
      try (key ?? []).withUnsafeBytes { keyBytes in
        try batch.append(
          bytes, sequence: 0,
          record: RecordFields(timestampMilliseconds: time, key: key == nil ? nil : keyBytes))
        return (0..<batch.count).map { row in
          batch.schema.columns.indices.map { column in
            let scalar = batch.row(row)[column]
            return scalar.isKept
              ? .string(Text("kept")) : FeatureValue(scalar, batch.schema.columns[column].type)
          }
        }
      }
    }
  }

  private func reason(_ payload: String?, _ format: Source.Format = .debezium, key: String? = nil)
    -> DecodeFailure.Reason?
  {
    do {
      _ = try rows(payload, key: key, format)
      return nil
    } catch {
      return (error as? DecodeFailure)?.reason
    }
  }

  private static func row(_ name: String?, email: String? = "anne@noanswer.org", photo: String? = nil)
    -> [[FeatureValue]]
  {
    func value(_ text: String?) -> FeatureValue { text.map { .string(Text($0)) } ?? .null }
    return [[.int64(1), value(name), value(email), value(photo), time]]
  }
  private static let gone = row(nil, email: nil)

  @Test(arguments: ["c", "r", "u"]) func rowsAreWhatIsAfter(_ operation: String) throws {
    let old = #"{"id":1,"first_name":7,"email":[],"photo":null}"#
    let payload = Self.envelope(operation, before: old, after: Self.anne)
    #expect(try rows(payload) == Self.row("Anne"))
    #expect(try rows(Self.withSchema(payload)) == Self.row("Anne"))
    // The key is the row's own, whatever the record's says.
    #expect(try rows(payload, key: nil) == Self.row("Anne"))
  }

  @Test func deletionsNameTheRowBefore() throws {
    let whole = Self.envelope("d", before: Self.anne)
    #expect(try rows(whole) == Self.gone)
    #expect(try rows(Self.withSchema(whole)) == Self.gone)
    #expect(try rows(Self.envelope("d", before: #"{"id":1}"#), key: nil) == Self.gone)
    // With REPLICA IDENTITY NOTHING the record's key alone tells.
    for key in [#"{"id":1}"#, #"{"schema":{"type":"struct"},"payload":{"id":1}}"#, "1"] {
      #expect(try rows(Self.envelope("d"), key: key) == Self.gone, "\(key)")
    }
    #expect(reason(Self.envelope("d")) == .missingKey)
    #expect(reason(Self.envelope("d"), key: #"{"number":1}"#) == .missingKey)
    #expect(reason(Self.envelope("d"), key: #"{"id":"one"}"#) == .wrongType)
  }

  /// Behind every deletion Debezium writes a record without a value, for compaction: it is no second deletion.
  @Test func tombstonesChangeNothing() throws {
    #expect(try rows(nil).isEmpty)
    #expect(try rows(#"{"schema":null,"payload":null}"#).isEmpty)
  }

  @Test func unavailableValuesAreKept() throws {
    let text = #"{"id":1,"first_name":"Anne","email":"__debezium_unavailable_value","photo":null}"#
    #expect(try rows(Self.envelope("u", after: text)) == Self.row("Anne", email: "kept"))
    let bytes =
      #"{"id":1,"first_name":"Anne","email":null,"photo":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}"#
    #expect(try rows(Self.envelope("u", after: bytes)) == Self.row("Anne", email: nil, photo: "kept"))
    let flat = text.dropLast() + #","__source_ts_ms":1559033904863}"#
    #expect(try rows(String(flat), .debeziumFlattened) == Self.row("Anne", email: "kept"))
  }

  @Test func flattenedRows() throws {
    let time = #","__deleted":"false","__source_ts_ms":1559033904863}"#
    let row = Self.anne.dropLast() + time
    #expect(try rows(String(row), .debeziumFlattened) == Self.row("Anne"))
    #expect(try rows(Self.withSchema(String(row)), .debeziumFlattened) == Self.row("Anne"))
    for text in ["\"true\"", "true"] {
      let deleted = row.replacing("\"false\"", with: text)
      #expect(try rows(String(deleted), .debeziumFlattened) == Self.gone)
    }
    let removed: [[FeatureValue]] = Self.gone.map {
      Array($0.dropLast()) + [.timestamp(EventTime(microseconds: 1_559_033_905_000_000))]
    }
    for key in [#"{"id":1}"#, #"{"schema":{},"payload":{"id":1}}"#, "1"] {
      #expect(try rows(nil, key: key, .debeziumFlattened) == removed, "\(key)")
      #expect(try rows(#"{"schema":null,"payload":null}"#, key: key, .debeziumFlattened) == removed)
    }
    #expect(reason(nil, .debeziumFlattened) == .missingKey)
    #expect(reason(Self.anne, .debeziumFlattened) == .missingTime)
  }

  @Test func whatIsNoChange() {
    #expect(reason(Self.envelope("t")) == .truncation)
    #expect(reason(Self.envelope("m")) == .unknownOperation)
    #expect(reason(Self.envelope("insert")) == .unknownOperation)
    #expect(reason(#"{"op":1,"after":{"id":1}}"#) == .unknownOperation)
    #expect(reason(Self.anne) == .noChange)
    #expect(reason(Self.envelope("c")) == .noChange)
    #expect(reason(Self.envelope("u", after: "[1]")) == .noChange)
    #expect(reason(Self.withSchema("7")) == .noChange)
    #expect(reason(#"{"op":"c","after":\#(Self.anne)}"#) == .missingTime)
    #expect(reason(#"{"op":"c","after":\#(Self.anne),"source":{"ts_ms":"soon"}}"#) == .wrongType)
    #expect(reason(Self.envelope("c", after: Self.anne) + "x") == .malformedJSON)
    #expect(reason(#"{"op":"c","op":"d"}"#) == .duplicateField)
    #expect(reason("[]") == .malformedJSON)
  }

  /// Where a row's value is wrong, the byte is counted from the record's start.
  @Test func failuresNameTheByteOfTheRecord() throws {
    let payload = Self.envelope("c", after: #"{"id":1,"email":7}"#)
    let failure = #expect(throws: DecodeFailure.self) { try rows(payload) }
    let at = try #require(payload.firstRange(of: #""email":7"#))
    #expect(failure?.offset == payload.utf8.distance(from: payload.startIndex, to: at.upperBound) - 1)
    #expect(failure?.column == 2)
  }

  @Test func mistakes() {
    func expect(_ message: String, _ change: (inout Source) -> Void) {
      var source = Self.source(.debezium)
      change(&source)
      let view = View(
        "v", source: "customers", entity: ["id"], features: [Feature("email", .column("email"))])
      do {
        _ = try Plan(Definitions(name: "test", sources: [source], views: [view]), zones: TestZones.all)
        Issue.record("nothing was said about: \(message)")
      } catch {
        #expect(error.description.contains(message), "\(error.description)")
      }
    }
    expect("Debezium writes tables") { $0.isTable = false }
    expect("writes the topic already") {
      $0.capture = TableCapture(.sqlite(path: "x"), table: "t", mode: .diff)
    }
    expect("'source' block") { $0.timestamp.field = "updated_at" }
    expect("'source' block") { $0.timestamp.unit = .seconds }
  }

  /// Whatever stands in a record: rows or a failure, and nothing that is read beyond its end.
  @Test(arguments: seeds(20)) func damagedRecordsNeverTrap(seed: UInt64) {
    var random = EventRandom(seed: seed)
    let whole = [
      Self.envelope("u", before: Self.anne, after: Self.anne),
      Self.withSchema(Self.envelope("d", before: Self.anne)),
      String(Self.anne.dropLast() + #","__deleted":"true","__source_ts_ms":1}"#),
    ]
    for _ in 0..<200 {
      var bytes = Array(random.pick(whole).utf8)
      for _ in 0...random.below(3) {
        bytes[random.below(bytes.count)] = random.pick(Array("{}[]\",:0n\\".utf8))
      }
      let text = String(decoding: bytes.prefix(random.below(bytes.count + 1)), as: UTF8.self)
      for format in [Source.Format.debezium, .debeziumFlattened] {
        _ = reason(text, format, key: String(text.suffix(30)))
      }
    }
  }
}
