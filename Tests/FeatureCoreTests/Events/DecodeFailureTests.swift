import FeatureCore
import Testing

@Suite struct DecodeFailureTests {
  private let keyed = EventReader(.keyed)

  @Test(arguments: [
    (
      #"{"user":"u","price":"9","ts":1}"#,
      "field 'price' at byte 20: expected double, found a string (if it comes in quotes, declare text: true)"
    ),
    (#"{"user":1,"ts":1}"#, "field 'user' at byte 8: expected string, found an integer"),
    (#"{"user":true,"ts":1}"#, "field 'user' at byte 8: expected string, found a bool"),
    (#"{"user":[1],"ts":1}"#, "field 'user' at byte 8: expected string, found an array"),
    (#"{"user":{"a":1},"ts":1}"#, "field 'user' at byte 8: expected string, found an object"),
    (
      #"{"user":1.5,"ts":1}"#,
      "field 'user' at byte 8: expected string, found a number with a fraction"
    ),
    (
      #"{"ts":"1"}"#,
      "field 'ts' at byte 6: expected timestamp (a number in ms), found a string (if it comes in quotes, declare text: true)"
    ),
    (#"{"price":1e999}"#, "field 'price' at byte 9: the number is out of the range of double"),
    (#"{"user":"a","user":"b"}"#, "field 'user' at byte 12: the field stands twice"),
    (#"{"ts":1}"#, "field 'user': the partition key is null or absent"),
    (#"{"user":"a"}"#, "field 'ts': the event time is null or absent"),
    (
      #"{"ts":1454255994000000000}"#,
      "field 'ts' at byte 6: the time is not in the years 1 to 9999; read in ns instead of ms it would be one of this century"
    ),
    ("", "the payload is empty"),
    ("[]", "at byte 0: malformed JSON: expected an object"),
    ("{1}", "at byte 1: malformed JSON: expected a string as key"),
    (#"{"a"1}"#, "at byte 4: malformed JSON: expected ':' after the key"),
    (#"{"a":1 2}"#, "at byte 7: malformed JSON: expected ',' or '}'"),
    (#"{"a":[1 2]}"#, "at byte 8: malformed JSON: expected ',' or ']'"),
    (#"{"a":?}"#, "at byte 5: malformed JSON: expected a value"),
    ("{\"a\":\"\n\"}", "at byte 6: malformed JSON: a control character in a string must be escaped"),
    (#"{"user":"a\x"}"#, "field 'user' at byte 10: malformed JSON: no such escape"),
    (#"{"a":"\ud800"}"#, "at byte 6: malformed JSON: half of a surrogate pair"),
    (#"{"a":01}"#, "at byte 6: malformed JSON: not a JSON number"),
    (#"{"a":1}}"#, "at byte 7: malformed JSON: something follows the object"),
    (#"{"user":"a"#, "field 'user' at byte 10: malformed JSON: the payload ends too early"),
  ])
  func messages(payload: String, message: String) { #expect(keyed.message(payload) == message) }

  @Test func messagesOfTheRest() {
    let reader = EventReader(
      Source("s", topic: "s", timestamp: .init(field: "at", unit: .rfc3339), fields: []))
    #expect(
      reader.message(#"{"at":"soon"}"#)
        == "field 'at' at byte 6: not an RFC 3339 time with an offset (unit: text reads more spellings)")
    #expect(
      reader.message(#"{"at":7}"#)
        == "field 'at' at byte 6: expected timestamp (an RFC 3339 string), found an integer")
    let bytes = [UInt8](#"{"at":""#.utf8) + [0xC3, 0x28, 0x22, 0x7D]
    #expect(reader.failure(bytes)?.message(reader.schema) == "field 'at' at byte 7: invalid UTF-8")
    let deep = #"{"a":"# + String(repeating: "[", count: 64)
    #expect(reader.message(deep) == "at byte 68: nested deeper than 64 levels")
    let large = String(repeating: " ", count: Limits.recordBytesMax + 1)
    #expect(reader.message(large) == "the payload is longer than 1048576 bytes")
  }

  @Test func reasonsAreTheNamesOfDeadLetters() {
    #expect(
      DecodeFailure.Reason.allCases.map(\.rawValue) == [
        "malformed_json", "invalid_utf8", "wrong_type", "number_out_of_range", "duplicate_field",
        "missing_key", "missing_time", "bad_time", "missing_zone", "time_out_of_range", "oversized",
        "too_many_elements", "expression_failed", "conflicting_duplicate", "empty", "too_deep",
        "no_change", "unknown_operation", "truncation",
      ])
  }
}
