/// What can go wrong in a run.
public enum FaultKind: String, CaseIterable, Sendable {
  // A process.
  case crashBefore = "crash before an effect"
  case crashDuring = "crash during an effect"
  case crashAfter = "crash after an effect"
  case suspension = "instance suspended, goes on later"
  case slowInstance = "instance suspended beyond its session"
  case restart = "instance stopped and started"
  case scaling = "instance added or removed"
  // The log.
  case logUnavailable = "log: request lost"
  case logReplyLost = "log: reply lost"
  case logCut = "log: instance cut off"
  case logDuplicate = "log: request sent twice"
  case coordinatorMoved = "log: coordinator moved"
  case transactionFailed = "log: a record of the transaction refused"
  case transactionTimedOut = "log: transaction timed out"
  case queueFull = "log: producer's queue full"
  case eagerSending = "log: records sent before the commit"
  case redelivery = "log: records delivered again"
  case takeover = "log: transactional id taken over"
  case rebalance = "log: rebalance forced"
  case retention = "log: old records removed"
  case lateBeginning = "log: begins above 0"
  // The store.
  case storeUnavailable = "store: request lost"
  case storeReplyLost = "store: reply lost"
  case storeDuplicate = "store: request sent twice"
  case storeCut = "store: instance cut off"
  case storeTailLost = "store: last writes lost"
  case storeLost = "store: everything lost"
  case storePositionLost = "store: a task's position deleted"
  case storePositionSetBack = "store: a task's position set back"
  case storeFailover = "store: lagging replica takes over"
  case storeFull = "store: out of memory"
  case storeSlow = "store: slow reply"
  // The input.
  case outOfOrder = "input: out of order"
  case duplicateTimes = "input: duplicate times"
  case malformed = "input: malformed"
  case hotKeys = "input: hot keys"
  case bursts = "input: bursts"
  case idleness = "input: idle"
  // The operator.
  case newVersion = "operator: new version beside the old"
  case offsetsReset = "operator: offsets reset"
  // Drawn apart, so that the seeds that once found something still do.
  case clientDied = "log: client library gives up"
  case brokersAway = "log: all brokers away"
  case lateMarks = "log: a transaction's marks come after its answer"
  case storeDelayed = "store: request delayed, others overtake it"
  case oldPrimary = "store: an old primary goes on beside the new one"
  case loadCut = "store: a load of many commands"
  case topicGrows = "operator: partitions added to a source"
  case overlap = "commit: made while the loop goes on"
  // Drawn apart from those, too.
  case longTexts = "input: long texts"
  case oversized = "input: larger than a record may be"
  case smallRecords = "operator: a topic takes smaller records"
  case topicRecreated = "operator: a source deleted and created again"

  /// Those that were added once seeds had found faults.
  static let added: Set<FaultKind> = [
    .clientDied, .brokersAway, .lateMarks, .storeDelayed, .oldPrimary, .loadCut, .topicGrows,
    .overlap,
  ]

  /// Those that were added after these.
  static let addedLast: Set<FaultKind> = [.longTexts, .oversized, .smallRecords, .topicRecreated]

  static let index = Dictionary(uniqueKeysWithValues: allCases.enumerated().map { ($1, $0) })
}

/// Which faults a run may meet, and how likely each is: a random subset, so that some runs are stormy in one way and
/// calm in all others (swarm testing).
struct FaultPlan {
  /// By `FaultKind`, in thousandths of the occasions; 0 is off.
  private var rates: [Int]

  init(_ random: inout SplitMix64) {
    rates = [Int](repeating: 0, count: FaultKind.allCases.count)
    var stream = random
    let own = stream.next()
    // With these numbers they are off in the seeds that docs/simulation.md names.
    draw(FaultKind.added, SplitMix64(seed: own ^ 0x6753), shares: [0, 0, 25, 50, 100])
    draw(FaultKind.addedLast, SplitMix64(seed: own ^ 0x2D28), shares: [0, 0, 0, 0, 0, 0, 50, 100])
    // From calm to everything at once.
    let share = random.pick([0, 10, 25, 25, 50, 50, 75, 100])
    let scale = random.pick([1, 2, 2, 4])
    for (index, kind) in FaultKind.allCases.enumerated()
    where !FaultKind.added.contains(kind) && !FaultKind.addedLast.contains(kind) && random.below(100) < share
    {
      rates[index] = kind.rate * (kind.isScaled ? scale : 1)
    }
    exclude()
  }

