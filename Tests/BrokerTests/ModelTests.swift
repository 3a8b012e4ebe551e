import BrokerCore
import Testing
import TestSupport

/// What the broker must amount to, told the simplest way: every record with its fate.
private struct Model {
  enum Fate { case plain, open(String), committed, aborted }
  struct Entry {
    var value: String
    var fate: Fate
  }
  struct Producer {
    var identity = ProducerIdentity(id: -1, epoch: -1)
    var sequences: [TopicPartition: Int32] = [:]
    var lastBatch: [TopicPartition: (bytes: [UInt8], offset: Int64)] = [:]
    var isOpen = false
    var started: Int64 = 0
    var partitions: Set<TopicPartition> = []
    var pending: (offset: Int64, order: Int)?
  }

  /// By offset; a marker takes an offset too.
  var logs: [TopicPartition: [Entry?]] = [:]
  var producers: [String: Producer] = [:]
  var committed: (offset: Int64, order: Int)?
  var commits = 0

  mutating func end(_ name: String, commit: Bool) {
    guard var producer = producers[name] else { return }
    for place in producer.partitions {
      for index in logs[place, default: []].indices {
        if case .open(name) = logs[place]?[index]?.fate {
          logs[place]?[index]?.fate = commit ? .committed : .aborted
        }
      }
      logs[place, default: []].append(nil)
    }
    // An offset that was committed after the transaction's stays.
    if commit, let pending = producer.pending, pending.order > committed?.order ?? 0 { committed = pending }
    producer.isOpen = false
    producer.partitions = []
    producer.pending = nil
    producers[name] = producer
  }

  func visible(_ place: TopicPartition, _ isolation: Isolation) -> [(Int64, String)] {
    var result: [(Int64, String)] = []
    for (offset, entry) in (logs[place] ?? []).enumerated() {
      guard let entry else { continue }
      if isolation == .readCommitted {
        if case .open = entry.fate { return result }
        if case .aborted = entry.fate { continue }
      }
      result.append((Int64(offset), entry.value))
    }
    return result
  }
}

private let group = "group"
private let timeout: Int32 = 1_000

/// A random history: the broker and the model side by side.
private struct History {
  var random: SplitMix64
  var broker = Broker()
  var model = Model()
  var journal = JournalBox()
  var now: Int64 = 1_000
  let places: [TopicPartition]
  let names = ["x", "y", "z"]

  final class JournalBox { var entries: [JournalEntry] = [] }

