import FeatureCore
import Foundation
import OutputRecords
import SwiftProtobuf
import Testing

@testable import Processor

/// What a join can't use goes to the dead letters as its source's record would: with the headers that the source declares.
@Suite struct JoinLetterTests {
  private func fold(
    _ fold: TaskFold, offset: Int64, key: [UInt8]?, value: [UInt8], headers: [UInt8]? = nil
  ) -> [(topic: String, key: [UInt8]?, value: [UInt8])] {
    var due: [(topic: String, key: [UInt8]?, value: [UInt8])] = []
    fold.onDue = { due.append(($0.topic, $0.key.map(Array.init), $0.value.map(Array.init) ?? [])) }
    (key ?? []).withUnsafeBytes { keyBytes in
      value.withUnsafeBytes { value in
        (headers ?? []).withUnsafeBytes { headerBytes in
          let record = LogRecord(
            partition: 0, offset: offset, timestampMilliseconds: 1_700_000_000_000,
            key: key == nil ? nil : keyBytes, value: value,
            headers: headers == nil ? nil : RecordHeaders(headerBytes))
          withUnsafePointer(to: record) { fold.fold(UnsafeBufferPointer(start: $0, count: 1)) }
        }
      }
    }
    return due
  }

  @Test func aLetterHasTheHeadersOfItsEvent() throws {
    let plan = try OutcomeShop.plan(fields: [.header("country", "country", .string)])
    let routing = Routing(plan)
    let shown = try #require(routing.inputs.first { $0.topic == "shown" })
    let sides = try #require(routing.inputs.first { $0.join != nil })
    let headers = Self.header("country", "DE") + Self.header("trace", "x")
    let forwarded = fold(
      TaskFold(plan, shown, 0, of: 1, from: 0), offset: 0, key: [0x75],
      value: Array(#"{"user":"u","ts":1700000000000000}"#.utf8), headers: headers
    ).filter { $0.topic == sides.topic }
    let event = try #require(forwarded.first)
    let join = TaskFold(plan, sides, 0, of: 1, from: 0)
    // Both streams have passed the event's outcome when it comes.
    for (offset, mark) in OutcomeShop.marks(at: 1_800_000_000_000_000).enumerated() {
      #expect(fold(join, offset: Int64(offset), key: nil, value: mark).isEmpty)
    }
    let letters = fold(join, offset: 2, key: event.key, value: event.value).filter {
      $0.topic == TopicNames(app: "shop", version: 1).deadLetters
    }
    #expect(letters.count == 1)
    let letter = try Plumbline_DeadLetter(serializedBytes: try #require(letters.first).value)
    #expect(letter.reason == "late_for_join")
    #expect(letter.headers == ["country": Data("DE".utf8)])
  }

  private static func header(_ name: String, _ value: String) -> [UInt8] {
    var room = [UInt8](
      repeating: 0, count: RecordHeaders.size(name: name.utf8.count, value: value.utf8.count))
    Array(name.utf8).withUnsafeBytes { name in
      Array(value.utf8).withUnsafeBytes { value in
        room.withUnsafeMutableBytes { RecordHeaders.write(name: name, value: value, to: $0) }
      }
    }
    return room
  }
}
