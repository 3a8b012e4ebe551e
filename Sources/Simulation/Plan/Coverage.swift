/// A branch of the loop's recovery, as its ports see it.
public enum RecoveryBranch: String, CaseIterable, Sendable {
  case beginsNew = "task begins for the first time"
  case beginsWhereBoth = "task begins where log and store agree"
  case beginsBehind = "task begins behind the log and catches up"
  case beginsEmpty = "task begins with an empty store and folds all again"
  case beginsBack = "task begins anew: its position was set back"
  case stopsForRetention = "stop: the log no longer has what the store lacks"
  case stopsForOffsets = "stop: the group's offsets were moved"
  case stopsForPartitions = "stop: a source has got partitions"
  case stopsForSize = "stop: a topic takes no record as large"
  case stopsForAnotherTopic = "stop: a topic was created anew"
  case restored = "states restored from snapshots"
  case restorationRepeated = "restoration from snapshots begun again"
  case assigned = "partitions assigned"
  case revoked = "partitions revoked"
  case lost = "partitions lost"
  case logRetried = "log: an error that may pass"
  case logAborted = "log: transaction to be aborted"
  case logFenced = "log: fenced"
  case commitRepeated = "log: commit repeated until answered"
  case abortFailed = "log: abort failed"
  case aborted = "transaction aborted"
  case held = "fetching paused"
  case released = "fetching resumed"
  case soughtBack = "fetch goes back"
  case storeRetried = "store: an error that may pass"
  case loadFenced = "store: load refused, epoch over"
  case loadMoved = "store: load refused, position moved"
  case storeFenced = "store: commit refused, epoch over"
  case storeMoved = "store: commit refused, position moved"
  case storedBefore = "store: commit had taken effect before"
  case recovered = "records folded again without sending"
  case restarted = "worker joins anew"
  case finished = "worker finishes its last commit and leaves"
  case cacheLoaded = "state loaded again after eviction"
  case removed = "state removed, of which nothing is kept any more"
  case deadLettered = "dead letter sent"
  case forwarded = "record forwarded"
  case late = "late record"
  case tooLarge = "event of a state that has no room"
  case fired = "trigger fired"
  case misplaced = "record in the wrong partition"
  case duplicate = "record that has come before"
  case idsReadAgain = "ids read again from the log"
  case foldedMeanwhile = "more folded while a commit is made"
  case changed = "change of a table that Debezium writes"
}

/// What was really hit.
public struct Coverage: Sendable {
  /// How often each fault happened.
  public private(set) var faults = [Int](repeating: 0, count: FaultKind.allCases.count)
  /// How often each branch of recovery was reached.
  public private(set) var branches: [RecoveryBranch: Int] = [:]

  /// Nothing yet.
  public init() {}

  mutating func hit(_ kind: FaultKind) { faults[FaultKind.index[kind] ?? 0] += 1 }
  mutating func hit(_ branch: RecoveryBranch, _ count: Int = 1) {
    if count > 0 { branches[branch, default: 0] += count }
  }

  /// Adds another run's.
  public mutating func add(_ other: Coverage) {
    for index in faults.indices { faults[index] += other.faults[index] }
    branches.merge(other.branches, uniquingKeysWith: +)
  }

  /// What was never hit.
  public var missing: [String] {
    zip(FaultKind.allCases, faults).filter { $1 == 0 }.map(\.0.rawValue)
      + RecoveryBranch.allCases.filter { branches[$0] == nil }.map(\.rawValue)
  }

  /// A table: one line a fault kind and one a branch.
  public var report: String {
    let faults = zip(FaultKind.allCases, faults).map { ($0.rawValue, $1) }
    let branches = RecoveryBranch.allCases.map { ($0.rawValue, self.branches[$0] ?? 0) }
    func lines(_ rows: [(String, Int)]) -> [String] {
      rows.map { name, count in
        let number = String(count)
        return String(repeating: " ", count: max(0, 10 - number.count)) + number + "  " + name
      }
    }
    return (["faults"] + lines(faults) + ["branches of recovery"] + lines(branches)).joined(separator: "\n")
  }
}
