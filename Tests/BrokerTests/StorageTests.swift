import BrokerCore
import Glibc
import NIOCore
import NIOEmbedded
import Testing

@testable import LocalBroker

/// A directory that goes away with its owner.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/plumb-broker-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
  }

  deinit {
    for name in names { unlink(path + "/" + name) }
    rmdir(path)
  }

  var names: [String] {
    guard let listing = opendir(path) else { return [] }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  func contents(_ name: String) throws -> [UInt8] {
    let file = try File(path + "/" + name)
    defer { file.close() }
    return try file.read(at: 0, count: file.size)
  }

  func write(_ name: String, _ bytes: ArraySlice<UInt8>) throws {
    unlink(path + "/" + name)
    let file = try File(path + "/" + name)
    defer { file.close() }
    try Array(bytes).withUnsafeBytes { try file.append($0) }
  }
}

@Suite struct StorageTests {
  private let place = TopicPartition("t", 0)

  /// Runs `body` with a broker that lives in a directory, then closes its files.
  private func run(_ directory: TemporaryDirectory, now: Int64 = 1_000, _ body: (Broker) throws -> Void)
    throws
  {
    let broker = Broker()
    let storage = try Storage(
      directory: directory.path, broker: broker, loop: EmbeddedEventLoop(), now: now, log: { _ in })
    broker.start(now: now)
    try body(broker)
    #expect(storage.failure == nil)
    storage.close()
  }

