import FeatureCore
import OnlineStore
import Processor
import Testing
import TestSupport

/// The reader that services use.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct FeatureReaderTests {
  let server: RedisServer
  let plan: Plan
  private static let hour: Int64 = 3_600_000

  /// A store with the states of users u0 to u99, of whom u7 has clicked seven times.
  init() throws {
    server = try RedisServer()
    plan = try Self.plan("shop")
    let processor = BatchProcessor(plan.sources[0], views: plan.views) { _ in }
    let records = SingleRecords(processor)
    for user in 0..<100 {
      for click in 0..<user {
        let event = #"{"ts":\#(Self.hour + Int64(click)),"user":"u\#(user)","item":"i\#(click)"}"#
        Array(event.utf8).withUnsafeBytes { records.fold($0) }
      }
    }
    let store = RedisStateStore(
      server.options, keys: StoreKeys(name: "shop", version: 1),
      metadata: StoreMetadata(fingerprint: plan.fingerprint, partitions: ["clicks": 3]))
    var states: [Int32: [(key: [UInt8], value: [UInt8])]] = [:]
    processor.forEachState(0) { key, state in
      let key = Array(key)
      let partition = key.withUnsafeBytes { Murmur2.partition($0, count: 3) }
      let name = key.withUnsafeBytes { StateKey.make(view: "users", $0) }
      states[Int32(partition), default: []].append((Array(name), plan.views[0].encode(state)))
    }
    for (partition, states) in states {
      let task = StoreKeys.task(source: "clicks", partition: partition)
      let claim = try store.claim(task)
      try store.commit(
        task, epoch: claim.epoch, from: claim.position, to: 7, states: KeyedStates(states))
    }
  }

  private static func plan(_ name: String, version: Int = 1) throws -> Plan {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .string)])
    let features = [
      Feature("clicks", .aggregate(.init(.count, windows: [.lifetime]))),
      Feature("items", .aggregate(.init(.lastK, value: "item", windows: [.lifetime], k: 2))),
    ]
    let view = View("users", source: "clicks", entity: ["user"], features: features)
    return try Plan(Definitions(name: name, version: version, sources: [source], views: [view]))
  }

  @Test func manyTasksReadAtATime() async throws {
    let reader = try FeatureReader(plan, server.options)
    let now = EventTime(microseconds: 2 * Self.hour * 1_000)
    try await withThrowingTaskGroup { group in
      for start in 0..<200 {
        group.addTask {
          let users = (0..<3).map { (start + $0) % 101 }
          let rows = try await reader.read(
            view: "users", entities: users.map { [.string(Text("u\($0)"))] }, at: now)
          for (user, row) in zip(users, rows) {
            // Nobody has seen u0 and u100: theirs are the values of nothing.
            let clicks = user == 100 ? 0 : user
            #expect(try row["clicks_lifetime"] == .int64(Int64(clicks)))
            #expect((row.asOf == nil) == (clicks == 0) && row.version == 1 && row.at == now)
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test func aMisspeltFeatureIsAnError() async throws {
    let reader = try FeatureReader(plan, server.options, connections: 1)
    let now = EventTime(microseconds: 2 * Self.hour * 1_000)
    let row = try await reader.read(view: "users", entities: [[.string("u7")]], at: now)[0]
    let error = #expect(throws: StoreError.self) { try row["click_lifetime"] }
    #expect(
      error?.message == "view 'users' has no feature 'click_lifetime', only clicks_lifetime, items_lifetime")
    await #expect(throws: StoreError.self) { try await reader.read(view: "user", entities: [], at: now) }
    await #expect(throws: StoreError.self) {
      try await reader.read(view: "users", entities: [[.int64(7)]], at: now)
    }
    // Values print as a person writes them.
    #expect("\(try row["clicks_lifetime"]) \(try row["items_lifetime"])" == "7 [i5, i6]")
  }

  @Test func whatCannotBeAReaderIsAnError() throws {
    #expect(throws: StoreError.self) { try FeatureReader([], server.options) }
    #expect(throws: StoreError.self) {
      try FeatureReader([plan, Self.plan("other")], server.options)
    }
    #expect(throws: StoreError.self) { try FeatureReader(plan, server.options, connections: 0) }
  }

  @Test func valuesPrintAsValues() {
    let values: [FeatureValue] = [
      .null, .int64(-7), .double(0.5), .bool(true), .string("a text"), .timestamp(EventTime(microseconds: 0)),
      .list([.int64(1), .string("b")]),
    ]
    #expect(
      values.map(\.description) == ["null", "-7", "0.5", "true", "a text", "1970-01-01T00:00:00Z", "[1, b]"])
  }
}
