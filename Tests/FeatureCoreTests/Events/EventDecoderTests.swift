import FeatureCore
import Testing

@Suite struct EventDecoderTests {
  let reader = EventReader(.everyType)

  /// The value of one field, in a record that is fine otherwise.
  private func value(_ field: String, _ json: String) throws(DecodeFailure) -> FeatureValue? {
    let time = field == "ts" ? "" : #""ts":0,"#
    let row = try reader.read("{\(time)\"\(field)\":\(json)}")
    return reader.schema.columns.firstIndex { $0.name == field }.map { row[$0] }
  }

  private func reason(_ field: String, _ json: String) -> DecodeFailure.Reason? {
    do throws(DecodeFailure) {
      _ = try value(field, json)
      return nil
    } catch {
      #expect(error.column.map { reader.schema.columns[$0].name } == field, "\(field): \(json)")
      return error.reason
    }
  }

  @Test func everyColumnIsWritten() throws {
    let row = try reader.read(#" { "ts" : 1454255994000 , "d":1.5,"x":[],"i":-7,"b":true,"s":"a" } "#)
    #expect(
      row == [
        .string("a"), .int64(-7), .double(1.5), .bool(true),
        .timestamp(EventTime(microseconds: 1_454_255_994_000_000)), .null, .null, .null, .null,
      ])
  }

