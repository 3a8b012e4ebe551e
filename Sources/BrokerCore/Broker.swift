/// The limits of a broker; the defaults are Kafka's where Kafka has one.
public struct BrokerLimits: Sendable {
  /// What all batches together may cost in memory. Producers get `POLICY_VIOLATION` beyond.
  public var memoryBytes = 4 << 30
  /// The shortest session timeout a group member may ask for, in milliseconds.
  public var sessionTimeoutMin: Int32 = 6_000
  /// The longest.
  public var sessionTimeoutMax: Int32 = 1_800_000
  /// The longest transaction timeout a producer may ask for, in milliseconds.
  public var transactionTimeoutMax: Int32 = 900_000
  /// Partitions of all topics. (Kafka has no limit; this keeps a mistyped number from using up the memory.)
  public var partitionsMax: Int32 = 20_000
  /// The longest metadata string of a committed offset.
  public var offsetMetadataMax = 4_096
  /// The members of all groups together. (Kafka's `group.max.size` is a group's.)
  public var membersMax = 10_000
  /// What all members together may say of themselves, in bytes.
  public var groupBytesMax = 64 << 20
  /// The longest name of a group and the longest transactional id, in bytes.
  public var nameBytesMax = 1_024
  /// Groups that are remembered.
  public var groupsMax = 10_000
  /// Transactional ids that are remembered.
  public var transactionalIdsMax = 10_000
  /// Committed offsets that are remembered, of all groups together.
  public var offsetsMax = 200_000

  /// Kafka's defaults.
  public init() {}
}

/// One Kafka broker as a state machine: requests and time go in, replies and journal entries come out.
///
/// It does no I/O and reads no clock: the same calls give the same replies. Times are milliseconds since the epoch.
/// Replies that have to wait for others (of ``joinGroup(_:token:now:)`` and ``syncGroup(_:token:now:)``) are
/// collected in ``takeReplies()``. Not thread-safe.
public final class Broker {
  /// The limits.
  public let limits: BrokerLimits
  /// No offset, id or time is as large: arithmetic with them can't overflow.
  static let numbersMax: Int64 = 1 << 62
  /// How long after its end was answered a transaction's markers are written, in milliseconds. Until then its
  /// producer gets `CONCURRENT_TRANSACTIONS`, as from a Kafka whose markers have to reach other brokers.
  public let markerDelay: Int64
  /// Told of every change of durable state, in order, before the call that made it returns.
  public var journal: ((JournalEntry) -> Void)?
  /// Told of every partition that grew: waiting fetches may now be answered.
  public var onAppend: ((TopicPartition) -> Void)?
  /// The topics by name.
  public private(set) var topics: [String: Topic] = [:]
  /// What all batches cost in memory.
  public internal(set) var memoryBytes = 0

  var transactions: [String: Transaction] = [:]
  var transactionalIds: [Int64: String] = [:]
  /// When the markers of decided transactions are due.
  var markersDue: [String: Int64] = [:]
  var groups: [String: Group] = [:]
  var replies: [GroupReply] = []
  private var nextProducerId: Int64 = 1
  private var nextTopicNumber: Int64 = 1
  /// Member ids carry it, so that a member from before a restart is never taken for a new one.
  private(set) var incarnation: Int64 = 0
  private var memberCount: Int64 = 0

  /// A broker without topics.
  public init(limits: BrokerLimits = BrokerLimits(), markerDelay: Int64 = 0) {
    self.limits = limits
    self.markerDelay = markerDelay
  }

  // MARK: Topics

  /// Creates a topic; with `validateOnly` only says whether it could.
  public func createTopic(
    _ name: String, partitions: Int32, configs: [String: String] = [:], validateOnly: Bool = false
  ) throws(KafkaError) {
    guard Self.isValid(topic: name) else { throw .invalidTopic }
    guard topics[name] == nil else { throw .topicAlreadyExists }
    guard partitions > 0, Int(partitions) <= Int(limits.partitionsMax) - partitionCount else {
      throw .invalidPartitions
    }
    let settings = try TopicSettings(configs)
    if validateOnly { return }
    let number = nextTopicNumber
    nextTopicNumber += 1
    install(name, number: number, partitions: partitions, settings: settings)
    journal?(.topicCreated(name: name, number: number, partitions: partitions, configs: configs))
  }

  /// Gives a topic more partitions, `partitions` in all; with `validateOnly` only says whether it could.
  public func createPartitions(
    _ name: String, partitions: Int32, validateOnly: Bool = false
  ) throws(KafkaError) {
    guard let topic = topics[name] else { throw .unknownTopicOrPartition }
    guard canGrow(topic, to: partitions) else { throw .invalidPartitions }
    if validateOnly { return }
    grow(name, to: partitions)
    journal?(.partitionsAdded(name: name, partitions: partitions))
  }

