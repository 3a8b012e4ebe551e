import FeatureCore

/// What is known of one entity while its rows and events pass in order.
protocol EntityProgress: AnyObject {
  /// What the last `makeResult` made.
  var result: UnsafeRawBufferPointer { get }

  /// Begins another entity.
  func reset()

  /// Takes an event.
  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) throws(TableError)

  /// Makes the result of a row.
  func makeResult(time: Int64) throws(TableError)
}

/// Features as bytes: the state's as_of, or none, then the values.
final class FeatureBytes {
  @exclusivity(unchecked) private var values: [FeatureValue] = []
  let bytes = ValueBuffer()

  func set(_ view: ViewPlan, _ state: State?, at time: EventTime) {
    view.evaluate(state, at: time, into: &values)
    bytes.removeAll()
    bytes.append(state.map { .timestamp($0.asOf) } ?? .null)
    for value in values { bytes.append(value) }
  }
}

/// As happened: the events are folded.
final class HappenedProgress: EntityProgress {
  private let fold: ViewFold
  @exclusivity(unchecked) private var state: State?
  private let features = FeatureBytes()

  init(_ view: ViewPlan) { fold = ViewFold(view) }

  var result: UnsafeRawBufferPointer { features.bytes.contents }

  func reset() { state = nil }

  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) {
    fold.fold(inputs: event, time: time, into: &state)
  }

  func makeResult(time: Int64) { features.set(fold.view, state, at: EventTime(microseconds: time)) }
}

/// As served: of the snapshots that had been committed, the one of the latest position.
final class ServedProgress: EntityProgress {
  private let view: ViewPlan
  private var bytes: [UInt8] = []
  private var position: ServedBytes.Position?
  /// The state of the bytes, once a row has asked for it.
  private var state: State?
  private var isDecoded = true
  private let features = FeatureBytes()

  init(_ view: ViewPlan) { self.view = view }

  var result: UnsafeRawBufferPointer { features.bytes.contents }

  func reset() {
    position = nil
    state = nil
    isDecoded = true
  }

  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) {
    let snapshot = ServedBytes(event)
    // Written again by an at-least-once writer, or by a clock that went back: the store's position had decided. Offsets of
    // another log say nothing.
    if let position, position.log == snapshot.position.log, position.offset >= snapshot.position.offset {
      return
    }
    position = snapshot.position
    bytes.removeAll(keepingCapacity: true)
    bytes.append(contentsOf: snapshot.state)
    isDecoded = false
  }

  func makeResult(time: Int64) throws(TableError) {
    if !isDecoded {
      state = try decode()
      isDecoded = true
    }
    // As the server says it: the later of the request's time and as_of.
    let time = EventTime(microseconds: time)
    features.set(view, state, at: max(time, state?.asOf ?? time))
  }

  private func decode() throws(TableError) -> State {
    do throws(StateError) {
      return try bytes.withUnsafeBytes { bytes in
        Result { () throws(StateError) in try view.decode(bytes) }
      }.get()
    } catch {
      throw TableError(
        path: "view '\(view.name)'",
        problem: "a snapshot of offset \(position?.offset ?? 0) cannot be read: \(error)",
        remedy: "leave its time out of the spine, or make the snapshots anew by replay")
    }
  }
}

/// What is kept of a snapshot: its position, then its state.
struct ServedBytes {
  struct Position {
    /// Of the topic and the partition that the view folds from.
    var log: UInt64
    var offset: Int64
  }

  let position: Position
  let state: UnsafeRawBufferPointer

  init(_ snapshot: SnapshotRecord) {
    position = Position(
      log: Hash64.hash(snapshot.topic, seed: UInt64(bitPattern: snapshot.partition)), offset: snapshot.offset)
    state = snapshot.state
  }

  /// What `write` has written.
  init(_ bytes: UnsafeRawBufferPointer) {
    position = bytes.loadUnaligned(as: Position.self)
    state = UnsafeRawBufferPointer(rebasing: bytes[MemoryLayout<Position>.size...])
  }

  var count: Int { MemoryLayout<Position>.size + state.count }

  func write(to bytes: UnsafeMutableRawPointer) -> Int {
    bytes.storeBytes(of: position, as: Position.self)
    UnsafeMutableRawBufferPointer(start: bytes + MemoryLayout<Position>.size, count: state.count)
      .copyMemory(from: state)
    return count
  }
}

/// A label, from the last event to the first: the next event is the one that was seen last.
final class LabelProgress: EntityProgress {
  private let within: Int64
  private var next: Int64?
  private let bytes = ValueBuffer()

  init(within: Int64) { self.within = within }

  var result: UnsafeRawBufferPointer { bytes.contents }

  func reset() { next = nil }

  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) { next = time }

  func makeResult(time: Int64) {
    let isFollowed = next.map { $0 <= time.addingSaturated(within) } ?? false
    bytes.removeAll()
    bytes.append(.bool(isFollowed))
  }
}
