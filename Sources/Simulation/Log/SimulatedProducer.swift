import BrokerCore
import FeatureCore
import Processor

/// Of whom offsets are.
struct SimulatedMembership {
  var member: GroupMember
  /// The group has given its partitions away.
  var isLost: Bool
}

/// What of snapshots a transaction may hold.
struct SnapshotBound {
  var topic: String
  /// Of what was there before a batch, and of the batch.
  var bytesMax: Int
  /// Snapshots that a record makes at most.
  var perRecord: Int
  /// Of one state, by view: what fits a record of the topic.
  var stateBytesMax: [String: Int]
}

/// A transactional producer: what is sent waits in a queue until it is written, at the latest by the commit.
final class SimulatedProducer {
  private enum Phase { case idle, open, committing }

  private let life: Life
  private let broker: SimulatedBroker
  private let id: String
  private let group: String
  private let snapshots: SnapshotBound
  private let faults: AdapterFaults
  /// Of the states in the transaction's snapshots.
  private var snapshotBytes = 0
  private var largestSnapshot = 0
  private let identity: ProducerIdentity
  private var world: World { broker.world }

  private var phase = Phase.idle
  private var queue: [(place: Place, record: Record)] = []
  private var sequences: [Place: Int32] = [:]
  /// Whether the coordinator knows of the transaction.
  private var isStarted = false
  /// Whether its commit is noted, be the reply lost or not.
  private var isCounted = false
  /// A record that was refused: the transaction has failed.
  private var failure: LogError?

  /// Takes the transactional id over from whoever had it.
  init(
    _ life: Life, _ broker: SimulatedBroker, id: String, group: String, snapshots: SnapshotBound,
    faults: AdapterFaults
  ) throws(LogError) {
    self.life = life
    self.broker = broker
    self.id = id
    self.group = group
    self.snapshots = snapshots
    self.faults = faults
    do throws(KafkaError) {
      identity = try broker.core.initProducer(
        transactionalId: id, timeout: SimulatedBroker.transactionMilliseconds, expected: nil,
        now: broker.world.wallClock)
    } catch {
      throw LogError(.retry, "preparing transactions: \(error)")
    }
  }

  var isIdle: Bool { phase == .idle }

  func begin() throws(LogError) {
    guard phase == .idle else {
      world.violate("\(life.name) began a transaction while one was open")
      throw LogError(.fatal, "a transaction is open")
    }
    phase = .open
    failure = nil
    snapshotBytes = 0
    largestSnapshot = 0
  }

  func send(topic: String, partition: Int32?, key: [UInt8]?, value: [UInt8]?) throws(LogError) {
    guard phase == .open else {
      world.violate("\(life.name) sent a record outside a transaction")
      throw LogError(.fatal, "no transaction is open")
    }
    if let failure { throw failure }
    if world.strikes(.queueFull) {
      throw LogError(world.draws.oneIn(2) ? .retry : .abort, "the queue is full")
    }
    if topic == snapshots.topic { checkSize(value ?? []) }
    let count = Int32(broker.places(topic).count)
    let partition =
      partition ?? key.map { key in key.withUnsafeBytes { Murmur2.partition($0, count: count) } }
      ?? Int32(world.draws.below(Int(count)))
    let record = Record(key: key, value: value, timestamp: world.wallClock)
    if broker.refuses(record, topic, atClient: true) { throw LogError(KafkaError.messageTooLarge) }
    queue.append((Place(topic, partition), record))
    if world.strikes(.eagerSending) { _ = try write() }
  }

  /// I7: what is between two commits is bounded in bytes, too: by what makes one due, a batch that is as large, and a record that
  /// is folded whole.
  private func checkSize(_ value: [UInt8]) {
    guard let snapshot = ReadSnapshot(value) else { return }
    let bytes = snapshot.state.count
    if bytes > snapshots.stateBytesMax[snapshot.view] ?? 0 {
      world.violate("\(life.name) sent a state of view '\(snapshot.view)' of \(bytes) bytes")
    }
    snapshotBytes += bytes
    largestSnapshot = max(largestSnapshot, bytes)
    let most = snapshots.bytesMax + snapshots.perRecord * largestSnapshot
    if snapshotBytes > most {
      world.violate(
        "\(life.name) sent \(snapshotBytes) bytes of states in one transaction, more than \(most)")
    }
  }

  /// Writes what waits in the queue; false if the brokers take nothing before the last transaction has its marks.
  private func write() throws(LogError) -> Bool {
    while let (place, record) = queue.first {
      if let obstacle = world.during(life, "writing to \(place.logged)") { throw LogError(obstacle) }
      if world.strikes(.transactionFailed) {
        failure = LogError(.abort, "a record for \(place.logged) was refused")
      }
      if let failure { throw failure }
      var mustWait = false
      try onBroker { () throws(KafkaError) in
        do throws(KafkaError) {
          try broker.core.addPartitions(
            [place], transactionalId: id, producer: identity, now: world.wallClock)
        } catch {
          guard error == .concurrentTransactions else { throw error }
          mustWait = true
          return
        }
        isStarted = true
        if broker.refuses(record, place.topic, atClient: false) { throw .messageTooLarge }
        let sequence = sequences[place] ?? 0
        let batch = RecordBatch.encode(
          [record], producer: BatchProducer(id: identity.id, epoch: identity.epoch, baseSequence: sequence),
          transactional: true)
        _ = try broker.core.produce(place, batch: batch, now: world.wallClock)
        if world.strikes(.logDuplicate) {
          _ = try broker.core.produce(place, batch: batch, now: world.wallClock)
        }
        sequences[place] = sequence + 1
      }
      if mustWait { return false }
      queue.removeFirst()
    }
    return true
  }

