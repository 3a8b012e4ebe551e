import FeatureCore
import Testing

@testable import Processor

/// What a restoration from snapshots writes, whenever it is broken off.
@Suite struct TaskRestorationTests {
  /// A store of one process that keeps what was written.
  private final class Store: StateStorePort {
    var epochs: [String: Int64] = [:]
    var positions: [String: Int64] = [:]
    var states: [String: [[UInt8]: [UInt8]]] = [:]
    /// What the states of a write have folded.
    var folded: [Int64] = []

    func claim(_ task: String) throws(StoreError) -> TaskClaim {
      epochs[task, default: 0] += 1
      return TaskClaim(epoch: epochs[task] ?? 0, position: positions[task])
    }

    func load(
      _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
      _ body: (Int, StoredState) -> Void
    ) throws(StoreError) {
      throw StoreError(.fatal, "a restoration reads no states")
    }

    func startCommit(
      _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
    ) throws(StoreError) -> Bool {
      if epochs[task] != epoch { throw StoreError(.fenced, task) }
      if positions[task] != from { throw StoreError(.moved, task) }
      positions[task] = position
      if states.count > 0 { folded.append(states.position ?? position) }
      for index in 0..<states.count {
        states.withBytes(index) { self.states[task, default: [:]][Array($0)] = Array($1) }
      }
      return true
    }

    func finishCommit(waiting: Bool) throws(StoreError) -> Bool { true }
  }

  private let partition = TopicPartition("topic", 0)

  private func task(_ offset: Int64) -> RestoredTask {
    RestoredTask(name: "source.0", partition: partition, offset: offset)
  }

  @Test func theLastStateOfEachEntityIsWritten() throws {
    let store = Store()
    let restoration = try TaskRestoration([task(9)], into: store, statesMax: 2)
    for (key, state) in [(1, 10), (2, 20), (1, 11), (3, 30), (1, 12)] as [(UInt8, UInt8)] {
      try restoration.take([state], of: [key], partition)
      #expect(store.positions["source.0"] ?? 0 < 0)
    }
    _ = try restoration.complete()
    #expect(store.positions == ["source.0": 9])
    #expect(store.states == ["source.0": [[1]: [12], [2]: [20], [3]: [30]]])
    // A position that somebody sets back later has to be behind them, as behind those of a commit.
    #expect(!store.folded.isEmpty && store.folded.allSatisfy { $0 == 9 })
  }

  /// Until it is complete no worker begins with what it has written.
  @Test func brokenOffItIsNoPositionOfAWorker() throws {
    let store = Store()
    store.positions["source.0"] = 4
    let first = try TaskRestoration([task(9)], into: store, statesMax: 1)
    try first.take([1], of: [1], partition)
    guard let position = store.positions["source.0"] else { return }
    let decision = StartDecision.make("source.0", stored: position, committed: 9, low: 0, high: 9)
    guard case .stop(let message) = decision else {
      Issue.record("a worker would begin: \(decision)")
      return
    }
    #expect(message.contains("--from-snapshots"))
    // Begun again, it fences the first.
    let second = try TaskRestoration([task(9)], into: store)
    #expect(throws: StoreError.self) { try first.take([2], of: [2], partition) }
    try second.take([3], of: [1], partition)
    _ = try second.complete()
    #expect(store.positions == ["source.0": 9] && store.states["source.0"]?[[1]] == [3])
  }

  @Test func aStoreThatIsAheadIsLeftAlone() throws {
    let store = Store()
    store.positions["source.0"] = 10
    #expect(throws: ProcessorError.self) { try TaskRestoration([task(9)], into: store) }
    #expect(store.positions == ["source.0": 10])
  }

  /// How far a join's cursors are is in no snapshot: its task goes on from what the store has of it.
  @Test func aJoinsTaskIsNotRestored() throws {
    let fields: [Source.Field] = [.init("user", .string), .init("n", .int64)]
    var definitions = Definitions(
      name: "app", version: 1,
      sources: ["left", "right"].map {
        Source(
          $0, topic: $0, key: "user", timestamp: .init(field: "ts", unit: .milliseconds), fields: fields)
      },
      views: [
        View(
          "v", source: "left", entity: ["user"],
          features: [Feature("f", .aggregate(Aggregate(.count, windows: [.lifetime])))])
      ])
    definitions.joins = [
      Join(
        "j", left: Join.Side("left"), right: Join.Side("right"), on: ["user"],
        kind: .outcome(within: 60_000_000, wait: 0, lateness: 0), fields: [])
    ]
    let routing = Routing(try Plan(definitions))
    let committed = Dictionary(
      uniqueKeysWithValues: routing.inputs.map { (TopicPartition($0.topic, 0), Int64(5)) })
    #expect(routing.inputs.contains { $0.join != nil })
    #expect(routing.restoredTasks(committed).map(\.name) == ["j.0", "left.0", "right.0"])
  }
}