  private mutating func draw(_ kinds: Set<FaultKind>, _ random: SplitMix64, shares: [Int]) {
    var random = random
    let share = random.pick(shares)
    for (index, kind) in FaultKind.allCases.enumerated()
    where kinds.contains(kind) && random.below(100) < share { rates[index] = kind.rate }
  }

  func rate(_ kind: FaultKind) -> Int { rates[FaultKind.index[kind] ?? 0] }
  func isOn(_ kind: FaultKind) -> Bool { rate(kind) > 0 }

  var enabled: [FaultKind] { FaultKind.allCases.filter(isOn) }

  /// Together these leave no way to tell what is right, for the service or for the oracle.
  private mutating func exclude() {
    // A store that has lost a position, or a group whose offset was moved, begins anew with whatever topic there is: nothing
    // tells that it is another one.
    if isOn(.topicRecreated) {
      turnOff([
        .newVersion, .topicGrows, .retention, .offsetsReset, .storeTailLost, .storeLost, .storePositionLost,
        .storePositionSetBack, .storeFailover, .oldPrimary,
      ])
    }
    // A group moved back by a person, and a store moved back by a fault at the same time, look like a crash.
    if isOn(.offsetsReset) {
      turnOff([
        .storeTailLost, .storeLost, .storePositionLost, .storePositionSetBack, .storeFailover, .oldPrimary,
      ])
    }
    // What takes the place of a version whose keys have moved is the new one.
    if isOn(.topicGrows) { turnOff([.newVersion]) }
    // A new version begins with what the log still has.
    if isOn(.newVersion) || isOn(.topicGrows) { turnOff([.retention]) }
  }

  private mutating func turnOff(_ kinds: [FaultKind]) {
    for kind in kinds { rates[FaultKind.index[kind] ?? 0] = 0 }
  }
}

extension FaultKind {
  /// In thousandths of the occasions, which are calls of a port for some kinds, turns of the scheduler or records of
  /// the input for others.
  fileprivate var rate: Int {
    switch self {
    case .crashBefore, .crashDuring, .crashAfter: 3
    case .suspension: 4
    case .slowInstance: 2
    case .restart, .scaling, .takeover, .rebalance: 8
    case .logUnavailable, .logReplyLost, .storeUnavailable, .storeReplyLost: 10
    case .logDuplicate, .storeDuplicate, .redelivery, .eagerSending: 100
    case .logCut, .storeCut, .coordinatorMoved: 6
    case .transactionFailed, .transactionTimedOut, .queueFull: 10
    case .retention: 20
    case .lateBeginning: 500
    case .storeTailLost, .storeFailover: 12
    case .storeLost, .storePositionLost, .storePositionSetBack: 4
    case .storeFull: 8
    case .storeSlow: 10
    case .outOfOrder, .duplicateTimes, .hotKeys: 500
    case .malformed: 150
    case .bursts, .idleness: 30
    case .newVersion: 30
    case .offsetsReset: 10
    case .clientDied: 3
    case .brokersAway: 12
    case .lateMarks: 1000
    case .storeDelayed: 20
    case .oldPrimary: 12
    case .loadCut: 1000
    case .topicGrows: 20
    case .overlap: 700
    case .longTexts: 100
    case .oversized: 5
    case .smallRecords: 15
    case .topicRecreated: 20
    }
  }

  /// Whether a stormier run has more of it.
  fileprivate var isScaled: Bool {
    switch self {
    case .outOfOrder, .duplicateTimes, .malformed, .hotKeys, .bursts, .idleness, .newVersion, .logDuplicate,
      .storeDuplicate, .redelivery, .eagerSending, .lateMarks, .loadCut, .topicGrows, .overlap, .longTexts,
      .oversized, .smallRecords, .topicRecreated:
      false
    default: true
    }
  }
}
