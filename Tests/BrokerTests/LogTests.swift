import BrokerCore
import Testing

@Suite struct LogTests {
  private let place = TopicPartition("t", 0)

  private func broker(_ configs: [String: String] = [:], limits: BrokerLimits = BrokerLimits()) throws
    -> Broker
  {
    let broker = Broker(limits: limits)
    broker.start(now: 0)
    try broker.createTopic("t", partitions: 1, configs: configs)
    return broker
  }

  private func produce(_ broker: Broker, _ batch: [UInt8], now: Int64 = 5_000) -> Result<Appended, KafkaError>
  {
    Result { () throws(KafkaError) in try broker.produce(place, batch: batch, now: now) }
  }

  @Test func checksumIsCastagnolis() {
    #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) } == 0xE306_9283)
    let long = (0..<1_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    // Bit by bit, as defined.
    var crc: UInt32 = .max
    for byte in long {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
    }
    #expect(long.withUnsafeBytes { CRC32C.checksum($0) } == ~crc)
  }

  @Test func recordsSurviveABatch() throws {
    let records = [
      Record(key: [1], value: nil, timestamp: 9, headers: [.init("h", [2]), .init("h", nil)]),
      Record(key: nil, value: [], timestamp: 7),
      Record(key: [], value: [UInt8](repeating: 3, count: 500), timestamp: 12),
    ]
    let found = try RecordBatch.records(in: RecordBatch.encode(records))
    #expect(found.map(\.record) == records)
    #expect(found.map(\.offset) == [0, 1, 2])
  }

  @Test func bytesStayTheProducersExceptForOffsetAndEpoch() throws {
    let broker = try broker()
    _ = produce(broker, batch("first"))
    let sent = batch("a", "b")
    #expect(try produce(broker, sent).get() == Appended(baseOffset: 1, logAppendTime: -1))
    let stored = try #require(
      broker.partition(place)?.read(from: 1, maxBytes: 1, isolation: .readUncommitted, firstWhole: true)
        .batches.first)
    #expect(Array(stored.bytes[16...]) == Array(sent[16...]))
    #expect(Array(stored.bytes[..<8]) == [0, 0, 0, 0, 0, 0, 0, 1])
    #expect(Array(stored.bytes[12..<16]) == [0, 0, 0, 0])
  }

