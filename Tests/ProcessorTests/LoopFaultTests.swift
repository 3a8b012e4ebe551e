import FeatureCore
import Processor
import Testing

/// The loop under seeded faults: whatever happens, the store and the topics end as one fold of the log makes them.
@Suite struct LoopFaultTests {
  static let definitions = Definitions(
    name: "shop",
    sources: [
      Source(
        "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
        fields: [.init("user", .string), .init("item", .string), .init("n", .int64)])
    ],
    views: [
      View(
        "users", source: "clicks", entity: ["user"],
        features: [
          Feature("events", .aggregate(.init(.count, windows: [.last("1h"), .lifetime]))),
          Feature("last", .aggregate(.init(.lastK, value: "item", windows: [.last("24h")], k: 3))),
          Feature("total", .aggregate(.init(.sum, value: "n * 1000000000000", windows: [.lifetime]))),
        ]),
      View(
        "items", source: "clicks", entity: ["item"], where: "n > 1", emit: .event,
        features: [Feature("events", .aggregate(.init(.count, windows: [.lifetime])))]),
    ])

  @Test(arguments: 0..<200) func endsAsOneFold(_ run: UInt64) throws {
    let seed = run < 100 ? run : UInt64.random(in: .min ... .max)
    let simulation = try LoopSimulation(seed: seed)
    try simulation.run()
    let problems = try simulation.check()
    #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(3))")
  }

  /// The test can fail: without the fence a zombie's write, or a write over a lost tail, stays.
  @Test func findsAMissingFence() throws {
    let found = try (0..<400).contains { seed in
      let simulation = try LoopSimulation(seed: UInt64(seed))
      simulation.server.isFenceOff = true
      try simulation.run()
      return try !simulation.check().isEmpty
    }
    #expect(found)
  }

  /// The faults really happen.
  @Test func reachesEveryRecovery() throws {
    var total = LoopCounts()
    var crashes = 0
    for seed in 0..<60 {
      let simulation = try LoopSimulation(seed: UInt64(seed))
      try simulation.run()
      for counts in simulation.counts {
        total.recovered += counts.recovered
        total.aborts += counts.aborts
        total.fenced += counts.fenced
        total.recoveries += counts.recoveries
        total.storeErrors += counts.storeErrors
        total.forwarded += counts.forwarded
      }
      crashes += simulation.crashes
    }
    #expect(total.recovered > 0 && total.aborts > 0 && total.recoveries > 0 && total.storeErrors > 0)
    #expect(total.forwarded > 0 && crashes > 0)
  }
}

/// One seeded run: input, some workers, faults; then quiet until everything is processed.
final class LoopSimulation {
  typealias Loop = ProcessorLoop<MemoryLog, MemoryStore>

  let plan: Plan
  let routing: Routing
  let cluster: MemoryCluster
  let server = MemoryStore.Server()
  private(set) var counts: [LoopCounts] = []
  private(set) var crashes = 0
  private var random: SplitMix64
  private var workers: [(loop: Loop, log: MemoryLog)] = []
  /// Suspended: expelled from the group, but still alive.
  private var zombies: [(loop: Loop, log: MemoryLog)] = []
  private var now: Int64 = 0
  private var limits = WorkerLimits()

  init(seed: UInt64) throws {
    plan = try Plan(LoopFaultTests.definitions)
    routing = Routing(plan)
    cluster = MemoryCluster(seed: seed &+ 1)
    random = SplitMix64(seed: seed)
    for input in routing.inputs { cluster.createTopic(input.topic, partitions: 3) }
    cluster.createTopic(routing.snapshotTopic, partitions: 2)
    cluster.createTopic(routing.deadLetterTopic, partitions: 1)
    limits.batchRecords = 1 + Int(random.next() % 7)
    limits.pollRecordsMax = 1 + Int(random.next() % 20)
    limits.commitFoldsMax = 1 + Int(random.next() % 30)
    limits.cachedStatesMax = 2 + Int(random.next() % 6)
    produce(120)
  }

  private func produce(_ count: Int) {
    for index in 0..<count {
      let user = "u\(random.next() % 7)"
      let time = 1_700_000_000_000 + Int64(index) * 60_000 - Int64(random.next() % 3_600_000)
      var value =
        "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"i\(random.next() % 5)\",\"n\":\(random.next() % 5)}"
      switch random.next() % 20 {
      case 0: value = "{broken"
      case 1: value = "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":null,\"n\":3}"
      case 2: value = "{\"ts\":\(time),\"user\":\"\(user)\",\"item\":\"i\",\"n\":99999999999}"
      case 3: value = "{\"ts\":9000000000000,\"user\":\"\(user)\",\"item\":\"i\",\"n\":3}"
      default: break
      }
      let key = Array(user.utf8)
      let partition = key.withUnsafeBytes { Int(Hash64.hash($0) % 3) }
      cluster.append("clicks", partition, key: key, value: Array(value.utf8), timestamp: 1_800_000_000_000)
    }
  }

  func run() throws {
    cluster.faultShare = Int(random.next() % 60)
    for _ in 0..<(1 + random.next() % 2) { start() }
    for _ in 0..<250 { try turn() }
    cluster.faultShare = 0
    for zombie in zombies { step(zombie) }
    zombies = []
    if workers.isEmpty { start() }
    var quiet = 0
    for _ in 0..<3000 where quiet < 20 {
      for worker in workers { step(worker) }
      now += 50
      quiet = isComplete ? quiet + 1 : 0
    }
    counts += workers.map(\.loop.counts)
  }

