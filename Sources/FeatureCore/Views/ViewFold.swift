/// Why a record that could be decoded can't be used by a view. The view leaves it out whole; other views may
/// take it.
public struct ViewFailure: Error, Hashable, Sendable {
  /// The kinds.
  public enum Reason: Hashable, Sendable {
    /// A column of the entity is null although the view's filter took the record.
    case missingKey(column: String)
    /// The entity key is too long.
    case keyTooLong(bytes: Int)
    /// The view's filter (feature nil), or a filter or value of a feature, has no result.
    case failed(ScalarFailure, feature: String?)
    /// The entity's state is damaged.
    case stateDamaged
    /// The entity's state is as large as it may get.
    case stateTooLarge
  }

  /// The view.
  public var view: String
  /// Why.
  public var reason: Reason

  /// Every code that there is.
  public static let codes = [
    "missing_key", "key_too_long", "expression_failed", "state_damaged", "state_too_large",
  ]

  /// The dead-letter reason code.
  public var code: String {
    switch reason {
    case .missingKey: "missing_key"
    case .keyTooLong: "key_too_long"
    case .failed: "expression_failed"
    case .stateDamaged: "state_damaged"
    case .stateTooLarge: "state_too_large"
    }
  }

  /// Whether the entity's state is the reason, and not the record: only who keeps the state knows of it.
  public var isOfState: Bool {
    switch reason {
    case .missingKey, .keyTooLong, .failed: false
    case .stateDamaged, .stateTooLarge: true
    }
  }

  /// What happened, where, and what to do.
  public var message: String {
    switch reason {
    case .missingKey(let column):
      "view '\(view)': entity column '\(column)' is null; if that is expected, add \"\(column) is not null\" "
        + "to the view's 'where'"
    case .keyTooLong(let bytes):
      "view '\(view)': the entity key has \(bytes) bytes, more than \(Limits.entityKeyBytesMax)"
    case .failed(let failure, .some(let feature)):
      "view '\(view)', feature '\(feature)': \(failure.explanation)"
    case .failed(let failure, .none): "view '\(view)', 'where': \(failure.explanation)"
    case .stateDamaged:
      "view '\(view)': the entity's state in the store is damaged, so nothing is folded into it"
    case .stateTooLarge:
      "view '\(view)': the entity's state has no room for the event: it may have \(Limits.stateBytesMax) bytes. Use longer hops, "
        + "shorter windows, or fewer lists and sketches; or leave the entity out in the view's 'where'"
    }
  }
}

/// What a fold did.
public struct FoldCounts: Hashable, Sendable {
  /// Records folded into a state.
  public var folded = 0
  /// Of these, seen by no window but lifetime ones.
  public var late = 0
  /// Left out by the view's filter.
  public var filtered = 0

  /// Nothing yet.
  public init() {}
}

/// Folds the events of a source into the states of one view. Owns the registers of the view's program: one
/// owner, one thread. Pure: what it does to a state is a function of the state and the event alone.
///
/// Exclusivity is not checked at run time: a check an event cost more than the counting, and no method calls
/// out while it changes a variable.
public final class ViewFold {
  /// The view.
  public let view: ViewPlan
  /// What was done since it was made.
  @exclusivity(unchecked) public private(set) var counts = FoldCounts()
  /// The largest event time folded.
  @exclusivity(unchecked) public private(set) var latest: EventTime?

  private let hasRoomAlways: Bool
  /// Asked first: views without triggers retain nothing for an event.
  private let hasTriggers: Bool
  private let triggers: TriggerFold
  private let registers: UnsafeMutablePointer<Scalar>
  /// Texts that the program makes for one event.
  private let arena = TextArena()
  private let keyArena = TextArena()
  @exclusivity(unchecked) private var probe = BatchProbe()
  /// The registers of `view.inputs`, flat: no name is retained for an event.
  private let inputs: UnsafeMutableBufferPointer<Input>
  /// What is kept of an event that is folded later, and the registers that it is read into: those of the program hold its
  /// constants.
  private let keptInputs: FoldInputs
  private let keptRegisters: UnsafeMutablePointer<Scalar>

  private struct Input {
    let filter: RegisterIndex?
    let value: RegisterIndex?
  }

  /// A fold for a view.
  public init(_ view: ViewPlan) {
    self.view = view
    hasRoomAlways = view.room.isAlways
    hasTriggers = !view.triggers.isEmpty
    triggers = TriggerFold(view)
    registers = .allocate(capacity: view.program.registerCount)
    registers.initialize(repeating: .null, count: view.program.registerCount)
    view.program.prepare(registers)
    inputs = .allocate(capacity: view.inputs.count)
    _ = inputs.initialize(from: view.inputs.map { Input(filter: $0.filter, value: $0.value) })
    keptInputs = FoldInputs(view.layout)
    keptRegisters = .allocate(capacity: view.program.registerCount)
    keptRegisters.initialize(repeating: .null, count: view.program.registerCount)
  }

