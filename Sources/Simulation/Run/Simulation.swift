import BrokerCore
import FeatureCore
import Processor

/// What a run came to.
public struct SimulationOutcome: Sendable {
  /// The seed that repeats it.
  public var seed: UInt64
  /// The first breach of an invariant; nil if all held.
  public var violation: String?
  /// What happened in it.
  public var coverage: Coverage
  /// Turns of the scheduler.
  public var turns: Int
}

/// One run: a seed draws definitions, input, limits, faults and the order of everything. The loop is the one of
/// production; log, store, clock and operator are simulated. First a stormy time, in which after each turn nothing
/// may be wrong; then quiet, in which everything must come to its end.
public final class Simulation {
  private let seed: UInt64
  private let world: World
  private let broker: SimulatedBroker
  private let audit: Audit
  private let adapterFaults: AdapterFaults
  private let sources: [Source]
  private var partitions: [Int32]
  private var definitions: DefinitionGenerator
  private var input: InputGenerator
  private var deployments: [Deployment] = []
  /// Those that a new version has not taken the place of.
  var live: [Deployment] { deployments.filter { !$0.isRetired } }
  /// Small in some runs, so that states run into it.
  private let stateBytesMax: Int
  private let joinFollowMax: Int
  private var turns = 0
  private var recordsLeft: Int

  /// Turns of the stormy time.
  private static let stormTurns = 150
  /// Partitions that a source grows to.
  private static let partitionsMax: Int32 = 8
  /// Turns in which every task that has something to do must get further: enough for sessions, rebalances and transactions to time
  /// out one after the other.
  private static let calmTurnsMax = 2_500
  /// Turns after which it isn't believed any more that there is an end.
  private static let endlessTurns = 200_000

  /// A run of a seed. `trace` is told what happens, a line at a time.
  public init(seed: UInt64, adapterFaults: AdapterFaults = [], trace: ((String) -> Void)? = nil) {
    self.seed = seed
    self.adapterFaults = adapterFaults
    var random = SplitMix64(seed: seed)
    let faults = FaultPlan(&random)
    world = World(draws: random.fork(), faults: faults, trace: trace)
    broker = SimulatedBroker(world)
    audit = Audit(world, broker)
    definitions = DefinitionGenerator(random: random.fork())
    // Of another stream, so that the runs without duplicates are what they were.
    var repeats = SplitMix64(seed: seed ^ 0xD0B1_E5)
    let hasResends = repeats.oneIn(3)
    var drawn = definitions.sources(random.pick([1, 1, 2]))
    for index in drawn.indices where hasResends && !drawn[index].isTable && !repeats.oneIn(3) {
      let within = repeats.pick([1, 5, 60, 86_400])
      drawn[index].duplicates = .init(by: "id", within: Int64(within) * 1_000_000)
    }
    // Of yet another.
    var headers = SplitMix64(seed: seed ^ 0x4EAD_E5)
    for index in drawn.indices where !drawn[index].isTable && headers.oneIn(4) {
      drawn[index].fields.removeAll { $0.name == "price" }
      drawn[index].fields.append(.header("price", "price", .double))
    }
    // And of another.
    var changes = SplitMix64(seed: seed ^ 0xDEBE_21)
    for index in drawn.indices where drawn[index].isTable {
      drawn[index].format = changes.pick([.json, .json, .debezium, .debeziumFlattened])
      if drawn[index].format != .json { drawn[index].partitioner = .unknown }
      if drawn[index].format == .debezium { drawn[index].timestamp.field = "ts_ms" }
    }
    // And of one more: elements with times of their own.
    var elements = SplitMix64(seed: seed ^ 0xE1E_7135)
    for index in drawn.indices where drawn[index].each != nil && elements.oneIn(2) {
      drawn[index].fields.append(.init("ts", .timestamp, path: "parts.ts"))
    }
    sources = drawn
    partitions = sources.map { _ in Int32(1 + random.below(3)) }
    input = InputGenerator(
      random.fork(), sources, resends: hasResends ? repeats : nil, headers: headers, changes: changes,
      elements: elements)
    // Of another stream, too.
    var follows = SplitMix64(seed: seed ^ 0xF0_110E)
    joinFollowMax = follows.pick([1, 2, 5, Limits.joinFollowMax])
    stateBytesMax = random.pick([Limits.stateBytesMax, Limits.stateBytesMax, 1_000, 4_000])
    recordsLeft = 20 + random.below(50)
    world.trace("seed \(seed): \(faults.enabled.map(\.rawValue).joined(separator: ", "))")
    world.runOthers = { [unowned self] turns in
      for _ in 0..<turns where world.violation == nil { turn() }
    }
  }

