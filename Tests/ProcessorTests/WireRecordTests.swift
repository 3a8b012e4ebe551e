import FeatureCore
import Foundation
import OutputRecords
import SwiftProtobuf
import Testing
import TestSupport

@testable import Processor

/// The records that are written by hand, read by the code that is generated from Topics/schemas/plumbline.proto.
@Suite struct WireRecordTests {
  private static let seed = UInt64.random(in: .min ... .max)
  private var random = SplitMix64(seed: seed)

  /// The schema's default values, which its readers can't tell from absent fields, are among what is drawn.
  @Test mutating func snapshotsFollowTheSchema() throws {
    for _ in 0..<2_000 {
      let names = Self.featureNames.shuffled(using: &random).prefix(Int(1 + random.next() % 8))
      let view = try Self.view(Self.views.randomElement(using: &random)!, Array(names))
      let position = RecordPosition(partition: TopicPartition(text(), int32()), offset: int64())
      let (key, state, asOf, version) = (bytes(), bytes(), int64(), Int(int32()))
      let values = names.map { _ in value(depth: 0) }
      var writer = ProtobufWriter()
      key.withUnsafeBytes { key in
        state.withUnsafeBytes { state in
          writer.snapshot(
            view, version: version, key: key, at: position, asOf: EventTime(microseconds: asOf), state: state,
            values: values)
        }
      }
      var expected = Plumbline_Snapshot()
      expected.view = view.name
      expected.entityKey = Data(key)
      expected.topic = position.partition.topic
      expected.partition = position.partition.partition
      expected.offset = position.offset
      expected.asOf = asOf
      expected.fingerprint = view.fingerprint
      expected.state = Data(state)
      let byName = zip(names, values).sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
      expected.sortedValues = byName.map { Self.message($0.1) }
      expected.version = Int64(version)
      try expectEqual(writer.bytes, expected)
    }
  }

  @Test mutating func deadLettersFollowTheSchema() throws {
    for _ in 0..<2_000 {
      let position = RecordPosition(partition: TopicPartition(text(), int32()), offset: int64())
      let key = random.next() % 4 == 0 ? nil : bytes()
      let (payload, view) = (bytes(), random.next() % 4 == 0 ? nil : text())
      let (reason, message, version) = (text(), text(), Int(int32()))
      let trace = random.next() % 3 == 0 ? nil : bytes()
      let headers = Self.header("trace", trace) + Self.header("other", [1])
      var writer = ProtobufWriter()
      (key ?? []).withUnsafeBytes { key_ in
        payload.withUnsafeBytes { payload in
          headers.withUnsafeBytes { headers in
            let letter = DeadLetter(
              sequence: 0, reason: reason, view: view, message: message, payload: payload)
            writer.deadLetter(
              letter, version: version, at: position, key: key == nil ? nil : key_, Self.traced,
              headers: RecordHeaders(headers))
          }
        }
      }
      var expected = Plumbline_DeadLetter()
      expected.reason = reason
      expected.message = message
      expected.view = view ?? ""
      expected.topic = position.partition.topic
      expected.partition = position.partition.partition
      expected.offset = position.offset
      expected.key = Data(key ?? [])
      expected.payload = Data(payload)
      expected.version = Int64(version)
      if let trace {
        expected.headers = ["trace": Data(trace.prefix(Limits.entityKeyBytesMax))]
      }
      try expectEqual(writer.bytes, expected)
    }
  }

