import Processor

/// One worker's connection to the simulated server.
final class SimulatedStore: StateStorePort {
  private let life: Life
  private let server: () -> SimulatedRedis
  private let world: World
  private let faults: AdapterFaults
  /// States, and their bytes, that the loop may write at once.
  private let statesMax: Int
  private let bytesMax: Int
  /// The write that is under way.
  private var errand: Errand<StoreError>?

  init(
    _ life: Life, _ world: World, faults: AdapterFaults, statesMax: Int, bytesMax: Int,
    server: @escaping () -> SimulatedRedis
  ) {
    self.life = life
    self.server = server
    self.world = world
    self.faults = faults
    self.statesMax = statesMax
    self.bytesMax = bytesMax
  }

  private var redis: SimulatedRedis { server() }

  func claim(_ task: String) throws(StoreError) -> TaskClaim {
    var claim = TaskClaim(epoch: 0, position: nil)
    try gate("claiming \(task)") { () throws(StoreError) in
      try refuseIfFull()
      claim = redis.claim(task)
      if world.strikes(.storeDuplicate) { claim = redis.claim(task) }
    }
    life.claimed = claim.position
    return claim
  }

  func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    // Many keys are read in several commands, each of which may fail.
    var start = 0
    repeat {
      let end = min(keys.count, start + commandKeys(keys.count))
      try gate("loading \(keys.count) states of \(task)") { () throws(StoreError) in
        let stored = redis.tasks[task]
        let isFree = start > 0 && faults.contains(.fencedOnlyFirst)
        if !isFree, isFenced(stored?.epoch, epoch) {
          throw refused(.fenced, .loadFenced, task, "epoch \(epoch)")
        }
        if !isFree, isMoved(stored?.position, position), next == nil || isMoved(stored?.position, next) {
          throw refused(
            .moved, .loadMoved, task, "position \(position ?? -1), found \(stored?.position ?? -1)")
        }
        for index in start..<end {
          guard let state = keys.withBytes(index, { stored?.states[Array($0)] }), !state.bytes.isEmpty else {
            body(index, .none)
            continue
          }
          world.coverage.hit(.cacheLoaded)
          state.bytes.withUnsafeBytes { body(index, .state($0, position: state.position)) }
        }
      }
      start = end
    } while start < keys.count
  }

  func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool {
    if !world.strikes(.overlap) {
      try write(task, epoch: epoch, from: from, to: position, states)
      return true
    }
    errand = Errand(life, world) { [self] () throws(StoreError) in
      try write(task, epoch: epoch, from: from, to: position, states)
    }
    return false
  }

  func finishCommit(waiting: Bool) throws(StoreError) -> Bool {
    guard let errand else { return true }
    return try errand.finish(waiting: waiting)
  }

  private func write(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, _ states: KeyedStates
  ) throws(StoreError) {
    let written = (0..<states.count).map { index in states.withBytes(index) { (Array($0), Array($1)) } }
    if let from, from > position, states.count == 0 { world.coverage.hit(.beginsBack) }
    if let from, from > position, position >= 0, !redis.setBack.contains(task) {
      world.violate("\(life.name) began \(task) anew at \(position), which nobody has set back from \(from)")
    }
    if let from, from >= position, states.count > 0 {
      world.violate("\(life.name) wrote states of \(task) without a new position: \(from), then \(position)")
    }
    if states.count > statesMax {
      world.violate("\(life.name) wrote \(states.count) states of \(task) at once, more than \(statesMax)")
    }
    if states.byteCount > bytesMax {
      world.violate("\(life.name) wrote \(states.byteCount) bytes of \(task) at once, more than \(bytesMax)")
    }
    let call = "storing \(states.count) states of \(task) \(from ?? -1)..\(position)"
    try gate(call) { () throws(StoreError) in
      try refuseIfFull()
      if world.strikes(.storeDelayed) {
        delay(task, epoch, from, position, written, states.position)
        throw StoreError(.retry, "no answer")
      }
      let stored = redis.tasks[task]
      if isFenced(stored?.epoch, epoch) { throw refused(.fenced, .storeFenced, task, "epoch \(epoch)") }
      if stored?.position == position, !faults.contains(.noFence) {
        world.coverage.hit(.storedBefore)
        return
      }
      if isMoved(stored?.position, from) {
        throw refused(.moved, .storeMoved, task, "position \(from ?? -1), found \(stored?.position ?? -1)")
      }
      if faults.contains(.tornCommit) {
        redis.write(task, at: position, written, folded: states.position, movesPosition: false)
        if let obstacle = world.during(life, call) { throw StoreError(obstacle) }
        redis.write(task, at: position, [])
      } else {
        redis.write(task, at: position, written, folded: states.position)
      }
      world.trace("\(life.name)  stored \(states.count) states of \(task) at \(position)")
    }
  }

  /// Keys of the next command of a load.
  private func commandKeys(_ count: Int) -> Int {
    if !world.isFaulty { return count }
    return world.strikes(.loadCut) ? 1 : 1 + world.draws.below(8)
  }

  /// The request arrives later, behind others that were sent after it.
  private func delay(
    _ task: String, _ epoch: Int64, _ from: Int64?, _ position: Int64,
    _ written: [(key: [UInt8], value: [UInt8])], _ folded: Int64?
  ) {
    let (redis, name) = (redis, life.name)
    world.delayed.append { [self] in
      let stored = redis.tasks[task]
      if redis.isFull || isFenced(stored?.epoch, epoch) || isMoved(stored?.position, from) { return }
      redis.write(task, at: position, written, folded: folded)
      world.trace("\(name)  late: stored \(written.count) states of \(task) at \(position)")
    }
  }

  private func isFenced(_ stored: Int64?, _ own: Int64) -> Bool {
    stored != own && !faults.contains(.noFence) && !faults.contains(.noEpoch)
  }

  private func isMoved(_ stored: Int64?, _ own: Int64?) -> Bool {
    stored != own && !faults.contains(.noFence) && !faults.contains(.noPosition)
  }

  private func refuseIfFull() throws(StoreError) {
    if redis.isFull { throw StoreError(.retry, "out of memory") }
  }

  private func refused(
    _ remedy: StoreError.Remedy, _ branch: RecoveryBranch, _ task: String, _ detail: String
  ) -> StoreError {
    world.coverage.hit(branch)
    return StoreError(remedy, "task \(task): \(remedy): \(detail)")
  }

  private func gate(_ call: String, _ body: () throws(StoreError) -> Void) throws(StoreError) {
    do throws(StoreError) {
      if let obstacle = world.before(life, .store, call) { throw StoreError(obstacle) }
      try body()
      if let obstacle = world.after(life, .store, call) { throw StoreError(obstacle) }
    } catch {
      if !life.isDead { world.trace("\(life.name)  \(error.remedy): \(error.message)") }
      if error.remedy == .retry { world.coverage.hit(.storeRetried) }
      throw error
    }
  }
}

extension StoreError {
  init(_ obstacle: Obstacle) {
    switch obstacle {
    case .dead: self.init(.fatal, "the process is dead")
    case .unavailable: self.init(.retry, "no answer")
    }
  }
}