  private func turn() throws {
    now += Int64(random.next() % 60)
    switch random.next() % 100 {
    case 0: start()
    case 1...2 where !workers.isEmpty: crash()
    case 3 where !workers.isEmpty: suspend()
    case 4 where !zombies.isEmpty: step(zombies[Int(random.next() % UInt64(zombies.count))])
    case 5: server.loseTail(Int(random.next() % 4))
    case 6: produce(5)
    default:
      if workers.isEmpty { start() }
      step(workers[Int(random.next() % UInt64(workers.count))])
    }
  }

  private func start() {
    guard workers.count < 3 else { return }
    let log = cluster.join(routing.inputs.map(\.topic))
    workers.append((Loop(plan, log: log, store: MemoryStore(server, cluster), limits: limits, now: now), log))
  }

  private func crash() {
    crashes += 1
    let worker = workers.remove(at: Int(random.next() % UInt64(workers.count)))
    counts.append(worker.loop.counts)
    cluster.expel(worker.log.member)
  }

  private func suspend() {
    let worker = workers.remove(at: Int(random.next() % UInt64(workers.count)))
    cluster.expel(worker.log.member)
    zombies.append(worker)
  }

  /// One step; a loop that can't go on is replaced by a new member.
  private func step(_ worker: (loop: Loop, log: MemoryLog)) {
    do throws(ProcessorError) {
      try worker.loop.step(now: now)
    } catch {
      counts.append(worker.loop.counts)
      cluster.expel(worker.log.member)
      workers.removeAll { $0.loop === worker.loop }
      zombies.removeAll { $0.loop === worker.loop }
      if error.remedy == .stop { Issue.record("stopped: \(error)") }
      if workers.isEmpty { start() }
    }
  }

  private var isComplete: Bool {
    for input in routing.inputs {
      for partition in cluster.topics[input.topic]!.indices {
        let place = TopicPartition(input.topic, Int32(partition))
        let end = cluster.end(place)
        if end == 0 { continue }
        if cluster.committed[place] != end || server.contents.positions["\(input.name).\(partition)"] != end {
          return false
        }
      }
    }
    return true
  }

  /// What differs from one fold of the log.
  func check() throws -> [String] {
    var problems: [String] = isComplete ? [] : ["not everything was processed"]
    var forwards = 0
    for input in routing.inputs {
      for partition in cluster.topics[input.topic]!.indices {
        let expected = try fold(input, partition, &forwards)
        let found = server.contents.states["\(input.name).\(partition)"] ?? [:]
        if found != expected { problems.append("\(input.topic)-\(partition): the states differ") }
        problems += checkSnapshots(of: expected)
      }
    }
    let forwarded = cluster.topics["shop.clicks.by-item"]!.map(\.count).reduce(0, +)
    if forwarded != forwards { problems.append("\(forwarded) records forwarded, expected \(forwards)") }
    return problems + checkUnique()
  }

  /// The last snapshot of each state holds its bytes.
  private func checkSnapshots(of states: [[UInt8]: [UInt8]]) -> [String] {
    let snapshots = cluster.topics[routing.snapshotTopic]!.flatMap(\.self)
    return states.compactMap { key, state in
      guard let last = snapshots.last(where: { $0.key == key }) else {
        return "no snapshot of \(Text(utf8: key))"
      }
      return last.value!.contains(state) ? nil : "the last snapshot of \(Text(utf8: key)) differs"
    }
  }

  /// Each snapshot and each dead letter is there once: their values name their position.
  private func checkUnique() -> [String] {
    [routing.snapshotTopic, routing.deadLetterTopic].compactMap { topic in
      let values = cluster.topics[topic]!.flatMap(\.self).map { $0.value! }
      return Set(values).count == values.count ? nil : "\(topic) has a record twice"
    }
  }

  private func fold(
    _ input: Routing.Input, _ partition: Int, _ forwards: inout Int
  ) throws -> [[UInt8]: [UInt8]] {
    let batch = EventBatch(plan.sources[input.source].schema, capacity: 1)
    var states: [[UInt8]: State?] = [:]
    let folds = input.views.map { ViewFold(plan.views[$0]) }
    let filters = input.forwards.flatMap(\.views).map { ViewFold(plan.views[$0]) }
    for record in cluster.topics[input.topic]![partition] {
      batch.removeAll()
      record.value!.withUnsafeBytes { bytes in
        guard (try? batch.append(bytes, sequence: 0)) != nil else { return }
        if !input.isRepartitioned, batch.time(0) > record.timestamp * 1000 + Source.defaultMaxAhead { return }
        for fold in folds {
          guard let key = try? fold.key(of: batch.row(0)) else { continue }
          let name = Array("\(fold.view.name):".utf8) + key
          _ = try? fold.fold(batch.row(0), time: batch.time(0), into: &states[name, default: nil])
        }
        for fold in filters where (try? fold.takes(batch.row(0))) == true {
          if (try? fold.key(of: batch.row(0))) != nil { forwards += 1 }
        }
      }
    }
    return states.compactMapValues { $0 }.reduce(into: [:]) { result, entry in
      let view = plan.views.first { entry.key.starts(with: Array("\($0.name):".utf8)) }!
      result[entry.key] = view.encode(entry.value)
    }
  }
}
