import EventLog
import Glibc
import Processor
import Testing

/// All tests with a broker; one after the other, since each of them waits for timeouts of its own.
@Suite(.serialized, .timeLimit(.minutes(5))) enum BrokerSuite {}

/// What a test needs around its logs.
struct Bench {
  let brokers: String
  let group = TestBroker.unique("group")

  init() async throws { brokers = try await TestBroker.address() }

  init(brokers: String) { self.brokers = brokers }

  func options(
    _ properties: [String: String] = [:], delivery: KafkaDelivery = .exactlyOnce,
    transactionalID: String? = nil
  ) -> KafkaOptions {
    let quick = [
      "consumer.session.timeout.ms": "\(TestBroker.sessionMilliseconds)",
      "consumer.heartbeat.interval.ms": "200",
      "consumer.fetch.wait.max.ms": "20", "reconnect.backoff.max.ms": "200", "producer.linger.ms": "1",
    ]
    return KafkaOptions(
      brokers: brokers, group: group, transactionalID: transactionalID ?? TestBroker.unique("txn"),
      delivery: delivery, properties: quick.merging(properties) { $1 })
  }

  func newTopic(_ partitions: Int = 1) throws -> String {
    let name = TestBroker.unique("topic")
    let admin = try TopicAdmin(options(), report: quiet)
    #expect(
      try admin.create([TopicDescription(name: name, partitions: partitions, replication: 1)]) == [.created])
    return name
  }

  func log(_ topic: String, _ options: KafkaOptions? = nil) throws -> KafkaLog {
    try KafkaLog(options ?? self.options(), topics: [topic], report: quiet)
  }

  /// Waits until every transaction in a topic has its markers: Kafka answers an end before it writes them.
  func awaitMarkers(_ log: KafkaLog, _ topic: String, partitions: Int = 1) throws {
    let places = (0..<Int32(partitions)).map { TopicPartition(topic, $0) }
    let (admin, patience) = (try TopicAdmin(options(), report: quiet), Patience())
    // Open transactions hold back the end that a reader of committed records sees.
    while try places.map({ try log.watermarks($0).high }) != admin.ends(of: places) {
      try patience.check("the markers")
    }
  }

  /// Everything that committed transactions have written, until a number of records is there.
  func read(_ topic: String, count: Int) throws -> [Found] {
    let reader = Reader(try Bench(brokers: brokers).log(topic))
    defer { reader.log.close(timeoutMilliseconds: 5_000) }
    return try reader.read(count)
  }
}

/// Shown only when somebody looks for the cause of a failure.
let quiet: @Sendable (KafkaSeverity, String) -> Void = { severity, text in
  guard getenv("PLUMB_TEST_VERBOSE") != nil else { return }
  let line = Array("\(severity): \(text)\n".utf8)
  _ = write(STDERR_FILENO, line, line.count)
}

/// A record that outlives its poll.
struct Found: Equatable {
  var partition: TopicPartition
  var offset: Int64
  var time: Int64?
  var key: String?
  var value: String?

  init(_ record: LogRecord, _ poll: LogPoll) {
    partition = poll.partitions[record.partition]
    offset = record.offset
    time = record.timestampMilliseconds
    key = record.key.map { String(decoding: $0, as: UTF8.self) }
    value = record.value.map { String(decoding: $0, as: UTF8.self) }
  }
}

/// What a test waited for in vain.
struct Overdue: Error, CustomStringConvertible {
  var description: String
}

/// A deadline that only a hang meets.
struct Patience {
  private let deadline = ContinuousClock.now + .seconds(60)

  func check(_ what: @autoclosure () -> String) throws {
    if ContinuousClock.now > deadline { throw Overdue(description: "Still waiting for \(what())") }
  }
}

/// Reads from the committed offsets, or else from the start.
final class Reader {
  let log: KafkaLog
  private(set) var assigned: Set<TopicPartition> = []
  private(set) var changes: [LogAssignment] = []
  /// The last end that was told of each partition.
  private(set) var ends: [TopicPartition: Int64] = [:]

  init(_ log: KafkaLog) { self.log = log }

  func poll(recordsMax: Int = 1_000, timeoutMilliseconds: Int = 100) throws -> [Found] {
    let poll = try log.poll(recordsMax: recordsMax, timeoutMilliseconds: timeoutMilliseconds)
    let found = poll.records.map { Found($0, poll) }
    for end in poll.ends { ends[end.partition] = end.offset }
    for change in poll.assignments { try answer(change) }
    return found
  }

  func answer(_ change: LogAssignment) throws {
    changes.append(change)
    switch change {
    case .assigned(let partitions):
      let offsets = try log.committed(partitions)
      try log.assign(zip(partitions, offsets).map { ($0, $1 ?? 0) })
      assigned.formUnion(partitions)
    case .revoked(let partitions), .lost(let partitions):
      try log.unassign(partitions)
      assigned.subtract(partitions)
    }
  }

  func read(_ count: Int) throws -> [Found] {
    var found: [Found] = []
    let patience = Patience()
    while found.count < count {
      try patience.check("\(count) records after \(found.count)")
      found += try poll()
    }
    return found
  }

  /// Polls until the partition's end is told, which must be at an offset, and forgets it.
  func awaitEnd(_ partition: TopicPartition, _ offset: Int64) throws {
    let patience = Patience()
    while ends[partition] != offset {
      try patience.check("the end at \(offset) after \(ends)")
      _ = try poll()
    }
    ends[partition] = nil
  }

  func join() throws {
    let patience = Patience()
    while assigned.isEmpty {
      try patience.check("an assignment")
      _ = try poll()
    }
  }
}

extension KafkaLog {
  func send(_ topic: String, _ partition: Int32? = 0, key: String?, value: String?) throws(LogError) {
    let (key, value) = (key.map { Array($0.utf8) }, value.map { Array($0.utf8) })
    let keyBytes = key.map { $0.withUnsafeBytes(Bytes.init) }
    let valueBytes = value.map { $0.withUnsafeBytes(Bytes.init) }
    defer { _ = (keyBytes, valueBytes) }
    try send(topic: topic, partition: partition, key: keyBytes?.buffer, value: valueBytes?.buffer)
  }

  /// A transaction of its own; without offsets.
  func write(_ topic: String, _ values: [String], partition: Int32? = 0) throws {
    try begin()
    for value in values { try send(topic, partition, key: nil, value: value) }
    try commit([])
  }
}

/// A copy of some bytes at an address of its own. Empty bytes have no address, like Swift's own empty buffers.
private final class Bytes {
  let buffer: UnsafeRawBufferPointer

  init(_ source: UnsafeRawBufferPointer) {
    guard !source.isEmpty else {
      buffer = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 1)
    copy.copyMemory(from: source)
    buffer = UnsafeRawBufferPointer(copy)
  }

  deinit { buffer.deallocate() }
}

/// The remedy that a call's error names; nil if it succeeds.
func remedy(_ body: () throws -> Void) rethrows -> LogError.Remedy? {
  do {
    try body()
    return nil
  } catch let error as LogError {
    return error.remedy
  }
}