  deinit {
    keptInputs.deallocate()
    keptRegisters.deallocate()
    registers.deallocate()
    inputs.deallocate()
  }

  /// Folds every row of a batch, in order. Records that the view can't use are passed to `fail` with their row.
  /// `isLookedUp`: `missing` was the last call, for this batch, and since then entities were at most added to the table.
  public func fold(
    _ batch: EventBatch, into table: inout StateTable, isLookedUp: Bool = false,
    fail: (Int, ViewFailure) -> Void
  ) {
    if !isLookedUp { probe.look(batch, view.entity, in: table) }
    for index in 0..<batch.count {
      let row = batch.row(index)
      do {
        guard try takes(row) else {
          counts.filtered += 1
          continue
        }
        let time = batch.time(index)
        let slot = try probe[index].slot >= 0 ? probe[index].slot : slot(of: row, probe[index], time, &table)
        try check(slot, time, table)
        let isLate = table.update(slot) { fold(into: &$0, time: time) }
        count(isLate: isLate, time: time)
        if hasTriggers { try name(firingsBy: row, index) }
      } catch {
        fail(index, error)
      }
    }
  }

  /// Folds one row of a batch; returns its entity's key, valid until the next call, or nil if the filter left it out.
  public func fold(
    _ batch: EventBatch, row index: Int, into table: inout StateTable
  ) throws(ViewFailure) -> UnsafeRawBufferPointer? {
    let row = batch.row(index)
    guard try takes(row) else {
      counts.filtered += 1
      return nil
    }
    let key = try key(of: row)
    let hash = table.hasher.hash(key)
    let time = batch.time(index)
    let found = table.find(key, hash: hash)
    let slot = found >= 0 ? found : table.insert(key, hash: hash, State(asOf: time, layout: view.layout))
    try check(slot, time, table)
    let isLate = table.update(slot) { fold(into: &$0, time: time) }
    count(isLate: isLate, time: time)
    if !hasTriggers { return key }
    try name(firingsBy: row, index)
    return try self.key(of: row)
  }

  /// The triggers that have fired since the last call, in the order of the events that closed their hops.
  public func takeFirings() -> [Firing] { triggers.take() }

  /// Says of which event and entity the triggers are that have fired just now.
  private func name(firingsBy row: UnsafePointer<Scalar>, _ index: Int) throws(ViewFailure) {
    if triggers.hasUnnamed { triggers.name(try key(of: row), row: index) }
  }

  /// The keys of the batch's events that the view takes and whose entities are not in the table, each once.
  public func missing(_ batch: EventBatch, in table: borrowing StateTable) -> [[UInt8]] {
    probe.look(batch, view.entity, in: table)
    var keys: [[UInt8]] = []
    for index in 0..<batch.count where probe[index].slot == BatchProbe.Entry.absent {
      // What the view can't use is told when it is folded.
      guard let isTaken = try? takes(batch.row(index)), isTaken else { continue }
      if probe.isFirst(index) { keys.append(Array(probe[index].key)) }
    }
    return keys
  }

  /// At most the bytes that folding a batch adds to those of the changed states, apart from growth, or with `emitting` to those
  /// of snapshots after every event: `missing` was the last call, for this batch. An entity counts as often as it comes.
  public func bytes(of batch: EventBatch, in table: borrowing StateTable, emitting: Bool) -> Int {
    var bytes = 0
    for index in 0..<batch.count where probe[index].slot != BatchProbe.Entry.keyless {
      let slot =
        probe[index].slot >= 0 ? probe[index].slot : table.find(probe[index].key, hash: probe[index].hash)
      if slot >= 0 { bytes += emitting ? table.stateBytes(slot) : table.unchangedBytes(slot) }
    }
    return bytes
  }

  /// Folds one event into the state of its entity. Returns whether it took it.
  @discardableResult
  public func fold(_ row: UnsafePointer<Scalar>, time: Int64, into state: inout State?) throws(ViewFailure)
    -> Bool
  {
    guard try takes(row) else {
      counts.filtered += 1
      return false
    }
    if !hasRoomAlways, let state { try checkRoom(state, time) }
    // Taken out so that the state has one owner and is changed in place.
    var folded = state.take() ?? State(asOf: time, layout: view.layout)
    let isLate = fold(into: &folded, time: time)
    state = folded
    count(isLate: isLate, time: time)
    if hasTriggers { try name(firingsBy: row, 0) }
    return true
  }

  /// Bytes that `writeInputs` needs at most for the event that `takes` has just taken.
  @inline(__always)
  public var inputBytesMax: Int { keptInputs.bytesMax(registers) }

  /// Writes what the view needs of the event that `takes` has just taken, to fold it later; returns how many bytes that
  /// are. They mean something to this process only.
  @inline(__always)
  public func writeInputs(to bytes: UnsafeMutableRawPointer) -> Int {
    keptInputs.write(registers, to: bytes)
  }

