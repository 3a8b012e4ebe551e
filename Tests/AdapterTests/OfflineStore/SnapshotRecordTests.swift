import FeatureCore
import Foundation
import OfflineStore
import OutputRecords
import Processor
import SwiftProtobuf
import Testing

/// Which value of a snapshot belongs to which feature, whoever wrote it and whatever file its reader has.
@Suite struct SnapshotRecordTests {
  /// Two files of one fingerprint: windows and features stand in another order.
  private static func plan(isReordered: Bool) throws -> Plan {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .seconds),
      fields: [.init("user", .string), .init("price", .int64)])
    var features = [
      Feature("n", .aggregate(.init(.count, windows: [.last("1h"), .last("24h")]))),
      Feature("most", .aggregate(.init(.max, value: "price", windows: [.lifetime]))),
      Feature("ratio", .derive("n_1h * 100 / n_24h")),
    ]
    if isReordered {
      features[0] = Feature("n", .aggregate(.init(.count, windows: [.last("24h"), .last("1h")])))
      features.reverse()
    }
    let view = View("users", source: "clicks", entity: ["user"], features: features)
    return try Plan(Definitions(name: "shop", sources: [source], views: [view]))
  }

  /// The snapshot after four events, one of them in the last hour.
  private static func record(_ plan: Plan) throws -> [UInt8] {
    let input = Routing(plan).inputs[0]
    let fold = TaskFold(plan, input, 0, of: 1, from: 0)
    for (offset, ts) in [1_000, 2_000, 3_000, 50_000].enumerated() {
      Array("{\"user\":\"u\",\"ts\":\(ts),\"price\":7}".utf8).withUnsafeBytes { value in
        let record = LogRecord(
          partition: 0, offset: Int64(offset), timestampMilliseconds: nil, key: nil, value: value)
        withUnsafePointer(to: record) { fold.fold(UnsafeBufferPointer(start: $0, count: 1)) }
      }
    }
    let key = Array("u".utf8)
    let state = try #require(fold.state(0, key))
    return fold.snapshot(0, key, state, at: TopicPartition("clicks", 0), 4)
  }

  private static func features(_ record: [UInt8], _ plan: Plan) throws -> [String: FeatureValue] {
    let view = plan.views[0]
    return try record.withUnsafeBytes { bytes in
      let values = try #require(SnapshotRecord(bytes)?.values(view))
      return Dictionary(uniqueKeysWithValues: zip(view.features.map(\.name), values))
    }
  }

  private static let expected: [String: FeatureValue] = [
    "n_1h": .int64(1), "n_24h": .int64(4), "most_lifetime": .int64(7), "ratio": .double(25),
  ]

  @Test func valuesBelongToNamesWhateverTheOrderOfTheFiles() throws {
    let plans = try [false, true].map(Self.plan)
    #expect(plans[0].fingerprint == plans[1].fingerprint)
    for reader in plans {
      for writer in plans {
        #expect(try Self.features(Self.record(writer), reader) == Self.expected)
      }
    }
    #expect(try Self.record(plans[0]) == Self.record(plans[1]))
  }

  /// Records once had their values in the order of the file. Those of both files are in one topic.
  @Test func oldRecordsAreReadByTheirStates() throws {
    let plans = try [false, true].map(Self.plan)
    for writer in plans {
      var old = try Plumbline_Snapshot(serializedBytes: Self.record(writer))
      let byName = Dictionary(
        uniqueKeysWithValues: zip(writer.views[0].features.map(\.name).sorted(), old.sortedValues))
      old.values = writer.views[0].features.map { byName[$0.name]! }
      old.sortedValues = []
      for reader in plans {
        #expect(try Self.features(old.serializedBytes(), reader) == Self.expected)
      }
    }
  }

  /// A view may leave the values out: its state has them.
  @Test func recordsWithoutValuesAreReadByTheirStates() throws {
    let plan = try Self.plan(isReordered: false)
    var record = try Plumbline_Snapshot(serializedBytes: Self.record(plan))
    record.sortedValues = []
    #expect(try Self.features(record.serializedBytes(), plan) == Self.expected)
  }

  /// A record that has too few or too many values is of nobody's definition.
  @Test func otherNumbersOfValuesAreRefused() throws {
    let plan = try Self.plan(isReordered: false)
    let whole = try Plumbline_Snapshot(serializedBytes: Self.record(plan))
    for values in [Array(whole.sortedValues.dropLast()), whole.sortedValues + [Plumbline_Value()]] {
      var record = whole
      record.sortedValues = values
      let bytes: [UInt8] = try record.serializedBytes()
      let found = bytes.withUnsafeBytes { SnapshotRecord($0)?.values(plan.views[0]) }
      #expect(found == nil)
    }
  }
}