  @Test(arguments: ["s", "i", "d", "b", "at_s", "at_us", "at_ns", "at"])
  func nullIsNull(field: String) throws { #expect(try value(field, "null") == .null) }

  @Test func aNullSeenTwiceIsADuplicate() {
    #expect(reader.failure(#"{"ts":0,"s":null,"s":"a"}"#)?.reason == .duplicateField)
  }

  @Test(arguments: [
    (#""""#, ""), (#""a""#, "a"), (#""1234567""#, "1234567"), (#""12345678""#, "12345678"),
    (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"), (#""\u0041\u00e9\u20ac\uD83D\ude00""#, "Aé€😀"),
    (#""a\u0000b""#, "a\0b"), (#""日本語 é 😀""#, "日本語 é 😀"), (#""12345678\n90""#, "12345678\n90"),
    (#""\uFFFF\uE000\uD7FF""#, "\u{FFFF}\u{E000}\u{D7FF}"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"),
    (#""\u007f""#, "\u{7f}"), ("\"\u{7f}\"", "\u{7f}"),
  ])
  func strings(json: String, text: String) throws {
    #expect(try value("s", json) == .string(Text(text)))
  }

  @Test(arguments: [
    ("0", 0), ("-0", 0), ("7", 7), ("-7", -7), ("12345678", 12_345_678), ("123456789", 123_456_789),
    ("1234567890123456", 1_234_567_890_123_456), ("12345678901234567", 12_345_678_901_234_567),
    ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("10000000", 10_000_000),
    ("100000000", 100_000_000), ("-999999999999999", -999_999_999_999_999),
  ])
  func integers(json: String, integer: Int64) throws {
    #expect(try value("i", json) == .int64(integer))
    #expect(try value("i", json + " ") == .int64(integer))
  }

  @Test(arguments: [
    "9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
    "99999999999999999999999999",
  ])
  func integersBeyondInt64(json: String) { #expect(reason("i", json) == .numberOutOfRange) }

  @Test(arguments: [
    ("0", 0.0), ("1", 1), ("-1.5", -1.5), ("1e3", 1000), ("1E+3", 1000), ("12.5e-1", 1.25), ("1e-400", 0),
    ("5e-324", Double.leastNonzeroMagnitude), ("1.7976931348623157e308", Double.greatestFiniteMagnitude),
    ("18446744073709551616", 18_446_744_073_709_551_616), ("0e999999999999999999999", 0),
    ("123456789012345678901234567890", 1.2345678901234568e29), ("0.1", 0.1),
  ])
  func doubles(json: String, double: Double) throws { #expect(try value("d", json) == .double(double)) }

  @Test func minusZeroIsADoubleOfItsOwn() throws {
    for json in ["-0", "-0.0", "-0e5", "-1e-999"] {
      #expect(try value("d", json)?.isIdentical(to: .double(-0.0)) == true, "\(json)")
    }
  }

  @Test(arguments: ["1e309", "-1e309", "1.7976931348623159e308", "1e99999999999999999999"])
  func doublesBeyondRange(json: String) { #expect(reason("d", json) == .numberOutOfRange) }

  @Test func bools() throws {
    #expect(try value("b", "true") == .bool(true))
    #expect(try value("b", "false") == .bool(false))
  }

  @Test(arguments: [
    ("s", "1"), ("s", "true"), ("s", "[]"), ("s", "{}"), ("i", "1.5"), ("i", "1e-1"), ("i", #""1""#),
    ("i", "false"), ("d", #""1""#), ("d", "[1]"), ("d", "true"), ("b", "0"), ("b", #""true""#),
    ("b", #"{"a":1}"#), ("ts", #""2016-01-31T15:59:54Z""#), ("i", "NaN"), ("d", "Infinity"), ("ts", "true"),
    ("at", "0"),
    ("at", "[]"),
  ])
  func wrongTypes(field: String, json: String) { #expect(reason(field, json) == .wrongType) }

  @Test func aWrongTypeIsReportedOnlyOfValidJSON() {
    for json in ["tru", "[1,]", #""\x""#, "01", "1.", "-", "nul", "{\"a\"}", "\u{FEFF}1"] {
      #expect(reason("i", json) == .malformedJSON, "\(json)")
    }
    #expect(reader.failure([UInt8](#"{"i":"a"#.utf8) + [0xFF, 0x22, 0x7D])?.reason == .invalidUTF8)
  }

  @Test(arguments: [
    ("at_s", "1454255994", 1_454_255_994_000_000), ("ts", "1454255994123", 1_454_255_994_123_000),
    ("at_us", "1454255994123456", 1_454_255_994_123_456),
    ("at_ns", "1454255994123456789", 1_454_255_994_123_456), ("at_ns", "-1", -1), ("at_ns", "-1000", -1),
    ("at_ns", "-1001", -2), ("ts", "0", 0), ("ts", "-0", 0), ("ts", "-1", -1000),
    ("at", #""2016-01-31T15:59:54.123456789+08:00""#, 1_454_227_194_123_456),
    ("at", #""2016\u002d01-31T15:59:54Z""#, 1_454_255_994_000_000),
    ("at_s", "-62135596800", Limits.eventTimeMin), ("at_us", "253402300799999999", Limits.eventTimeMax),
  ])
  func times(field: String, json: String, microseconds: Int64) throws {
    #expect(try value(field, json) == .timestamp(EventTime(microseconds: microseconds)))
  }

  @Test(arguments: [
    ("at_s", "253402300800"), ("at_s", "-62135596801"), ("at_s", "9223372036854775807"),
    ("ts", "253402300800000"), ("ts", "9223372036854775807"), ("at_us", "253402300800000000"),
    ("at_us", "-62135596800000001"), ("at_ns", "9223372036854775808"), ("ts", "99999999999999999999"),
    ("at", #""0000-12-31T23:59:59Z""#), ("at", #""0001-01-01T00:00:00+00:01""#),
    ("at", #""9999-12-31T23:59:59-00:01""#),
  ])
  func timesOutOfRange(field: String, json: String) { #expect(reason(field, json) == .timeOutOfRange) }

  @Test(arguments: [
    ("12345.0", 12345), ("1e3", 1000), ("-1.50e1", -15), ("0.0", 0), ("-0.0", 0), ("0e99999999999", 0),
    ("922337203685477580.7e1", Int64.max),
    ("-9223372036854775808.000000000000000000000000000000000", Int64.min),
    ("120000000000000000000000000000000000000000000e-43", 12),
    ("0.00000000000000000000000000000000000000000000000007e50", 7),
  ])
  func integersHoweverTheyAreWritten(json: String, integer: Int64) throws {
    #expect(try value("i", json) == .int64(integer))
  }

  @Test(arguments: [
    "1.5", "-0.1", "1e-1", "1e-400", "9007199254740993.5",
    "0.00000000000000000000000000000000000000000000000001",
    "1234567890123456789.00000000000000000000000000000000000000000000000001",
  ])
  func fractionsAreNoIntegers(json: String) { #expect(reason("i", json) == .wrongType) }

  @Test(arguments: ["9223372036854775808.0", "1e19", "-9223372036854775809.0", "1e400", "1e99999999999999"])
  func integersBeyondInt64AfterAnExponent(json: String) { #expect(reason("i", json) == .numberOutOfRange) }

  @Test(
    arguments: [
      ("at_s", "1593878903.438", 1_593_878_903_438_000),
      ("at_s", "1593878903.4381239", 1_593_878_903_438_123),
      ("at_s", "-0.0000001", -1), ("at_s", "1.593878903438e9", 1_593_878_903_438_000), ("ts", "1.5", 1500),
      ("ts", "0.0009", 0), ("at_us", "7.9", 7), ("at_us", "-7.1", -8), ("at_ns", "1999.9", 1),
      ("at_ns", "1e3", 1),
      ("at_ns", "-0.1", -1),
      ("at_s", "1593878903.43812345678901234567890123456789012345678901", 1_593_878_903_438_123),
      ("at_s", "0e999999", 0),
    ] as [(String, String, Int64)])
  func timesWithAFraction(field: String, json: String, microseconds: Int64) throws {
    #expect(try value(field, json) == .timestamp(EventTime(microseconds: microseconds)))
  }

  @Test(arguments: ["NaN", "Infinity", "-Infinity", "[NaN,-Infinity]", #"{"a":Infinity}"#])
  func whatIsNoNumberCostsNoEventWhereItIsNotRead(json: String) {
    #expect(reader.message(#"{"ts":0,"x":\#(json)}"#) == "accepted")
    #expect(reader.message(#"{"x":\#(json),"ts":0}"#) == "accepted")
  }

  @Test func whatIsNoNumberIsNamedWhereItIsRead() {
    #expect(
      reader.message(#"{"ts":0,"d":NaN}"#)
        == "field 'd' at byte 12: expected double, found NaN (write null where there is no value)")
    #expect(
      reader.message(#"{"ts":0,"i":-Infinity}"#)
        == "field 'i' at byte 12: expected int64, found an infinity (write null where there is no value)")
    for json in ["NaNa", "-NaN", "Infinit", "Infinityy", "-Infinite", "nan", "inf"] {
      #expect(reader.failure(#"{"ts":0,"x":\#(json)}"#)?.reason == .malformedJSON, "\(json)")
    }
  }

  @Test(arguments: [#""""#, #""2016-02-30T00:00:00Z""#, #""2016-01-31T15:59:60Z""#, #""now""#])
  func badTimes(json: String) { #expect(reason("at", json) == .badTime) }

  @Test func timeAndKeyMustBeThere() throws {
    let keyed = EventReader(.keyed)
    #expect(try keyed.read(#"{"user":"u","ts":1}"#)[0] == .string("u"))
    for payload in [#"{"user":"u"}"#, #"{"user":"u","ts":null}"#, "{}"] {
      #expect(keyed.failure(payload)?.reason == .missingTime, "\(payload)")
      #expect(keyed.failure(payload)?.column == 2)
    }
    for payload in [#"{"ts":1}"#, #"{"user":null,"ts":1}"#] {
      #expect(keyed.failure(payload)?.reason == .missingKey, "\(payload)")
      #expect(keyed.failure(payload)?.column == 0)
    }
  }

  @Test(arguments: [
    #"{"ts":0,"s":"a","s":"a"}"#, #"{"ts":0,"s":"a","\u0073":"a"}"#, #"{"ts":0,"\u0073":"a","s":"a"}"#,
    #"{"ts":0,"\u0073":"a","\u0073":"a"}"#, #"{"ts":0,"s":"a","x":1,"s" :2}"#,
  ])
  func duplicates(payload: String) throws {
    let failure = try #require(reader.failure(payload))
    #expect(failure.reason == .duplicateField)
    #expect(failure.column == 0)
  }

  @Test func undeclaredAndNestedKeysMayRepeat() throws {
    let row = try reader.read(#"{"ts":0,"x":1,"x":2,"y":{"s":1,"s":2,"ts":"no"},"s":"a"}"#)
    #expect(row[0] == .string("a"))
  }

  @Test func aKeyMayBeWrittenWithEscapes() throws {
    #expect(try reader.read(#"{"\u0074s":5,"\u0061\u0074":null,"\u0069":3}"#)[1] == .int64(3))
  }

  @Test func sizes() throws {
    #expect(reader.failure("")?.reason == .empty)
    func record(_ count: Int) -> String {
      let head = #"{"ts":0,"x":""#
      return head + String(repeating: "a", count: count - head.utf8.count - 2) + "\"}"
    }
    #expect(try reader.read(record(Limits.recordBytesMax)).count == 9)
    #expect(reader.failure(record(Limits.recordBytesMax + 1))?.reason == .oversized)
  }

  @Test func textsPointIntoThePayloadUnlessTheyHadEscapes() throws {
    var decoder = EventDecoder(reader.schema)
    let row = UnsafeMutablePointer<Scalar>.allocate(capacity: 9)
    defer { row.deallocate() }
    let arena = TextArena()
    func isInside(_ payload: String) throws -> Bool {
      try [UInt8](payload.utf8).withUnsafeBytes { bytes in
        try decoder.decode(bytes, into: row, arena: arena)
        let range =
          UInt64(
            UInt(bitPattern: bytes.baseAddress))..<UInt64(UInt(bitPattern: bytes.baseAddress! + bytes.count))
        return range.contains(row[0].bits)
      }
    }
    #expect(try isInside(#"{"ts":0,"s":"abc"}"#))
    #expect(try !isInside(#"{"ts":0,"s":"a\tc"}"#))
  }
}
