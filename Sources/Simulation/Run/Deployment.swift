import BrokerCore
import FeatureCore
import Processor

/// One version of the service: its definitions, store, group and workers.
final class Deployment {
  let plan: Plan
  let routing: Routing
  let group: String
  let redis: SimulatedRedis
  /// A primary that doesn't know yet that another has taken its place; what it is told is lost.
  private(set) var oldPrimary: (server: SimulatedRedis, until: Int64)?
  let limits: WorkerLimits
  /// Partitions of the inputs by name.
  let partitions: [String: Int32]
  private(set) var oracles: [TaskOracle] = []
  var workers: [Worker] = []
  /// The offsets that a person has moved, and where they were.
  private(set) var resets: [Place: Int64] = [:]
  /// When something was last put right that only a person could.
  private(set) var lastRepair = Int64.min
  /// Whether the definitions fold a source that has more partitions than it had when the version began.
  private(set) var isOutgrown = false
  /// Whether a source that it reads was deleted and created again.
  private(set) var isBereft = false
  /// Whether a worker has stopped because of either.
  var mustBeReplaced = false
  /// Whether another version has taken its place.
  private(set) var isRetired = false
  /// Whether its states are being restored.
  var isRestoring = false
  let world: World
  let broker: SimulatedBroker
  let faults: AdapterFaults
  private var nextSlot = 0

  init(
    _ plan: Plan, _ limits: WorkerLimits, _ world: World, _ broker: SimulatedBroker, partitions: [Int32],
    faults: AdapterFaults
  ) {
    self.plan = plan
    self.limits = limits
    self.world = world
    self.broker = broker
    self.faults = faults
    routing = Routing(plainly: plan)
    group = "\(plan.name).\(plan.version)"
    var partitions = partitions
    for join in plan.joins { partitions.append(partitions[join.source(of: .left)]) }
    self.partitions = Dictionary(
      uniqueKeysWithValues: routing.inputs.map { ($0.name, partitions[$0.source]) })
    redis = SimulatedRedis(world)
    for input in routing.inputs { broker.createTopic(input.topic, partitions: partitions[input.source]) }
    broker.createTopic(routing.snapshotTopic, partitions: partitions.max() ?? 1)
    broker.createTopic(routing.deadLetterTopic, partitions: 1)
    broker.createTopic(routing.triggerTopic, partitions: 1)
    for input in routing.inputs {
      oracles += broker.places(input.topic).map {
        TaskOracle(plan, input, broker.log($0), of: partitions[input.source])
      }
    }
  }

  /// Everything that it writes.
  var outputTopics: [String] {
    [routing.snapshotTopic, routing.deadLetterTopic, routing.triggerTopic]
      + routing.inputs.filter(\.isRepartitioned).map(\.topic)
      + plan.joins.map { plan.sources[$0.source].source.topic }
  }

  func startWorker(slot: Int? = nil) {
    let slot = slot ?? nextSlot
    nextSlot = max(nextSlot, slot + 1)
    let life = Life("v\(plan.version).w\(slot)")
    world.trace("\(life.name)  started")
    workers.append(Worker(life, slot, self, world, broker, faults: faults))
  }

  // MARK: The store

  /// Cuts the store in two: from here on some workers talk to a primary that nobody else listens to.
  func split() {
    guard oldPrimary == nil, !workers.isEmpty else { return }
    let until = world.now + Int64(world.draws.pick([100, 600, 2_000]))
    world.trace("redis  has two primaries until \(until)")
    oldPrimary = (SimulatedRedis(copy: redis), until)
    for worker in workers where world.draws.oneIn(2) { worker.life.isOnOldPrimary = true }
  }

  /// Ends that, once its time is over.
  func join(now: Int64) {
    guard let oldPrimary, now >= oldPrimary.until else { return }
    world.trace("redis  has one primary again")
    self.oldPrimary = nil
    for worker in workers { worker.life.isOnOldPrimary = false }
  }

  /// Where a worker's requests go.
  func server(of life: Life) -> SimulatedRedis {
    life.isOnOldPrimary ? oldPrimary?.server ?? redis : redis
  }

  // MARK: The operator

  /// What makes a store lack what the log has no more.
  private static let losses: [FaultKind] = [
    .retention, .storeLost, .storeTailLost, .storeFailover, .storePositionLost, .storePositionSetBack,
    .oldPrimary,
  ]

  private func lacksRecords(_ oracle: TaskOracle, _ low: Int64) -> Bool {
    redis.tasks[oracle.name]?.position ?? 0 < low || low > 0 && redis.setBack.contains(oracle.name)
  }