  private func fill(_ broker: Broker) throws {
    try broker.createTopic("t", partitions: 2, configs: ["cleanup.policy": "compact"])
    let producer = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 1_000)
    var sequence: Int32 = 0
    for commit in [true, false, true] {
      try broker.addPartitions([place], transactionalId: "x", producer: producer, now: 1_000)
      try broker.addOffsets(group: "g", transactionalId: "x", producer: producer, now: 1_000)
      let records = (0..<3).map { Record(key: [1], value: Array("\(commit)\($0)".utf8), timestamp: 5) }
      let bytes = RecordBatch.encode(
        records, producer: BatchProducer(id: producer.id, epoch: producer.epoch, baseSequence: sequence),
        transactional: true)
      _ = try broker.produce(place, batch: bytes, now: 1_000)
      sequence += 3
      try broker.commitOffsets(
        "g", member: GroupMember(), producer: producer,
        [place: CommittedOffset(offset: Int64(sequence), metadata: commit ? "yes" : "no")], now: 1_000)
      try broker.endTransaction(transactionalId: "x", producer: producer, commit: commit, now: 1_000)
    }
  }

  @Test func everythingComesBack() throws {
    let directory = TemporaryDirectory()
    var before: [(offset: Int64, value: String)] = []
    try run(directory) { broker in
      try fill(broker)
      try broker.createTopic("gone", partitions: 3)
      _ = try broker.produce(TopicPartition("gone", 1), batch: batch("x"), now: 1_000)
      try broker.deleteTopic("gone")
      try broker.createTopic("gone", partitions: 1)
      _ = try broker.deleteRecords(place, before: 2)
      before = try consume(#require(broker.partition(place)), .readCommitted)
      #expect(before.map(\.value) == ["true2", "true0", "true1", "true2"])
    }
    for _ in 0..<2 {
      try run(directory) { broker in
        let partition = try #require(broker.partition(place))
        #expect(try consume(partition, .readCommitted).map(\.offset) == before.map(\.offset))
        #expect(partition.logStartOffset == 2 && partition.nextOffset == 12)
        #expect(broker.topics["t"]?.settings.isCompacted == true)
        #expect(broker.topics["gone"]?.partitions.map(\.nextOffset) == [0])
        #expect(try broker.committedOffset("g", place, requireStable: true)?.metadata == "yes")
        #expect(try broker.committedOffset("g", place, requireStable: true)?.offset == 9)
      }
    }
    #expect(directory.names == ["lock", "metadata.log", "t1-p0.log"])
    // The producer goes on where it was: same id, next epoch.
    try run(directory) { broker in
      let again = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 1_000)
      #expect(again == ProducerIdentity(id: 1, epoch: 1))
      #expect(try broker.initProducer(transactionalId: nil, timeout: 0, expected: nil, now: 0).id == 2)
    }
  }

  /// Wherever a write is cut off, what is served is a prefix of what was written, and the broker goes on.
  @Test func tornTailsAreDropped() throws {
    let directory = TemporaryDirectory()
    var all: [(offset: Int64, value: String)] = []
    try run(directory) { broker in
      try fill(broker)
      all = try consume(#require(broker.partition(place)), .readUncommitted)
    }
    let log = try directory.contents("t1-p0.log")
    let metadata = try directory.contents("metadata.log")
    // Every byte of the first batch and of the marker behind it, and some of the rest.
    for length in Array(0...260) + Array(stride(from: 261, through: log.count, by: 7)) {
      let torn = TemporaryDirectory()
      try torn.write("metadata.log", metadata[...])
      try torn.write("t1-p0.log", log[..<length])
      try run(torn) { broker in
        let partition = try #require(broker.partition(place))
        let found = try consume(partition, .readUncommitted)
        #expect(
          zip(found, all).allSatisfy { $0.offset == $1.offset && $0.value == $1.value }, "\(length) bytes")
        #expect(partition.lastStableOffset == partition.nextOffset, "\(length) bytes")
        let next = partition.nextOffset
        let more = RecordBatch.encode([Record(key: [2], value: [3], timestamp: 6)])
        #expect(try broker.produce(place, batch: more, now: 1_000).baseOffset == next)
      }
      try run(torn) { broker in
        let partition = try #require(broker.partition(place))
        let found = try consume(partition, .readUncommitted)
        #expect(found.last?.value == "\u{3}")
      }
    }
    for length in stride(from: 8, through: metadata.count, by: 3) {
      let torn = TemporaryDirectory()
      try torn.write("metadata.log", metadata[..<length])
      try torn.write("t1-p0.log", log[...])
      try run(torn) { broker in
        for topic in broker.topics.values {
          for partition in topic.partitions {
            #expect(partition.lastStableOffset == partition.nextOffset, "\(length) bytes of metadata")
          }
        }
      }
    }
  }

  /// Whatever bit of a file is not as it was written: nothing false is served, and nothing is changed or deleted.
  @Test func damageIsNamedAndLeftAlone() throws {
    let whole = TemporaryDirectory()
    var all: [(offset: Int64, value: String)] = []
    try run(whole) { broker in
      try fill(broker)
      all = try consume(#require(broker.partition(place)), .readUncommitted)
    }
    let (log, metadata) = (try whole.contents("t1-p0.log"), try whole.contents("metadata.log"))
    for index in log.indices {
      let directory = TemporaryDirectory()
      var damaged = log
      damaged[index] ^= UInt8(1 << (index % 8))
      try directory.write("metadata.log", metadata[...])
      try directory.write("t1-p0.log", damaged[...])
      do {
        try run(directory) { broker in
          // Only the length of the last batch, which may be taken for one that was cut off.
          let partition = try #require(broker.partition(place))
          let found = try consume(partition, .readUncommitted)
          #expect(
            zip(found, all).allSatisfy { $0.offset == $1.offset && $0.value == $1.value }, "byte \(index)")
          let aside = try #require(directory.names.first { $0.contains(".torn-") }, "byte \(index)")
          let kept = try directory.contents("t1-p0.log")
          let cut = try directory.contents(aside)
          #expect(Array(kept.prefix(damaged.count - cut.count)) + cut == damaged, "byte \(index)")
        }
      } catch let error as LocalBrokerError {
        #expect(error.description.contains("t1-p0.log is damaged at byte"), "byte \(index)")
        #expect(try directory.contents("t1-p0.log") == damaged, "byte \(index)")
      }
    }
    for index in metadata.indices {
      let directory = TemporaryDirectory()
      var damaged = metadata
      damaged[index] ^= UInt8(1 << (index % 8))
      try directory.write("metadata.log", damaged[...])
      try directory.write("t1-p0.log", log[...])
      do {
        try run(directory) { _ in }
        #expect(directory.names.contains { $0.hasPrefix("metadata.log.torn-") }, "byte \(index)")
      } catch let error as LocalBrokerError {
        #expect(error.description.contains("metadata.log"), "byte \(index)")
        #expect(try directory.contents("metadata.log") == damaged, "byte \(index)")
      }
      let kept = try directory.contents("t1-p0.log")
      #expect(kept.starts(with: log), "byte \(index)")
    }
  }

  /// A directory without its metadata is not an empty one.
  @Test(arguments: [true, false])
  func recordsWithoutMetadataAreLeftAlone(isMissing: Bool) throws {
    let directory = TemporaryDirectory()
    try run(directory, fill)
    let log = try directory.contents("t1-p0.log")
    if isMissing { unlink(directory.path + "/metadata.log") } else { try directory.write("metadata.log", []) }
    let error = #expect(throws: LocalBrokerError.self) { try run(directory) { _ in } }
    #expect(error?.description.contains("is missing or empty, but") == true)
    #expect(try directory.contents("t1-p0.log") == log)
  }

  /// After metadata was cut, as an error advises: the files of what is not known any more stay, and are nobody's.
  @Test func filesOfUnknownTopicsAreLeftAlone() throws {
    let directory = TemporaryDirectory()
    try run(directory, fill)
    let log = try directory.contents("t1-p0.log")
    try directory.write("metadata.log", ArraySlice("PLBROK01".utf8))
    for _ in 0..<2 {
      try run(directory) { broker in
        if broker.topics["t"] == nil { try broker.createTopic("t", partitions: 1) }
        _ = try broker.produce(place, batch: batch("new"), now: 1_000)
      }
      #expect(try directory.contents("t1-p0.log") == log)
    }
    #expect(directory.names == ["lock", "metadata.log", "t1-p0.log", "t2-p0.log"])
  }

  /// A topic's files outlive it if the broker is killed amid deleting it.
  @Test func deletionsAreFinished() throws {
    let directory = TemporaryDirectory()
    try run(directory, fill)
    let frame = try #require(JournalEntry.topicDeleted(name: "t").encoded())
    let metadata = try directory.contents("metadata.log") + Array(frame.readableBytesView)
    try directory.write("metadata.log", metadata[...])
    try run(directory) { broker in #expect(broker.topics.isEmpty) }
    #expect(directory.names == ["lock", "metadata.log"])
  }

  /// Partitions that were added are there again, with what was written to them, whether or not the metadata log was
  /// written anew meanwhile.
  @Test func addedPartitionsSurvive() throws {
    let directory = TemporaryDirectory()
    let added = TopicPartition("t", 3)
    try run(directory) { broker in
      try broker.createTopic("t", partitions: 2)
      try broker.createPartitions("t", partitions: 4)
      _ = try broker.produce(added, batch: batch("a"), now: 1_000)
    }
    for wanted in [["a"], ["a", "b"]] {
      try run(directory) { broker in
        #expect(broker.topics["t"]?.partitions.count == 4)
        #expect(try consume(#require(broker.partition(added)), .readCommitted).map(\.value) == wanted)
        if wanted.count == 1 { _ = try broker.produce(added, batch: batch("b"), now: 1_000) }
      }
    }
  }

  /// A group that was deleted stays so, and one of its name begins anew.
  @Test func deletedGroupsStayDeleted() throws {
    let directory = TemporaryDirectory()
    let place = TopicPartition("t", 0)
    try run(directory) { broker in
      try broker.createTopic("t", partitions: 1)
      #expect(throws: KafkaError.groupIdNotFound) { try broker.deleteGroup("g") }
      for group in ["g", "h"] {
        try broker.commitOffsets(
          group, member: GroupMember(), [place: CommittedOffset(offset: 7)], now: 1_000)
      }
      try broker.deleteGroup("g")
    }
    try run(directory) { broker in
      #expect(broker.groupNames == ["h"])
      let found = try ["g", "h"].map { try broker.committedOffset($0, place, requireStable: true)?.offset }
      #expect(found == [nil, 7])
      broker.joinGroup(
        JoinRequest(
          group: "h", memberId: "", requiresKnownMember: false, clientId: "c", sessionTimeout: 10_000,
          rebalanceTimeout: 10_000, protocols: [GroupProtocol(name: "range", metadata: [])]),
        token: 1, now: 2_000)
      #expect(throws: KafkaError.nonEmptyGroup) { try broker.deleteGroup("h") }
    }
  }

  @Test func partitionsOnlyGrow() throws {
    var limits = BrokerLimits()
    limits.partitionsMax = 5
    let broker = Broker(limits: limits)
    try broker.createTopic("t", partitions: 2)
    for count: Int32 in [.min, -1, 0, 1, 2, 6, .max] {
      #expect(throws: KafkaError.invalidPartitions) { try broker.createPartitions("t", partitions: count) }
    }
    #expect(throws: KafkaError.unknownTopicOrPartition) { try broker.createPartitions("u", partitions: 3) }
    try broker.createPartitions("t", partitions: 5, validateOnly: true)
    #expect(broker.topics["t"]?.partitions.count == 2)
    try broker.createPartitions("t", partitions: 5)
    #expect(broker.topics["t"]?.partitions.count == 5)
  }

  /// Entries whose checksum is right and that no broker wrote.
  @Test(
    arguments: [
      .topicCreated(name: "u", number: 2, partitions: -1, configs: [:]),
      .topicCreated(name: "u", number: 2, partitions: .max, configs: [:]),
      .topicCreated(name: "u", number: .max, partitions: 1, configs: [:]),
      .topicCreated(name: "../u", number: 2, partitions: 1, configs: [:]),
      .topicCreated(name: "u", number: 2, partitions: 1, configs: ["max.message.bytes": "-1"]),
      .partitionsAdded(name: "t", partitions: 2), .partitionsAdded(name: "t", partitions: .max),
      .partitionsAdded(name: "nobody", partitions: 3),
      .logStart(TopicPartition("t", 0), .max), .logStart(TopicPartition("t", 0), -1),
      .counters(producerIds: .max, topics: 1, incarnation: 1),
      .counters(producerIds: 1, topics: .max, incarnation: 1),
      .counters(producerIds: 1, topics: 1, incarnation: .max),
      .transaction(id: "x", transaction(producerId: .max)), .transaction(id: "x", transaction(epoch: .max)),
      .transaction(id: "x", transaction(started: .max)),
    ] as [JournalEntry])
  func impossibleEntriesAreDamage(entry: JournalEntry) throws {
    let directory = TemporaryDirectory()
    try run(directory, fill)
    let before = try directory.contents("metadata.log")
    let frame = try #require(entry.encoded())
    let metadata = before + Array(frame.readableBytesView)
    try directory.write("metadata.log", metadata[...])
    let error = #expect(throws: LocalBrokerError.self) { try run(directory) { _ in } }
    #expect(error?.description.contains("metadata.log is damaged at byte \(before.count)") == true)
    #expect(try directory.contents("metadata.log") == metadata)
  }

  static func transaction(
    producerId: Int64 = 9, epoch: Int16 = 0, started: Int64 = 0
  ) -> Transaction {
    Transaction(
      producerId: producerId, epoch: epoch, lastEpoch: -1, timeout: 1_000, state: .ongoing, started: started,
      partitions: [], groups: [])
  }

  @Test func moreThanTheMemoryLimitIsNotRead() throws {
    let directory = TemporaryDirectory()
    try run(directory) { broker in
      try broker.createTopic("t", partitions: 1)
      for _ in 0..<20 {
        _ = try broker.produce(place, batch: batch(String(repeating: "x", count: 1_000)), now: 0)
      }
    }
    var limits = BrokerLimits()
    limits.memoryBytes = 10_000
    let error = #expect(throws: LocalBrokerError.self) {
      _ = try Storage(
        directory: directory.path, broker: Broker(limits: limits), loop: EmbeddedEventLoop(), now: 0,
        log: { _ in })
    }
    #expect(error?.description.contains("more records than the memory limit") == true)
  }

  @Test func twoBrokersCannotShareADirectory() throws {
    let directory = TemporaryDirectory()
    try run(directory) { _ in
      #expect(throws: LocalBrokerError.self) { try run(directory) { _ in } }
    }
  }

  /// A transaction that was decided but not carried out is carried out.
  @Test func decisionsSurvive() throws {
    for (state, wanted) in [(Transaction.State.prepareCommit, ["a"]), (.prepareAbort, [])] {
      let broker = Broker()
      let producer = ProducerIdentity(id: 5, epoch: 0)
      let entries: [JournalEntry] = [
        .topicCreated(name: "t", number: 1, partitions: 1, configs: [:]),
        .transaction(
          id: "x",
          Transaction(
            producerId: 5, epoch: 0, lastEpoch: -1, timeout: 1_000, state: state, started: 0,
            partitions: [place],
            groups: ["g"])),
        .batch(place, topicNumber: 1, bytes: batch("a", producer: producer, transactional: true)),
        .pendingOffsets(group: "g", producerId: 5, [place: CommittedOffset(offset: 1)]),
      ]
      for entry in entries { broker.restore(entry, now: 0) }
      broker.start(now: 0)
      #expect(try consume(#require(broker.partition(place)), .readCommitted).map(\.value) == wanted)
      let committed = try broker.committedOffset("g", place, requireStable: true)
      #expect(committed?.offset == (state == .prepareCommit ? 1 : nil))
    }
  }
}