  /// Runs it.
  public func run() -> SimulationOutcome {
    for (source, count) in zip(sources, partitions) {
      broker.createTopic(source.topic, partitions: count, recordBytesMax: 4 * Limits.recordBytesMax)
    }
    if world.strikes(.lateBeginning) {
      for (source, count) in zip(sources, partitions) {
        for partition in 0..<count where world.draws.oneIn(2) {
          broker.startAbove(Place(source.topic, partition), records: 1 + world.draws.below(5))
        }
      }
    }
    deploy()
    while turns < Self.stormTurns, world.violation == nil { turn() }
    calm()
    world.runOthers = nil
    world.delayed = []
    for errand in world.errands { errand.forget() }
    world.errands = []
    return SimulationOutcome(
      seed: seed, violation: world.violation, coverage: world.coverage, turns: turns)
  }

  /// Starts a version of the service.
  private func deploy() {
    let version = deployments.count + 1
    let made = definitions.definitions(sources, version: version, views: world.draws.pick([1, 2, 2, 3]))
    let plan: Plan
    do throws(DefinitionMistakes) {
      plan = try Plan(made, stateBytesMax: stateBytesMax, joinFollowMax: joinFollowMax)
    } catch {
      preconditionFailure("Cannot compile generated definitions: \(error)")
    }
    var limits = WorkerLimits()
    limits.pollRecordsMax = 1 + world.draws.below(20)
    limits.batchRecords = 1 + world.draws.below(7)
    limits.commitFoldsMax = 1 + world.draws.below(40)
    limits.commitIntervalMilliseconds = Int64(world.draws.pick([20, 100, 300]))
    limits.checkIntervalMilliseconds = Int64(world.draws.pick([50, 300, 1000]))
    limits.cachedStatesMax = world.draws.pick([2, 3, 6, 100])
    limits.commitBytesMax = world.draws.pick([500, 5_000, 64 << 20])
    limits.lookBackRecords = Int64(limits.pollRecordsMax)
    limits.cachedBytesMax = world.draws.pick([1_000, 1 << 30])
    limits.hashSecret = world.draws.next()
    let deployment = Deployment(
      plan, limits, world, broker, partitions: partitions, faults: adapterFaults)
    deployments.append(deployment)
    audit.add(deployment)
    world.trace("version \(version): \(made.views)")
    for _ in 0..<world.draws.pick([1, 1, 2, 3]) { deployment.startWorker() }
  }

  // MARK: The storm

  private func turn() {
    turns += 1
    world.now += Int64(world.draws.below(40))
    if world.strikes(.idleness) { world.now += Int64(world.draws.below(5000)) }
    broker.advance()
    for deployment in deployments { deployment.join(now: world.now) }
    world.deliverDelayed()
    world.runErrands()
    if world.isFaulty {
      strikeTheLog()
      strikeTheStore()
      operate()
    }
    feed()
    if !world.isNested { replaceOutgrown() }
    for deployment in live { step(deployment) }
    audit.check()
  }

  /// One of a version's workers makes a step.
  private func step(_ deployment: Deployment) {
    for worker in deployment.workers where worker.life.isDead && !worker.isBusy {
      deployment.workers.removeAll { $0 === worker }
      // The supervisor starts it again under its name, sooner or later.
      let isReplaced = deployment.workers.contains { $0.slot == worker.slot && !$0.life.isDead }
      if !isReplaced, world.draws.oneIn(2) { deployment.startWorker(slot: worker.slot) }
    }
    deployment.workers.removeAll { $0.isGone && !$0.isBusy }
    if deployment.workers.isEmpty { deployment.startWorker(slot: 0) }
    let ready = deployment.workers.filter(\.canRun)
    if !ready.isEmpty { world.draws.pick(ready).turn() }
  }

