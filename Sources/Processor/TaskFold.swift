public import FeatureCore

/// The fold of one partition of an input with every state kept: what its task must have, by definition.
public final class TaskFold {
  /// The views that are folded.
  public let views: [ViewPlan]
  /// The next offset to fold.
  public private(set) var position: Int64
  /// Records folded.
  public private(set) var records = 0

  /// Called with the offset and the event time of every event that the source's task can use.
  public var onEvent: ((Int64, Int64) -> Void)?

  /// Called with every record that the task has to send besides snapshots. Its bytes are borrowed.
  public var onDue: ((Due) -> Void)?

  /// A record that folding causes in another topic.
  public struct Due {
    /// The topic.
    public var topic: String
    /// The record's key.
    public var key: UnsafeRawBufferPointer?
    /// The record's value.
    public var value: UnsafeRawBufferPointer?
    /// The offset of the record that causes it.
    public var offset: Int64
  }

  private let version: Int
  private let judge: RecordJudge
  private let isRepartitioned: Bool
  private let deadLetterTopic: String
  private let filter: DuplicateFilter?
  private let triggerTopic: String
  private let triggers: TriggerWriter
  private let forwards: [(topic: String, side: JoinPlan.Side?, folds: [ViewFold])]
  private let partition: TopicPartition
  /// nil: the records were placed by a task.
  private let partitionCount: Int32?
  private let batch: EventBatch
  private let folds: [ViewFold]
  private let tables: [TableBox]
  private var writer = ProtobufWriter()
  private let join: JoinFold?
  private let memory: JoinMemory?
  /// Whether somebody asks for what has changed of a join's.
  private let tracksChanges: Bool

  /// A class around a table, so that an array can hold tables, which can't be copied.
  private final class TableBox {
    var table = StateTable()
  }

  /// A fold of one of an input's `count` partitions that begins at an offset with no states. `tracksChanges`: what has changed of a
  /// join's is asked for.
  public init(
    _ plan: Plan, _ input: Routing.Input, _ partition: Int32, of count: Int32, from offset: Int64,
    tracksChanges: Bool = false
  ) {
    version = plan.version
    isRepartitioned = input.isRepartitioned
    let names = TopicNames(app: plan.name, version: plan.version)
    (deadLetterTopic, triggerTopic) = (names.deadLetters, names.triggers)
    triggers = TriggerWriter(plan)
    forwards = input.forwards.map { forward in
      (forward.topic, forward.side?.side, forward.plans(plan).map(ViewFold.init))
    }
    self.partition = TopicPartition(input.topic, partition)
    partitionCount = input.isRepartitioned ? nil : count
    views = input.views.map { plan.views[$0] }
    position = offset
    filter = input.isRepartitioned ? nil : DuplicateFilter(plan.sources[input.source], from: offset)
    judge = RecordJudge(plan, input)
    batch = EventBatch(plan.sources[input.source].schema, capacity: WorkerLimits().batchRecords)
    folds = views.map(ViewFold.init)
    tables = views.map { _ in TableBox() }
    var limits = WorkerLimits()
    limits.cachedStatesMax = .max
    self.tracksChanges = tracksChanges
    join = input.join.map { JoinFold(plan, join: $0, limits, isStored: tracksChanges) }
    memory = join.map { JoinMemory($0.plan) }
  }

  /// Folds records, in order.
  public func fold(_ records: UnsafeBufferPointer<LogRecord>) {
    if let join, let memory { return fold(records, join, memory) }
    var start = 0
    while start < records.count {
      let end = min(records.count, start + batch.recordsMax)
      let slice = UnsafeBufferPointer(rebasing: records[start..<end])
      var letters = decode(slice)
      if let onEvent {
        for row in 0..<batch.count { onEvent(slice[Int(batch.sequence(row))].offset, batch.time(row)) }
      }
      for (fold, box) in zip(folds, tables) {
        fold.fold(batch, into: &box.table) { row, failure in
          // The source's task has sent this one.
          guard onDue != nil, !isRepartitioned else { return }
          let record = Int(batch.sequence(row))
          letters.append(DeadLetter(failure, slice[record].payload, sequence: Int64(record)))
        }
        sendFirings(of: fold, slice)
      }
      if let onDue { send(slice, letters, onDue) }
      position = records[end - 1].offset + 1
      self.records += end - start
      start = end
    }
  }

