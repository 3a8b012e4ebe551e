import FeatureCore
import Testing

@testable import Capture

/// From PostgreSQL's messages to a topic's records.
@Suite struct ChangeStreamTests {
  private static let source: Source = {
    var source = Source(
      "users", topic: "shop.users", key: "user_id", timestamp: .init(field: "_at", unit: .microseconds),
      fields: [
        .init("user_id", .string), .init("age", .int64), .init("bio", .string), .init("seen", .timestamp),
      ])
    source.isTable = true
    return source
  }()

  /// A stream that knows the table, whose columns stand in another order, with one that nobody asked for.
  private static func stream(after: UInt64 = 0, time: Int64 = 0) throws -> ChangeStream {
    var stream = ChangeStream(
      try CapturedTable(source), relationName: "public.users", after: LogSequenceNumber(after), time: time)
    #expect(
      try take(
        &stream, PgMessages.relation(9, "public", "users", ["bio", "other", "user_id", "age", "seen"]))
        == .nothing)
    return stream
  }

  private static func take(_ stream: inout ChangeStream, _ message: [UInt8]) throws -> ChangeStream.Outcome {
    try message.withUnsafeBytes { try stream.take($0) }
  }

  private static func record(_ stream: borrowing ChangeStream) -> String { stream.row.text }

  @Test func aTransactionIsItsRowsAtItsCommit() throws {
    var stream = try Self.stream()
    #expect(try Self.take(&stream, PgMessages.begin(commit: 100, time: 5_000_123)) == .began)
    let row: [PgMessages.Value] = ["say \"hi\"\n", "x", "u1", "42", "2026-01-02 03:04:05.5+00"]
    #expect(try Self.take(&stream, PgMessages.insert(9, row)) == .row)
    #expect(
      Self.record(stream)
        == #"{"user_id":"u1","age":42,"bio":"say \"hi\"\u000a","seen":1767323045500000,"_at":5000123}"#)
    #expect(stream.row.keyText == "u1")
    #expect(try Self.take(&stream, PgMessages.update(9, [.null, "x", "u1", .null, .null])) == .row)
    #expect(Self.record(stream) == #"{"user_id":"u1","age":null,"bio":null,"seen":null,"_at":5000123}"#)
    // Of a table that is none of ours.
    #expect(try Self.take(&stream, PgMessages.insert(8, row)) == .nothing)
    #expect(try Self.take(&stream, PgMessages.commit(100, end: 108)) == .committed(LogSequenceNumber(108)))
  }

  @Test func aDeletionsTimeIsAWholeMillisecond() throws {
    var stream = try Self.stream()
    _ = try Self.take(&stream, PgMessages.begin(commit: 100, time: 5_000_123))
    let old: [PgMessages.Value] = [.null, .null, "u1", .null, .null]
    #expect(try Self.take(&stream, PgMessages.delete(9, old)) == .deletion(key: Array("u1".utf8)))
    #expect(stream.time == 5_001_000)
    // Times never go back, though clocks do.
    _ = try Self.take(&stream, PgMessages.begin(commit: 200, time: 4_000_000))
    _ = try Self.take(&stream, PgMessages.insert(9, ["", "", "u1", "1", .null]))
    #expect(Self.record(stream).hasSuffix(#""_at":5001000}"#))
  }

  @Test func aKeyThatChangesDeletesTheOldOne() throws {
    var stream = try Self.stream()
    _ = try Self.take(&stream, PgMessages.begin(commit: 100, time: 1))
    let message = PgMessages.update(9, old: [.null, .null, "u1", .null, .null], ["", "", "u2", "1", .null])
    #expect(try Self.take(&stream, message) == .moved(old: Array("u1".utf8)))
    #expect(stream.row.keyText == "u2")
    #expect(stream.time == 1_000)
    // The whole old row names the key too, changed or not.
    let same = PgMessages.update(
      9, old: ["a", "", "u2", "1", .null], isKey: false, ["b", "", "u2", "1", .null])
    #expect(try Self.take(&stream, same) == .row)
  }

  @Test func whatIsNotSentIsKeptByName() throws {
    var stream = try Self.stream()
    _ = try Self.take(&stream, PgMessages.begin(commit: 100, time: 1))
    _ = try Self.take(&stream, PgMessages.update(9, [.unchanged, "", "u1", "1", .null]))
    #expect(
      Self.record(stream) == #"{"user_id":"u1","age":1,"bio":null,"seen":null,"_kept":["bio"],"_at":1}"#)
    // With REPLICA IDENTITY FULL the old row has it.
    _ = try Self.take(
      &stream,
      PgMessages.update(
        9, old: ["long", "", "u1", "1", .null], isKey: false, [.unchanged, "", "u1", "2", .null]))
    #expect(Self.record(stream) == #"{"user_id":"u1","age":2,"bio":"long","seen":null,"_at":1}"#)
  }

  @Test func whatTheTopicHasIsSkipped() throws {
    var stream = try Self.stream(after: 108)
    _ = try Self.take(&stream, PgMessages.begin(commit: 100, time: 1))
    #expect(try Self.take(&stream, PgMessages.insert(9, ["", "", "u1", "1", .null])) == .nothing)
    #expect(try Self.take(&stream, PgMessages.truncate(9)) == .nothing)
    _ = try Self.take(&stream, PgMessages.begin(commit: 108, time: 1))
    #expect(try Self.take(&stream, PgMessages.insert(9, ["", "", "u1", "1", .null])) == .row)
  }

  @Test func faultsNameTheirPlace() throws {
    var stream = try Self.stream()
    _ = try Self.take(&stream, PgMessages.begin(commit: 100, time: 1))
    func fault(_ message: [UInt8]) -> CaptureError? {
      do {
        _ = try Self.take(&stream, message)
        return nil
      } catch { return error as? CaptureError }
    }
    #expect(fault(PgMessages.truncate(9))?.remedy == .compare)
    let misfit = fault(PgMessages.insert(9, ["", "", "u1", "99999999999999999999", .null]))
    #expect(misfit?.remedy == .stop)
    #expect(misfit?.description.contains("column 'age': '99999999999999999999'") ?? false)
    #expect(fault(PgMessages.insert(9, ["", "", "u1", "1", "infinity"]))?.remedy == .stop)
    #expect(
      fault(PgMessages.delete(9, [.null, .null, .null, .null, .null]))?.description.contains("REPLICA")
        ?? false)
    let gone = fault(PgMessages.relation(9, "public", "users", ["user_id", "age", "seen"]))
    #expect(gone?.description.contains("no column 'bio'") ?? false)
  }

  /// Whatever a peer sends, cut, lengthened or changed, is an outcome or an error.
  @Test func noMessageTraps() throws {
    var state: UInt64 = 1
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let row: [PgMessages.Value] = ["text", .null, "u1", "42", "2026-01-02 03:04:05+00"]
    let messages = [
      PgMessages.begin(commit: 100, time: 1), PgMessages.commit(1, end: 2), PgMessages.insert(9, row),
      PgMessages.update(9, old: row, row), PgMessages.delete(9, row), PgMessages.truncate(9),
      PgMessages.relation(9, "public", "users", ["user_id", "age", "bio", "seen"]),
    ]
    for _ in 0..<20_000 {
      var stream = try Self.stream()
      var message = messages[next(messages.count)]
      for _ in 0..<(1 + next(3)) {
        switch next(3) {
        case 0: message.removeLast(next(message.count + 1))
        case 1: message.append(UInt8(next(256)))
        default: if !message.isEmpty { message[next(message.count)] = UInt8(next(256)) }
        }
      }
      _ = try? Self.take(&stream, message)
      _ = try? message.withUnsafeBytes { try ReplicationMessage($0) }
    }
  }
}
