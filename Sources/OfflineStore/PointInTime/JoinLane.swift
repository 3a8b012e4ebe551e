import FeatureCore
import Synchronization

/// The rows of a spine and what one view, or the label, makes of events: sorted by entity and time, then folded entity by
/// entity. Memory holds what the budgets allow and one entity's state; everything else waits on disk.
final class JoinLane {
  enum Purpose {
    case happened
    case served
    case label(within: Int64)
    case compared(ForwardedLog?)
  }

  let view: ViewPlan
  let source: SourcePlan
  let sourceIndex: Int
  let purpose: Purpose

  /// Rows and events, one sorter for each thread that adds some.
  @exclusivity(unchecked) private var sorters: [RecordSorter]
  /// The spine's entities, and the time from which on no row sees an event.
  private let entities: EntityTimes
  /// The time of the view's first snapshot.
  private(set) var firstSnapshot = Int64.max
  /// By row.
  private(set) var results: [RecordSorter] = []
  /// What is lost of the events and of the snapshots.
  var lostEvents: LostRecords?
  var lostSnapshots: LostRecords?
  /// Of the rows, once there are results.
  private(set) var lacks = LaneLacks()

  convenience init(_ joined: JoinedView, _ budgets: [MemoryBudget]) {
    let purpose: Purpose =
      switch joined.moment {
      case .happened: .happened
      case .served: .served
      case .compared(let forwarded): .compared(forwarded)
      }
    self.init(joined.view, joined.source, joined.view.source, purpose, budgets)
  }

  convenience init(_ label: JoinedLabel, _ budgets: [MemoryBudget]) {
    self.init(label.view, label.source, label.sourceIndex, .label(within: label.within), budgets)
  }

  private init(
    _ view: ViewPlan, _ source: SourcePlan, _ index: Int, _ purpose: Purpose, _ budgets: [MemoryBudget]
  ) {
    self.view = view
    self.source = source
    sourceIndex = index
    self.purpose = purpose
    sorters = budgets.map { RecordSorter($0, parts: budgets.count) }
    entities = EntityTimes(bytesMax: budgets.reduce(0) { $0 + $1.limit } / 8)
  }

  /// Whether it makes the label.
  var isLabel: Bool { if case .label = purpose { true } else { false } }

  /// What people call it.
  var name: String { isLabel ? "the label" : "view '\(view.name)'" }

  // MARK: Rows and events

  /// Adds a row. Events may come before it if `forgetEntities` has been called.
  func add(row: Int, key: UnsafeRawBufferPointer, time: Int64) throws(TableError) {
    let hash = Hash64.hash(key)
    entities.note(hash, time)
    let place = SortKey(first: hash, second: timeWord(time), third: UInt64(row))
    try sorters[0].append(place, bytesMax: LaneRecord.keyBytes(key)) { LaneRecord.write(key, to: $0) }
  }

  /// Lets every event be kept, since rows may still come.
  func forgetEntities() { entities.forget() }

  /// Whether some row may be of an entity.
  func knows(_ hash: UInt64) -> Bool { !entities.isComplete || entities.last(hash) != nil }

  /// Whether some row may see an event.
  @inline(__always)
  func wants(_ hash: UInt64, time: Int64) -> Bool {
    guard entities.isComplete else { return true }
    guard let last = entities.last(hash) else { return false }
    if case .label(let within) = purpose { return time <= last.addingSaturated(within) }
    return time < last
  }

  /// Adds an event of an entity, on one of the threads. `order` is its place among events of one time.
  @inline(__always)
  func add(
    worker: Int, key: UnsafeRawBufferPointer, hash: UInt64, time: Int64, order: Int64, bytesMax: Int,
    _ write: (UnsafeMutableRawPointer) -> Int
  ) throws(TableError) {
    // Behind the rows of its time: they don't see it.
    let place = SortKey(first: hash, second: timeWord(time), third: UInt64(order) | 1 << 63)
    try sorters[worker].append(place, bytesMax: LaneRecord.keyBytes(key) + bytesMax) { bytes in
      let start = LaneRecord.write(key, to: bytes)
      return start + write(bytes + start)
    }
  }

  /// Labels look ahead: they are made from the last event to the first.
  @inline(__always)
  private func timeWord(_ time: Int64) -> UInt64 {
    let ascending = UInt64(bitPattern: time) ^ 1 << 63
    if case .label = purpose { return ~ascending }
    return ascending
  }

  private func time(of word: UInt64) -> Int64 {
    if case .label = purpose { return Int64(bitPattern: ~word ^ 1 << 63) }
    return Int64(bitPattern: word ^ 1 << 63)
  }

