import FeatureCore
import Foundation
import HTTPListener
import Logging
import Testing

@testable import FeatureServer

/// Requests, before anything is read for them.
@Suite struct RequestTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

  @Test func jsonIsReadStrictly() throws {
    #expect(
      try parse(" {\"a\": [1, -2.5, 1e2, true, null, \"\\u00e9\\ud83d\\ude00\\n\"], \"b\": {}} ")
        == .object([
          ("a", .array([.int64(1), .double(-2.5), .double(100), .bool(true), .null, .string("é😀\n")])),
          ("b", .object([])),
        ]))
    for text in [
      "", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "01", "1.", "-", "1e", "+1", "tru",
      "\"a",
      "\"\\x\"", "\"\\ud800\"", "\"\\u12\"", "\"\t\"", "1 2", "1e999", "-9223372036854775809",
      "{\"a\":1,\"a\":2}",
      String(repeating: "[", count: 100_000), "\u{feff}1",
    ] {
      #expect(throws: JSONError.self, "\(text.prefix(20))") { try parse(text) }
    }
    #expect(throws: JSONError.self) { try JSONParser.parse([0x22, 0xFF, 0x22]) }
  }

  /// Whatever bytes come, the parser ends with a value or an error.
  @Test func anyBytesAreParsedOrRefused() {
    var random = SystemRandomNumberGenerator()
    let valid = Array("{\"rows\":[{\"user_id\":\"u\\u00e91\",\"n\":-1.5e3}],\"x\":[true,false,null]}".utf8)
    for _ in 0..<20_000 {
      var bytes = valid
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0 ... .max, using: &random)
      }
      if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
      // Whoever breaks it finds the bytes in the crash: there is nothing else to print them.
      if let value = try? JSONParser.parse(bytes) { #expect(value == value, "\(bytes)") }
    }
  }

  @Test func valuesFitTheirTypes() throws {
    #expect(JSONScalar.string("17").value(as: .int64) == .int64(17))
    #expect(JSONScalar.double(17).value(as: .int64) == .int64(17))
    #expect(JSONScalar.double(17.5).value(as: .int64) == nil)
    // JavaScript writes 1e20 so.
    for text in ["100000000000000000000", "9223372036854775808"] {
      let number = try JSONScalar(parse(text))
      #expect(number?.value(as: .double) == Double(text).map(FeatureValue.double))
      #expect(number?.value(as: .int64) == nil)
    }
    #expect(JSONScalar.int64(2).value(as: .double) == .double(2))
    #expect(JSONScalar.int64(2).value(as: .string) == nil)
    #expect(JSONScalar.int64(.max).value(as: .timestamp) == nil)
    #expect(
      JSONScalar.string("1970-01-01T00:00:01Z").value(as: .timestamp)
        == .timestamp(EventTime(microseconds: 1_000_000)))
  }

  private func file(_ text: String) throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tokens-\(UUID().uuidString)")
      .path
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  private func refusal(_ tokens: Tokens, _ header: String?, _ scopes: [String]) -> Problem.Kind? {
    do throws(Problem) {
      try tokens.check(header, scopes)
      return nil
    } catch {
      return error.kind
    }
  }

  @Test func tokensHaveScopesAndAreReadAgain() throws {
    let path = try file("# ours\n0123456789abcdef read:ranker,metrics\nfedcba9876543210 *\n")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let tokens = try Tokens(path: path)
    #expect(refusal(tokens, nil, ["read"]) == .unauthorized)
    #expect(refusal(tokens, "Bearer 0123456789abcdeF", ["metrics"]) == .unauthorized)
    #expect(refusal(tokens, "Bearer 0123456789abcdef0", ["metrics"]) == .unauthorized)
    #expect(refusal(tokens, "bearer 0123456789abcdef", ["metrics"]) == nil)
    #expect(refusal(tokens, "Bearer 0123456789abcdef", ["read", "read:ranker"]) == nil)
    #expect(refusal(tokens, "Bearer 0123456789abcdef", ["read", "read:other"]) == .forbidden)
    #expect(refusal(tokens, "Bearer fedcba9876543210", ["registry"]) == nil)
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    // A file with mistakes changes nothing.
    try "short read\n".write(toFile: path, atomically: true, encoding: .utf8)
    tokens.refresh(logger)
    #expect(refusal(tokens, "Bearer fedcba9876543210", ["registry"]) == nil)
    try "0123456789abcdef read\n".write(toFile: path, atomically: true, encoding: .utf8)
    tokens.refresh(logger)
    #expect(refusal(tokens, "Bearer fedcba9876543210", ["registry"]) == .unauthorized)
    #expect(refusal(tokens, "Bearer 0123456789abcdef", ["read", "read:other"]) == nil)
  }

  @Test func mistakesInTokenFilesNameTheLineAndNoToken() throws {
    for (text, message) in [
      ("\nsecret read\n", ":2: a token needs 16 characters or more"), ("# none\n", "there is no token"),
      ("0123456789abcdef\n", ":1: write a token and its scopes"),
      ("0123456789abcdef raed\n", ":1: there is no scope 'raed'; did you mean 'read'?"),
    ] {
      let path = try file(text)
      defer { try? FileManager.default.removeItem(atPath: path) }
      let error = #expect(throws: Tokens.Failure.self) { try Tokens(path: path) }
      #expect(error?.description.contains(message) ?? false && error?.description.contains("secret") == false)
    }
  }

  @Test func feastErrorsAreJSONInJSON() throws {
    let answer = Problem(.unknownView, "there is no view \"x\"").feastAnswer
    guard case .string(let inner) = try JSONParser.parse(answer.body) else {
      Issue.record("no string")
      return
    }
    #expect(
      try parse(inner)
        == .object([
          ("module", .string("feast.errors")), ("class", .string("FeatureViewNotFoundException")),
          ("message", .string("there is no view \"x\"")),
        ]))
    #expect(answer.status == 422)
  }

  /// The share is of requests, and the same wherever it is asked.
  @Test func theShareOfLoggedAnswersIsKept() {
    let chosen = (0..<10_000).count { ServedLog.isChosen("request-\($0)", share: 0.25) }
    #expect(2_300...2_700 ~= chosen)
    #expect(ServedLog.isChosen("x", share: 1) && !ServedLog.isChosen("x", share: 0))
  }
}
