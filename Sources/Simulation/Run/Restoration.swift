import BrokerCore
import FeatureCore
import Processor

extension Deployment {
  /// Does what `plumb replay --into redis --from-snapshots` does, while the service stands still: the restoration of production,
  /// from what the log holds. Broken off, it is begun again at once or when a worker stops for what it has left.
  func restoreFromSnapshots() {
    isRestoring = true
    defer { isRestoring = false }
    while world.violation == nil {
      stopAll()
      world.trace("operator  restores version \(plan.version) from the snapshots")
      do {
        let count = try restoreOnce()
        world.trace("operator  has restored \(count) states")
        return world.coverage.hit(.restored)
      } catch { world.trace("operator  did not restore all: \(error)") }
      if world.isFaulty, world.draws.oneIn(2) { return }
    }
  }

  private func restoreOnce() throws -> Int {
    let life = Life("v\(plan.version).operator")
    let store = SimulatedStore(
      life, world, faults: faults, statesMax: .max, bytesMax: .max, server: { [redis] in redis })
    let offsets = settledOffsets()
    var tasks = routing.restoredTasks(offsets)
    if faults.contains(.joinsRestored) { tasks = everyTask(offsets) }
    let restoration = try TaskRestoration(tasks, into: store, statesMax: world.draws.pick([1, 2, 100]))
    // Snapshots until somebody breaks it off.
    var left = world.isFaulty && world.draws.oneIn(2) ? world.draws.below(10) : Int.max
    for place in broker.places(routing.snapshotTopic) {
      broker.log(place).sync()
      for visible in broker.log(place).records {
        guard let snapshot = ReadSnapshot(visible.record.value ?? []), snapshot.version == plan.version,
          let key = visible.record.key
        else { continue }
        let partition = Processor.TopicPartition(snapshot.topic, snapshot.partition)
        guard let offset = offsets[partition], snapshot.offset <= offset else { continue }
        if left == 0 { throw StoreError(.fatal, "broken off") }
        left -= 1
        try restoration.take(snapshot.state, of: key, partition)
      }
    }
    return try restoration.complete()
  }

  /// What the group has committed, once no transaction is open any more that may change it, or hides snapshots of it.
  private func settledOffsets() -> [Processor.TopicPartition: Int64] {
    while true {
      do throws(KafkaError) {
        if hidesSnapshots { throw .concurrentTransactions }
        var offsets: [Processor.TopicPartition: Int64] = [:]
        for oracle in oracles {
          let committed = try broker.core.committedOffset(group, oracle.place, requireStable: true)
          offsets[oracle.place.logged] = committed?.offset
        }
        return offsets
      } catch {
        world.now += Int64(SimulatedBroker.sessionMilliseconds)
        broker.advance()
      }
    }
  }

  /// Whether a transaction is open in the snapshot topic, be it another version's.
  private var hidesSnapshots: Bool {
    broker.places(routing.snapshotTopic).contains { place in
      broker.core.partition(place).map { $0.lastStableOffset < $0.nextOffset } ?? false
    }
  }

  /// Those of joins, too.
  private func everyTask(_ offsets: [Processor.TopicPartition: Int64]) -> [RestoredTask] {
    oracles.compactMap { oracle in
      offsets[oracle.place.logged].map {
        RestoredTask(name: oracle.name, partition: oracle.place.logged, offset: $0)
      }
    }
  }
}
