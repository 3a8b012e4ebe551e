import EventFiles
import FeatureCore
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
    var headers: [UInt8]?
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
  /// Where reading ends, as a replay's does: what passes for the group's offsets.
  var ends: [TopicPartition: Int64] = [:]
  /// What the next poll tells of the group.
  var assignments: [LogAssignment] = []
  private var random: SplitMix64
  /// What a poll has handed out, with the bytes it borrows from.
  private var given = UnsafeMutableBufferPointer<LogRecord>.allocate(capacity: 0)
  private var bytes: [UnsafeMutableRawBufferPointer] = []
  /// What each cursor has read last.
  private var readings: [Cursor: Reading] = [:]

  private struct Cursor: Hashable {
    var partition: TopicPartition
    var number: Int
  }

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  deinit {
    given.deallocate()
    for buffer in bytes { buffer.deallocate() }
  }

  // MARK: As a worker reads it

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    for buffer in bytes { buffer.deallocate() }
    bytes = []
    defer { assignments = [] }
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
      assignments: assignments, partitions: named, records: UnsafeBufferPointer(given), ends: passed)
  }

  private func borrowed(_ record: Record, _ partition: Int) -> LogRecord {
    record.borrowed(partition) { bytes.append($0) }
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
    _ name: TopicPartition, cursor: Int, from offset: Int64, recordsMax: Int
  ) throws(LogError) -> UnsafeBufferPointer<LogRecord> {
    let count = Int.random(in: 1...recordsMax, using: &random)
    let found = partitions[name]?.records.filter { $0.offset >= offset }.prefix(count) ?? []
    if found.isEmpty { throw LogError(.fatal, "A cursor finds nothing in \(name) from \(offset) on") }
    let reading = Reading(found)
    readings[Cursor(partition: name, number: cursor)] = reading
    return UnsafeBufferPointer(reading.records)
  }

  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] { partitions.map { ends[$0] } }
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

/// What a cursor has read, until it reads on.
private final class Reading {
  let records: UnsafeMutableBufferPointer<LogRecord>
  private var bytes: [UnsafeMutableRawBufferPointer] = []

  init(_ found: ArraySlice<MemoryEventLog.Record>) {
    records = .allocate(capacity: found.count)
    _ = records.initialize(from: found.map { record in record.borrowed(0) { bytes.append($0) } })
  }

  deinit {
    records.deallocate()
    for buffer in bytes { buffer.deallocate() }
  }
}

extension MemoryEventLog.Record {
  /// As a log hands it out; `own` is given the memory that it points to.
  fileprivate func borrowed(
    _ partition: Int, _ own: (UnsafeMutableRawBufferPointer) -> Void
  ) -> LogRecord {
    func copy(_ text: [UInt8]?) -> UnsafeRawBufferPointer? {
      guard let text else { return nil }
      // An empty one isn't null.
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, text.count), alignment: 1)
      buffer.copyBytes(from: text)
      own(buffer)
      return UnsafeRawBufferPointer(rebasing: buffer[..<text.count])
    }
    return LogRecord(
      partition: partition, offset: offset, timestampMilliseconds: time, key: copy(key), value: copy(value),
      headers: copy(headers).map(RecordHeaders.init))
  }
}

extension ArchiveWriter {
  /// Archives records as `plumb archive` does: segments of so many, up to an offset. `first` is where the archive begins.
  func archive(
    _ records: some Sequence<MemoryEventLog.Record>, to end: Int64, first: Int64, size: Int
  ) throws {
    for record in records where record.offset >= next ?? first && record.offset < end {
      var memory: [UnsafeMutableRawBufferPointer] = []
      defer { for buffer in memory { buffer.deallocate() } }
      let borrowed = record.borrowed(0) { memory.append($0) }
      try append(
        ArchivedRecord(
          offset: borrowed.offset, timestampMilliseconds: borrowed.timestampMilliseconds, key: borrowed.key,
          value: borrowed.value, headers: borrowed.headers),
        first: first)
      if openRecords == size { try cut(next: record.offset + 1, first: first) }
    }
    try cut(next: end, first: first)
  }
}
