import FeatureCore
import Foundation
import OfflineStore
import OutputRecords
import SwiftProtobuf
import Testing
import TestSupport

/// Which snapshot a row of a training set as served sees.
@Suite struct ServedJoinTests {
  private let plan: Plan
  private let folder: TemporaryFolder

  init() throws {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string)])
    let users = View(
      "users", source: "clicks", entity: ["user"],
      features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    plan = try Plan(Definitions(name: "shop", version: 2, sources: [source], views: [users]))
    folder = try TemporaryFolder()
  }

  /// A snapshot of user u after so many events.
  private func snapshot(
    _ events: Int, version: Int64 = 2, topic: String = "clicks", at offset: Int64
  ) throws -> [UInt8] {
    let view = plan.views[0]
    let fold = ViewFold(view)
    let batch = EventBatch(plan.sources[0].schema, capacity: 1)
    var state: State?
    for index in 0..<events {
      batch.removeAll()
      try Array("{\"user\":\"u\",\"ts\":1000}".utf8).withUnsafeBytes {
        try batch.append($0, sequence: Int64(index))
      }
      try fold.fold(batch.row(0), time: batch.time(0), into: &state)
    }
    var snapshot = Plumbline_Snapshot()
    snapshot.view = "users"
    snapshot.entityKey = Data("u".utf8)
    snapshot.topic = topic
    snapshot.offset = offset
    snapshot.asOf = 1_000_000
    snapshot.fingerprint = view.fingerprint
    snapshot.version = version
    snapshot.state = Data(view.encode(try #require(state)))
    return try snapshot.serializedBytes()
  }

  private func join(rowsAt times: [Int]) throws -> TrainingJoin {
    let rows = times.map { "{\"user\":\"u\",\"ts\":\($0)}\n" }.joined()
    let path = try folder.write(Array(rows.utf8), to: "spine.ndjson")
    let join = TrainingJoin(
      [JoinedView(plan.views[0], source: plan.sources[0], .served)], version: plan.version,
      time: SpineTime("ts", unit: .milliseconds))
    try join.readSpine(path: path)
    return join
  }

  private func add(_ record: [UInt8], to join: TrainingJoin, at milliseconds: Int64) throws {
    try record.withUnsafeBytes {
      try join.add(try #require(SnapshotRecord($0)), committedMilliseconds: milliseconds)
    }
  }

  private func counts(_ join: TrainingJoin) throws -> [FeatureValue] {
    var values: [FeatureValue] = []
    try join.rows().forEach { values += $0.features[0].values }
    return values
  }

  /// A view that is the same in both versions has the same fingerprint, and positions of two logs.
  @Test func anotherVersionIsNotSeen() throws {
    let join = try join(rowsAt: [1_500, 2_500, 3_500])
    try add(try snapshot(1, topic: "shop.2.clicks.by-user", at: 10), to: join, at: 1_000)
    try add(try snapshot(9, version: 1, topic: "shop.1.clicks.by-user", at: 90), to: join, at: 1_200)
    try add(try snapshot(2, topic: "shop.2.clicks.by-user", at: 20), to: join, at: 2_000)
    try add(try snapshot(3, version: 3, topic: "shop.3.clicks.by-user", at: 30), to: join, at: 3_000)
    #expect(try counts(join) == [.int64(1), .int64(2), .int64(2)])
    #expect(join.snapshots == 2 && join.foreign == 0)
    #expect(join.otherVersions == [1: 1, 3: 1])
  }

  /// What an at-least-once writer wrote again is behind in the same log; offsets of another log say nothing.
  @Test func onlyPositionsOfOneLogAreCompared() throws {
    let join = try join(rowsAt: [1_500, 2_500, 3_500])
    try add(try snapshot(2, at: 20), to: join, at: 1_000)
    try add(try snapshot(1, at: 10), to: join, at: 2_000)
    try add(try snapshot(3, topic: "clicks-2", at: 5), to: join, at: 3_000)
    #expect(try counts(join) == [.int64(2), .int64(2), .int64(3)])
  }
}
