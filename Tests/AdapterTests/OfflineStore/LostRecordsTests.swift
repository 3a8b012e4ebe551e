import FeatureCore
import Foundation
import OfflineStore
import OutputRecords
import SwiftProtobuf
import Testing
import TestSupport

/// Rows that need what retention has deleted are an error that names it; rows that don't are made.
@Suite struct LostRecordsTests {
  private let folder: TemporaryFolder
  private let source = Source(
    "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .seconds),
    fields: [.init("user", .string)])

  init() throws { folder = try TemporaryFolder() }

  private func plan(_ windows: [Window]) throws -> Plan {
    let users = View(
      "users", source: "clicks", entity: ["user"],
      features: [Feature("n", .aggregate(.init(.count, windows: windows)))])
    return try Plan(Definitions(name: "shop", sources: [source], views: [users]))
  }

  private func join(
    _ plan: Plan, _ moment: JoinedView.Moment = .happened, rowsAt times: [Int], allowsMissing: Bool = false,
    label: JoinedLabel? = nil
  ) throws -> TrainingJoin {
    let rows = times.map { "{\"user\":\"u\",\"ts\":\($0)}\n" }.joined()
    let path = try folder.write(Array(rows.utf8), to: "spine.ndjson")
    let join = TrainingJoin(
      [JoinedView(plan.views[0], source: plan.sources[0], moment)], version: plan.version, label: label,
      time: SpineTime("ts", unit: .seconds), allowsMissing: allowsMissing)
    try join.readSpine(path: path)
    return join
  }

  private func add(_ times: [Int], _ plan: Plan, to join: TrainingJoin) throws {
    let batch = EventBatch(plan.sources[0].schema, capacity: max(1, times.count))
    // A batch's texts point into its payloads.
    let arena = TextArena()
    for (index, time) in times.enumerated() {
      let text = Array("{\"user\":\"u\",\"ts\":\(time)}".utf8)
      let payload = arena.allocate(text.count)
      payload.copyBytes(from: text)
      try batch.append(UnsafeRawBufferPointer(payload), sequence: Int64(index))
    }
    defer { withExtendedLifetime(arena) {} }
    try join.feed().add(
      batch, source: 0, order: { $0 },
      place: { LogPlace(offset: $0, timestampMilliseconds: Int64(times[Int($0)]) * 1_000) }
    ) { _, failure in Issue.record("\(failure)") }
  }

  private func lost(until seconds: Int64, _ key: LostRecords.Key = .entity) -> LostRecords? {
    LostRecords(until: [seconds * 1_000_000], key: key, description: "clicks-0 begins at offset 30")
  }

