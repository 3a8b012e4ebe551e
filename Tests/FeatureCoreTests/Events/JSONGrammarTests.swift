import FeatureCore
import Testing

/// The cases that parsers are known to get wrong (after the JSON Parsing Test Suite), each as the value of an
/// undeclared field, which is skipped, and of a declared one.
@Suite struct JSONGrammarTests {
  private let reader = EventReader(.everyType)

  private static let valid = [
    "[]", "[ ]", "[\t1\r\n,2 ]", "{}", #"{"":0}"#, #"{"a":{"b":[{"c":[]}]},"d":1}"#, "[[],{},[[]]]", "0",
    "-0",
    "0.0", "-0.1", "123.456", "1e1", "1E1", "1e+1", "1e-1", "0e1", "0e+1", "1.5E-10", "20e1", "1E22", "-123",
    "100000000000000000000000000000000", "0.000000000000000000000000000000000000000000001", #""""#,
    #""\u0060""#,
    #""\u00e9""#, #""\uD801\udc37""#, #""\ud83d\ude39\ud83d\udc8d""#, #""\"\\\/\b\f\n\r\t""#, #""\\u0000""#,
    #""\u0000""#, #""\uFFFF""#, #""a/*b*/c/*d//e""#, "\"\u{7F}\"", "\"\u{2028}\"", "\"\u{10FFFF}\"", "\"€𝄞\"",
    "true", "false", "null", "[true,false,null]", #""new\u00A0line""#, #"["asd "]"#, #"{"a":1,"a":2}"#,
    #"{"foo\u0000bar": 42}"#, "[1,null,null,null,2]", #""\uDBFF\uDFFF""#,
  ]

  private static let invalid = [
    "", ",", "]", "[", "[1", "[1,", "[1,]", "[,1]", "[1,,2]", "[1 true]", "[1]]", "[a", "[\"", "[\"a",
    "[\"a\"",
    "[1:2]", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{1:1}",
    "{a:1}", "{'a':1}", #"{"a" 1}"#, #"{"a"::1}"#, #"{"a":1 "b":2}"#, #"{"a":1,,"b":2}"#, #"{"a":}"#,
    #"{:1}"#, #"{"a":1}}"#, "[1}", #"{"a":1]"#, "{[}]", "+1", "++1", ".5", "-.5", "1.", "-1.", "1.e1", "1e",
    "1E", "1e+", "1e-", "1.5e", "0e", "0e+", "1ee1", "1e1.5", "1e1e1", "01", "-01", "00", "-00", "012",
    "0x1", "0x", "1_000", "1,000.", "- 1", "--1", "-", "-a", "1a", "1 000", "1.2.3", "1.2a", "-NaN",
    "nan", "inf", "1e1\u{0}", "１", "TRUE", "True", "tru", "truee", "nul", "nulll", "Null",
    "fals", "falsee", "undefined", "'a'", "\"a", "\"\\\"", "\"\\", "\"\\x41\"", "\"\\a\"", "\"\\'\"",
    "\"\\0\"",
    "\"\\u\"", "\"\\u1\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"", "\"\\U0041\"", "\"\\u 123\"",
    "\"\\u+123\"",
    "\"\\u-123\"", "\"\\ud800\"", "\"\\ud800a\"", "\"\\ud800\\n\"", "\"\\ud800\\u0041\"",
    "\"\\ud800\\ud800\"",
    "\"\\udc00\"", "\"\\udc00\\ud800\"", "\"\\ud800\\u\"", "\"\\ud800\\udc0\"", "\"\\ud800\\\"", "\"\\ud8",
    "\"\u{0}\"", "\"\u{1F}\"", "\"\n\"", "\"\t\"", "\"a\u{0}b\"", "\\u0031", "\u{FEFF}1", "1\u{A0}",
    "\u{2060}1",
    "\u{C}1", "\u{B}1", "/*c*/1", "1//c", "1#c", "<null>", "*", "$", "\"a\" \"b\"", "\"\"\"", "é", "\u{0}",
    "[\u{0}]", "(1)", "1;", "[1]x", "{}}", "{}[", "b\"a\"", "\\\"a\"",
  ]

  @Test(arguments: valid)
  func acceptedAnywhere(value: String) throws {
    for text in [
      "{\"x\":\(value),\"ts\":0}", "{\"ts\":0,\"x\":\(value)}", " {\"ts\":0,\"x\" : \(value) } \n",
      "{\"ts\":0,\"x\":[\(value)]}", "{\"ts\":0,\"x\":{\"y\":\(value)}}", "{\"ts\":0,\"x\":[0,\(value) ,0]}",
    ] {
      #expect(reader.message(text) == "accepted", "\(text)")
    }
  }

  @Test(arguments: invalid)
  func refusedAnywhere(value: String) throws {
    for text in [
      "{\"x\":\(value),\"ts\":0}", "{\"ts\":0,\"x\":\(value)}", "{\"ts\":0,\"x\":[0,\(value)]}",
      "{\"ts\":0,\"x\":{\"y\":\(value)}}",
    ] {
      #expect(reader.failure(text)?.reason == .malformedJSON, "\(text)")
    }
    for field in ["s", "i", "d", "b", "at"] {
      // A value may be complete, and not what was declared, before the mistake is reached.
      let reason = reader.failure("{\"ts\":0,\"\(field)\":\(value)}")?.reason
      #expect([.malformedJSON, .wrongType, .badTime].contains(reason), "\(field): \(value)")
    }
  }