  /// What stands before the state of a snapshot; nil if the lane takes none.
  var snapshotHeaderBytes: Int? {
    switch purpose {
    case .served: 0
    case .compared: ComparedRecord.headerBytes
    case .happened, .label: nil
    }
  }

  /// Takes notice of a snapshot of any entity.
  func note(snapshotAt time: Int64) { firstSnapshot = min(firstSnapshot, time) }

  // MARK: Results

  /// Moves to disk what would leave too little memory for the results.
  func spill() throws(TableError) { for sorter in sorters { try sorter.spill() } }

  /// Ends the adding.
  func finishAdding() throws(TableError) { for sorter in sorters { try sorter.finish() } }

  /// Makes the result of every row; threads share the entities.
  func makeResults(_ budgets: [MemoryBudget]) throws(TableError) {
    results = budgets.map { RecordSorter($0) }
    let found = Mutex(LaneLacks())
    nonisolated(unsafe) let lane = self
    try Threads.run(budgets.count) { (part) throws(TableError) in
      let lacks = try lane.makeResults(part: part)
      found.withLock { $0.add(lacks) }
    }
    lacks = found.withLock { $0 }
    sorters = []
  }

  private func makeResults(part: Int) throws(TableError) -> LaneLacks {
    let records = try SortedRecords(sorters, part: part)
    let result = results[part]
    var entities = EntityPool { self.makeProgress() }
    var lacks = LaneLacks()
    while let (place, bytes) = try records.next() {
      let record = LaneRecord(bytes)
      let entity = entities.entity(record.key, hash: place.first)
      let time = time(of: place.second)
      guard place.third >> 63 == 0 else {
        try entity.add(record.rest, time: time, order: Int64(place.third & ~(1 << 63)))
        continue
      }
      entity.note(rowAt: time, in: &lacks)
      try entity.makeResult(time: time)
      let bytes = entity.result
      try result.append(SortKey(first: place.third, second: 0, third: 0), bytesMax: bytes.count) { room in
        UnsafeMutableRawBufferPointer(start: room, count: bytes.count).copyMemory(from: bytes)
        return bytes.count
      }
    }
    try result.finish()
    return lacks
  }

  private func makeProgress() -> any EntityProgress {
    switch purpose {
    case .happened: HappenedProgress(view, lostEvents)
    case .served: ServedProgress(view, firstSnapshot: firstSnapshot, lostSnapshots)
    case .label(let within): LabelProgress(within: within, lostEvents)
    case .compared: ComparedProgress(view, firstSnapshot: firstSnapshot, lostEvents, lostSnapshots)
    }
  }
}

/// What is sorted: the entity's key behind its length, then the event.
struct LaneRecord {
  let key: UnsafeRawBufferPointer
  let rest: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) {
    let end = 2 + Int(bytes.loadUnaligned(as: UInt16.self))
    key = UnsafeRawBufferPointer(rebasing: bytes[2..<end])
    rest = UnsafeRawBufferPointer(rebasing: bytes[end...])
  }

  static func keyBytes(_ key: UnsafeRawBufferPointer) -> Int { 2 + key.count }

  /// Keys have at most `Limits.entityKeyBytesMax` bytes.
  @inline(__always)
  static func write(_ key: UnsafeRawBufferPointer, to bytes: UnsafeMutableRawPointer) -> Int {
    bytes.storeBytes(of: UInt16(key.count), as: UInt16.self)
    UnsafeMutableRawBufferPointer(start: bytes + 2, count: key.count).copyMemory(from: key)
    return 2 + key.count
  }
}

/// The entities of one hash, nearly always one.
private struct EntityPool {
  private var entities: [(key: [UInt8], progress: any EntityProgress)] = []
  private var count = 0
  private var hash: UInt64?
  private let make: () -> any EntityProgress

  init(_ make: @escaping () -> any EntityProgress) { self.make = make }

  mutating func entity(_ key: UnsafeRawBufferPointer, hash: UInt64) -> any EntityProgress {
    if hash != self.hash {
      self.hash = hash
      count = 0
    }
    for index in 0..<count where entities[index].key.elementsEqual(key) { return entities[index].progress }
    if count == entities.count { entities.append(([], make())) }
    entities[count].key.removeAll(keepingCapacity: true)
    entities[count].key.append(contentsOf: key)
    entities[count].progress.reset(key)
    count += 1
    return entities[count - 1].progress
  }
}

extension Int64 {
  func addingSaturated(_ other: Int64) -> Int64 {
    let (sum, isTooLarge) = addingReportingOverflow(other)
    return isTooLarge ? .max : sum
  }
}
