import FeatureCore
import Processor

/// One instance of the service: the runner of production, one step at a time.
final class Worker {
  let life: Life
  let slot: Int
  private unowned let deployment: Deployment
  private let world: World
  private let broker: SimulatedBroker
  private let faults: AdapterFaults
  private var runner: WorkerRunner<SimulatedLog, SimulatedStore>?
  private var isStopping = false
  private var hasLog = false
  /// In the middle of a step, suspended.
  private(set) var isBusy = false
  private(set) var isGone = false
  /// Monotonic clocks of processes have nothing in common.
  private let clockOffset: Int64

  init(
    _ life: Life, _ slot: Int, _ deployment: Deployment, _ world: World, _ broker: SimulatedBroker,
    faults: AdapterFaults
  ) {
    self.life = life
    self.slot = slot
    self.deployment = deployment
    self.world = world
    self.broker = broker
    self.faults = faults
    clockOffset = Int64(world.draws.below(1_000_000))
    runner = WorkerRunner(
      deployment.plan,
      store: SimulatedStore(
        life, world, faults: faults, statesMax: Self.statesMax(deployment),
        // What is there before the commit is due, a batch that is as large, and a record that is larger by itself.
        bytesMax: 2 * deployment.limits.commitBytesMax + Self.recordBytesMax(deployment.plan),
        server: { [unowned deployment] in deployment.server(of: life) }),
      limits: deployment.limits, partitions: deployment.partitions,
      now: { [unowned self] in world.now + clockOffset },
      isStopping: { [unowned self] in isStopping },
      report: { [unowned self] in report($0) }, note: { [unowned self] in report($0) },
      makeLog: { [unowned self] () throws(LogError) in try makeLog() })
  }

  /// What is there before the commit is due, and the batch after which it is.
  private static func statesMax(_ deployment: Deployment) -> Int {
    // With one record of a join's log the right events of many keys may be forgotten.
    let forgotten = deployment.plan.joins.reduce(0) { $0 + ($1.readerCount > 0 ? $1.followMax : 0) }
    return forgotten + deployment.limits.commitFoldsMax - 1
      + max(deployment.limits.commitFoldsMax, deployment.plan.views.count) + deployment.plan.joins.count
  }

  private static func recordBytesMax(_ plan: Plan) -> Int {
    // Of a join, a few events of a key, and how far it is.
    plan.views.reduce(0) { $0 + $1.stateBytesMax + $1.growthUsual } + plan.joins.count * 8_000
  }

  /// What a batch is larger by after it was folded than it seemed before.
  private static func growth(_ deployment: Deployment) -> Int {
    deployment.limits.batchRecords * deployment.plan.views.reduce(0) { $0 + $1.growthUsual }
  }

  var canRun: Bool { !isBusy && !life.isCommitting && !isGone && !life.isDead }

  func kill(_ reason: String) {
    if !life.isDead { world.trace("\(life.name)  \(reason)") }
    life.isDead = true
  }

  /// Asks it to complete its last commit and leave.
  func stop() {
    if !isStopping { world.trace("\(life.name)  asked to stop") }
    isStopping = true
  }

  /// One step.
  func turn() {
    guard let runner else { return }
    let start = world.now
    isBusy = true
    defer { isBusy = false }
    do throws(ProcessorError) {
      if try !runner.turn() {
        isGone = true
        if !life.isDead {
          world.trace("\(life.name)  has left")
          world.coverage.hit(.finished)
        }
      }
    } catch {
      end(error, start)
    }
    checkCache()
    if life.isDead || isGone { forget() }
  }

  /// Two generations: each is full before the next begins, and by what one commit may bring larger than that.
  private func checkCache() {
    let most = 2 * (deployment.limits.cachedStatesMax / 2 - 1 + Self.statesMax(deployment))
    let found = runner?.cachedStates ?? 0
    if found > most {
      world.violate("\(life.name) has \(found) states of a view in memory, more than \(most)")
    }
  }

  private func makeLog() throws(LogError) -> SimulatedLog {
    let log = try SimulatedLog(
      life, broker, group: deployment.group, transactionalID: "\(deployment.group).\(slot)",
      topics: deployment.routing.inputs.map(\.topic),
      snapshots: SnapshotBound(
        topic: deployment.routing.snapshotTopic,
        bytesMax: 2 * deployment.limits.commitBytesMax + Self.growth(deployment),
        perRecord: 4 * deployment.plan.views.count,
        stateBytesMax: Dictionary(
          uniqueKeysWithValues: deployment.plan.views.map { ($0.name, $0.stateBytesMax) })), faults: faults)
    if hasLog { world.coverage.hit(.restarted) }
    hasLog = true
    return log
  }

  private func report(_ message: String) {
    if !life.isDead { world.trace("\(life.name)  reports: \(message)") }
  }

  private func end(_ error: ProcessorError, _ start: Int64) {
    if life.isDead { return }
    world.trace("\(life.name)  stops: \(error)")
    isGone = true
    // It was told of a past that is not the store's any more: started again, it asks the right one.
    if life.isOnOldPrimary || deployment.isRestoring { return }
    if deployment.isBereft, error.description.contains("created anew") {
      world.coverage.hit(.stopsForAnotherTopic)
      deployment.mustBeReplaced = true
    } else if deployment.isOutgrown {
      world.coverage.hit(.stopsForPartitions)
      deployment.mustBeReplaced = true
    } else if !deployment.repair(), max(deployment.lastRepair, broker.lastRaised) < min(start, life.refused) {
      world.violate("\(life.name) stopped, and there is nothing that only a person could help with: \(error)")
    }
  }

  /// What a process leaves behind: nothing.
  private func forget() {
    guard let counts = runner?.counts else { return }
    world.coverage.hit(.recovered, counts.recovered)
    world.coverage.hit(.deadLettered, counts.deadLetters.values.reduce(0, +))
    world.coverage.hit(.forwarded, counts.forwarded)
    world.coverage.hit(.fired, counts.fired.values.reduce(0, +))
    world.coverage.hit(.late, counts.late)
    world.coverage.hit(.duplicate, counts.duplicates)
    world.coverage.hit(.tooLarge, counts.deadLetters["state_too_large"] ?? 0)
    world.coverage.hit(.misplaced, counts.deadLetters["wrong_partition"] ?? 0)
    runner = nil
  }
}
