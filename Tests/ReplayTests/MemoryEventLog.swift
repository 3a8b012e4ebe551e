import Processor
import TestSupport

/// Partitions in memory as a worker's log shows them: batches of any size, offsets without records, fetches that a pause comes too
/// late for, and a first offset that moves.
final class MemoryEventLog: EventLogPort {
  struct Record: Hashable {
    var offset: Int64
    var time: Int64?
    var key: [UInt8]?
    var value: [UInt8]?
  }

  struct Partition {
    /// In the order of their offsets; marks and aborted records leave gaps.
    var records: [Record] = []
    var low: Int64 = 0
    var high: Int64 = 0
    var isAssigned = false
    var isPaused = false
    /// It was fetched before it was paused, and is handed out once all the same.
    var isFetched = false
    var next: Int64 = 0
  }

  var partitions: [TopicPartition: Partition] = [:]
  /// Where reading ends, as a replay's does.
  var ends: [TopicPartition: Int64] = [:]
  private var random: SplitMix64
  /// What a poll has handed out, with the bytes it borrows from.
  private var given = UnsafeMutableBufferPointer<LogRecord>.allocate(capacity: 0)
  private var bytes: [UnsafeMutableRawBufferPointer] = []

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  deinit {
    given.deallocate()
    for buffer in bytes { buffer.deallocate() }
  }

  // MARK: As a worker reads it

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    for buffer in bytes { buffer.deallocate() }
    bytes = []
    var found: [LogRecord] = []
    var named: [TopicPartition] = []
    for (name, partition) in partitions where partition.isAssigned && !partition.isPaused {
      guard partition.next < partition.low || partition.next > partition.high else { continue }
      throw LogError(.outOfRange(name), "\(name) has no offset \(partition.next)")
    }
    var passed: [(partition: TopicPartition, offset: Int64)] = []
    for name in partitions.keys.sorted(by: { $0.partition < $1.partition }).shuffled(using: &random) {
      guard var partition = partitions[name], partition.isAssigned, found.count < recordsMax else { continue }
      defer { partitions[name] = partition }
      guard !partition.isPaused || partition.isFetched else { continue }
      partition.isFetched = false
      let count = Int.random(in: 0...(recordsMax - found.count), using: &random)
      let end = min(partition.high, ends[name] ?? .max)
      let ahead = partition.records.filter { $0.offset >= partition.next && $0.offset < end }.prefix(count)
      found += ahead.map { borrowed($0, named.count) }
      partition.next = ahead.last.map { $0.offset + 1 } ?? partition.next
      named.append(name)
      // Marks behind the last record are passed some time later.
      let isAtEnd = !partition.records.contains { $0.offset >= partition.next && $0.offset < end }
      if isAtEnd, partition.next <= end, Bool.random(using: &random) {
        partition.next = end
        passed.append((name, end))
      }
    }
    given.deallocate()
    given = .allocate(capacity: found.count)
    _ = given.initialize(from: found)
    return LogPoll(
      assignments: [], partitions: named, records: UnsafeBufferPointer(given), ends: passed)
  }

  private func borrowed(_ record: Record, _ partition: Int) -> LogRecord {
    LogRecord(
      partition: partition, offset: record.offset, timestampMilliseconds: record.time,
      key: keep(record.key), value: keep(record.value))
  }

  private func keep(_ text: [UInt8]?) -> UnsafeRawBufferPointer? {
    guard let text else { return nil }
    // An empty one isn't null.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, text.count), alignment: 1)
    buffer.copyBytes(from: text)
    bytes.append(buffer)
    return UnsafeRawBufferPointer(rebasing: buffer[..<text.count])
  }

  func assign(_ assigned: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    for (partition, offset) in assigned {
      precondition(partitions[partition]?.isAssigned == false, "\(partition) is assigned twice")
      partitions[partition]?.isAssigned = true
      partitions[partition]?.isPaused = false
      partitions[partition]?.isFetched = false
      partitions[partition]?.next = offset
    }
  }

  func unassign(_ names: [TopicPartition]) throws(LogError) {
    for name in names { partitions[name]?.isAssigned = false }
  }

  func pause(_ names: [TopicPartition]) throws(LogError) {
    for name in names { change(name) { $0.isPaused = true } }
  }

  func resume(_ names: [TopicPartition]) throws(LogError) {
    for name in names { change(name) { $0.isPaused = false } }
  }

  func seek(_ name: TopicPartition, to offset: Int64) throws(LogError) {
    change(name) {
      $0.next = offset
      $0.isFetched = false
    }
  }

  private func change(_ name: TopicPartition, _ body: (inout Partition) -> Void) {
    guard var partition = partitions[name], partition.isAssigned else {
      preconditionFailure("\(name) isn't assigned")
    }
    body(&partition)
    partitions[name] = partition
  }

  func watermarks(_ name: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    guard let partition = partitions[name] else { throw LogError(.fatal, "There is no \(name)") }
    return (partition.low, partition.high)
  }

  func firstOffset(of name: TopicPartition, since milliseconds: Int64) throws(LogError) -> Int64? {
    partitions[name]?.records.first { $0.time ?? -1 >= milliseconds }?.offset
  }

  // MARK: What the archive takes no part in

  func read(
    _ partition: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> { throw LogError(.fatal, "no cursors here") }
  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] { partitions.map { _ in nil } }
  func begin() throws(LogError) {}
  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {}
  func startCommit(
    _ offsets: [(partition: TopicPartition, offset: Int64)], _ changes: [SealedChanges]
  ) -> Bool { true }
  func finishCommit(waiting: Bool) -> Bool { true }
  func abort() throws(LogError) {}
  func close(timeoutMilliseconds: Int) -> Bool { true }
}
