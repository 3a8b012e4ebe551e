import FeatureCore

/// What a commit takes of a task: the changed states as they are when it is sealed. Whoever makes the commit makes their bytes and
/// their snapshots of them, while the task folds on; into a state that is still needed here it folds by copying it.
///
/// Used by one thread at a time: the loop's, and from `startCommit` to `finishCommit` the one that commits.
public final class SealedChanges: @unchecked Sendable {
  private var content: SealedContent

  init(_ partition: TopicPartition, _ plan: Plan, snapshotTopic: String) {
    content = SealedContent(
      position: RecordPosition(partition: partition, offset: 0), topic: snapshotTopic,
      snapshot: SnapshotWriter(version: plan.version))
  }

  /// The bytes, once they are made.
  var states: KeyedStates { content.encoded }

  /// Snapshots that were sent since the last call.
  func takeSnapshotCount() -> Int {
    defer { content.snapshots = 0 }
    return content.snapshots
  }

  /// Forgets what was taken before, and takes what is changed at a position.
  func begin(at offset: Int64) { content.begin(at: offset) }

  /// Takes a view's changes. `isSent`: with snapshots.
  func take(_ view: WorkerTask.TaskView, isSent: Bool) { content.take(view, isSent: isSent) }

  /// Takes states as bytes.
  func take(_ write: (inout KeyedStates) -> Void) { write(&content.encoded) }

  /// Makes the bytes of the states, and sends the snapshots, by `send`; once, however often it is called. An error leaves a
  /// transaction that is not whole: it is to be aborted.
  public func send(
    _ send: (_ topic: String, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer)
      throws(LogError) -> Void
  ) throws(LogError) {
    do throws(LogError) {
      try content.send(send)
    } catch {
      throw error.remedy == .retry ? LogError(.abort, error.message) : error
    }
  }

  /// Makes the bytes of states that have no snapshots.
  func encode() {
    content.send { (_, _, _) throws(Never) in
      preconditionFailure("Cannot send a snapshot without a transaction")
    }
  }
}

/// A value, so that using it is checked once, and not for every state.
private struct SealedContent: ~Copyable {
  /// The changes of one view, behind those of the views before.
  private struct Run {
    let view: ViewPlan
    let prefixCount: Int
    let isSent: Bool
    let end: Int
  }

  var position: RecordPosition
  let topic: String
  var snapshot: SnapshotWriter
  var snapshots = 0
  /// The states' bytes, by the keys that they have in the store.
  var encoded = KeyedStates()
  /// What is still to be encoded.
  private var runs: [Run] = []
  private var keys = ByteStrings()
  private var states: [State] = []

  init(position: RecordPosition, topic: String, snapshot: consuming SnapshotWriter) {
    self.position = position
    self.topic = topic
    self.snapshot = snapshot
  }

  mutating func begin(at offset: Int64) {
    position.offset = offset
    encoded.removeAll()
    forget()
  }

  private mutating func forget() {
    runs.removeAll(keepingCapacity: true)
    keys.removeAll()
    states.removeAll(keepingCapacity: true)
  }

  mutating func take(_ view: WorkerTask.TaskView, isSent: Bool) {
    view.cache.young.forEachChanged { key, state in
      keys.append {
        $0 += view.keyPrefix
        $0 += key
      }
      states.append(state)
    }
    runs.append(
      Run(view: view.fold.view, prefixCount: view.keyPrefix.count, isSent: isSent, end: states.count))
  }

  mutating func send<Failure>(
    _ send: (String, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var start = 0
    for run in runs {
      for index in start..<run.end {
        let state = states[index]
        encoded.append(keys, index) { run.view.encode(state, into: &$0) }
        guard run.isSent else { continue }
        try encoded.withBytes(encoded.count - 1) { (key, bytes) throws(Failure) in
          let entity = UnsafeRawBufferPointer(rebasing: key[run.prefixCount...])
          try snapshot.write(run.view, key: entity, state, bytes, at: position) { (value) throws(Failure) in
            try send(topic, key, value)
          }
        }
        snapshots += 1
      }
      start = run.end
    }
    forget()
  }
}

/// Writes snapshots, in memory that is used again and again.
struct SnapshotWriter: ~Copyable {
  private var writer = ProtobufWriter()
  private var values: [FeatureValue] = []
  private let version: Int

  init(version: Int) { self.version = version }

  /// The snapshot of an entity's state, whose bytes are known, at a position.
  mutating func write<Failure>(
    _ view: ViewPlan, key: UnsafeRawBufferPointer, _ state: State, _ bytes: UnsafeRawBufferPointer,
    at position: RecordPosition, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    if view.snapshotsHaveValues { view.evaluate(state, at: state.asOf, into: &values) }
    writer.snapshot(
      view, version: version, key: key, at: position, asOf: state.asOf, state: bytes,
      values: view.snapshotsHaveValues ? values : nil)
    try writer.withBytes(body)
  }
}