  private func feed() {
    guard recordsLeft > 0, !live.contains(where: \.isBereft) else { return }
    var count = world.isFaulty ? world.draws.below(3) : 0
    if world.strikes(.bursts) { count += 10 }
    for _ in 0..<min(count, recordsLeft) {
      recordsLeft -= 1
      let (source, record) = input.next(world)
      let partition =
        record.key.map { key in key.withUnsafeBytes { Murmur2.partition($0, count: partitions[source]) } }
        ?? Int32(world.draws.below(Int(partitions[source])))
      broker.produce(record, to: Place(sources[source].topic, partition))
    }
  }

  private func strikeTheLog() {
    if world.strikes(.coordinatorMoved) {
      world.coordinatorAwayUntil = world.now + Int64(world.draws.below(400))
      world.trace("coordinator moves until \(world.coordinatorAwayUntil)")
    }
    let workers = live.flatMap(\.workers)
    if !workers.isEmpty, world.strikes(.logCut) {
      let life = world.draws.pick(workers).life
      life.logCutUntil = world.now + Int64(world.draws.pick([100, 600, 3000]))
      world.trace("\(life.name)  cut off from the log until \(life.logCutUntil)")
    }
    if world.strikes(.brokersAway) {
      world.coordinatorAwayUntil = world.now + Int64(world.draws.pick([300, 1_500, 4_000]))
      for worker in workers { worker.life.logCutUntil = world.coordinatorAwayUntil }
      world.trace("all brokers are away until \(world.coordinatorAwayUntil)")
    }
    if world.strikes(.retention) { retain() }
  }

  /// Removes records that everybody has processed.
  private func retain() {
    let deployment = world.draws.pick(deployments)
    // What a cursor has to read again is known to its task alone.
    let place = world.draws.pick(deployment.oracles.filter { !$0.isOfJoin }).place
    let positions = deployments.flatMap { deployment in
      deployment.oracles.filter { $0.place == place }.map { oracle in
        min(
          broker.committed(deployment.group, place) ?? 0, deployment.redis.tasks[oracle.name]?.position ?? 0)
      }
    }
    if let bound = positions.min() { deployment.retain(place, upTo: min(bound, firstNeeded(place, bound))) }
  }

  /// The first record whose id a task needs that begins at an offset: an operator keeps a topic for longer than that.
  private func firstNeeded(_ place: Place, _ position: Int64) -> Int64 {
    guard let within = sources.first(where: { $0.topic == place.topic })?.duplicates?.within else {
      return position
    }
    let before = broker.log(place).records.filter { $0.offset < position }
    let time = (before.map(\.record.timestamp).max() ?? 0) - within / 1_000 - within / 60_000
    return before.first { $0.record.timestamp >= time }?.offset ?? position
  }

  private func strikeTheStore() {
    let deployment = world.draws.pick(live)
    let redis = deployment.redis
    if world.strikes(.storeTailLost) { redis.loseTail(1 + world.draws.below(6)) }
    if world.strikes(.storeLost) { redis.loseEverything() }
    setBack(deployment)
    if world.strikes(.oldPrimary) { deployment.split() }
    if world.strikes(.storeFailover) {
      // The replica lags, and every connection breaks.
      redis.loseTail(world.draws.below(12))
      for worker in deployment.workers {
        worker.life.storeCutUntil = world.now + Int64(world.draws.below(200))
      }
    }
    if redis.isFull {
      if world.draws.oneIn(10) { redis.setFull(false) }
    } else if world.strikes(.storeFull) {
      redis.setFull(true)
    }
    if !deployment.workers.isEmpty, world.strikes(.storeCut) {
      let life = world.draws.pick(deployment.workers).life
      life.storeCutUntil = world.now + Int64(world.draws.pick([50, 300, 2000]))
      world.trace("\(life.name)  cut off from the store until \(life.storeCutUntil)")
    }
  }

  /// Somebody deletes a position in the store, or writes an earlier one.
  private func setBack(_ deployment: Deployment) {
    let begun = deployment.oracles.compactMap { oracle in
      deployment.redis.tasks[oracle.name]?.position.map { (oracle.name, broker.log(oracle.place).first, $0) }
    }
    guard !begun.isEmpty else { return }
    let (task, first, position) = world.draws.pick(begun)
    if world.strikes(.storePositionLost) { deployment.redis.setBack(task, to: nil) }
    if position > first, world.strikes(.storePositionSetBack) {
      deployment.redis.setBack(task, to: first + Int64(world.draws.below(Int(position - first))))
    }
  }

