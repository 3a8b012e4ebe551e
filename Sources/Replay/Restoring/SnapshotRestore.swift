public import EventLog
public import FeatureCore
import OutputRecords
public import Processor
import SwiftProtobuf

/// Takes the last snapshot before the group's offset of every entity into a store: a transaction held both, so there is
/// nothing to fold. The topic is read twice: whether these are the definitions that it was made by is known before
/// anything is written. Memory is bounded by a batch: a later snapshot is simply written over an earlier one, and only the
/// last write gives the task a position that a worker accepts.
public final class SnapshotRestore<Store: StateStorePort> {
  private let plan: Plan
  private let offsets: [TopicPartition: Int64]
  private var tasks: [TopicPartition: Progress] = [:]
  private var held = 0
  private var heldBytes = 0
  private var restored = 0
  private let tell: @Sendable (String) -> Void

  private struct Progress {
    let task: RestoredTask
    let epoch: Int64
    var position: Int64?
    /// The latest states that are not written yet, by their key.
    var states: [[UInt8]: [UInt8]] = [:]
  }

  /// Restores these tasks; `tell` hears lines on the progress.
  public init(_ plan: Plan, _ tasks: [RestoredTask], tell: @escaping @Sendable (String) -> Void) {
    self.plan = plan
    self.tell = tell
    offsets = Dictionary(uniqueKeysWithValues: tasks.map { ($0.partition, $0.offset) })
  }

  // MARK: What the topic holds

  /// Reads the snapshot topic to its end, without a store. Throws if it was made by other definitions.
  public func survey(_ reader: TopicReader) throws -> SnapshotSurvey {
    var survey = SnapshotSurvey()
    try read(reader, what: "snapshots, looked through") { record, partition in
      survey.add(judge(record), "\(partition)@\(record.offset)")
    }
    if let view = survey.foreignView(of: plan.views.map(\.name)) {
      throw ProcessorError(
        remedy: .stop,
        description:
          "every snapshot of view '\(view)' was made by other definitions of version \(plan.version): give the file that "
          + "the service ran with, or raise version: and fill the new one. Redis was left as it is")
    }
    return survey
  }

  /// What a record is to this restoration. Nobody can take a record out of the topic again, so none that another program
  /// has put there may be what a restoration fails at.
  private func judge(_ record: LogRecord) -> JudgedSnapshot {
    guard let value = record.value else { return .none }
    guard let snapshot = try? Plumbline_Snapshot(serializedBytes: Array(value)) else { return .unusable }
    let place = TopicPartition(snapshot.topic, snapshot.partition)
    guard snapshot.version == Int64(plan.version), let offset = offsets[place], snapshot.offset <= offset
    else { return .leftOut }
    guard let view = plan.view(snapshot.view), view.fingerprint == snapshot.fingerprint else {
      return .foreign(view: snapshot.view)
    }
    let (name, state) = (StateKey.make(view: view.name, snapshot.entityKey), Array(snapshot.state))
    // A worker would stop at a state that it can't read, and read one under another entity's key as that entity's.
    guard record.key?.elementsEqual(name) ?? false,
      (try? state.withUnsafeBytes { try view.decode($0) }) != nil
    else { return .unusable }
    return .state(view: view.name, place, key: name, state)
  }

  private func read(_ reader: TopicReader, what: String, _ take: (LogRecord, TopicPartition) throws -> Void)
    throws
  {
    let ranges = try reader.ranges(of: [Routing(plan).snapshotTopic], from: .beginning)
    try reader.open(ranges)
    let progress = ReplayProgress(what, tell: tell)
    while let poll = try reader.poll(recordsMax: 1_000, timeoutMilliseconds: 500) {
      for record in poll.records { try take(record, poll.partitions[record.partition]) }
      for (range, place) in zip(ranges, reader.positions) {
        progress.report(
          range.partition, position: place.offset, target: range.to ?? place.offset,
          isDone: place.offset >= range.to ?? .max)
      }
    }
  }

  // MARK: The restoration