  /// Deletes a topic with its records and every group's offsets in it.
  public func deleteTopic(_ name: String) throws(KafkaError) {
    guard topics[name] != nil else { throw .unknownTopicOrPartition }
    remove(name)
    journal?(.topicDeleted(name: name))
  }

  /// A partition, if there is such.
  public func partition(_ place: TopicPartition) -> Partition? {
    guard let topic = topics[place.topic], topic.partitions.indices.contains(Int(place.partition)) else {
      return nil
    }
    return topic.partitions[Int(place.partition)]
  }

  /// Deletes the records before an offset (-1: all); gives the new start of the log.
  public func deleteRecords(_ place: TopicPartition, before offset: Int64) throws(KafkaError) -> Int64 {
    guard let partition = partition(place) else { throw .unknownTopicOrPartition }
    let before = partition.memoryBytes
    try partition.deleteRecords(before: offset)
    memoryBytes += partition.memoryBytes - before
    journal?(.logStart(place, partition.logStartOffset))
    return partition.logStartOffset
  }

  // MARK: Records

  /// Appends one batch as a producer sent it.
  public func produce(_ place: TopicPartition, batch: [UInt8], now: Int64) throws(KafkaError) -> Appended {
    var batch = batch
    return try produce(place, batch: &batch, now: now)
  }

  /// Appends one batch as a producer sent it, writing offset, leader epoch and append time into it.
  public func produce(
    _ place: TopicPartition, batch: inout [UInt8], now: Int64
  ) throws(KafkaError) -> Appended {
    guard let topic = topics[place.topic], let partition = partition(place) else {
      throw .unknownTopicOrPartition
    }
    if batch.count >= BatchHeader.size, batch[22] & 0x10 != 0 {
      let producer = batch.withUnsafeBytes {
        ProducerIdentity(
          id: $0.bigEndian(at: 43, as: Int64.self), epoch: $0.bigEndian(at: 51, as: Int16.self))
      }
      try checkOpen(producer) { $0.partitions.contains(place) }
    }
    let before = partition.memoryBytes
    let result = try partition.append(
      &batch, topic: topic.settings, memoryLeft: limits.memoryBytes - memoryBytes, now: now)
    memoryBytes += partition.memoryBytes - before
    if !result.isDuplicate { appended(batch, at: place) }
    return result
  }

  func appended(_ batch: [UInt8], at place: TopicPartition) {
    if let journal, let number = topics[place.topic]?.number {
      journal(.batch(place, topicNumber: number, bytes: batch))
    }
    onAppend?(place)
  }

  // MARK: Time

  /// Lets timeouts up to `now` happen: sessions, rebalances, transactions.
  public func advance(now: Int64) {
    expireTransactions(now: now)
    writeMarkers(dueBy: now)
    for name in groups.keys.sorted() {
      groups[name]?.advance(now: now, &replies)
      if groups[name]?.wasNeverUsed == true { groups[name] = nil }
    }
  }

  /// The next time at which ``advance(now:)`` has something to do.
  public var nextDeadline: Int64? {
    let transactionDeadline = transactions.values.compactMap(\.deadline).min()
    let groupDeadline = groups.values.compactMap(\.nextDeadline).min()
    return [transactionDeadline, markersDue.values.min(), groupDeadline].compactMap { $0 }.min()
  }

  // MARK: Durable state

  /// Takes back a change; false if no broker can have made it. Call ``start(now:)`` after the last one.
  @discardableResult
  public func restore(_ entry: JournalEntry, now: Int64) -> Bool {
    let numbers = 0..<Self.numbersMax
    switch entry {
    case .topicCreated(let name, let number, let partitions, let configs):
      guard Self.isValid(topic: name), topics[name] == nil, numbers.contains(number), partitions > 0,
        Int(partitions) <= Int(limits.partitionsMax) - partitionCount,
        let settings = try? TopicSettings(configs)
      else { return false }
      nextTopicNumber = max(nextTopicNumber, number + 1)
      install(name, number: number, partitions: partitions, settings: settings)
    case .topicDeleted(let name): remove(name)
    case .partitionsAdded(let name, let partitions):
      guard let topic = topics[name], canGrow(topic, to: partitions) else { return false }
      grow(name, to: partitions)
    case .logStart(let place, let offset):
      guard numbers.contains(offset) else { return false }
      guard let partition = partition(place) else { break }
      let before = partition.memoryBytes
      partition.advanceStart(to: offset)
      memoryBytes += partition.memoryBytes - before
    case .batch(let place, let number, let bytes):
      if topics[place.topic]?.number == number { return restore(bytes, at: place, now: now) }
    case .counters(let producerIds, let topics, let incarnation):
      guard [producerIds, topics, incarnation].allSatisfy(numbers.contains) else { return false }
      nextProducerId = max(nextProducerId, producerIds)
      nextTopicNumber = max(nextTopicNumber, topics)
      self.incarnation = max(self.incarnation, incarnation)
    case .transaction(let id, let transaction):
      guard transaction.isPossible else { return false }
      nextProducerId = max(nextProducerId, transaction.producerId + 1)
      install(id, transaction)
    case .offsets(let name, let offsets): group(name).commit(offsets)
    case .pendingOffsets(let name, let producerId, let offsets):
      group(name).addPending(offsets, producerId: producerId)
    case .offsetsDecided(let name, let producerId, let commit):
      group(name).decideOffsets(producerId: producerId, commit: commit)
    case .groupDeleted(let name): groups[name] = nil
    }
    return true
  }