  private func operate() {
    let deployment = world.draws.pick(live)
    if deployment.workers.count < 3, world.strikes(.scaling) { deployment.startWorker() }
    if !deployment.workers.isEmpty {
      if world.strikes(.restart) { world.draws.pick(deployment.workers).stop() }
      if deployment.workers.count < 4, world.strikes(.takeover) {
        // The same name again while the old one is alive: a zombie and its successor.
        deployment.startWorker(slot: world.draws.pick(deployment.workers).slot)
      }
    }
    if deployments.count == 1, world.strikes(.newVersion) { deploy() }
    if deployments.count == 1, world.strikes(.topicGrows) { grow() }
    if deployments.count == 1, world.strikes(.topicRecreated) { recreate() }
    if world.strikes(.smallRecords) {
      let topic = world.draws.pick(deployment.outputTopics)
      let bound = SimulatedBroker.RecordBound(
        bytes: world.draws.pick([40, 150, 400]), isOfClient: world.draws.oneIn(2))
      world.trace("operator  lets \(topic) take records of \(bound.bytes) bytes")
      broker.limit(topic, bound)
    }
    if !world.isNested, world.strikes(.offsetsReset) {
      deployment.stopAll()
      deployment.resetOffsets()
    }
  }

  /// Gives a source another partition. Keys move to it, so most versions have to make place for a new one.
  private func grow() {
    let source = world.draws.below(sources.count)
    // Each is begun by calls in which an instance may be suspended, while others add more: without an end there would be none.
    if live.contains(where: \.isOutgrown) || partitions[source] >= Self.partitionsMax { return }
    // Deletions of one moment are alike: none of after it may be like one of before, which lies elsewhere.
    world.now += 1
    let place = broker.addPartition(sources[source].topic)
    world.trace("operator  adds \(place.logged)")
    partitions[source] += 1
    for deployment in live { deployment.sourceGrew(source, place) }
  }

  /// Deletes a source's topic and creates it again.
  private func recreate() {
    let topic = world.draws.pick(sources).topic
    guard live.allSatisfy({ $0.hasFolded(topic) }) else { return }
    world.trace("operator  deletes \(topic) and creates it again")
    broker.recreate(topic)
    for deployment in live { deployment.sourceWasRecreated() }
  }

  /// Fills a new version where one has stopped for its topics.
  private func replaceOutgrown() {
    for deployment in live where deployment.mustBeReplaced {
      deployment.retire()
      deploy()
    }
  }

  // MARK: The calm

  /// When everything is processed, nothing is committed any more. The mark of a transaction that ends late is something: it is
  /// gone over.
  private func checkRest() {
    for _ in 0..<40 {
      let (commits, ends) = (broker.commits, broker.ends)
      for _ in 0..<20 where world.violation == nil { turn() }
      if world.violation != nil || !audit.isComplete { return }
      guard broker.ends == ends else { continue }
      if broker.commits > commits { world.violate("\(broker.commits - commits) commits of nothing") }
      return
    }
    world.violate("what was committed never came to rest")
  }

  private func calm() {
    guard world.violation == nil else { return }
    world.trace("calm")
    world.isFaulty = false
    for deployment in deployments {
      deployment.redis.setFull(false)
      deployment.join(now: .max)
      deployment.killNamesakes()
    }
    // Where each of those that lag was, and since when.
    var places: [String: (place: String, turn: Int)] = [:]
    let start = turns
    while world.violation == nil {
      turn()
      guard turns % 5 == 0 else { continue }
      let laggards = audit.laggards
      if laggards.isEmpty {
        audit.checkEnd()
        return checkRest()
      }
      places = laggards.reduce(into: [:]) { known, laggard in
        let last = places[laggard.name]
        known[laggard.name] = last?.place == laggard.place ? last : (laggard.place, turns)
      }
      let standing = places.filter {
        turns - $0.value.turn > Self.calmTurnsMax || turns - start > Self.endlessTurns
      }
      if let (name, last) = standing.min(by: { $0.key < $1.key }) {
        world.violate("not everything was processed in time: \(name) \(last.place)")
      }
    }
  }
}