  /// What a repartition topic holds is the record, with the headers that are declared.
  @Test mutating func forwardedRecordsComeBack() throws {
    for _ in 0..<500 {
      let (key, value, trace) = (bytes(), bytes(), bytes())
      let headers = Self.header("x", nil) + Self.header("trace", trace) + Self.header("y", value)
      var writer = ProtobufWriter()
      key.withUnsafeBytes { key in
        value.withUnsafeBytes { value in
          headers.withUnsafeBytes { headers in
            writer.forwarded(
              LogRecord(
                partition: 0, offset: 7, timestampMilliseconds: 5, key: key, value: value,
                headers: RecordHeaders(headers)), Self.traced)
          }
        }
      }
      writer.withBytes { bytes in
        let found = ForwardedRecord(bytes)
        #expect(found?.payload.elementsEqual(value) == true && found?.fields.key?.elementsEqual(key) == true)
        #expect(found?.fields.timestampMilliseconds == 5)
        #expect(found?.fields.headers?.bytes.elementsEqual(Self.header("trace", trace)) == true)
      }
    }
  }

  private static let traced = EventSchema(
    Source(
      "s", topic: "s", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.header("trace", "trace", .string)]))

  /// A header as the port has it.
  private static func header(_ name: String, _ value: [UInt8]?) -> [UInt8] {
    let (name, bytes) = (Array(name.utf8), value ?? [])
    var room = [UInt8](repeating: 0, count: RecordHeaders.size(name: name.count, value: value?.count))
    name.withUnsafeBytes { name in
      bytes.withUnsafeBytes { bytes in
        room.withUnsafeMutableBytes {
          RecordHeaders.write(name: name, value: value == nil ? nil : bytes, to: $0)
        }
      }
    }
    return room
  }

  private func expectEqual<Record: Message & Equatable>(_ bytes: [UInt8], _ expected: Record) throws {
    let found = try Record(serializedBytes: bytes)
    // Bit for bit: as values, -0.0 and 0.0 are equal.
    let isEqual = try found == expected && found.serializedBytes() as [UInt8] == expected.serializedBytes()
    #expect(isEqual && found.unknownFields.data.isEmpty, "seed \(Self.seed): \(found), expected \(expected)")
  }

  // MARK: Drawing

  private static let views = ["users", "a", "x_1"]
  /// Their order differs between bytes and what people or locales hold for alphabetical.
  private static let featureNames = ["b", "B", "a", "_c", "a_1", "a10", "a2", "Z"]

  private static func view(_ name: String, _ features: [String]) throws -> ViewPlan {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string)])
    let counts = features.map { Feature($0, .derive("1")) }
    let view = View(name, source: "clicks", entity: ["user"], features: counts)
    return try Plan(Definitions(name: "shop", sources: [source], views: [view])).views[0]
  }

  private mutating func int64() -> Int64 {
    let bits = Int64(bitPattern: random.next())
    return random.next() % 8 == 0 ? 0 : bits >> Int64(random.next() % 64)
  }

  private mutating func int32() -> Int32 { Int32(truncatingIfNeeded: int64()) }

  private mutating func bytes() -> [UInt8] {
    let count = random.next() % 16 == 0 ? 100 + random.next() % 40_000 : random.next() % 12
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  private mutating func text() -> String {
    String((0..<random.next() % 12).map { _ in "az09é日😀\u{0}\n\"".randomElement(using: &random)! })
  }

  private mutating func value(depth: Int) -> FeatureValue {
    switch random.next() % (depth == 0 ? 7 : 6) {
    case 0: .null
    case 1: .int64(int64())
    case 2:
      .double(
        [0, -0.0, 0.1, -1.5e300, .leastNonzeroMagnitude, Double(int64())].randomElement(using: &random)!)
    case 3: .bool(random.next() % 2 == 0)
    case 4: .string(Text(text()))
    case 5: .timestamp(EventTime(microseconds: int64()))
    default: .list((0..<Int(random.next() % 5)).map { _ in value(depth: 1) })
    }
  }

  private static func message(_ value: FeatureValue) -> Plumbline_Value {
    var message = Plumbline_Value()
    switch value {
    case .null: break
    case .int64(let number): message.int64 = number
    case .double(let number): message.double = number
    case .bool(let flag): message.bool = flag
    case .string(let text): message.string = text.description
    case .timestamp(let time): message.timestamp = time.microseconds
    case .list(let values): message.list.values = values.map(Self.message)
    }
    return message
  }
}
