import FeatureCore
import Testing

@testable import Processor

/// I7: what lies between two commits is bounded in bytes, also where a snapshot is sent after every event.
@Suite struct EmittedBytesTests {
  @Test(arguments: [View.Emit.event, .commit]) func aTransactionIsBounded(_ emit: View.Emit) throws {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .string)])
    let last = Feature("last", .aggregate(.init(.lastK, value: "item", windows: [.lifetime], k: 100)))
    let plan = try Plan(
      Definitions(
        name: "shop", sources: [source],
        views: [View("users", source: "clicks", entity: ["user"], emit: emit, features: [last])]))
    // One user, whose state grows to 20,000 bytes: 600 snapshots of that are 12 MB.
    let log = OneTopicLog(
      (0..<600).map { _ in
        #"{"ts":1700000000000,"user":"u","item":"\#(String(repeating: "x", count: 200))"}"#
      }, snapshots: Routing(plan).snapshotTopic)
    var limits = WorkerLimits()
    limits.commitBytesMax = 500_000
    let loop = ProcessorLoop(plan, log: log, store: PatientStore(), limits: limits, now: 0)
    for step in 1...100 where log.committed < 600 { try loop.step(now: Int64(step) * 1_000) }
    #expect(log.committed == 600)
    #expect(log.snapshots == (emit == .event ? 600 : log.commits))
    #expect(log.bytesMax < 2 * limits.commitBytesMax + 50_000, "\(log.bytesMax) bytes in one transaction")
  }
}

/// A partition of records that are there from the beginning, and the sizes of what is sent between two commits.
private final class OneTopicLog: EventLogPort {
  private let payloads: [UnsafeMutableRawBufferPointer]
  private let snapshotTopic: String
  private var next = 0
  private var isAssigned = false
  private var bytes = 0
  private let records: UnsafeMutableBufferPointer<LogRecord>
  private(set) var bytesMax = 0
  private(set) var snapshots = 0
  private(set) var commits = 0
  private(set) var committed: Int64 = 0

  init(_ events: [String], snapshots: String) {
    snapshotTopic = snapshots
    payloads = events.map { event in
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: event.utf8.count, alignment: 1)
      room.copyBytes(from: event.utf8)
      return room
    }
    records = .allocate(capacity: events.count)
    for (index, payload) in payloads.enumerated() {
      records.initializeElement(
        at: index,
        to: LogRecord(
          partition: 0, offset: Int64(index), timestampMilliseconds: nil, key: nil,
          value: UnsafeRawBufferPointer(payload)))
    }
  }

  deinit {
    for payload in payloads { payload.deallocate() }
    records.deallocate()
  }

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    let partition = TopicPartition("clicks", 0)
    guard isAssigned else {
      return LogPoll(
        assignments: [.assigned([partition])], partitions: [], records: .init(start: nil, count: 0), ends: [])
    }
    let end = min(payloads.count, next + recordsMax)
    defer { next = end }
    return LogPoll(
      assignments: [], partitions: [partition],
      records: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(records)[next..<end]), ends: [])
  }

  func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) { isAssigned = true }
  func unassign(_ partitions: [TopicPartition]) {}
  func pause(_ partitions: [TopicPartition]) {}
  func resume(_ partitions: [TopicPartition]) {}
  func seek(_ partition: TopicPartition, to offset: Int64) { next = Int(offset) }
  func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    throw LogError(.fatal, "There is no join")
  }

  func firstOffset(of partition: TopicPartition, since milliseconds: Int64) throws(LogError) -> Int64? { nil }

  func committed(_ partitions: [TopicPartition]) -> [Int64?] { partitions.map { _ in nil } }
  func watermarks(_ partition: TopicPartition) -> (low: Int64, high: Int64) { (0, Int64(payloads.count)) }
  func begin() { bytes = 0 }

  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) {
    if topic != snapshotTopic { return }
    snapshots += 1
    // A snapshot holds the state and its values.
    bytes += (value?.count ?? 0) / 2
    bytesMax = max(bytesMax, bytes)
  }

  func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool {
    for changes in changes {
      try changes.send { send(topic: $0, partition: nil, key: $1, value: $2) }
    }
    commits += 1
    committed = offsets.first?.offset ?? committed
    return true
  }
  func finishCommit(waiting: Bool) -> Bool { true }
  func abort() {}
  func close(timeoutMilliseconds: Int) -> Bool { true }
}

/// Takes everything and holds nothing: the states stay in memory.
private final class PatientStore: StateStorePort {
  func claim(_ task: String) -> TaskClaim { TaskClaim(epoch: 1, position: nil) }
  func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) {
    for index in 0..<keys.count { body(index, .none) }
  }
  func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) -> Bool { true }
  func finishCommit(waiting: Bool) -> Bool { true }
}
