import FeatureCore

/// What is known of one entity while its rows and events pass in order.
protocol EntityProgress: AnyObject {
  /// What the last `makeResult` made.
  var result: UnsafeRawBufferPointer { get }

  /// Begins another entity.
  func reset(_ key: UnsafeRawBufferPointer)

  /// Takes an event.
  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) throws(TableError)

  /// Counts a row that needs what the logs have lost.
  func note(rowAt time: Int64, in lacks: inout LaneLacks)

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
  private let lost: LostRecords?
  private var lostUntil = Int64.min
  @exclusivity(unchecked) private var watch: LossWatch

  init(_ view: ViewPlan, _ lost: LostRecords?) {
    fold = ViewFold(view)
    self.lost = lost
    watch = LossWatch(view)
  }

  var result: UnsafeRawBufferPointer { features.bytes.contents }

  func reset(_ key: UnsafeRawBufferPointer) {
    state = nil
    guard let lost else { return }
    lostUntil = lost.until(key)
    watch.reset(lostUntil: lostUntil)
  }

  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) {
    fold.fold(inputs: event, time: time, into: &state)
    if lostUntil > .min { watch.add(eventAt: time) }
  }

  func note(rowAt time: Int64, in lacks: inout LaneLacks) {
    guard lostUntil > .min, watch.lacksEvents(rowAt: time, lostUntil: lostUntil) else { return }
    lacks.events.add(rowAt: time)
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
  private let firstSnapshot: Int64
  private let lost: LostRecords?
  private var lostUntil = Int64.min

  init(_ view: ViewPlan, firstSnapshot: Int64, _ lost: LostRecords?) {
    self.view = view
    self.firstSnapshot = firstSnapshot
    self.lost = lost
  }

  var result: UnsafeRawBufferPointer { features.bytes.contents }

  func reset(_ key: UnsafeRawBufferPointer) {
    position = nil
    state = nil
    isDecoded = true
    lostUntil = lost?.until(key) ?? .min
  }

  func note(rowAt time: Int64, in lacks: inout LaneLacks) {
    guard position == nil else { return }
    if firstSnapshot >= time {
      lacks.unserved.add(rowAt: time)
    } else if lostUntil > .min, view.sees(eventAt: lostUntil, from: time) {
      // A snapshot that is lost has seen nothing later, so windows that see nothing of then have the values of nothing.
      lacks.snapshots.add(rowAt: time)
    }
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
  private let lost: LostRecords?
  private var lostUntil = Int64.min

  init(within: Int64, _ lost: LostRecords?) {
    self.within = within
    self.lost = lost
  }

  var result: UnsafeRawBufferPointer { bytes.contents }

  func reset(_ key: UnsafeRawBufferPointer) {
    next = nil
    lostUntil = lost?.until(key) ?? .min
  }

  func note(rowAt time: Int64, in lacks: inout LaneLacks) {
    if time < lostUntil, !isFollowed(time) { lacks.events.add(rowAt: time) }
  }

  private func isFollowed(_ time: Int64) -> Bool { next.map { $0 <= time.addingSaturated(within) } ?? false }

  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) { next = time }

  func makeResult(time: Int64) {
    bytes.removeAll()
    bytes.append(.bool(isFollowed(time)))
  }
}
