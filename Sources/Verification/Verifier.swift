public import FeatureCore
import Foundation
import OutputRecords
import Processor
import SwiftProtobuf

/// What a verification has compared, and found.
public struct VerificationReport: Sendable {
  /// Records folded.
  public var records = 0
  /// Snapshots compared.
  public var snapshots = 0
  /// Snapshots of positions that the store has not reached.
  public var snapshotsAhead = 0
  /// States of the store compared.
  public var states = 0
  /// How many comparisons failed.
  public var failures = 0
  /// The first of them.
  public var findings: [Finding] = []

  /// Findings that are kept.
  static let findingsMax = 20

  mutating func add(_ finding: Finding) {
    failures += 1
    if findings.count < Self.findingsMax { findings.append(finding) }
  }
}

/// Folds the source log again, and compares every snapshot and every state of the online store, byte for byte.
///
/// It works beside a running service: a task is folded up to the store's position, which is the cut; when the store
/// moves on, the fold follows. Snapshots are sorted on disk; memory holds the states of one task at a time.
public final class Verifier<Log: VerifiedLog, Store: VerifiedStore> {
  let plan: Plan
  let routing: Routing
  let log: Log
  let store: Store
  let share: EntityShare
  let expectsEverySnapshot: Bool
  let progress: (String) -> Void
  var report = VerificationReport()
  /// How many partitions each repartition topic has: its source's may have become more.
  var repartitions: [String: Int32] = [:]
  /// What the logs of joins say of each source's partition.
  var marks: [TopicPartition: [VerifiedMark]] = [:]

  /// States that are read at once.
  static var statesPerRead: Int { 500 }

  /// A verification. `share` are the entities that are compared. With `expectsEverySnapshot` each commit must have a
  /// snapshot of everything that it changed, as exactly-once delivery promises.
  public init(
    _ plan: Plan, log: Log, store: Store, share: EntityShare = EntityShare(),
    expectsEverySnapshot: Bool = true,
    progress: @escaping (String) -> Void
  ) {
    self.plan = plan
    routing = Routing(plainly: plan)
    self.log = log
    self.store = store
    self.share = share
    self.expectsEverySnapshot = expectsEverySnapshot
    self.progress = progress
  }

  /// Compares everything. Throws what keeps it from comparing.
  public func run() throws -> VerificationReport {
    report = VerificationReport()
    let tasks = try routing.inputs.flatMap { input in
      let ends = try log.ends(of: input.topic)
      return ends.map { VerifiedTask(input, $0.partition, of: Int32(ends.count), cut: nil) }
    }.map { task in
      var task = task
      // Before the topics that the task writes are read: all that belongs to an earlier position is committed.
      task.cut = try store.position(task.name)
      return task
    }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plumb-verify-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let spill = SnapshotSpill(folder: folder.path)
    try collectSnapshots(spill)
    let ledger = try OutputLedger(folder: folder.path)
    try collectOutputs(into: ledger)
    for task in tasks { try verify(task, try spill.sorted(task.partition), ledger) }
    try settle(ledger)
    return report
  }

  // MARK: Snapshots

  private func collectSnapshots(_ spill: SnapshotSpill) throws {
    let views = Set(plan.views.map(\.name))
    let inputs = Set(routing.inputs.map(\.topic))
    let ends = try log.ends(of: routing.snapshotTopic)
    for (partition, end) in ends {
      progress("reading \(partition)")
      let first = try log.firstOffset(partition)
      guard first < end else { continue }
      try log.read(partition, first..<end) { records in
        for record in records {
          // A tombstone deletes, and says nothing that could be wrong.
          guard let value = record.value.map(Array.init) else { continue }
          guard let snapshot = try? Plumbline_Snapshot(serializedBytes: value) else {
            report.add(unreadable(record, partition))
            continue
          }
          // Another version has states of its own, also of the same views.
          guard snapshot.version == Int64(plan.version) else { continue }
          if let finding = misplaced(snapshot, record, partition, of: Int32(ends.count), views, inputs) {
            report.add(finding)
          }
          guard views.contains(snapshot.view), share.contains(snapshot.entityKey) else { continue }
          try spill.add(
            SpilledSnapshot(
              offset: snapshot.offset, view: snapshot.view, key: Array(snapshot.entityKey), value: value),
            of: TopicPartition(snapshot.topic, snapshot.partition))
        }
      }
      spill.endRuns()
    }
  }

