import BrokerCore
import FeatureCore
import Processor

/// The log of one worker: a member of the group and a transactional producer on the simulated broker.
final class SimulatedLog: EventLogPort {
  private let life: Life
  private let broker: SimulatedBroker
  private let group: String
  private let consumer: SimulatedConsumer
  private let producer: SimulatedProducer
  private var world: World { broker.world }
  private var isRepeated = false
  /// The commit that is under way.
  private var errand: Errand<LogError>?
  /// The client library has given up: every call says so.
  private var isBroken = false
  /// Copies of the records of the last poll.
  private var copies: [UnsafeMutableRawBufferPointer] = []
  private var records = UnsafeMutableBufferPointer<LogRecord>(start: nil, count: 0)
  /// What each cursor has read last.
  private var readings: [CursorPlace: CursorRecords] = [:]

  init(
    _ life: Life, _ broker: SimulatedBroker, group: String, transactionalID: String, topics: [String],
    snapshots: SnapshotBound, faults: AdapterFaults
  ) throws(LogError) {
    self.life = life
    self.broker = broker
    self.group = group
    if let obstacle = broker.world.before(life, .log, "preparing transactions") { throw LogError(obstacle) }
    producer = try SimulatedProducer(
      life, broker, id: transactionalID, group: group, snapshots: snapshots, faults: faults)
    consumer = SimulatedConsumer(life, broker, group: group, topics: topics)
  }

  deinit { release() }

