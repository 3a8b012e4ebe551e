/// What the coordinator knows of a transactional id.
public struct Transaction: Sendable, Equatable {
  /// How far the transaction has come.
  public enum State: UInt8, Sendable {
    case empty, ongoing, prepareCommit, prepareAbort, completeCommit, completeAbort
  }

  /// The producer id that belongs to the transactional id.
  public var producerId: Int64
  /// The current epoch; requests with another one are fenced.
  public var epoch: Int16
  /// The epoch before, if a bump for its producer might have to be repeated; otherwise -1.
  public var lastEpoch: Int16
  /// How long a transaction may be open, in milliseconds.
  public var timeout: Int32
  /// How far the transaction has come.
  public var state: State
  /// When the open transaction began.
  public var started: Int64
  /// The partitions that were added to it.
  public var partitions: Set<TopicPartition>
  /// The groups whose offsets were added to it.
  public var groups: Set<String>

  /// A transaction as it was written down.
  public init(
    producerId: Int64, epoch: Int16, lastEpoch: Int16, timeout: Int32, state: State, started: Int64,
    partitions: Set<TopicPartition>, groups: Set<String>
  ) {
    self.producerId = producerId
    self.epoch = epoch
    self.lastEpoch = lastEpoch
    self.timeout = timeout
    self.state = state
    self.started = started
    self.partitions = partitions
    self.groups = groups
  }

  /// Whether a broker can have written it down.
  var isPossible: Bool {
    (0..<Broker.numbersMax).contains(producerId) && (-1 ... .max - 1).contains(epoch) && timeout > 0
      && (-1..<Broker.numbersMax).contains(started)
  }
  /// After this epoch the id is used up and a new one is given out.
  var isEpochExhausted: Bool { epoch >= .max - 1 }
  var deadline: Int64? { state == .ongoing ? started + Int64(timeout) : nil }
  /// Whether it is decided and its markers aren't written yet.
  var isEnding: Bool { state == .prepareCommit || state == .prepareAbort }
}

/// A producer's identity.
public struct ProducerIdentity: Sendable, Equatable {
  /// The producer id.
  public var id: Int64
  /// The epoch.
  public var epoch: Int16

  /// A producer id with its epoch.
  public init(id: Int64, epoch: Int16) {
    self.id = id
    self.epoch = epoch
  }
}

extension Broker {
  /// Gives out a producer id or, for a transactional id, the next epoch, which fences the producers before.
  /// `expected` is what a producer that goes on after an error has now.
  public func initProducer(
    transactionalId: String?, timeout: Int32, expected: ProducerIdentity?, now: Int64
  ) throws(KafkaError) -> ProducerIdentity {
    guard let transactionalId else { return ProducerIdentity(id: allocateProducerId(), epoch: 0) }
    guard !transactionalId.isEmpty else { throw .invalidRequest }
    guard timeout > 0, timeout <= limits.transactionTimeoutMax else { throw .invalidTransactionTimeout }
    guard transactionalId.utf8.count <= limits.nameBytesMax else { throw .invalidRequest }
    guard transactions[transactionalId] != nil || transactions.count < limits.transactionalIdsMax else {
      throw .policyViolation
    }
    var transaction =
      transactions[transactionalId]
      ?? Transaction(
        producerId: allocateProducerId(), epoch: -1, lastEpoch: -1, timeout: timeout, state: .empty,
        started: -1,
        partitions: [], groups: [])
    if let expected, transaction.epoch != -1, expected.id != transaction.producerId { throw .producerFenced }
    if transaction.isEnding { throw .concurrentTransactions }
    if transaction.state == .ongoing {
      abortFencing(transactionalId, now: now)
      // As Kafka answers: the client asks again, and its epoch is bumped a second time.
      throw .concurrentTransactions
    }
    if transaction.isEpochExhausted, expected == nil || expected?.epoch == transaction.epoch {
      transaction.producerId = allocateProducerId()
      transaction.lastEpoch = expected == nil ? -1 : transaction.epoch
      transaction.epoch = 0
    } else if let expected, transaction.epoch != -1, expected.epoch != transaction.epoch {
      // The repetition of a bump whose reply was lost gets the same epoch again; anything else is a zombie.
      guard expected.epoch == transaction.lastEpoch else { throw .producerFenced }
    } else {
      transaction.lastEpoch = expected == nil ? -1 : transaction.epoch
      transaction.epoch += 1
    }
    transaction.timeout = timeout
    transaction.state = .empty
    set(transactionalId, transaction)
    return ProducerIdentity(id: transaction.producerId, epoch: transaction.epoch)
  }

  /// Adds partitions to a producer's transaction, which begins with the first ones.
  public func addPartitions(
    _ partitions: [TopicPartition], transactionalId: String, producer: ProducerIdentity, now: Int64
  ) throws(KafkaError) {
    var transaction = try current(transactionalId, producer)
    if transaction.isEnding { throw .concurrentTransactions }
    guard transaction.state != .ongoing || !transaction.partitions.isSuperset(of: partitions) else { return }
    begin(&transaction, now: now)
    transaction.partitions.formUnion(partitions)
    set(transactionalId, transaction)
  }

  /// Adds a group's offsets to a producer's transaction.
  public func addOffsets(
    group: String, transactionalId: String, producer: ProducerIdentity, now: Int64
  ) throws(KafkaError) {
    guard !group.isEmpty else { throw .invalidGroupId }
    var transaction = try current(transactionalId, producer)
    if transaction.isEnding { throw .concurrentTransactions }
    guard transaction.state != .ongoing || !transaction.groups.contains(group) else { return }
    begin(&transaction, now: now)
    transaction.groups.insert(group)
    set(transactionalId, transaction)
  }