  @Test func appendTimeIsWrittenIntoTheBatch() throws {
    let broker = try broker(["message.timestamp.type": "LogAppendTime"])
    #expect(try produce(broker, batch("a", timestamp: 1), now: 77).get().logAppendTime == 77)
    let stored = try #require(
      broker.partition(place)?.read(from: 0, maxBytes: 1, isolation: .readUncommitted, firstWhole: true)
        .batches.first)
    // The checksum holds again, and the record has the broker's time.
    #expect(try RecordBatch.records(in: stored.bytes).map(\.record.timestamp) == [77])
  }

  @Test func damagedBatchesAreRefused() throws {
    let broker = try broker()
    let good = batch("a", "b")
    for index in 17..<good.count {
      var bad = good
      bad[index] ^= 0x40
      #expect(throws: KafkaError.corruptMessage) { try produce(broker, bad).get() }
    }
    #expect(throws: KafkaError.invalidRecord) { try produce(broker, good + good).get() }
    #expect(throws: KafkaError.corruptMessage) { try produce(broker, []).get() }
    var old = good
    old[16] = 1
    #expect(throws: KafkaError.unsupportedForMessageFormat) { try produce(broker, old).get() }
    #expect(broker.partition(place)?.nextOffset == 0)
  }

  @Test func limitsAreAnswered() throws {
    let small = try broker(["max.message.bytes": "100"])
    #expect(throws: KafkaError.messageTooLarge) {
      try produce(small, batch(String(repeating: "x", count: 200))).get()
    }
    var limits = BrokerLimits()
    limits.memoryBytes = 1_000
    let full = try broker(limits: limits)
    var last: Result<Appended, KafkaError> = .failure(.none)
    let producer = try full.initProducer(transactionalId: nil, timeout: 0, expected: nil, now: 0)
    var sequence: Int32 = 0
    while case .success = produce(full, batch("x", producer: producer, sequence: sequence)) { sequence += 1 }
    last = produce(full, batch("x", producer: producer, sequence: sequence))
    #expect(throws: KafkaError.policyViolation) { try last.get() }
    #expect(full.memoryBytes <= 1_000)
    // What has been appended is still known as such.
    #expect(try produce(full, batch("x", producer: producer, sequence: sequence - 1)).get().isDuplicate)
    _ = try full.deleteRecords(place, before: -1)
    #expect(full.memoryBytes == 0)
    #expect(
      try produce(full, batch("x", producer: producer, sequence: sequence)).get().baseOffset
        == Int64(sequence))
  }

  @Test func fiveBatchesAreRemembered() throws {
    let broker = try broker()
    let producer = try broker.initProducer(transactionalId: nil, timeout: 0, expected: nil, now: 0)
    for sequence in 0..<Int32(7) {
      #expect(
        try produce(broker, batch("x", producer: producer, sequence: sequence)).get().baseOffset
          == Int64(sequence))
    }
    for sequence in 2..<Int32(7) {
      let again = try produce(broker, batch("x", producer: producer, sequence: sequence)).get()
      #expect(again.isDuplicate && again.baseOffset == Int64(sequence))
    }
    #expect(throws: KafkaError.outOfOrderSequenceNumber) {
      try produce(broker, batch("x", producer: producer, sequence: 1)).get()
    }
    #expect(throws: KafkaError.outOfOrderSequenceNumber) {
      try produce(broker, batch("x", producer: producer, sequence: 8)).get()
    }
    let next = ProducerIdentity(id: producer.id, epoch: producer.epoch + 1)
    #expect(throws: KafkaError.outOfOrderSequenceNumber) {
      try produce(broker, batch("x", producer: next, sequence: 7)).get()
    }
    #expect(try produce(broker, batch("x", producer: next, sequence: 0)).get().baseOffset == 7)
    #expect(throws: KafkaError.invalidProducerEpoch) {
      try produce(broker, batch("x", producer: producer, sequence: 7)).get()
    }
  }

  @Test func sequencesWrap() throws {
    let broker = try broker()
    let producer = ProducerIdentity(id: 9, epoch: 0)
    #expect(
      try produce(broker, batch("a", "b", producer: producer, sequence: .max - 1)).get().baseOffset == 0)
    #expect(try produce(broker, batch("c", producer: producer, sequence: 0)).get().baseOffset == 2)
    let across = try self.broker()
    #expect(try produce(across, batch("a", "b", producer: producer, sequence: .max)).get().baseOffset == 0)
    #expect(try produce(across, batch("c", producer: producer, sequence: 1)).get().baseOffset == 2)
  }

  @Test func timesAreFoundRecordByRecord() throws {
    let broker = try broker()
    for time in [10, 30, 20, 40] as [Int64] {
      _ = produce(
        broker,
        RecordBatch.encode([Record(value: [], timestamp: time), Record(value: [], timestamp: time + 5)]))
    }
    let partition = try #require(broker.partition(place))
    func offset(_ time: Int64) -> Int64? {
      partition.firstRecord(atOrAfter: time, isolation: .readUncommitted)?.offset
    }
    #expect([0, 10, 11, 16, 30, 36, 45, 46].map(offset) == [0, 0, 1, 2, 2, 6, 7, nil])
    #expect(partition.latestRecord()?.offset == 7)
    _ = try broker.deleteRecords(place, before: 3)
    #expect(offset(0) == 3)
  }

  @Test func epochsRunOutIntoANewProducerId() throws {
    let broker = try broker()
    var identity = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    let first = identity.id
    for _ in 0..<32_766 {
      identity = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    }
    #expect(identity == ProducerIdentity(id: first, epoch: .max - 1))
    identity = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    #expect(identity.id != first && identity.epoch == 0)
  }

  @Test func bumpsCanBeRepeatedByTheirProducerOnly() throws {
    let broker = try broker()
    let zero = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    let one = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: zero, now: 0)
    #expect(one.epoch == 1)
    #expect(try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: zero, now: 0) == one)
    let heir = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    #expect(heir.epoch == 2)
    #expect(throws: KafkaError.producerFenced) {
      try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: one, now: 0)
    }
    #expect(throws: KafkaError.invalidTransactionTimeout) {
      try broker.initProducer(transactionalId: "x", timeout: 900_001, expected: nil, now: 0)
    }
  }

  @Test func plainRecordsAmidATransactionAreRefused() throws {
    let broker = try broker()
    let producer = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    try broker.addPartitions([place], transactionalId: "x", producer: producer, now: 0)
    _ = try produce(broker, batch("a", producer: producer, transactional: true)).get()
    #expect(throws: KafkaError.invalidTransactionState) {
      try produce(broker, batch("b", producer: producer, sequence: 1)).get()
    }
    #expect(throws: KafkaError.invalidProducerIdMapping) {
      try produce(broker, batch("b", producer: ProducerIdentity(id: 99, epoch: 0), transactional: true)).get()
    }
  }

  /// On a cluster a transaction's end is answered before its markers are written.
  @Test(arguments: [true, false])
  func markersComeAfterTheAnswer(commit: Bool) throws {
    let broker = Broker(markerDelay: 30)
    var entries: [JournalEntry] = []
    broker.journal = { entries.append($0) }
    broker.start(now: 0)
    try broker.createTopic("t", partitions: 1)
    let partition = try #require(broker.partition(place))
    func attempt(_ body: (ProducerIdentity) throws(KafkaError) -> Void) -> KafkaError {
      failure { () throws(KafkaError) in try body(producer) }
    }
    let producer = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    func end(_ commit: Bool) -> KafkaError {
      attempt { (producer) throws(KafkaError) in
        try broker.endTransaction(transactionalId: "x", producer: producer, commit: commit, now: 100)
      }
    }
    // There is nothing to end yet.
    #expect(end(false) == .invalidTransactionState)
    try broker.addPartitions([place], transactionalId: "x", producer: producer, now: 0)
    _ = try produce(broker, batch("a", producer: producer, transactional: true)).get()
    try broker.addOffsets(group: "g", transactionalId: "x", producer: producer, now: 0)
    try broker.commitOffsets(
      "g", member: GroupMember(), producer: producer, [place: CommittedOffset(offset: 7)], now: 0)
    #expect(end(commit) == .none)
    for now in [100, 129] as [Int64] {
      broker.advance(now: now)
      #expect(broker.nextDeadline == 130)
      #expect(partition.lastStableOffset == 0 && partition.nextOffset == 1)
      #expect(end(commit) == .concurrentTransactions && end(!commit) == .invalidTransactionState)
      #expect(
        attempt { (producer) throws(KafkaError) in
          try broker.addPartitions([place], transactionalId: "x", producer: producer, now: now)
        } == .concurrentTransactions)
      #expect(
        attempt { (producer) throws(KafkaError) in
          try broker.addOffsets(group: "g", transactionalId: "x", producer: producer, now: now)
        } == .concurrentTransactions)
      #expect(
        attempt { (_) throws(KafkaError) in
          _ = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: now)
        } == .concurrentTransactions)
      #expect(throws: KafkaError.unstableOffsetCommit) {
        try broker.committedOffset("g", place, requireStable: true)
      }
    }
    // A broker that ends meanwhile writes them when it starts again.
    let restarted = Broker(markerDelay: 30)
    for entry in entries { restarted.restore(entry, now: 130) }
    restarted.start(now: 130)
    broker.advance(now: 130)
    for broker in [broker, restarted] {
      let partition = try #require(broker.partition(place))
      #expect(partition.lastStableOffset == 2)
      #expect(try consume(partition, .readCommitted).map(\.value) == (commit ? ["a"] : []))
      let committed = try broker.committedOffset("g", place, requireStable: true)
      #expect(committed?.offset == (commit ? 7 : nil))
    }
    // Ended once more is ended; the other way is too late; and the next may begin.
    #expect(end(commit) == .none && end(!commit) == .invalidTransactionState)
    try broker.addPartitions([place], transactionalId: "x", producer: producer, now: 140)
  }
}