  /// Folds an event from what `writeInputs` wrote, by any fold of the same view, into the state of its entity, if that has
  /// room for it. For values alone: triggers are not asked.
  public func fold(inputs: UnsafeRawBufferPointer, time: Int64, into state: inout State?) {
    if !hasRoomAlways, let state, !view.room.admits(time, state, view.layout) { return }
    keptInputs.read(inputs, into: keptRegisters)
    var folded = state.take() ?? State(asOf: time, layout: view.layout)
    let isLate = folded.fold(keptRegisters, time: time, layout: view.layout)
    state = folded
    count(isLate: isLate, time: time)
  }

  /// The entity key of a row. Valid until the next call and no longer than the row.
  public func key(of row: UnsafePointer<Scalar>) throws(ViewFailure) -> UnsafeRawBufferPointer {
    keyArena.reset()
    do {
      return try EntityKey.make(row, view.entity, arena: keyArena)
    } catch {
      throw failure(error)
    }
  }

  /// The slot of an entity that was not in the table when the batch began.
  private func slot(
    of row: UnsafePointer<Scalar>, _ entry: BatchProbe.Entry, _ time: Int64, _ table: inout StateTable
  ) throws(ViewFailure) -> Int {
    guard entry.slot != BatchProbe.Entry.keyless else {
      _ = try key(of: row)
      preconditionFailure("Cannot find a key that was not found before")
    }
    let slot = table.find(entry.key, hash: entry.hash)
    if slot >= 0 { return slot }
    return table.insert(entry.key, hash: entry.hash, State(asOf: time, layout: view.layout))
  }

  /// Throws if nothing may be folded into the state of a slot.
  @inline(__always)
  private func check(_ slot: Int, _ time: Int64, _ table: borrowing StateTable) throws(ViewFailure) {
    if table.isDamaged(slot) { throw ViewFailure(view: view.name, reason: .stateDamaged) }
    if !hasRoomAlways { try checkRoom(table.state(slot), time) }
  }

  /// Throws if an event would make a state larger than one may be.
  @inline(never)
  private func checkRoom(_ state: State, _ time: Int64) throws(ViewFailure) {
    if !view.room.admits(time, state, view.layout) {
      throw ViewFailure(view: view.name, reason: .stateTooLarge)
    }
  }

  @inline(__always)
  private func fold(into state: inout State, time: Int64) -> Bool {
    if hasTriggers { triggers.close(&state, before: time) }
    return state.fold(registers, time: time, layout: view.layout)
  }

  @inline(__always)
  private func count(isLate: Bool, time: Int64) {
    counts.folded += 1
    if isLate { counts.late += 1 }
    latest = max(latest ?? EventTime(microseconds: time), EventTime(microseconds: time))
  }

  /// Runs the view's program for a row; returns whether its filter takes the event. Throws if the view can't use
  /// the event, before anything has been folded.
  @inline(__always)
  public func takes(_ row: UnsafePointer<Scalar>) throws(ViewFailure) -> Bool {
    registers.update(from: row, count: view.program.columnCount)
    arena.reset()
    view.program.run(registers, arena: arena)
    if let index = view.filter {
      let filter = registers[index]
      if filter.tag == .failed { throw failure(filter, feature: nil) }
      if !filter.isTrue { return false }
    }
    for index in 0..<inputs.count where isFailed(inputs[index]) { throw failure(view.inputs[index]) }
    return true
  }

  /// A value counts only where its filter is true, so it may fail elsewhere.
  @inline(__always)
  private func isFailed(_ input: Input) -> Bool {
    if let index = input.filter {
      let filter = registers[Int(index)]
      if filter.tag == .failed { return true }
      if !filter.isTrue { return false }
    }
    return input.value.map { registers[Int($0)].tag == .failed } ?? false
  }

  private func failure(_ input: AggregateInput) -> ViewFailure {
    let failed = [input.filter, input.value].compactMap(\.self).map { registers[Int($0)] }
      .first { $0.tag == .failed }
    guard let failed else { preconditionFailure("Cannot name a failure where nothing failed") }
    return failure(failed, feature: input.feature)
  }

  private func failure(_ scalar: Scalar, feature: String?) -> ViewFailure {
    guard let failure = ScalarFailure(rawValue: UInt8(truncatingIfNeeded: scalar.bits)) else {
      preconditionFailure("Cannot name failure \(scalar.bits)")
    }
    return ViewFailure(view: view.name, reason: .failed(failure, feature: feature))
  }

  private func failure(_ fault: EntityKey.Fault) -> ViewFailure {
    switch fault {
    case .null(let column):
      let name = view.entity.first { $0.column == column }?.name ?? ""
      return ViewFailure(view: view.name, reason: .missingKey(column: name))
    case .tooLong(let bytes): return ViewFailure(view: view.name, reason: .keyTooLong(bytes: bytes))
    }
  }
}