  private func snapshot(_ plan: Plan, asOf seconds: Int64, at offset: Int64) throws -> [UInt8] {
    let view = plan.views[0]
    let batch = EventBatch(plan.sources[0].schema, capacity: 1)
    try Array("{\"user\":\"u\",\"ts\":\(seconds)}".utf8).withUnsafeBytes {
      try batch.append($0, sequence: 0)
    }
    var state: State?
    try ViewFold(view).fold(batch.row(0), time: batch.time(0), into: &state)
    var snapshot = Plumbline_Snapshot()
    snapshot.view = "users"
    snapshot.entityKey = Data("u".utf8)
    snapshot.topic = "clicks"
    snapshot.offset = offset
    snapshot.fingerprint = view.fingerprint
    snapshot.version = 1
    snapshot.state = Data(view.encode(try #require(state)))
    return try snapshot.serializedBytes()
  }

  private func problem(_ join: TrainingJoin) -> String? {
    do {
      try join.rows().forEach { _ in }
      return nil
    } catch {
      return "\(error)"
    }
  }

  struct Case: Sendable {
    var windows: [Window]
    var rows: [Int]
    /// Until when events are lost, in seconds.
    var until: Int64
    /// How many rows lack some.
    var expected: Int
  }

  private static let cases = [
    Case(windows: [.lifetime], rows: [1_000_000, 9_000_000], until: 900_000, expected: 2),
    // 10 s hops of a window of a minute: a row at 1,000,065 sees from 1,000,000 on.
    Case(windows: [.last("1m")], rows: [1_000_065, 1_000_069, 1_000_070], until: 1_000_000, expected: 2),
    Case(windows: [.last("1m")], rows: [1_000_065], until: 999_999, expected: 0),
    Case(windows: [.last("1m"), .last("1h")], rows: [1_000_100], until: 999_000, expected: 1),
    Case(windows: [.session("30m")], rows: [1_001_800, 1_001_801], until: 1_000_000, expected: 1),
    Case(windows: [.calendar(.today)], rows: [1_036_799, 1_036_800], until: 950_405, expected: 1),
  ]

  @Test(arguments: cases)
  func onlyRowsThatSeeLostEventsLackThem(_ example: Case) throws {
    let (rows, expected) = (example.rows, example.expected)
    let plan = try plan(example.windows)
    let join = try join(plan, rowsAt: rows)
    join.note(lostEventsOf: 0) { _ in lost(until: example.until) }
    let problem = problem(join)
    guard expected > 0 else { return #expect(problem == nil) }
    let text = try #require(problem)
    #expect(text.contains("view 'users': \(expected) of \(rows.count) rows, the latest of 19"))
    #expect(text.contains("clicks-0 begins at offset 30") && text.contains("--archive"))
  }

  /// A session goes on as long as events are near each other; what was lost is in none after a longer silence.
  @Test(arguments: [([1_000_900, 1_001_800], 1), ([1_000_900, 1_001_800, 1_003_601], 0), ([], 0)])
  func sessionsAreKnownBehindASilence(_ events: [Int], _ expected: Int) throws {
    let plan = try plan([.session("30m")])
    let join = try join(plan, rowsAt: [1_003_602], allowsMissing: true)
    join.note(lostEventsOf: 0) { _ in lost(until: 1_000_000) }
    try add(events, plan, to: join)
    try join.rows().forEach { _ in }
    // The row's own session is over if its last event is older than the gap.
    #expect(join.lacking.count == (events.count == 2 ? 0 : expected))
    let near = try self.join(plan, rowsAt: [(events.last ?? 1_000_000) + 60], allowsMissing: true)
    near.note(lostEventsOf: 0) { _ in lost(until: 1_000_000) }
    try add(events, plan, to: near)
    try near.rows().forEach { _ in }
    #expect(near.lacking.count == (events.count == 3 ? 0 : 1))
  }

  @Test func partitionsAreToldApartByKey() throws {
    let plan = try plan([.lifetime])
    let key = Array("users:u".utf8)
    let own = Int(key.withUnsafeBytes { Murmur2.partition($0, count: 3) })
    for partition in 0..<3 {
      let join = try join(plan, rowsAt: [2_000_000], allowsMissing: true)
      var until = [Int64](repeating: .min, count: 3)
      until[partition] = 1_000_000_000_000
      join.note(lostEventsOf: 0) { _ in
        LostRecords(until: until, key: .prefixed(Array("users:".utf8)), description: "x")
      }
      try join.rows().forEach { _ in }
      #expect(join.lacking.isEmpty == (partition != own))
    }
    #expect(LostRecords(until: [.min, .min], key: .other, description: "") == nil)
  }

  @Test func servedRowsNeedASnapshotThatIsThere() throws {
    let plan = try plan([.last("1m")])
    func joined(_ rows: [Int]) throws -> TrainingJoin {
      let join = try join(plan, .served, rowsAt: rows)
      join.note { _ in lost(until: 1_000_000) }
      for (offset, time) in [1_000_010, 1_002_000].enumerated() {
        try snapshot(plan, asOf: Int64(time), at: Int64(offset)).withUnsafeBytes {
          try join.add(try #require(SnapshotRecord($0)), committedMilliseconds: Int64(time) * 1_000)
        }
      }
      return join
    }
    #expect(try problem(joined([1_000_020, 1_005_000])) == nil)
    let early = try #require(try problem(joined([1_000_000, 1_000_009, 1_000_020])))
    #expect(early.contains("2 of 3 rows, the latest of 1970-01-12T13:46:49Z"))
    #expect(early.contains("the first snapshot is of 1970-01-12T13:46:50"))
  }

  /// The entity's last snapshot may have been deleted: unless its windows would be over.
  @Test func silentEntitiesMayHaveLostTheirSnapshot() throws {
    let plan = try plan([.last("1m")])
    func joined(_ row: Int) throws -> TrainingJoin {
      let join = try join(plan, .served, rowsAt: [row])
      join.note { _ in lost(until: 1_000_000) }
      var other = try Plumbline_Snapshot(serializedBytes: snapshot(plan, asOf: 1_000_000, at: 1))
      other.entityKey = Data("v".utf8)
      let bytes: [UInt8] = try other.serializedBytes()
      try bytes.withUnsafeBytes {
        try join.add(try #require(SnapshotRecord($0)), committedMilliseconds: 1_000_000_000)
      }
      return join
    }
    #expect(
      try #require(try problem(joined(1_000_030))).contains("need snapshots that are no longer in the log"))
    #expect(try problem(joined(1_000_080)) == nil)
  }

  @Test func comparisonsRefuseToo() throws {
    let plan = try plan([.lifetime])
    let join = try join(plan, .compared(nil), rowsAt: [1_000_020])
    join.note(lostEventsOf: 0) { _ in lost(until: 1_000_000) }
    try add([1_000_005], plan, to: join)
    try snapshot(plan, asOf: 1_000_005, at: 31).withUnsafeBytes {
      try join.add(try #require(SnapshotRecord($0)), committedMilliseconds: 1_000_010_000)
    }
    let error = #expect(throws: TableError.self) { try join.comparison() }
    #expect(error?.problem.contains("need events that are no longer in the log") == true)
  }

  @Test func labelsNeedTheEventsThatFollow() throws {
    let plan = try plan([.last("1m")])
    let label = JoinedLabel(plan.views[0], source: plan.sources[0], index: 0, within: 60_000_000)
    let join = try join(plan, .served, rowsAt: [1_000_000, 1_000_005], allowsMissing: true, label: label)
    join.note(lostEventsOf: 0) { _ in lost(until: 1_000_001) }
    try join.rows().forEach { _ in }
    #expect(join.lacking.contains { $0.hasPrefix("the label: 1 of 2 rows") })
  }
}
