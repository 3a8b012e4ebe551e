import Processor

/// One instance of the service, step by step as `WorkerRunner` runs it: a new log after `.restart`, the end after `.stop`.
final class Worker {
  let life: Life
  let slot: Int
  private unowned let deployment: Deployment
  private let world: World
  private let broker: SimulatedBroker
  private let faults: AdapterFaults
  private let store: SimulatedStore
  private var log: SimulatedLog?
  private var loop: ProcessorLoop<SimulatedLog, SimulatedStore>?
  private var isStopping = false
  private var finishUntil: Int64 = 0
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
    store = SimulatedStore(life, deployment.redis, world, faults: faults)
    clockOffset = Int64(world.draws.below(1_000_000))
  }

  var canRun: Bool { !isBusy && !isGone && !life.isDead }
  private var clock: Int64 { world.now + clockOffset }

  func kill(_ reason: String) {
    if !life.isDead { world.trace("\(life.name)  \(reason)") }
    life.isDead = true
  }

  /// Asks it to complete its last commit and leave.
  func stop() {
    guard !isStopping else { return }
    world.trace("\(life.name)  asked to stop")
    isStopping = true
    finishUntil = world.now + 1000
  }

  /// One step.
  func turn() {
    isBusy = true
    let start = world.now
    defer { isBusy = false }
    do throws(ProcessorError) {
      try work()
    } catch {
      end(error, start)
    }
    if life.isDead { forget() }
  }

  private func work() throws(ProcessorError) {
    guard let loop = try makeLoop() else { return }
    guard isStopping else { return try loop.step(now: clock) }
    let isDone = try loop.finish(now: clock)
    if isDone { world.coverage.hit(.finished) }
    if isDone || world.now >= finishUntil { leave() }
  }

  private func makeLoop() throws(ProcessorError) -> ProcessorLoop<SimulatedLog, SimulatedStore>? {
    if let loop { return loop }
    if isStopping {
      isGone = true
      return nil
    }
    let made: SimulatedLog
    do throws(LogError) {
      made = try SimulatedLog(
        life, broker, group: deployment.group,
        transactionalID: "\(deployment.group).\(slot)", topics: deployment.routing.inputs.map(\.topic),
        faults: faults)
    } catch {
      if error.remedy == .retry || life.isDead { return nil }
      throw ProcessorError(remedy: .stop, description: error.message)
    }
    let new = ProcessorLoop(deployment.plan, log: made, store: store, limits: deployment.limits, now: clock)
    (log, loop) = (made, new)
    return new
  }

  private func end(_ error: ProcessorError, _ start: Int64) {
    if life.isDead { return }
    world.trace("\(life.name)  \(error.remedy): \(error)")
    leave()
    switch error.remedy {
    case .restart:
      world.coverage.hit(.restarted)
      isGone = isStopping
    case .stop:
      isGone = true
      if !deployment.repair(), deployment.lastRepair < start {
        world.violate(
          "\(life.name) stopped, and there is nothing that only a person could help with: \(error)")
      }
    }
  }

  private func leave() {
    if let log { log.close(timeoutMilliseconds: 0) }
    forget()
    isGone = isStopping
  }

  /// What a killed process leaves behind: nothing.
  private func forget() {
    if let counts = loop?.counts {
      world.coverage.hit(.recovered, counts.recovered)
      world.coverage.hit(.deadLettered, counts.deadLetters.values.reduce(0, +))
      world.coverage.hit(.forwarded, counts.forwarded)
      world.coverage.hit(.late, counts.late)
    }
    log = nil
    loop = nil
  }
}