  private func unreadable(_ record: LogRecord, _ partition: TopicPartition) -> Finding {
    let key = record.key.map(Array.init) ?? []
    return Finding(
      subject: .snapshot, view: String(decoding: key.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self),
      entity: Array(key.drop { $0 != UInt8(ascii: ":") }.dropFirst()), partition: partition,
      offset: record.offset, difference: "the record is no snapshot (here the position is the record's own)",
      cause: "another program wrote it")
  }

  /// A snapshot of this version that stands where no reader would look for it, or is of nothing that is folded.
  private func misplaced(
    _ snapshot: Plumbline_Snapshot, _ record: LogRecord, _ partition: TopicPartition, of count: Int32,
    _ views: Set<String>, _ inputs: Set<String>
  ) -> Finding? {
    var difference: String?
    var cause = "another program wrote it"
    let key = StateKey.make(view: snapshot.view, snapshot.entityKey)
    let place = key.withUnsafeBytes { Murmur2.partition($0, count: count) }
    if !views.contains(snapshot.view) {
      difference = "the definitions have no such view"
      cause = "the view was removed without raising 'version', or \(cause)"
    } else if !inputs.contains(snapshot.topic) {
      difference = "no view folds from '\(snapshot.topic)'"
    } else if !(record.key?.elementsEqual(key) ?? false) {
      difference =
        "the record \(partition)@\(record.offset) has the key "
        + (record.key.map { "'\(Text($0))'" } ?? "null") + ", not '\(Text(utf8: key))'"
    } else if place != partition.partition {
      difference = "the record \(partition)@\(record.offset) belongs in partition \(place)"
      cause += ", or the topic has got partitions since"
    }
    return difference.map {
      Finding(
        subject: .snapshot, view: snapshot.view, entity: Array(snapshot.entityKey),
        partition: TopicPartition(snapshot.topic, snapshot.partition), offset: snapshot.offset,
        difference: $0,
        cause: cause)
    }
  }

  // MARK: One task

  private func verify(_ task: VerifiedTask, _ snapshots: SortedSnapshots, _ ledger: OutputLedger) throws {
    guard let cut = task.cut else {
      try verifyUnknown(task, snapshots)
      let fold = TaskFold(plan, task.input, task.partition.partition, of: task.partitionCount, from: 0)
      fold.onDue = { [self] in add($0, of: task, .allowed, to: ledger) }
      return try addAllowed(task, fold)
    }
    let end = try end(of: task.partition)
    guard cut <= end else {
      throw VerificationError(
        "task \(task.name): the store is at offset \(cut), but \(task.partition) ends at \(end): the topic was deleted "
          + "and created again, or its broker came back without what it had; nothing can be compared. Remove the "
          + "version's keys from Redis (plumb retire), or bring the topic back")
    }
    progress("folding \(task.partition) up to \(cut)")
    let first = try log.firstOffset(task.partition)
    guard first == 0 else {
      throw VerificationError(
        "\(task.partition) begins at offset \(first): the records before it are gone, so nothing can be folded from "
          + "the beginning; verify from an archive")
    }
    let fold = TaskFold(plan, task.input, task.partition.partition, of: task.partitionCount, from: 0)
    var side = OutputLedger.Side.due
    fold.onDue = { [self] in add($0, of: task, side, to: ledger) }
    var marks = MarkComparison(marks[task.partition] ?? [])
    if !marks.isEmpty { fold.onEvent = { marks.pass($0, time: $1) { [self] in report.add($0) } } }
    var comparison = SnapshotComparison(
      task, fold, snapshots, expectsEverySnapshot: expectsEverySnapshot, share)
    if cut > 0 {
      try log.read(task.partition, 0..<cut) { records in
        try comparison.fold(records, upTo: cut) { report.add($0) }
      }
    }
    try comparison.finish(at: cut) { report.add($0) }
    marks.finish(upTo: cut) { report.add($0) }
    fold.onEvent = nil
    report.snapshots += comparison.compared
    report.snapshotsAhead += try comparison.countRest(end: end) { report.add($0) }
    side = .allowed
    try verifyStates(task, fold)
    report.records += fold.records
    try addAllowed(task, fold)
  }