  /// Writes the states into a store. Returns how many snapshots were restored.
  public func run(_ reader: TopicReader, _ tasks: [RestoredTask], into store: Store) throws -> Int {
    for task in tasks {
      let claim = try store.claim(task.name)
      self.tasks[task.partition] = Progress(task: task, epoch: claim.epoch, position: claim.position)
    }
    for task in self.tasks.values { try refuseAhead(task) }
    for partition in self.tasks.keys { try invalidate(partition, store) }
    try read(reader, what: "snapshots") { record, _ in
      if case .state(_, let place, let key, let state) = judge(record) { hold(state, of: key, place) }
      if held >= RestoreLimits.states || heldBytes >= RestoreLimits.bytes { try flush(store) }
    }
    try flush(store)
    for partition in self.tasks.keys { try complete(partition, store) }
    return restored
  }

  private func hold(_ state: [UInt8], of key: [UInt8], _ place: TopicPartition) {
    if tasks[place]?.states.updateValue(state, forKey: key) == nil {
      held += 1
      heldBytes += key.count
    }
    heldBytes += state.count
  }

  // MARK: Writes

  private func refuseAhead(_ task: Progress) throws {
    if let position = task.position, position > task.task.offset {
      throw ProcessorError(
        remedy: .stop,
        description:
          "task \(task.task.name): the store is at offset \(position), ahead of the consumer group's "
          + "\(task.task.offset): plumb offsets --set-to-store puts that right")
    }
  }

  /// From here on no worker takes the task's states for whole.
  private func invalidate(_ partition: TopicPartition, _ store: Store) throws {
    guard var task = tasks[partition] else { return }
    if task.position.map({ $0 >= 0 }) ?? true { try write(&task, store, to: RestoringPosition.first) }
    tasks[partition] = task
  }

  private func flush(_ store: Store) throws {
    for partition in tasks.keys {
      guard var task = tasks[partition], !task.states.isEmpty else { continue }
      try write(&task, store, to: (task.position ?? RestoringPosition.first) + 1)
      tasks[partition] = task
    }
    held = 0
    heldBytes = 0
  }

  private func complete(_ partition: TopicPartition, _ store: Store) throws {
    guard var task = tasks[partition] else { return }
    try write(&task, store, to: task.task.offset)
    tasks[partition] = task
  }

  private func write(_ task: inout Progress, _ store: Store, to position: Int64) throws {
    try store.commit(
      task.task.name, epoch: task.epoch, from: task.position, to: position,
      states: KeyedStates(task.states.map { (key: $0.key, value: $0.value) }))
    restored += task.states.count
    task.states.removeAll(keepingCapacity: true)
    task.position = position
  }
}

/// What a record of the snapshot topic is to a restoration.
enum JudgedSnapshot {
  /// Nothing: a tombstone.
  case none
  case state(view: String, TopicPartition, key: [UInt8], [UInt8])
  /// Of another version, or not committed.
  case leftOut
  /// Of this version, and of definitions that these are not.
  case foreign(view: String)
  /// No snapshot, or one that nobody could use.
  case unusable
}

/// How many records of which kind a snapshot topic holds.
public struct SnapshotSurvey: Sendable {
  private var matching: [String: Int] = [:]
  /// By view, those that were made by other definitions of this version.
  public private(set) var foreign: [String: Int] = [:]
  /// Those of other versions, or not committed.
  public private(set) var leftOut = 0
  /// Those that nobody could use.
  public private(set) var unusable = 0
  /// Where the first of those stands that this service can't have written.
  public private(set) var first = ""

  mutating func add(_ snapshot: JudgedSnapshot, _ place: @autoclosure () -> String) {
    switch snapshot {
    case .none: return
    case .state(let view, _, _, _): return matching[view, default: 0] += 1
    case .leftOut: return leftOut += 1
    case .foreign(let view): foreign[view, default: 0] += 1
    case .unusable: unusable += 1
    }
    if first.isEmpty { first = place() }
  }

  /// A view that has snapshots of other definitions, and none of these.
  func foreignView(of views: [String]) -> String? {
    views.first { foreign[$0] != nil && matching[$0] == nil }
  }
}

/// A task and the offset that the group has committed.
public struct RestoredTask: Sendable {
  /// Its name in the store.
  public var name: String
  /// What it folds.
  public var partition: TopicPartition
  /// What the group has committed.
  public var offset: Int64

  /// A task from its parts.
  public init(name: String, partition: TopicPartition, offset: Int64) {
    self.name = name
    self.partition = partition
    self.offset = offset
  }
}

/// What of a restoration is in memory before it is written.
private enum RestoreLimits {
  /// Well below what one commit may hold.
  static let states = 20_000
  static let bytes = 32 << 20
}