  func isReset(_ place: Place) -> Bool { resets[place] != nil }

  /// Moves the group's offset of some partition back, while nobody is in the group.
  func resetOffsets() {
    let candidates = oracles.filter { oracle in
      guard let committed = broker.committed(group, oracle.place) else { return false }
      return redis.tasks[oracle.name]?.position == committed && committed > broker.log(oracle.place).logStart
    }
    guard !candidates.isEmpty else { return }
    let place = world.draws.pick(candidates).place
    guard let committed = broker.committed(group, place) else { return }
    let low = broker.log(place).logStart
    let offset = low + Int64(world.draws.below(Int(committed - low)))
    world.trace("operator  moves \(group)'s offset of \(place.logged) from \(committed) to \(offset)")
    resets[place] = committed
    commit(place, offset)
  }

  private func commit(_ place: Place, _ offset: Int64) {
    do throws(KafkaError) {
      try broker.core.commitOffsets(
        group, member: GroupMember(), [place: CommittedOffset(offset: offset)], now: world.wallClock)
      broker.forgetCommit(group, place)
    } catch { preconditionFailure("Cannot move the offsets of a group with members: \(error)") }
  }

  /// Kills everybody and waits until the group has noticed.
  func stopAll() {
    for worker in workers { worker.kill("stopped by the operator") }
    workers = []
    while !["Empty", "Dead"].contains(broker.core.describeGroup(group).state) {
      world.now += Int64(SimulatedBroker.sessionMilliseconds)
      broker.advance()
    }
  }

  /// Leaves one of those that have the same name: as long as two live, each takes over from the other without end.
  func killNamesakes() {
    for (index, worker) in workers.enumerated()
    where workers[(index + 1)...].contains(where: { $0.slot == worker.slot && !$0.life.isDead }) {
      worker.kill("killed: another has its name")
    }
  }

  /// A worker has stopped for good: does what its message asks for. Returns whether there was anything to do.
  func repair() -> Bool {
    var isRepaired = false
    var lacksStates = false
    for oracle in oracles {
      if broker.committed(group, oracle.place) == nil { continue }
      let low = broker.log(oracle.place).logStart
      if let right = resets[oracle.place] {
        world.coverage.hit(.stopsForOffsets)
        stopAll()
        world.trace("operator  moves \(group)'s offset of \(oracle.place.logged) back to \(right)")
        resets[oracle.place] = nil
        commit(oracle.place, right)
        isRepaired = true
      } else if redis.tasks[oracle.name]?.position ?? 0 < 0 {
        world.coverage.hit(.restorationRepeated)
        lacksStates = true
      } else if lacksRecords(oracle, low), Self.losses.contains(where: world.faults.isOn) {
        world.coverage.hit(.stopsForRetention)
        lacksStates = true
      }
    }
    if broker.raiseLimits() {
      world.coverage.hit(.stopsForSize)
      world.trace("operator  lets the topics take records of any size")
      isRepaired = true
    }
    if lacksStates {
      restoreFromSnapshots()
      isRepaired = true
    }
    if isRepaired { lastRepair = world.now }
    return isRepaired
  }

  /// A source has got a partition. What is only forwarded is forwarded from there, too.
  func sourceGrew(_ source: Int, _ place: Place) {
    for input in routing.inputs where input.topic == place.topic {
      if input.views.isEmpty {
        oracles.append(TaskOracle(plan, input, broker.log(place), of: place.partition + 1))
      } else {
        isOutgrown = true
      }
    }
  }

  /// Whether each task of a source has folded something: no offset of any of them fits another topic.
  func hasFolded(_ topic: String) -> Bool {
    let tasks = oracles.filter { $0.place.topic == topic }
    return !tasks.isEmpty
      && tasks.allSatisfy {
        broker.committed(group, $0.place) ?? 0 > 0 && redis.tasks[$0.name]?.position ?? 0 > 0
      }
  }

  /// A source that it reads is another topic now.
  func sourceWasRecreated() { isBereft = true }

  /// Makes place for another version.
  func retire() {
    world.trace("operator  stops version \(plan.version) for good")
    stopAll()
    isRetired = true
  }

  /// Removes records that everybody has processed.
  func retain(_ place: Place, upTo bound: Int64) {
    let log = broker.log(place)
    guard bound > log.logStart else { return }
    let offset = log.logStart + 1 + Int64(world.draws.below(Int(bound - log.logStart)))
    log.sync()
    world.trace("retention  \(place.logged) begins at \(offset)")
    _ = try? broker.core.deleteRecords(place, before: offset)
  }
}