  private func end(of partition: TopicPartition) throws -> Int64 {
    try log.ends(of: partition.topic).first { $0.partition == partition }?.offset ?? 0
  }

  /// What lies behind the store's position may have been sent: it is committed before the store hears of it.
  private func addAllowed(_ task: VerifiedTask, _ fold: TaskFold) throws {
    let end = try end(of: task.partition)
    guard fold.position < end else { return }
    try log.read(task.partition, fold.position..<end) { fold.fold($0) }
  }

  /// A task that the store knows nothing of must have no snapshots either.
  private func verifyUnknown(_ task: VerifiedTask, _ snapshots: SortedSnapshots) throws {
    var snapshots = snapshots
    guard let snapshot = try snapshots.next() else { return }
    report.add(
      Finding(
        subject: .state, view: snapshot.view, entity: snapshot.key, partition: task.partition,
        offset: snapshot.offset, difference: "the store has no position of task \(task.name)",
        cause: "the store was emptied: rebuild it with plumb replay"))
  }

  // MARK: States

  private func verifyStates(_ task: VerifiedTask, _ fold: TaskFold) throws {
    if let join = task.input.join { return try verifyStates(of: plan.joins[join], task, fold) }
    var differing: [DifferingState] = []
    for (index, view) in fold.views.enumerated() {
      let keys = fold.keys(index).filter { share.contains($0) }
      try compare(task, fold, keys.map { (index, view, $0) }, &differing)
    }
    var foreign: [(Int, ViewPlan, [UInt8])] = []
    try store.scan(task.name) { keys in
      for key in keys {
        let name = key.prefix { $0 != UInt8(ascii: ":") }
        let entity = Array(key.dropFirst(name.count + 1))
        guard let index = fold.views.firstIndex(where: { name.elementsEqual($0.name.utf8) }) else {
          report.add(foreignFinding(task, fold, String(decoding: name, as: UTF8.self), entity))
          continue
        }
        if fold.state(index, entity) == nil, share.contains(entity) {
          foreign.append((index, fold.views[index], entity))
        }
      }
    }
    try compare(task, fold, foreign, &differing)
    try explain(&differing, task, fold)
    for state in differing { report.add(state.finding) }
  }

  /// States that the log makes later on: then it is the position that is wrong.
  private func explain(_ states: inout [DifferingState], _ task: VerifiedTask, _ fold: TaskFold) throws {
    let (position, end) = (fold.position, try end(of: task.partition))
    let known = states.prefix(Self.explainedMax).indices.filter { states[$0].bytes != nil }
    guard !known.isEmpty, position < end else { return }
    let ahead = TaskFold(
      plan, task.input, task.partition.partition, of: task.partitionCount, from: 0)
    try log.read(task.partition, 0..<end) { records in
      for record in records {
        withUnsafePointer(to: record) { ahead.fold(UnsafeBufferPointer(start: $0, count: 1)) }
        for view in ahead.views.indices {
          for key in ahead.takeChanged(view) where record.offset >= position {
            for index in known where states[index].view == view && states[index].key == key {
              let state = ahead.state(view, key).map { ahead.views[view].encode($0) }
              guard state == states[index].bytes else { continue }
              states[index].finding.difference =
                "the state is that of offset \(record.offset + 1), and the task's position is \(position)"
              states[index].finding.cause =
                "the position in the store was set back, by hand or from a backup: these events would count twice"
            }
          }
        }
      }
    }
  }

  /// States that are looked for in what comes later.
  private static var explainedMax: Int { 1_000 }