  @Test(
    arguments: [
      [0xFF], [0xFE], [0x80], [0xBF], [0xC0, 0xAF], [0xC1, 0xBF], [0xC2], [0xC3, 0x28], [0xE0, 0x80, 0xAF],
      [0xE0, 0x9F, 0xBF], [0xE1, 0x80], [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xED, 0xA0, 0x80],
      [0xED, 0xBF, 0xBF], [0xED, 0xA0, 0x81, 0xED, 0xB0, 0x80], [0xF0, 0x80, 0x80, 0xAF],
      [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98], [0xF0, 0x28, 0x8C, 0xBC], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80],
    ] as [[UInt8]])
  func invalidUTF8(bytes: [UInt8]) {
    for prefix in ["", "a", "1234567", "12345678", "é", "\\n"] {
      for (head, column) in [("{\"s\":\"", 0), ("{\"x\":\"", nil), ("{\"", nil), ("{\"x\":{\"y\":\"", nil)]
        as [(String, Int?)]
      {
        let start = [UInt8]((head + prefix).utf8)
        let failure = reader.failure(start + bytes + [0x22])
        #expect(failure?.reason == .invalidUTF8, "\(bytes)")
        #expect(failure?.column == column)
        #expect((start.count..<start.count + bytes.count).contains(failure?.offset ?? -1))
      }
    }
  }

  @Test func everyCodePointOfUTF8() throws {
    for value in UInt32(0x20)...0x10FFFF where value % 7 == 0 || value & 0xFF >= 0xFE || value < 0x900 {
      guard let scalar = Unicode.Scalar(value), scalar != "\"", scalar != "\\" else { continue }
      let row = try reader.read("{\"ts\":0,\"s\":\"\(scalar)\"}")
      guard row[0] != .string(Text(String(scalar))) else { continue }
      Issue.record("U+\(String(value, radix: 16)): \(row[0])")
    }
  }

  @Test func bytesOutsideOfStrings() {
    for byte in UInt8.min...UInt8.max {
      let isSpace = [0x20, 0x09, 0x0A, 0x0D].contains(byte)
      for (head, tail) in [
        ("", "{\"ts\":0}"), ("{", "\"ts\":0}"), ("{\"ts\"", ":0}"), ("{\"ts\":0", "}"), ("{\"ts\":0}", ""),
      ] {
        let failure = reader.failure([UInt8](head.utf8) + [byte] + [UInt8](tail.utf8))
        let isDigitAfterZero = head.hasSuffix(":0") && (0x30...0x39).contains(byte)
        #expect((failure == nil) == isSpace, "byte \(byte) after \(head)")
        #expect(failure == nil || failure?.reason == .malformedJSON || isDigitAfterZero)
      }
    }
  }

  @Test func byteOrderMarks() {
    for mark in [[0xEF, 0xBB, 0xBF], [0xFE, 0xFF], [0xFF, 0xFE]] as [[UInt8]] {
      #expect(reader.failure(mark + [UInt8](#"{"ts":0}"#.utf8))?.reason == .malformedJSON)
    }
    #expect(reader.failure([0x7B, 0, 0x22, 0, 0x7D, 0])?.reason == .malformedJSON)
  }

  @Test func onlyObjects() {
    for text in [
      "[]", "1", "\"a\"", "null", "true", " ", "\n", "[{\"ts\":0}]", "{} {}", "{\"ts\":0}{\"ts\":0}",
    ] {
      #expect(reader.failure(text)?.reason == .malformedJSON, "\(text)")
    }
  }

  @Test func depth() {
    func nested(_ levels: Int, _ open: String, _ close: String) -> String {
      "{\"ts\":0,\"x\":" + String(repeating: open, count: levels) + String(repeating: close, count: levels)
        + "}"
    }
    let inside = Limits.jsonDepthMax - 1
    #expect(reader.failure(nested(inside, "[", "]")) == nil)
    #expect(reader.failure(nested(inside + 1, "[", "]"))?.reason == .tooDeep)
    #expect(reader.failure(nested(inside, "[[],", "1]"))?.reason == .tooDeep)
    let objects = String(repeating: "{\"a\":", count: inside) + "0" + String(repeating: "}", count: inside)
    #expect(reader.failure("{\"ts\":0,\"x\":\(objects)}") == nil)
    #expect(reader.failure("{\"ts\":0,\"x\":{\"a\":\(objects)}}")?.reason == .tooDeep)
    #expect(reader.failure(nested(100_000, "[", "]"))?.reason == .tooDeep)
    #expect(reader.failure("{\"s\":" + String(repeating: "{\"a\":", count: 100_000))?.reason == .tooDeep)
    let mixed = String(repeating: "[{\"a\":", count: 31) + "1" + String(repeating: "}]", count: 31)
    #expect(reader.failure("{\"ts\":0,\"x\":\(mixed)}") == nil)
    let crossed = mixed.replacing("}]", with: "]}", maxReplacements: 1)
    #expect(reader.failure("{\"ts\":0,\"x\":\(crossed)}")?.reason == .malformedJSON)
  }
}