  /// Commits or aborts a producer's transaction.
  public func endTransaction(
    transactionalId: String, producer: ProducerIdentity, commit: Bool, now: Int64
  ) throws(KafkaError) {
    let transaction = try current(transactionalId, producer)
    switch (transaction.state, commit) {
    case (.ongoing, _): decide(transactionalId, commit: commit, now: now)
    case (.completeCommit, true), (.completeAbort, false): return
    case (.prepareCommit, true), (.prepareAbort, false): throw .concurrentTransactions
    default: throw .invalidTransactionState
    }
  }

  /// Whether a producer's open transaction covers a partition or a group's offsets, and the producer is not fenced.
  func checkOpen(_ producer: ProducerIdentity, covers: (Transaction) -> Bool) throws(KafkaError) {
    guard let id = transactionalIds[producer.id], let transaction = transactions[id],
      transaction.producerId == producer.id
    else { throw .invalidProducerIdMapping }
    guard producer.epoch == transaction.epoch else { throw .invalidProducerEpoch }
    guard transaction.state == .ongoing, covers(transaction) else { throw .invalidTransactionState }
  }

  /// Aborts transactions that have been open too long; their producers are fenced.
  func expireTransactions(now: Int64) {
    let late = transactions.filter { $0.value.deadline.map { $0 <= now } ?? false }
    for id in late.keys.sorted() { abortFencing(id, now: now) }
  }

  /// Writes the markers of transactions that were decided long enough ago.
  func writeMarkers(dueBy now: Int64) {
    for id in markersDue.filter({ $0.value <= now }).keys.sorted() {
      markersDue[id] = nil
      complete(id, commit: transactions[id]?.state == .prepareCommit, now: now)
    }
  }

  /// After a restart: carries out what had been decided, and aborts what no transactional id knows of.
  func finishTransactions(now: Int64) {
    for (id, transaction) in transactions.sorted(by: { $0.key < $1.key }) {
      switch transaction.state {
      case .prepareCommit: complete(id, commit: true, onlyWhereOpen: true, now: now)
      case .prepareAbort: complete(id, commit: false, onlyWhereOpen: true, now: now)
      default: break
      }
    }
    for (name, topic) in topics.sorted(by: { $0.key < $1.key }) {
      for (index, partition) in topic.partitions.enumerated() {
        let place = TopicPartition(name, Int32(index))
        for (producerId, epoch) in partition.openProducers {
          let owner = transactionalIds[producerId].flatMap { transactions[$0] }
          if let owner, owner.state == .ongoing, owner.partitions.contains(place) { continue }
          write(place, partition, producerId: producerId, epoch: epoch, commit: false, now: now)
        }
      }
    }
  }

  private func current(
    _ transactionalId: String, _ producer: ProducerIdentity
  ) throws(KafkaError) -> Transaction {
    guard !transactionalId.isEmpty else { throw .invalidRequest }
    guard let transaction = transactions[transactionalId], transaction.producerId == producer.id else {
      throw .invalidProducerIdMapping
    }
    guard transaction.epoch == producer.epoch else { throw .producerFenced }
    return transaction
  }

  private func begin(_ transaction: inout Transaction, now: Int64) {
    guard transaction.state != .ongoing else { return }
    transaction.state = .ongoing
    transaction.started = now
    transaction.partitions = []
    transaction.groups = []
  }

  private func abortFencing(_ id: String, now: Int64) {
    guard var transaction = transactions[id] else { return }
    transaction.epoch += 1
    transaction.lastEpoch = -1
    set(id, transaction)
    decide(id, commit: false, now: now)
  }

  /// Writes the decision down before anything that follows from it, so a crash in between loses nothing.
  private func decide(_ id: String, commit: Bool, now: Int64) {
    guard var transaction = transactions[id] else { return }
    transaction.state = commit ? .prepareCommit : .prepareAbort
    set(id, transaction)
    guard markerDelay == 0 else { return markersDue[id] = now + markerDelay }
    complete(id, commit: commit, now: now)
  }

  /// `onlyWhereOpen`: after a restart some partitions may have their marker already.
  private func complete(_ id: String, commit: Bool, onlyWhereOpen: Bool = false, now: Int64) {
    guard var transaction = transactions[id] else { return }
    for place in transaction.partitions.sorted() {
      // A topic may have been deleted meanwhile.
      guard let partition = partition(place) else { continue }
      if onlyWhereOpen && !partition.hasOpenTransaction(producerId: transaction.producerId) { continue }
      write(
        place, partition, producerId: transaction.producerId, epoch: transaction.epoch, commit: commit,
        now: now)
    }
    for group in transaction.groups.sorted() {
      groups[group]?.decideOffsets(producerId: transaction.producerId, commit: commit)
      journal?(.offsetsDecided(group: group, producerId: transaction.producerId, commit: commit))
    }
    transaction.state = commit ? .completeCommit : .completeAbort
    transaction.partitions = []
    transaction.groups = []
    set(id, transaction)
  }

  private func write(
    _ place: TopicPartition, _ partition: Partition, producerId: Int64, epoch: Int16, commit: Bool, now: Int64
  ) {
    let before = partition.memoryBytes
    let marker = partition.end(producerId: producerId, epoch: epoch, commit: commit, now: now)
    memoryBytes += partition.memoryBytes - before
    appended(marker, at: place)
  }

  private func set(_ id: String, _ transaction: Transaction) {
    install(id, transaction)
    journal?(.transaction(id: id, transaction))
  }
}
