import EventLog
import FeatureCore
import OutputRecords
import Processor
import SwiftProtobuf

/// Takes the last snapshot before the group's offset of every entity into a store: a transaction held both, so there is
/// nothing to fold. Memory is bounded by a batch: a later snapshot is simply written over an earlier one, and only the last
/// write gives the task a position that a worker accepts.
final class SnapshotRestore<Store: StateStorePort> {
  private let plan: Plan
  private let store: Store
  private var tasks: [TopicPartition: Progress] = [:]
  private var held = 0
  private var heldBytes = 0
  private var restored = 0
  private var foreign = 0
  /// Records that are no snapshots, and where the first stands.
  private var unusable = 0
  private var firstUnusable = ""

  private struct Progress {
    let task: RestoredTask
    let epoch: Int64
    var position: Int64?
    /// The latest states that are not written yet, by their key.
    var states: [[UInt8]: [UInt8]] = [:]
  }

  /// Writes the states of these tasks into a store.
  init(_ plan: Plan, _ tasks: [RestoredTask], _ store: Store) throws {
    self.plan = plan
    self.store = store
    for task in tasks {
      let claim = try store.claim(task.name)
      self.tasks[task.partition] = Progress(task: task, epoch: claim.epoch, position: claim.position)
    }
  }

  /// Reads the snapshot topic to its end. Returns a summary.
  func run(_ reader: TopicReader) throws -> String {
    for partition in tasks.keys { try invalidate(partition) }
    let ranges = try reader.ranges(of: [Routing(plan).snapshotTopic], from: .beginning)
    try reader.open(ranges)
    let progress = ReplayProgress("snapshots")
    while let poll = try reader.poll(recordsMax: 1_000, timeoutMilliseconds: 500) {
      for record in poll.records { try take(record, poll.partitions[record.partition]) }
      if held >= RestoreLimits.states || heldBytes >= RestoreLimits.bytes { try flush() }
      for (range, place) in zip(ranges, reader.positions) {
        progress.report(
          range.partition, position: place.offset, target: range.to ?? place.offset,
          isDone: place.offset >= range.to ?? .max)
      }
    }
    try flush()
    for partition in tasks.keys { try complete(partition) }
    let skipped = foreign == 0 ? "" : "; \(foreign) of other versions, or not committed, were left out"
    let strange =
      unusable == 0
      ? ""
      : "; \(counted(unusable, "record")) of other programs left out, first \(firstUnusable): plumb verify tells whether "
        + "anything is missing"
    return
      "\(counted(restored, "snapshot")) restored into \(counted(tasks.count, "task"))\(skipped)\(strange)"
  }

  /// Counts a record that another program has put into the topic. Nobody can take it out again, so it must not be what
  /// a restoration fails at.
  private func leaveOut(_ record: LogRecord, _ partition: TopicPartition) {
    if unusable == 0 { firstUnusable = "\(partition)@\(record.offset)" }
    unusable += 1
  }

  private func take(_ record: LogRecord, _ partition: TopicPartition) throws {
    guard let value = record.value else { return }
    guard let snapshot = try? Plumbline_Snapshot(serializedBytes: Array(value)) else {
      return leaveOut(record, partition)
    }
    let place = TopicPartition(snapshot.topic, snapshot.partition)
    guard snapshot.version == Int64(plan.version), let offset = tasks[place]?.task.offset,
      snapshot.offset <= offset
    else {
      foreign += 1
      return
    }
    guard let view = plan.view(snapshot.view), view.fingerprint == snapshot.fingerprint else {
      throw ProcessorError(
        remedy: .stop,
        description:
          "a snapshot of view '\(snapshot.view)' was made by other definitions of version \(plan.version): "
          + "give the file that the service ran with, or raise version: and fill the new one")
    }
    let (name, state) = (StateKey.make(view: view.name, snapshot.entityKey), Array(snapshot.state))
    // A worker would stop at a state that it can't read, and read one under another entity's key as that entity's.
    guard record.key?.elementsEqual(name) ?? false,
      (try? state.withUnsafeBytes { try view.decode($0) }) != nil
    else { return leaveOut(record, partition) }
    if tasks[place]?.states.updateValue(state, forKey: name) == nil {
      held += 1
      heldBytes += name.count
    }
    heldBytes += state.count
  }

  // MARK: Writes

  /// From here on no worker takes the task's states for whole.
  private func invalidate(_ partition: TopicPartition) throws {
    guard var task = tasks[partition] else { return }
    if let position = task.position, position > task.task.offset {
      throw ProcessorError(
        remedy: .stop,
        description:
          "task \(task.task.name): the store is at offset \(position), ahead of the consumer group's "
          + "\(task.task.offset): set the group's offset to \(position)")
    }
    if task.position.map({ $0 >= 0 }) ?? true { try write(&task, to: RestoringPosition.first) }
    tasks[partition] = task
  }

  private func flush() throws {
    for partition in tasks.keys {
      guard var task = tasks[partition], !task.states.isEmpty else { continue }
      try write(&task, to: (task.position ?? RestoringPosition.first) + 1)
      tasks[partition] = task
    }
    held = 0
    heldBytes = 0
  }

  private func complete(_ partition: TopicPartition) throws {
    guard var task = tasks[partition] else { return }
    try write(&task, to: task.task.offset)
    tasks[partition] = task
  }

  private func write(_ task: inout Progress, to position: Int64) throws {
    try store.commit(
      task.task.name, epoch: task.epoch, from: task.position, to: position,
      states: KeyedStates(task.states.map { (key: $0.key, value: $0.value) }))
    restored += task.states.count
    task.states.removeAll(keepingCapacity: true)
    task.position = position
  }
}

/// A task and the offset that the group has committed.
struct RestoredTask {
  var name: String
  var partition: TopicPartition
  var offset: Int64
}

/// What of a restoration is in memory before it is written.
private enum RestoreLimits {
  /// Well below what one commit may hold.
  static let states = 20_000
  static let bytes = 32 << 20
}