  init(seed: UInt64) throws {
    random = SplitMix64(seed: seed)
    places = [TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)]
    listen()
    broker.start(now: now)
    try broker.createTopic("t", partitions: 2)
    try broker.createTopic("u", partitions: 1)
  }

  func listen() { broker.journal = { [journal] in journal.entries.append($0) } }

  mutating func step() throws {
    let name = names[random.below(names.count)]
    let place = places[random.below(places.count)]
    switch random.below(100) {
    case 0..<8: try initialise(name)
    case 8..<40: try produce(name, place)
    case 40..<50: try addOffsets(name)
    case 50..<70: try end(name)
    case 70..<80: producePlain(place)
    case 80..<84: try repeatLast(name, place)
    case 84..<88: try provoke(name, place)
    case 88..<96: advance(by: Int64(random.below(400)))
    case 96..<98: commitPlain()
    default: restart()
    }
  }

  mutating func initialise(_ name: String) throws {
    let wasOpen = model.producers[name]?.isOpen ?? false
    let answer = Result {
      try broker.initProducer(transactionalId: name, timeout: timeout, expected: nil, now: now)
    }
    if wasOpen {
      #expect(throws: KafkaError.concurrentTransactions) { try answer.get() }
      model.end(name, commit: false)
      return try initialise(name)
    }
    let identity = try answer.get()
    if let old = model.producers[name]?.identity {
      #expect(identity.id == old.id && identity.epoch > old.epoch)
    }
    model.producers[name] = Model.Producer(identity: identity)
  }

  mutating func begin(_ name: String) {
    guard var producer = model.producers[name], !producer.isOpen else { return }
    producer.isOpen = true
    producer.started = now
    model.producers[name] = producer
  }

  mutating func produce(_ name: String, _ place: TopicPartition) throws {
    guard let producer = model.producers[name] else { return }
    if !producer.partitions.contains(place) {
      let early = batch("early", producer: producer.identity, transactional: true)
      #expect(
        failure { () throws(KafkaError) in _ = try broker.produce(place, batch: early, now: now) }
          == .invalidTransactionState)
      try broker.addPartitions([place], transactionalId: name, producer: producer.identity, now: now)
      begin(name)
      model.producers[name]?.partitions.insert(place)
    }
    let sequence = model.producers[name]?.sequences[place] ?? 0
    let values = (0...random.below(3)).map { "\(name)\(sequence)+\($0)@\(now)" }
    let bytes = RecordBatch.encode(
      values.map { Record(value: Array($0.utf8), timestamp: now) },
      producer: BatchProducer(
        id: producer.identity.id, epoch: producer.identity.epoch, baseSequence: sequence),
      transactional: true)
    let appended = try broker.produce(place, batch: bytes, now: now)
    #expect(appended.baseOffset == Int64(model.logs[place]?.count ?? 0) && !appended.isDuplicate)
    model.logs[place, default: []] += values.map { Model.Entry(value: $0, fate: .open(name)) }
    model.producers[name]?.sequences[place] = sequence + Int32(values.count)
    model.producers[name]?.lastBatch[place] = (bytes, appended.baseOffset)
  }

  /// The last batch again, as after a lost reply: the old offset, nothing appended.
  mutating func repeatLast(_ name: String, _ place: TopicPartition) throws {
    guard let producer = model.producers[name], producer.partitions.contains(place),
      let last = producer.lastBatch[place]
    else { return }
    let again = try broker.produce(place, batch: last.bytes, now: now)
    #expect(again.isDuplicate && again.baseOffset == last.offset)
  }

  /// Gaps and zombies are refused.
  mutating func provoke(_ name: String, _ place: TopicPartition) throws {
    guard let producer = model.producers[name], producer.partitions.contains(place) else { return }
    let sequence = producer.sequences[place] ?? 0
    let gap = batch("gap", producer: producer.identity, sequence: sequence + 1, transactional: true)
    if sequence > 0 {
      #expect(
        failure { () throws(KafkaError) in _ = try broker.produce(place, batch: gap, now: now) }
          == .outOfOrderSequenceNumber)
    }
    guard producer.identity.epoch > 0 else { return }
    let zombie = ProducerIdentity(id: producer.identity.id, epoch: producer.identity.epoch - 1)
    let late = batch("late", producer: zombie, transactional: true)
    #expect(
      failure { () throws(KafkaError) in _ = try broker.produce(place, batch: late, now: now) }
        == .invalidProducerEpoch)
    #expect(
      failure { () throws(KafkaError) in
        try broker.endTransaction(transactionalId: name, producer: zombie, commit: true, now: now)
      } == .producerFenced)
  }

  mutating func addOffsets(_ name: String) throws {
    guard let producer = model.producers[name] else { return }
    try broker.addOffsets(group: group, transactionalId: name, producer: producer.identity, now: now)
    begin(name)
    let offset = Int64(random.below(1_000))
    try broker.commitOffsets(
      group, member: GroupMember(), producer: producer.identity, [places[0]: CommittedOffset(offset: offset)],
      now: now)
    model.commits += 1
    model.producers[name]?.pending = (offset, model.commits)
  }

  mutating func commitPlain() {
    let offset = Int64(random.below(1_000))
    #expect(
      failure { () throws(KafkaError) in
        try broker.commitOffsets(
          group, member: GroupMember(), [places[0]: CommittedOffset(offset: offset)], now: now)
      } == .none)
    model.commits += 1
    model.committed = (offset, model.commits)
  }

  mutating func end(_ name: String) throws {
    guard let producer = model.producers[name] else { return }
    let commit = random.chance(60)
    let error = failure { () throws(KafkaError) in
      try broker.endTransaction(transactionalId: name, producer: producer.identity, commit: commit, now: now)
    }
    if producer.isOpen {
      #expect(error == .none)
      model.end(name, commit: commit)
    } else {
      // The repetition of the same end is fine, another one isn't.
      #expect(error == .none || error == .invalidTransactionState)
    }
  }

  mutating func producePlain(_ place: TopicPartition) {
    let value = "plain@\(now)-\(model.logs[place]?.count ?? 0)"
    #expect(
      failure { () throws(KafkaError) in _ = try broker.produce(place, batch: batch(value), now: now) }
        == .none)
    model.logs[place, default: []].append(Model.Entry(value: value, fate: .plain))
  }

  mutating func advance(by milliseconds: Int64) {
    now += milliseconds
    broker.advance(now: now)
    for name in names {
      guard let producer = model.producers[name], producer.isOpen, producer.started + Int64(timeout) <= now
      else {
        continue
      }
      model.end(name, commit: false)
      let zombie = producer.identity
      #expect(
        failure { () throws(KafkaError) in
          try broker.endTransaction(transactionalId: name, producer: zombie, commit: true, now: now)
        } == .producerFenced)
      model.producers[name] = nil
    }
  }

  /// The journal rebuilds the broker.
  mutating func restart() {
    broker = Broker()
    for entry in journal.entries { broker.restore(entry, now: now) }
    listen()
    broker.start(now: now)
  }

  func check(_ context: String) throws {
    for place in places {
      let partition = try #require(broker.partition(place))
      #expect(partition.nextOffset == Int64(model.logs[place]?.count ?? 0), "\(context)")
      for isolation in [Isolation.readUncommitted, .readCommitted] {
        let found = try consume(partition, isolation)
        let wanted = model.visible(place, isolation)
        try #require(
          found.map(\.offset) == wanted.map(\.0) && found.map(\.value) == wanted.map(\.1),
          "\(context), \(place), \(isolation): found \(found), wanted \(wanted)")
      }
    }
    let committed = try broker.committedOffset(group, places[0], requireStable: false)?.offset
    try #require(committed == model.committed?.offset, "\(context)")
    let isPending = names.contains { model.producers[$0]?.pending != nil }
    let error = failure { () throws(KafkaError) in
      _ = try broker.committedOffset(group, places[0], requireStable: true)
    }
    try #require(error == (isPending ? .unstableOffsetCommit : .none), "\(context)")
  }
}

@Suite struct ModelTests {
  @Test(arguments: SplitMix64.seeds(60))
  func randomHistoriesEqualTheModel(seed: UInt64) throws {
    var history = try History(seed: seed)
    for step in 0..<300 {
      try history.step()
      try history.check("seed \(seed), step \(step)")
    }
  }

  /// A crash may cut the journal anywhere: what is rebuilt has no open transaction that nobody can end.
  @Test(arguments: SplitMix64.seeds(20))
  func anyPrefixOfTheJournalIsRecovered(seed: UInt64) throws {
    var history = try History(seed: seed)
    for _ in 0..<150 { try history.step() }
    let entries = history.journal.entries
    for length in stride(from: 3, to: entries.count, by: 1 + entries.count / 60) {
      let broker = Broker()
      for entry in entries.prefix(length) { broker.restore(entry, now: history.now) }
      broker.start(now: history.now)
      // Whoever is left open ends by its timeout.
      broker.advance(now: history.now + Int64(timeout))
      for topic in broker.topics.values {
        for partition in topic.partitions {
          #expect(partition.lastStableOffset == partition.nextOffset, "seed \(seed), \(length) entries")
          _ = try consume(partition, .readCommitted)
        }
      }
    }
  }
}