  func commit(
    _ offsets: [(partition: Processor.TopicPartition, offset: Int64)],
    _ membership: () -> SimulatedMembership
  ) throws(LogError) {
    if phase == .idle {
      world.violate("\(life.name) committed a transaction that was not begun")
      throw LogError(.fatal, "no transaction is open")
    }
    if phase == .open {
      guard try write() else { throw LogError(.retry, "the last transaction has no marks yet") }
      if world.strikes(.transactionTimedOut) {
        world.now += Int64(SimulatedBroker.transactionMilliseconds) + 1
        broker.core.advance(now: world.wallClock)
      }
      if let obstacle = world.during(life, "adding offsets") { throw LogError(obstacle) }
      if !offsets.isEmpty { try add(offsets, membership) }
      phase = .committing
    }
    if let obstacle = world.during(life, "ending the transaction") { throw LogError(obstacle) }
    if isStarted { try end(commit: true) }
    if faults.contains(.offsetsOutsideTransaction) { try commitPlainly(offsets, membership()) }
    // Asked again since the reply was lost, the broker answers for a commit that was counted.
    if !isCounted { broker.noteCommit(group, offsets.map { ($0.partition.place, $0.offset) }) }
    isCounted = true
  }

  /// The reply has come.
  func committed() {
    isCounted = false
    phase = .idle
    isStarted = false
  }

  private func add(
    _ offsets: [(partition: Processor.TopicPartition, offset: Int64)],
    _ membership: () -> SimulatedMembership
  ) throws(LogError) {
    // A member that has lost its name would be believed by the broker: its client knows better.
    if membership().isLost { throw LogError(.abort, "the partitions are lost") }
    if faults.contains(.offsetsOutsideTransaction) { return }
    try onBroker { () throws(KafkaError) in
      try broker.core.addOffsets(group: group, transactionalId: id, producer: identity, now: world.wallClock)
      isStarted = true
    }
    if let obstacle = world.during(life, "adding offsets") { throw LogError(obstacle) }
    try onBroker { () throws(KafkaError) in
      try broker.core.commitOffsets(
        group, member: membership().member, producer: identity, committedOffsets(offsets),
        now: world.wallClock)
    }
  }

  private func commitPlainly(
    _ offsets: [(partition: Processor.TopicPartition, offset: Int64)], _ membership: SimulatedMembership
  ) throws(LogError) {
    if let obstacle = world.during(life, "committing offsets") { throw LogError(obstacle) }
    try onBroker { () throws(KafkaError) in
      try broker.core.commitOffsets(
        group, member: membership.member, committedOffsets(offsets), now: world.wallClock)
    }
  }

  private func committedOffsets(
    _ offsets: [(partition: Processor.TopicPartition, offset: Int64)]
  ) -> [Place: CommittedOffset] {
    Dictionary(uniqueKeysWithValues: offsets.map { ($0.partition.place, CommittedOffset(offset: $0.offset)) })
  }

  func abort() throws(LogError) {
    // The library refuses: whether the commit took effect is open.
    if phase == .committing, failure == nil { throw LogError(.fatal, "a commit is under way") }
    queue = []
    if isStarted { try end(commit: false) }
  }

  /// The reply has come, or nobody waits for it.
  func aborted() {
    phase = .idle
    isStarted = false
    isCounted = false
    failure = nil
  }

  private func end(commit: Bool) throws(LogError) {
    try onBroker { () throws(KafkaError) in
      try broker.core.endTransaction(
        transactionalId: id, producer: identity, commit: commit, now: world.wallClock)
    }
  }

  private func onBroker(_ body: () throws(KafkaError) -> Void) throws(LogError) {
    do throws(KafkaError) { try body() } catch {
      let error = LogError(error)
      if error.remedy == .abort { failure = error }
      throw error
    }
  }
}

extension LogError {
  init(_ obstacle: Obstacle) {
    switch obstacle {
    case .dead: self.init(.fatal, "the process is dead")
    case .unavailable: self.init(.retry, "no answer")
    }
  }

  /// What the client library makes of the broker's answers.
  init(_ error: KafkaError) {
    switch error {
    case .invalidProducerEpoch, .producerFenced, .invalidProducerIdMapping, .unknownMemberId,
      .fencedInstanceId:
      self.init(.fenced, "\(error)")
    case .illegalGeneration, .invalidTransactionState, .outOfOrderSequenceNumber:
      self.init(.abort, "\(error)")
    case .concurrentTransactions, .unstableOffsetCommit, .rebalanceInProgress: self.init(.retry, "\(error)")
    default: self.init(.fatal, "\(error)")
    }
  }
}