  private func decode(_ records: UnsafeBufferPointer<LogRecord>) -> [DeadLetter] {
    var letters = judge.decode(records, into: batch)
    if let filter { letters += filter.sift(records, batch) }
    guard let partitionCount else { return letters.map(\.letter) }
    // Whoever has a state belongs here.
    let isPlaced = zip(folds, tables).allSatisfy { fold, box in
      fold.missing(batch, in: box.table).allSatisfy { key in
        key.withUnsafeBytes { Murmur2.partition($0, count: partitionCount) } == partition.partition
      }
    }
    if isPlaced { return letters.map(\.letter) }
    let misplaced = judge.misplaced(batch, records, in: partition, of: partitionCount, folds)
    var others = judge.decode(records, into: batch, leavingOut: Set(misplaced.map(\.record)))
    if let filter { others += filter.sift(records, batch) }
    return (misplaced + others).map(\.letter)
  }

  /// Tells which triggers have fired.
  private func sendFirings(of fold: ViewFold, _ records: UnsafeBufferPointer<LogRecord>) {
    let firings = fold.takeFirings()
    guard let onDue else { return }
    for firing in firings {
      let offset = records[Int(batch.sequence(firing.row))].offset
      var value: [UInt8] = []
      triggers.append(firing, of: fold.view, at: (partition, offset), to: &value)
      StateKey.make(view: fold.view.name, firing.key).withUnsafeBytes { key in
        value.withUnsafeBytes { onDue(Due(topic: triggerTopic, key: key, value: $0, offset: offset)) }
      }
    }
  }

  /// Tells what is due of a batch: what is forwarded, and letters.
  private func send(
    _ records: UnsafeBufferPointer<LogRecord>, _ letters: [DeadLetter], _ onDue: (Due) -> Void
  ) {
    var letters = letters
    for forward in forwards {
      // Of a record with elements, the entities that it has been sent for.
      var sent = (record: -1, keys: Set<Text>())
      for row in 0..<batch.count {
        let record = Int(batch.sequence(row))
        var key: UnsafeRawBufferPointer?
        for fold in forward.folds {
          do throws(ViewFailure) {
            if try fold.takes(batch.row(row)) { key = try fold.key(of: batch.row(row)) }
          } catch {
            letters.append(DeadLetter(error, records[record].payload, sequence: Int64(record)))
          }
        }
        guard let key else { continue }
        if batch.schema.each != nil {
          if sent.record != record { sent = (record, []) }
          guard sent.keys.insert(Text(key)).inserted else { continue }
        }
        let offset = records[record].offset
        if let side = forward.side {
          writer.event(records[record], batch.schema, of: side)
          writer.withBytes { onDue(Due(topic: forward.topic, key: key, value: $0, offset: offset)) }
          continue
        }
        guard batch.schema.forwardsRecord else {
          onDue(Due(topic: forward.topic, key: key, value: records[record].value, offset: offset))
          continue
        }
        writer.forwarded(records[record], batch.schema)
        writer.withBytes { onDue(Due(topic: forward.topic, key: key, value: $0, offset: offset)) }
      }
    }
    for letter in letters { send(letter, of: records[Int(letter.sequence)], batch.schema) }
  }

  /// The log of a join: nothing is read again but from memory.
  private func fold(
    _ records: UnsafeBufferPointer<LogRecord>, _ join: JoinFold, _ memory: JoinMemory
  ) {
    var head: Int64 = 0
    let isSilent = onDue == nil
    let ports = JoinFold.Ports<Never>(
      read: { memory.read($0, from: $1) }, load: { _ in },
      make: { output in
        switch output {
        case .record(let key, let value):
          self.onDue?(Due(topic: join.topic, key: key, value: value, offset: head))
        case .letter(let cause, let schema, let letter): self.send(letter, of: cause, schema)
        }
      })
    for record in records {
      head = record.offset
      memory.append(record)
      join.fold(record, isSilent: isSilent, ports)
      memory.drop(join.progress, head: record.offset + 1)
      position = record.offset + 1
      self.records += 1
    }
  }