  // MARK: Reading

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    release()
    try gate("poll") { () throws(LogError) in }
    if world.strikes(.rebalance) { consumer.rejoin() }
    consumer.tick()
    let change = consumer.takeChange()
    switch consumer.fetch(recordsMax: recordsMax) {
    case .success(let fetch):
      keep(fetch.runs)
      if !fetch.runs.isEmpty {
        world.trace(
          "\(life.name)  reads \(fetch.runs.map { "\($0.place.logged)@\($0.records.first?.offset ?? 0)+\($0.records.count)" }.joined(separator: " "))"
        )
      }
      return LogPoll(
        assignments: change.map { [$0] } ?? [], partitions: fetch.runs.map(\.place.logged),
        records: UnsafeBufferPointer(records), ends: fetch.ends)
    case .failure(let error):
      if let change {
        // The error comes with a later poll.
        return LogPoll(
          assignments: [change], partitions: [], records: UnsafeBufferPointer(records), ends: [])
      }
      throw LogError(
        .outOfRange(error.place.logged),
        "reading \(error.place.logged) at offset \(error.offset): out of range")
    }
  }

  private func keep(_ runs: [(place: Place, records: ArraySlice<VisibleRecord>)]) {
    let count = runs.reduce(0) { $0 + $1.records.count }
    records = .allocate(capacity: count)
    var next = 0
    for (index, run) in runs.enumerated() {
      for visible in run.records {
        (records.baseAddress! + next).initialize(
          to: LogRecord(
            partition: index, offset: visible.offset, timestampMilliseconds: visible.record.timestamp,
            key: visible.record.key.map(copy), value: visible.record.value.map(copy),
            headers: visible.record.encodedHeaders.map { RecordHeaders(copy($0)) }))
        next += 1
      }
    }
  }

  private func copy(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    room.copyBytes(from: bytes)
    copies.append(room)
    return UnsafeRawBufferPointer(rebasing: room[0..<bytes.count])
  }

  private func release() {
    for copy in copies { copy.deallocate() }
    copies = []
    records.deallocate()
    records = UnsafeMutableBufferPointer(start: nil, count: 0)
  }

  func assign(_ partitions: [(partition: Processor.TopicPartition, offset: Int64)]) throws(LogError) {
    if life.isDead { throw LogError(.dead) }
    world.trace(
      "\(life.name)  takes on \(partitions.map { "\($0.partition)@\($0.offset)" }.joined(separator: " "))")
    consumer.assign(partitions)
  }

  func unassign(_ partitions: [Processor.TopicPartition]) throws(LogError) {
    if life.isDead { throw LogError(.dead) }
    world.trace("\(life.name)  gives up \(partitions.map(\.description).joined(separator: " "))")
    consumer.unassign(partitions)
  }

  func pause(_ partitions: [Processor.TopicPartition]) throws(LogError) {
    if life.isDead { throw LogError(.dead) }
    world.coverage.hit(.held)
    guard consumer.pause(partitions) else { throw LogError(.fatal, "paused what is not assigned") }
  }

  func resume(_ partitions: [Processor.TopicPartition]) throws(LogError) {
    if life.isDead { throw LogError(.dead) }
    world.coverage.hit(.released)
    guard consumer.resume(partitions) else { throw LogError(.fatal, "resumed what is not assigned") }
  }

  func seek(_ partition: Processor.TopicPartition, to offset: Int64) throws(LogError) {
    try gate("going to \(partition)@\(offset)") { () throws(LogError) in
      world.coverage.hit(.soughtBack)
      consumer.seek(partition, to: offset)
    }
  }

  func read(
    _ partition: Processor.TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    let reading = CursorPlace(partition: partition, cursor: cursor)
    try gate("cursor \(cursor) reading \(partition)@\(offset)") { () throws(LogError) in
      let log = broker.log(partition.place)
      log.sync()
      guard offset >= log.logStart else { throw LogError(.fatal, "a cursor reads what was deleted") }
      let found = log.records[log.index(from: offset)...].prefix(1 + world.draws.below(recordsMax))
      readings[reading] = CursorRecords(found)
    }
    guard let records = readings[reading]?.records, !records.isEmpty else {
      world.violate("\(life.name)'s cursor finds nothing in \(partition) from \(offset) on")
      throw LogError(.fatal, "a cursor reads what isn't there")
    }
    return records
  }

  func committed(_ partitions: [Processor.TopicPartition]) throws(LogError) -> [Int64?] {
    var found: [Int64?] = []
    try gate("reading offsets") { () throws(LogError) in
      if world.now < world.coordinatorAwayUntil { throw LogError(.retry, "the coordinator is moving") }
      for partition in partitions {
        do throws(KafkaError) {
          found.append(try broker.core.committedOffset(group, partition.place, requireStable: true)?.offset)
        } catch { throw LogError(error) }
        noteBegin(partition, found.last ?? nil)
      }
    }
    return found
  }

  private func noteBegin(_ partition: Processor.TopicPartition, _ committed: Int64?) {
    let text = { (offset: Int64?) in offset.map(String.init) ?? "none" }
    world.trace("\(life.name)  begins \(partition): store \(text(life.claimed)), group \(text(committed))")
    switch (life.claimed, committed) {
    case (nil, nil): world.coverage.hit(.beginsNew)
    case (nil, _?): world.coverage.hit(.beginsEmpty)
    case (let stored?, let committed?) where stored < committed: world.coverage.hit(.beginsBehind)
    default: world.coverage.hit(.beginsWhereBoth)
    }
  }

  func watermarks(_ partition: Processor.TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    var marks: (low: Int64, high: Int64) = (0, 0)
    try gate("reading watermarks") { () throws(LogError) in
      guard let partition = broker.core.partition(partition.place) else {
        throw LogError(.fatal, "unknown partition")
      }
      marks = (partition.logStartOffset, partition.lastStableOffset)
    }
    return marks
  }

  func firstOffset(
    of partition: Processor.TopicPartition, since milliseconds: Int64
  ) throws(LogError) -> Int64? {
    var found: Int64?
    try gate("looking for a time in \(partition)") { () throws(LogError) in
      found =
        broker.core.partition(partition.place)?
        .firstRecord(atOrAfter: milliseconds, isolation: .readCommitted)?.offset
      world.coverage.hit(.idsReadAgain)
    }
    return found
  }

  // MARK: Writing

  func begin() throws(LogError) {
    if life.isDead { throw LogError(.dead) }
    try producer.begin()
  }

  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {
    if life.isDead { throw LogError(.dead) }
    try counted { () throws(LogError) in
      try producer.send(
        topic: topic, partition: partition, key: key.map(Array.init), value: value.map(Array.init))
    }
  }

  func startCommit(
    _ offsets: [(partition: Processor.TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) throws(LogError) -> Bool {
    let membership = { [consumer] in SimulatedMembership(member: consumer.member, isLost: consumer.isLost) }
    if !world.strikes(.overlap) {
      try commit(offsets, changes, membership)
      return true
    }
    errand = Errand(life, world) { [self] () throws(LogError) in try commit(offsets, changes, membership) }
    return false
  }

  func finishCommit(waiting: Bool) throws(LogError) -> Bool {
    guard let errand else { return true }
    let isDone = try errand.finish(waiting: waiting)
    if !isDone { world.coverage.hit(.foldedMeanwhile) }
    return isDone
  }

  private func commit(
    _ offsets: [(partition: Processor.TopicPartition, offset: Int64)], _ changes: [SealedChanges],
    _ membership: () -> SimulatedMembership
  ) throws(LogError) {
    for changes in changes {
      try changes.send { (topic, key, value) throws(LogError) in
        try send(topic: topic, partition: nil, key: key, value: value)
      }
    }
    let text = offsets.map { "\($0.partition)@\($0.offset)" }.joined(separator: " ")
    do throws(LogError) {
      try gate("committing \(text)") { () throws(LogError) in
        if world.now < world.coordinatorAwayUntil { throw LogError(.retry, "the coordinator is moving") }
        try producer.commit(offsets, membership)
      }
    } catch {
      isRepeated = true
      throw error
    }
    world.trace("\(life.name)  committed \(text)")
    if isRepeated { world.coverage.hit(.commitRepeated) }
    isRepeated = false
    producer.committed()
  }

  func abort() throws(LogError) {
    isRepeated = false
    if producer.isIdle { return }
    do throws(LogError) {
      try gate("aborting") { () throws(LogError) in try producer.abort() }
    } catch {
      world.coverage.hit(.abortFailed)
      throw error
    }
    world.trace("\(life.name)  aborted")
    world.coverage.hit(.aborted)
    producer.aborted()
  }

  @discardableResult
  func close(timeoutMilliseconds: Int) -> Bool {
    if life.isDead { return false }
    if !producer.isIdle { try? producer.abort() }
    consumer.leave()
    return true
  }

  // MARK: Faults

  private func gate(_ call: String, _ body: () throws(LogError) -> Void) throws(LogError) {
    try counted { () throws(LogError) in
      if let obstacle = world.before(life, .log, call) { throw LogError(obstacle) }
      try refuseIfBroken()
      try body()
      try refuseIfBroken()
      if let obstacle = world.after(life, .log, call) { throw LogError(obstacle) }
    }
  }

  /// A fatal error of the library, before an effect or after it: another client goes on.
  private func refuseIfBroken() throws(LogError) {
    isBroken = isBroken || world.strikes(.clientDied)
    if isBroken { throw LogError(.fenced, "the client library cannot go on") }
  }

  private func counted(_ body: () throws(LogError) -> Void) throws(LogError) {
    do throws(LogError) { try body() } catch {
      if !life.isDead { world.trace("\(life.name)  \(error.remedy): \(error.message)") }
      switch error.remedy {
      case .retry: world.coverage.hit(.logRetried)
      case .abort: world.coverage.hit(.logAborted)
      case .fenced: world.coverage.hit(.logFenced)
      case .fatal: life.refused = world.now
      case .outOfRange: break
      }
      throw error
    }
  }
}

/// A cursor's place in a partition.
private struct CursorPlace: Hashable {
  var partition: Processor.TopicPartition
  var cursor: Int
}

/// What a cursor has read, until it reads on.
private final class CursorRecords {
  let records: UnsafeBufferPointer<LogRecord>
  private let memory: UnsafeMutableBufferPointer<LogRecord>
  private var copies: [UnsafeMutableRawBufferPointer] = []

  init(_ found: ArraySlice<VisibleRecord>) {
    memory = .allocate(capacity: found.count)
    var copies: [UnsafeMutableRawBufferPointer] = []
    func copy(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
      room.copyBytes(from: bytes)
      copies.append(room)
      return UnsafeRawBufferPointer(rebasing: room[0..<bytes.count])
    }
    _ = memory.initialize(
      from: found.map { visible in
        LogRecord(
          partition: 0, offset: visible.offset, timestampMilliseconds: visible.record.timestamp,
          key: visible.record.key.map(copy), value: visible.record.value.map(copy),
          headers: visible.record.encodedHeaders.map { RecordHeaders(copy($0)) })
      })
    self.copies = copies
    records = UnsafeBufferPointer(memory)
  }

  deinit {
    for copy in copies { copy.deallocate() }
    memory.deallocate()
  }
}

extension Record {
  /// As the port has them; nil if there are none.
  var encodedHeaders: [UInt8]? {
    if headers.isEmpty { return nil }
    return headers.reduce(into: []) { bytes, header in
      bytes += WireWriter.field(
        1, WireWriter.field(1, Array(header.name.utf8)) + (header.value.map { WireWriter.field(2, $0) } ?? [])
      )
    }
  }
}
