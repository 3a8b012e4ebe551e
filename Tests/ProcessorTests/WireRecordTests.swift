import FeatureCore
import Testing

@testable import Processor

/// The records of the output topics against the bytes that Google's Protobuf makes from Topics/schemas/plumbline.proto.
@Suite struct WireRecordTests {
  private let position = RecordPosition(partition: TopicPartition("clicks", 3), offset: 1000)

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test func deadLetter() {
    var writer = ProtobufWriter()
    Array("{}".utf8).withUnsafeBytes { payload in
      Array("u42".utf8).withUnsafeBytes { key in
        let letter = DeadLetter(
          sequence: 0, reason: "wrong_type", view: "users", message: "no", payload: payload)
        writer.deadLetter(letter, at: position, key: key)
      }
    }
    #expect(
      hex(writer.bytes)
        == "0a0a77726f6e675f7479706512026e6f1a0575736572732206636c69636b73280330e8073a0375343242027b7d")
  }

  @Test func snapshot() throws {
    let plan = try Plan(LoopFaultTests.definitions)
    let view = plan.views[0]
    var writer = ProtobufWriter()
    let values: [FeatureValue] = [
      .int64(-7), .double(0.25), .bool(true), .string("é"), .timestamp(EventTime(microseconds: -1)), .null,
      .list([.string("a"), .string("b")]),
    ]
    Array("u42".utf8).withUnsafeBytes { key in
      writer.snapshot(
        view, key: key, at: RecordPosition(partition: position.partition, offset: 1001),
        asOf: EventTime(microseconds: 1_700_000_000_123_456), state: [1, 2, 3], values: values)
    }
    var fingerprint = view.fingerprint.littleEndian
    let fingerprintBytes = withUnsafeBytes(of: &fingerprint) { Array($0) }
    #expect(
      hex(writer.bytes)
        == "0a05757365727312037534321a06636c69636b73200328e90730c0c480c1c1c4820339" + hex(fingerprintBytes)
        + "4203010203" + "4a0b08f9ffffffffffffffff01" + "4a0911000000000000d03f" + "4a021801" + "4a042202c3a9"
        + "4a0b28ffffffffffffffffff01" + "4a00" + "4a0c320a0a032201610a03220162")
  }
}
