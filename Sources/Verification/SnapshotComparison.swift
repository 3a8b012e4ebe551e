import FeatureCore
import OutputRecords
import Processor
import SwiftProtobuf

/// Compares the snapshots of a task with its fold, position by position.
struct SnapshotComparison {
  /// Snapshots compared.
  private(set) var compared = 0

  private let task: VerifiedTask
  private let fold: TaskFold
  private let share: EntityShare
  private let expectsEverySnapshot: Bool
  private var snapshots: SortedSnapshots
  /// What was sent before the first snapshot of the topic nobody knows: a version may be filled without sending.
  private var isFirst = true

  init(
    _ task: VerifiedTask, _ fold: TaskFold, _ snapshots: SortedSnapshots, expectsEverySnapshot: Bool,
    _ share: EntityShare
  ) {
    self.task = task
    self.fold = fold
    self.snapshots = snapshots
    self.share = share
    self.expectsEverySnapshot = expectsEverySnapshot
  }

  /// Folds records, stopping at every position of a snapshot up to `cut` to compare what was taken there.
  mutating func fold(
    _ records: UnsafeBufferPointer<LogRecord>, upTo cut: Int64, _ report: (Finding) -> Void
  ) throws {
    var start = 0
    while start < records.count {
      while let next = snapshots.nextOffset, next <= records[start].offset { try compare(at: next, report) }
      let limit = min(cut, snapshots.nextOffset ?? cut)
      var end = start
      while end < records.count, records[end].offset < limit { end += 1 }
      guard end > start else { return }
      fold.fold(UnsafeBufferPointer(rebasing: records[start..<end]))
      start = end
    }
  }

  /// Compares what was taken at the last positions up to the cut.
  mutating func finish(at cut: Int64, _ report: (Finding) -> Void) throws {
    while let next = snapshots.nextOffset, next <= cut { try compare(at: next, report) }
    fold.skip(to: cut)
    // Behind the last snapshot, changes must still be on their way.
    if snapshots.nextOffset == nil { checkChanges(taken: [], isCommit: true, at: cut, report) }
  }

  /// How many snapshots are left. The log ends at `end`, so that nobody can have folded further.
  mutating func countRest(end: Int64, _ report: (Finding) -> Void) throws -> Int {
    var count = 0
    while let snapshot = try snapshots.next() {
      count += 1
      if snapshot.offset <= end { continue }
      report(
        Finding(
          subject: .snapshot, view: snapshot.view, entity: snapshot.key, partition: task.partition,
          offset: snapshot.offset, difference: "the log ends at \(end), before this position",
          cause: "another program wrote it, or the topic was deleted and created again"))
    }
    return count
  }

  private mutating func compare(at offset: Int64, _ report: (Finding) -> Void) throws {
    fold.skip(to: offset)
    var taken: Set<[UInt8]> = []
    var isCommit = false
    while snapshots.nextOffset == offset, let snapshot = try snapshots.next() {
      compared += 1
      let isNew = taken.insert(StateKey.make(view: snapshot.view, snapshot.key)).inserted
      if fold.views.contains(where: { $0.name == snapshot.view && $0.emit == .commit }) { isCommit = true }
      if let finding = finding(snapshot) {
        report(finding)
      } else if !isNew, expectsEverySnapshot {
        report(doubled(snapshot))
      }
    }
    checkChanges(taken: taken, isCommit: isCommit, at: offset, report)
  }

  private func doubled(_ snapshot: SpilledSnapshot) -> Finding {
    Finding(
      subject: .snapshot, view: snapshot.view, entity: snapshot.key, partition: task.partition,
      offset: snapshot.offset, difference: "there are two snapshots of this position",
      cause: "another program wrote one, or delivery was at_least_once then")
  }

  private func finding(_ snapshot: SpilledSnapshot) -> Finding? {
    var difference: String
    var cause = "a record is missing from the log or was added to it, or the snapshot was forged"
    if let index = fold.views.firstIndex(where: { $0.name == snapshot.view }),
      let state = fold.state(index, snapshot.key)
    {
      func expected(hasValues: Bool) -> [UInt8] {
        fold.snapshot(
          index, snapshot.key, state, at: task.partition, snapshot.offset, hasValues: hasValues)
      }
      // As the view asks for now, or as it did at another time.
      let hasValues = fold.views[index].snapshotsHaveValues
      if [hasValues, !hasValues].contains(where: { expected(hasValues: $0) == snapshot.value })
        || Self.isOldForm(snapshot.value, of: expected(hasValues: true))
      {
        return nil
      }
      let found = (try? Plumbline_Snapshot(serializedBytes: snapshot.value)).map { Array($0.state) } ?? []
      if found == fold.views[index].encode(state) {
        difference = "the state is right, but what stands beside it (as_of, fingerprint or values) is not"
      } else {
        let compared = Difference(fold.views[index], folded: state, found: found)
        difference = compared.text
        cause = compared.otherDefinitions ?? cause
      }
    } else {
      difference = "the log has no event of the entity before this position"
    }
    return Finding(
      subject: .snapshot, view: snapshot.view, entity: snapshot.key, partition: task.partition,
      offset: snapshot.offset, difference: difference, cause: cause)
  }

  /// Whether a record says the same as the expected one with its values in the order of some file, as records once had
  /// them: nothing tells which file, so that any order will do.
  private static func isOldForm(_ found: [UInt8], of expected: [UInt8]) -> Bool {
    guard var found = try? Plumbline_Snapshot(serializedBytes: found),
      var expected = try? Plumbline_Snapshot(serializedBytes: expected), found.sortedValues.isEmpty,
      let (has, should) = try? (sorted(found.values), sorted(expected.sortedValues))
    else { return false }
    found.values = []
    expected.sortedValues = []
    return found == expected && has == should
  }

  /// Compared as bytes: as values, -0.0 and 0.0 are equal.
  private static func sorted(_ values: [Plumbline_Value]) throws -> [[UInt8]] {
    try values.map { try $0.serializedBytes() as [UInt8] }.sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// Whatever changed since the last position must have been taken. What is sent for each event is told at other
  /// positions than commits.
  private mutating func checkChanges(
    taken: Set<[UInt8]>, isCommit: Bool, at offset: Int64, _ report: (Finding) -> Void
  ) {
    let wasFirst = isFirst
    isFirst = false
    for (index, view) in fold.views.enumerated() where isCommit || view.emit == .event {
      let changed = fold.takeChanged(index)
      guard expectsEverySnapshot, !wasFirst else { continue }
      for key in changed where share.contains(key) {
        if taken.contains(StateKey.make(view: view.name, key)) { continue }
        report(
          Finding(
            subject: .snapshot, view: view.name, entity: key, partition: task.partition, offset: offset,
            difference: "the state changed up to this position, but there is no snapshot of it",
            cause: "the snapshot was deleted, or the log has a record that it did not have then"))
      }
    }
  }
}
