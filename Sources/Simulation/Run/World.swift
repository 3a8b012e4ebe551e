import Processor

/// One process of the service, as far as it can be killed, suspended or cut off.
final class Life {
  let name: String
  /// Killed: its calls have no effect any more.
  var isDead = false
  /// Stopped in the middle of a call; the world goes on.
  var isSuspended = false
  /// Its other thread is suspended in the middle of a commit.
  var isCommitting = false
  var logCutUntil: Int64 = 0
  var storeCutUntil: Int64 = 0
  /// When the log last refused something for good: a commit's thread meets that before the loop hears of it.
  var refused = Int64.max
  /// The store's position of the task that was claimed last: what a begin builds on.
  var claimed: Int64?
  /// Talks to a store that others no longer take for the primary.
  var isOnOldPrimary = false

  init(_ name: String) { self.name = name }
}

/// What keeps a call from its effect, or its caller from the answer.
enum Obstacle {
  case dead, unavailable
}

/// Time, chance and the record of a run: everything that the simulated parts share.
final class World {
  /// Virtual milliseconds since the run began.
  var now: Int64 = 0
  var draws: SplitMix64
  let faults: FaultPlan
  /// False in the quiet that a run ends with.
  var isFaulty = true
  var coverage = Coverage()
  /// The first breach of an invariant; the run ends with it.
  private(set) var violation: String?
  /// Runs some turns of everybody but the suspended.
  var runOthers: ((Int) -> Void)?
  /// The coordinator answers nothing until then.
  var coordinatorAwayUntil: Int64 = 0
  /// Requests that are still under way, though nobody waits for them.
  var delayed: [() -> Void] = []
  /// Commits that other threads are to make.
  var errands: [any PendingErrand] = []
  private var suspensions = 0
  private let sink: ((String) -> Void)?

  /// The wall clock when a run begins: 2023-11-14.
  static let epochMilliseconds: Int64 = 1_700_000_000_000

  init(draws: SplitMix64, faults: FaultPlan, trace: ((String) -> Void)?) {
    self.draws = draws
    self.faults = faults
    sink = trace
  }

  var wallClock: Int64 { Self.epochMilliseconds + now }

  func trace(_ line: @autoclosure () -> String) {
    guard let sink else { return }
    let time = String(now)
    let indent = String(repeating: "  ", count: suspensions)
    sink(String(repeating: " ", count: max(0, 7 - time.count)) + time + "  " + indent + line())
  }

  func violate(_ message: @autoclosure () -> String) {
    guard violation == nil else { return }
    violation = message()
    trace("VIOLATION \(message())")
  }

  /// Whether a fault happens at this occasion.
  func strikes(_ kind: FaultKind) -> Bool {
    let rate = faults.rate(kind)
    guard isFaulty, rate > 0, draws.below(1000) < rate else { return false }
    coverage.hit(kind)
    return true
  }

  /// Lets some of the requests that are under way arrive, in any order.
  func deliverDelayed() {
    while !delayed.isEmpty, draws.oneIn(3) { delayed.remove(at: draws.below(delayed.count))() }
  }

  /// Lets some of the other threads get on, in any order.
  func runErrands() {
    while !errands.isEmpty, draws.oneIn(3) { errands.remove(at: draws.below(errands.count)).run() }
  }

  enum Port { case log, store }

  /// On the way to an effect.
  func before(_ life: Life, _ port: Port, _ call: @autoclosure () -> String) -> Obstacle? {
    if life.isDead { return .dead }
    suspend(life, call())
    if strikes(.crashBefore) { return kill(life, "before \(call())") }
    switch port {
    case .log:
      if now < life.logCutUntil || strikes(.logUnavailable) { return lost(life, call(), "request") }
    case .store:
      if now < life.storeCutUntil || strikes(.storeUnavailable) { return lost(life, call(), "request") }
      if strikes(.storeSlow) { pause(life, 1 + draws.below(4), "slow: \(call())") }
    }
    return nil
  }

  /// On the way back.
  func after(_ life: Life, _ port: Port, _ call: @autoclosure () -> String) -> Obstacle? {
    if life.isDead { return .dead }
    if strikes(.crashAfter) { return kill(life, "after \(call())") }
    suspend(life, "after \(call())")
    switch port {
    case .log: if strikes(.logReplyLost) { return lost(life, call(), "reply") }
    case .store: if strikes(.storeReplyLost) { return lost(life, call(), "reply") }
    }
    return nil
  }

  /// Between two parts of an effect.
  func during(_ life: Life, _ call: @autoclosure () -> String) -> Obstacle? {
    if life.isDead { return .dead }
    if strikes(.crashDuring) { return kill(life, "during \(call())") }
    suspend(life, "during \(call())")
    return nil
  }

  private func lost(_ life: Life, _ call: String, _ what: String) -> Obstacle {
    trace("\(life.name)  \(call): \(what) lost")
    return .unavailable
  }

  private func kill(_ life: Life, _ moment: String) -> Obstacle {
    life.isDead = true
    trace("\(life.name)  killed \(moment)")
    return .dead
  }

  private func suspend(_ life: Life, _ call: @autoclosure () -> String) {
    if strikes(.suspension) { pause(life, 1 + draws.below(25), call()) }
    if strikes(.slowInstance) {
      pause(life, 20 + draws.below(60), "for long, \(call())")
    }
  }

  /// The world goes on without this instance for some turns.
  private func pause(_ life: Life, _ turns: Int, _ call: String) {
    guard suspensions < 3, violation == nil else { return }
    trace("\(life.name)  suspended: \(call)")
    suspensions += 1
    life.isSuspended = true
    runOthers?(turns)
    life.isSuspended = false
    suspensions -= 1
    trace("\(life.name)  goes on: \(call)")
  }

  var isNested: Bool { suspensions > 0 }
}