  /// Takes back a batch; false if it is damaged or doesn't follow the ones before. `start` is where the log will
  /// begin once all is taken back: what lies before it may have been lost.
  @discardableResult
  public func restore(_ batch: [UInt8], at place: TopicPartition, start: Int64 = 0, now: Int64) -> Bool {
    guard let partition = partition(place) else { return false }
    let before = partition.memoryBytes
    defer { memoryBytes += partition.memoryBytes - before }
    guard partition.restore(batch, gapsUpTo: start, now: now) else { return false }
    // What has been deleted takes no memory meanwhile.
    partition.advanceStart(to: min(start, partition.nextOffset))
    return true
  }

  /// Begins a run after what was restored: finishes decided transactions and takes a new incarnation.
  public func start(now: Int64) {
    incarnation = max(incarnation + 1, now)
    journalCounters()
    finishTransactions(now: now)
  }

  /// Entries that rebuild everything but the batches.
  public var snapshot: [JournalEntry] {
    var entries: [JournalEntry] = [counters]
    for (name, topic) in topics.sorted(by: { $0.value.number < $1.value.number }) {
      let count = Int32(topic.partitions.count)
      entries.append(
        .topicCreated(name: name, number: topic.number, partitions: count, configs: topic.settings.overrides))
      for (index, partition) in topic.partitions.enumerated() where partition.logStartOffset > 0 {
        entries.append(.logStart(TopicPartition(name, Int32(index)), partition.logStartOffset))
      }
    }
    for (id, transaction) in transactions.sorted(by: { $0.key < $1.key }) {
      entries.append(.transaction(id: id, transaction))
    }
    for (name, group) in groups.sorted(by: { $0.key < $1.key }) { entries += group.snapshot(name) }
    return entries
  }

  func allocateProducerId() -> Int64 {
    defer { nextProducerId += 1 }
    journal?(.counters(producerIds: nextProducerId + 1, topics: nextTopicNumber, incarnation: incarnation))
    return nextProducerId
  }

  /// The prefix is for people to read: however long a client's name is, its member id fits into a reply.
  func makeMemberId(_ prefix: String) -> String {
    memberCount += 1
    let readable = String(String.UnicodeScalarView(prefix.unicodeScalars.prefix(255)))
    return "\(readable)-\(incarnation)-\(memberCount)"
  }

  func group(_ name: String) -> Group {
    if let group = groups[name] { return group }
    let group = Group()
    groups[name] = group
    return group
  }

  func install(_ id: String, _ transaction: Transaction) {
    transactions[id] = transaction
    transactionalIds[transaction.producerId] = id
  }

  private var partitionCount: Int { topics.values.reduce(0) { $0 + $1.partitions.count } }

  private var counters: JournalEntry {
    .counters(producerIds: nextProducerId, topics: nextTopicNumber, incarnation: incarnation)
  }

  private func journalCounters() { journal?(counters) }

  private func install(_ name: String, number: Int64, partitions: Int32, settings: TopicSettings) {
    topics[name] = Topic(
      number: number, settings: settings, partitions: (0..<partitions).map { _ in Partition() })
  }

  private func canGrow(_ topic: Topic, to partitions: Int32) -> Bool {
    let more = Int(partitions) - topic.partitions.count
    return more > 0 && more <= Int(limits.partitionsMax) - partitionCount
  }

  private func grow(_ name: String, to partitions: Int32) {
    guard let count = topics[name]?.partitions.count else { return }
    topics[name]?.partitions += (count..<Int(partitions)).map { _ in Partition() }
  }

  private func remove(_ name: String) {
    guard let topic = topics.removeValue(forKey: name) else { return }
    memoryBytes -= topic.partitions.reduce(0) { $0 + $1.memoryBytes }
    for group in groups.values { group.forget(topic: name) }
  }

  private static func isValid(topic name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= 249, name != ".", name != ".." else { return false }
    return name.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }
}
