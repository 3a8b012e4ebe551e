import FeatureCore
import OutputRecords
import SwiftProtobuf
import Testing

@testable import Verification

/// What a verification says of the snapshot topic.
@Suite struct SnapshotFindingTests {
  @Test func findsNothingWhereNothingIsWrong() throws {
    let shop = try Shop()
    shop.produce(40)
    try shop.process()
    shop.produce(25, from: 40)
    try shop.process()
    let report = try shop.verify()
    #expect(report.findings == [])
    #expect(report.snapshots > 8 && report.states == 7 && report.records > 100)
  }

  /// Whether snapshots have values may be changed at any time: some have them, others don't, and a wrong state is found in both.
  @Test func snapshotsWithoutValuesAreNoDifference() throws {
    let shop = try Shop()
    shop.produce(40)
    try shop.process(snapshotsHaveValues: false)
    shop.produce(25, from: 40)
    try shop.process()
    #expect(try shop.verify().findings == [])
    try shop.change(Shop.snapshots, 0, 0) { record in
      var snapshot = try Plumbline_Snapshot(serializedBytes: record.value!)
      #expect(snapshot.sortedValues.isEmpty)
      snapshot.asOf += 1
      record.value = try snapshot.serializedBytes()
    }
    #expect(try shop.verify().findings.count == 1)
  }

  /// Records once had their values in the order of a file, which nothing tells.
  @Test func oldRecordsAreNoDifference() throws {
    let shop = try Shop()
    shop.produce(40)
    try shop.process()
    for partition in shop.log.topics[Shop.snapshots]!.indices {
      for offset in shop.log.topics[Shop.snapshots]![partition].indices {
        try shop.change(Shop.snapshots, partition, offset) { record in
          var snapshot = try Plumbline_Snapshot(serializedBytes: record.value!)
          snapshot.values = offset % 2 == 0 ? snapshot.sortedValues : snapshot.sortedValues.reversed()
          snapshot.sortedValues = []
          record.value = try snapshot.serializedBytes()
        }
      }
    }
    #expect(try shop.verify().findings == [])
    // A value that no order explains is one.
    try shop.change(Shop.snapshots, 0, 0) { record in
      var snapshot = try Plumbline_Snapshot(serializedBytes: record.value!)
      snapshot.values[0].int64 += 1
      record.value = try snapshot.serializedBytes()
    }
    #expect(try shop.verify().findings.count == 1)
  }

  /// Nobody has changed the definitions, but the machine has another release of tzdata.
  @Test func otherRulesOfAZoneAreNamed() throws {
    func shop(_ transitions: [TimeZoneRules.Transition]) throws -> Shop {
      try Shop(
        zone: TimeZoneRules(name: "Europe/Berlin", initialOffsetSeconds: 3_600, transitions: transitions))
    }
    let before = try shop([])
    before.produce(40)
    try before.process()
    #expect(try before.verify().findings == [])
    let after = try shop([.init(atSeconds: 1_600_000_000, offsetSeconds: 7_200)])
    (after.log.topics, after.store.tasks) = (before.log.topics, before.store.tasks)
    let causes = try after.verify().findings.filter { $0.view == "users" }.map(\.cause)
    #expect(causes.count > 4)
    for cause in causes {
      #expect(
        cause.contains("this machine's rules of Europe/Berlin are not those that the states were made by"))
      #expect(cause.contains("install the release of tzdata that made them"))
    }
    // What sees no day of the zone is right.
    #expect(try after.verify().findings.allSatisfy { $0.view == "users" })
  }
}