  private func compare(
    _ task: VerifiedTask, _ fold: TaskFold, _ keys: [(index: Int, view: ViewPlan, key: [UInt8])],
    _ differing: inout [DifferingState]
  ) throws {
    var start = 0
    while start < keys.count {
      let part = keys[start..<min(keys.count, start + Self.statesPerRead)]
      let found = try store.read(task.name, part.map { StateKey.make(view: $0.view.name, $0.key) })
      try follow(task, fold, found.position)
      for (item, bytes) in zip(part, found.states) {
        report.states += 1
        guard let finding = finding(task, fold, item, bytes) else { continue }
        differing.append(DifferingState(view: item.index, key: item.key, bytes: bytes, finding: finding))
      }
      start += part.count
    }
  }

  /// Folds on to where the store was when it was read.
  func follow(_ task: VerifiedTask, _ fold: TaskFold, _ position: Int64?) throws {
    guard let position, position >= fold.position else {
      throw VerificationError(
        "task \(task.name): the store went back from offset \(fold.position) to "
          + "\(position.map(String.init) ?? "nothing") while it was compared: it has lost writes; verify again once "
          + "the service has recovered")
    }
    guard position > fold.position else { return }
    try log.read(task.partition, fold.position..<position) { fold.fold($0) }
    fold.skip(to: position)
  }

  private func finding(
    _ task: VerifiedTask, _ fold: TaskFold, _ item: (index: Int, view: ViewPlan, key: [UInt8]),
    _ bytes: [UInt8]?
  ) -> Finding? {
    let (difference, cause): (String, String)
    switch (fold.state(item.index, item.key), bytes) {
    case (nil, nil): return nil
    case (nil, .some): return foreignFinding(task, fold, item.view.name, item.key)
    case (.some, nil):
      difference = "the store has no state"
      cause = "it was deleted or evicted: see maxmemory-policy, and who else writes to this Redis"
    case (let folded?, let bytes?):
      if item.view.encode(folded) == bytes { return nil }
      let found = Difference(item.view, folded: folded, found: bytes)
      difference = found.text
      cause =
        found.otherDefinitions
        ?? "another program wrote it, or the definitions' time zones or the log have changed since"
    }
    return Finding(
      subject: .state, view: item.view.name, entity: item.key, partition: task.partition,
      offset: fold.position, difference: difference, cause: cause)
  }

  private func foreignFinding(
    _ task: VerifiedTask, _ fold: TaskFold, _ view: String, _ key: [UInt8]
  ) -> Finding {
    Finding(
      subject: .state, view: view, entity: key, partition: task.partition, offset: fold.position,
      difference: "the store has a state, but the log has no event of the entity",
      cause: "another program wrote it, or records are missing from the log")
  }
}

/// A state of the store that is not what the fold makes.
private struct DifferingState {
  var view: Int
  var key: [UInt8]
  /// nil: there is none.
  var bytes: [UInt8]?
  var finding: Finding
}

/// One task, and up to where it is folded.
struct VerifiedTask {
  let input: Routing.Input
  let partition: TopicPartition
  /// How many the topic has.
  let partitionCount: Int32
  /// The store's position when the verification began.
  var cut: Int64?

  init(_ input: Routing.Input, _ partition: TopicPartition, of count: Int32, cut: Int64?) {
    self.input = input
    self.partition = partition
    partitionCount = count
    self.cut = cut
  }

  /// Its name in the store.
  var name: String { "\(input.name).\(partition.partition)" }
}

/// What keeps a verification from comparing.
public struct VerificationError: Error, Sendable, CustomStringConvertible {
  /// What happened, where, and what to do.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Every entity, or one of so many, chosen by their keys.
public struct EntityShare: Sendable {
  private let divisor: UInt64

  /// One entity of `divisor`.
  public init(oneOf divisor: Int = 1) {
    precondition(divisor > 0, "Cannot choose one of \(divisor) entities")
    self.divisor = UInt64(divisor)
  }

  func contains(_ key: some Collection<UInt8>) -> Bool {
    divisor == 1 || Array(key).withUnsafeBytes { Hash64.hash($0) } % divisor == 0
  }
}