  private func send(_ letter: DeadLetter, of record: LogRecord, _ schema: EventSchema) {
    let key = record.key.map { UnsafeRawBufferPointer(rebasing: $0.prefix(Limits.entityKeyBytesMax)) }
    writer.deadLetter(
      letter, version: version, at: RecordPosition(partition: partition, offset: record.offset), key: key,
      schema, headers: record.headers)
    writer.withBytes {
      onDue?(Due(topic: deadLetterTopic, key: key, value: $0, offset: record.offset))
    }
  }

  /// Goes on to an offset before which there is nothing more to fold: marks of transactions take offsets too.
  public func skip(to offset: Int64) { position = max(position, offset) }

  /// The keys of everything that the task of a join has in the store; empty for others.
  public var joinKeys: [[UInt8]] {
    guard let join else { return [] }
    let prefix = StateKey.prefix(view: join.plan.name)
    return join.keys.map { prefix + $0 } + [StateKey.progress(of: join.plan.name)]
  }

  /// What it has under one of them.
  public func joinBytes(_ key: [UInt8]) -> [UInt8]? {
    guard let join else { return nil }
    if key == StateKey.progress(of: join.plan.name) {
      var bytes: [UInt8] = []
      join.progress.encode(join.plan, into: &bytes)
      return bytes
    }
    return join.bytes(Array(key.dropFirst(StateKey.prefix(view: join.plan.name).count)))
  }

  /// Whether the store has under a key of a join's what it should. What is over doesn't count: a version that forgot nothing may have
  /// left it.
  public func agreesOfJoin(_ key: [UInt8], _ found: [UInt8]?) -> Bool {
    if found == joinBytes(key) { return true }
    guard let join else { return false }
    if key == StateKey.progress(of: join.plan.name) { return join.agrees(progress: found ?? []) }
    let prefix = StateKey.prefix(view: join.plan.name)
    return key.starts(with: prefix) && join.agrees(Array(key.dropFirst(prefix.count)), found)
  }

  /// What the task of a join has in the store that was changed since the last call, by its key there: no bytes where it has nothing
  /// any more.
  public func takeChangedOfJoin() -> [(key: [UInt8], bytes: [UInt8])] {
    guard let join else { return [] }
    precondition(tracksChanges, "Cannot tell what has changed without tracking it")
    var found: [(key: [UInt8], bytes: [UInt8])] = []
    let prefix = StateKey.prefix(view: join.plan.name)
    join.forEachChanged { key, write in
      var bytes: [UInt8] = []
      write(&bytes)
      found.append((prefix + Array(key), bytes))
    }
    if join.hasProgressed {
      var bytes: [UInt8] = []
      join.progress.encode(join.plan, into: &bytes)
      found.append((StateKey.progress(of: join.plan.name), bytes))
    }
    join.seal(bytesMax: .max)
    return found
  }

  /// The state of an entity, nil if nothing of it was folded.
  public func state(_ view: Int, _ key: [UInt8]) -> State? {
    key.withUnsafeBytes { tables[view].table.state($0) }
  }

  /// The keys of the entities of a view, in ascending order.
  public func keys(_ view: Int) -> [[UInt8]] {
    var keys: [[UInt8]] = []
    tables[view].table.forEachSorted { key, _ in keys.append(Array(key)) }
    return keys
  }

  /// The keys of the entities of a view that were folded into since the last call.
  public func takeChanged(_ view: Int) -> [[UInt8]] {
    var keys: [[UInt8]] = []
    tables[view].table.forEachChanged { key, _ in keys.append(Array(key)) }
    tables[view].table.forgetChanges()
    return keys
  }

  /// The value of the snapshot that a state has at a position.
  public func snapshot(
    _ view: Int, _ key: [UInt8], _ state: State, at place: TopicPartition, _ offset: Int64,
    hasValues: Bool = true
  ) -> [UInt8] {
    let plan = views[view]
    let bytes = plan.encode(state)
    let values = hasValues ? plan.evaluate(state, at: state.asOf) : nil
    key.withUnsafeBytes { key in
      bytes.withUnsafeBytes { bytes in
        writer.snapshot(
          plan, version: version, key: key, at: RecordPosition(partition: place, offset: offset),
          asOf: state.asOf, state: bytes, values: values)
      }
    }
    return writer.bytes
  }
}
