import BrokerCore
import Glibc
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
    for length in 0...log.count {
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

  @Test func damageInTheMiddleIsNotServed() throws {
    let directory = TemporaryDirectory()
    try run(directory, fill)
    let log = try directory.contents("t1-p0.log")
    var damaged = log
    damaged[log.count / 2] ^= 1
    try directory.write("t1-p0.log", damaged[...])
    try run(directory) { broker in
      let partition = try #require(broker.partition(place))
      #expect(partition.nextOffset > 0 && partition.nextOffset < 12)
      for record in try consume(partition, .readUncommitted) {
        #expect(["true", "false"].contains(record.value.dropLast()))
      }
    }
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
