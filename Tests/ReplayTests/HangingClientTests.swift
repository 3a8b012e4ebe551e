import Dispatch
import FeatureCore
import Processor
import Synchronization
import Testing
import TestSupport

@testable import Replay

/// A client library that never comes back from its end, as librdkafka 2.0 may after a topic was deleted: the process ends all the
/// same, once the time is over that its threads have for that.
@Suite struct HangingClientTests {
  enum Moment: CaseIterable { case close, destruction }

  @Test(arguments: Moment.allCases) func aWorkerThatNeverEndsIsLeftBehind(_ moment: Moment) throws {
    let source = Source(
      "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string)])
    let count = Feature("events", .aggregate(.init(.count, windows: [.lifetime])))
    let plan = try Plan(
      Definitions(
        name: "shop", sources: [source],
        views: [View("users", source: "clicks", entity: ["user"], features: [count])]))
    let hang = Hang(moment)
    let group = WorkerGroup(patience: .milliseconds(100))
    group.start { (isStopping) throws(ProcessorError) in
      let start = ContinuousClock.now
      let runner = WorkerRunner(
        plan, store: NoTasks(), limits: WorkerLimits(), partitions: [:],
        now: { Int64(start.duration(to: .now) / .milliseconds(1)) }, isStopping: isStopping, report: { _ in }
      ) { () throws(LogError) in HangingLog(hang) }
      return try runner.run()
    }
    try waitUntil("the worker polls") { hang.polls.load(ordering: .relaxed) > 0 }
    #expect(!group.wait(milliseconds: 1))
    group.stop()
    let isWhole = try group.wait().isWhole
    #expect(!isWhole && hang.hasBegun.load(ordering: .relaxed))
    hang.end.signal()
    #expect(group.wait(milliseconds: 60_000))
    #expect(try group.wait().isWhole)
  }
}

/// Where the client hangs, and until when.
private final class Hang: Sendable {
  let moment: HangingClientTests.Moment
  let polls = Atomic(0)
  let hasBegun = Atomic(false)
  let end = DispatchSemaphore(value: 0)

  init(_ moment: HangingClientTests.Moment) { self.moment = moment }

  func at(_ moment: HangingClientTests.Moment) {
    guard moment == self.moment else { return }
    hasBegun.store(true, ordering: .relaxed)
    end.wait()
  }
}

/// A member of a group that is given nothing.
private final class HangingLog: EventLogPort {
  private let hang: Hang

  init(_ hang: Hang) { self.hang = hang }

  deinit { hang.at(.destruction) }

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    hang.polls.add(1, ordering: .relaxed)
    return LogPoll(
      assignments: [], partitions: [], records: UnsafeBufferPointer(start: nil, count: 0), ends: [])
  }

  func close(timeoutMilliseconds: Int) -> Bool {
    hang.at(.close)
    return true
  }

  func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {}
  func unassign(_ partitions: [TopicPartition]) throws(LogError) {}
  func pause(_ partitions: [TopicPartition]) throws(LogError) {}
  func resume(_ partitions: [TopicPartition]) throws(LogError) {}
  func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) { throw unasked }
  func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> { throw unasked }
  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] { throw unasked }
  func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) { throw unasked }
  func firstOffset(
    of partition: TopicPartition, since milliseconds: Int64
  ) throws(LogError) -> Int64? { throw unasked }
  func begin() throws(LogError) { throw unasked }
  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) { throw unasked }
  func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool {
    throw unasked
  }
  func finishCommit(waiting: Bool) throws(LogError) -> Bool { true }
  func abort() throws(LogError) {}

  private var unasked: LogError { LogError(.fatal, "a member without partitions asks for nothing") }
}

/// The store of who has no tasks.
private final class NoTasks: StateStorePort {
  func claim(_ task: String) throws(StoreError) -> TaskClaim { throw unasked }
  func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) { throw unasked }
  func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool { throw unasked }
  func finishCommit(waiting: Bool) throws(StoreError) -> Bool { true }

  private var unasked: StoreError { StoreError(.fatal, "who has no tasks asks for nothing") }
}
