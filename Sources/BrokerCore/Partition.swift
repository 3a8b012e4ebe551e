/// A transaction that was aborted: read_committed consumers skip its records.
public struct AbortedTransaction: Sendable, Equatable {
  /// The producer's id.
  public let producerId: Int64
  /// The offset of the transaction's first record in the partition.
  public let firstOffset: Int64
  /// The offset of its abort marker.
  public let lastOffset: Int64
}

/// A batch as it stands in the log.
public struct StoredBatch: Sendable {
  /// The offset of its first record.
  public let baseOffset: Int64
  /// The offset of its last record.
  public let lastOffset: Int64
  /// Its largest timestamp.
  public let maxTimestamp: Int64
  /// The batch, ready to be sent.
  public let bytes: [UInt8]

  init(_ bytes: [UInt8], _ header: BatchHeader, at baseOffset: Int64) {
    self.baseOffset = baseOffset
    lastOffset = baseOffset + Int64(header.lastOffsetDelta)
    // From the bytes: the append time may have replaced what the header was read with.
    maxTimestamp = bytes.withUnsafeBytes { $0.bigEndian(at: 35, as: Int64.self) }
    self.bytes = bytes
  }

  /// What it costs in memory: its bytes, the array around them and this entry.
  var cost: Int { bytes.count + 96 }
}

/// What a produce request is answered.
public struct Appended: Sendable, Equatable {
  /// The offset of the batch's first record.
  public var baseOffset: Int64
  /// The append time of a `LogAppendTime` topic, otherwise -1.
  public var logAppendTime: Int64
  /// Whether the batch had been appended before.
  public var isDuplicate: Bool

  /// An answer.
  public init(baseOffset: Int64, logAppendTime: Int64, isDuplicate: Bool = false) {
    self.baseOffset = baseOffset
    self.logAppendTime = logAppendTime
    self.isDuplicate = isDuplicate
  }
}

/// What a consumer may see of a partition.
public enum Isolation: Int8, Sendable {
  case readUncommitted = 0
  case readCommitted = 1
}

/// What a fetch found in a partition.
public struct Fetched: Sendable {
  /// The offset after the last record.
  public var highWatermark: Int64
  /// The offset below which every transaction is decided.
  public var lastStableOffset: Int64
  /// The offset of the first record that is kept.
  public var logStartOffset: Int64
  /// The batches from the one that holds the offset asked for.
  public var batches: ArraySlice<StoredBatch> = []
  /// For read_committed: the aborted transactions that reach into the batches.
  public var aborted: [AbortedTransaction] = []
  /// The bytes of all batches.
  public var byteCount = 0
}

/// The log of one partition: batches, what is known of their producers, and open and aborted transactions.
public final class Partition {
  /// Beyond this many producers the longest unused half is forgotten, as Kafka forgets them after a day.
  static let producersMax = 10_000

  private(set) var batches: [StoredBatch] = []
  private var producers: [Int64: ProducerState] = [:]
  private var aborted: [AbortedTransaction] = []
  /// The offset of the first record that is kept.
  public private(set) var logStartOffset: Int64 = 0
  /// The offset the next record will get; with one replica this is the high watermark too.
  public private(set) var nextOffset: Int64 = 0
  /// What the batches cost in memory.
  private(set) var memoryBytes = 0
  /// The starts of open transactions by producer.
  private var openTransactions: [Int64: Int64] = [:]

  /// The offset below which every transaction is decided.
  public var lastStableOffset: Int64 {
    guard let first = openTransactions.values.min() else { return nextOffset }
    return max(first, logStartOffset)
  }

  /// Appends a producer's batch, or finds that it has been appended before.
  func append(
    _ bytes: inout [UInt8], topic: TopicSettings, memoryLeft: Int, now: Int64
  ) throws(KafkaError) -> Appended {
    let header = try bytes.withBytes { (raw) throws(KafkaError) in
      let header = try BatchHeader(checking: raw)
      try Self.checkRecords(raw, header, keysRequired: topic.isCompacted)
      return header
    }
    guard bytes.count <= topic.maxMessageBytes else { throw .messageTooLarge }
    let time = topic.isLogAppendTime ? now : -1
    if header.hasProducer, let state = producers[header.producerId] {
      if let old = state.duplicate(of: header) {
        let oldTime = topic.isLogAppendTime ? old.timestamp : -1
        return Appended(baseOffset: old.baseOffset, logAppendTime: oldTime, isDuplicate: true)
      }
      try state.check(header)
    }
    guard bytes.count <= memoryLeft else { throw .policyViolation }
    bytes.store(nextOffset, at: 0)
    bytes.store(Int32(0), at: 12)
    if topic.isLogAppendTime {
      bytes.store(header.attributes | 0x08, at: 21)
      bytes.store(now, at: 35)
      bytes.storeChecksum()
    }
    let appended = Appended(baseOffset: nextOffset, logAppendTime: time)
    insert(bytes, header, now: now)
    return appended
  }

  /// Appends the marker that ends a producer's transaction here; gives its batch.
  func end(producerId: Int64, epoch: Int16, commit: Bool, now: Int64) -> [UInt8] {
    var bytes = RecordBatch.marker(producerId: producerId, epoch: epoch, commit: commit, now: now)
    bytes.store(nextOffset, at: 0)
    restore(bytes, now: now)
    return bytes
  }

  /// Takes back a batch that this log had appended, its offset as written; false if it doesn't belong here.
  ///
  /// A gap is what a lost tail and a deletion beyond it left: it can't end behind the start of the log. Nothing but
  /// this protects a batch's offset and leader epoch, which its checksum doesn't cover.
  @discardableResult
  func restore(_ bytes: [UInt8], gapsUpTo start: Int64 = 0, now: Int64) -> Bool {
    guard let header = try? bytes.withBytes({ (raw) throws(KafkaError) in try BatchHeader(checking: raw) }),
      header.baseOffset == nextOffset || (header.baseOffset > nextOffset && header.baseOffset <= start),
      header.lastOffset < Broker.numbersMax, bytes[12..<16].allSatisfy({ $0 == 0 })
    else { return false }
    nextOffset = header.baseOffset
    insert(bytes, header, now: now)
    return true
  }

  /// Reads batches from the one that holds `offset`. The first one comes whole if `firstWhole`, however large.
  public func read(
    from offset: Int64, maxBytes: Int, isolation: Isolation, firstWhole: Bool
  ) throws(KafkaError) -> Fetched {
    let stable = lastStableOffset
    var fetched = Fetched(
      highWatermark: nextOffset, lastStableOffset: stable, logStartOffset: logStartOffset)
    guard offset >= logStartOffset, offset <= nextOffset else { throw .offsetOutOfRange }
    let visible = isolation == .readCommitted ? stable : nextOffset
    let first = index(of: offset)
    var end = first
    while end < batches.count, batches[end].baseOffset < visible {
      let size = batches[end].bytes.count
      guard fetched.byteCount + size <= maxBytes || (end == first && firstWhole) else { break }
      fetched.byteCount += size
      end += 1
    }
    fetched.batches = batches[first..<end]
    if isolation == .readCommitted, let last = fetched.batches.last {
      let reaching = aborted[Self.firstIndex(in: aborted) { $0.lastOffset >= offset }...]
      fetched.aborted = reaching.filter { $0.firstOffset <= last.lastOffset }
    }
    return fetched
  }

  /// The first record at or after a time. In a compressed batch, which isn't opened, the batch's first record
  /// stands for it: never later than the right one.
  public func firstRecord(atOrAfter time: Int64, isolation: Isolation) -> (timestamp: Int64, offset: Int64)? {
    let visible = isolation == .readCommitted ? lastStableOffset : nextOffset
    for batch in batches where batch.maxTimestamp >= time && batch.lastOffset >= logStartOffset {
      guard batch.baseOffset < visible else { return nil }
      guard let found = Self.firstRecord(in: batch, atOrAfter: time, from: logStartOffset) else { continue }
      return found
    }
    return nil
  }

  /// The record with the largest timestamp.
  public func latestRecord() -> (timestamp: Int64, offset: Int64)? {
    guard var latest = batches.first else { return nil }
    for batch in batches where batch.maxTimestamp > latest.maxTimestamp { latest = batch }
    return Self.firstRecord(in: latest, atOrAfter: latest.maxTimestamp, from: logStartOffset)
  }

  /// Moves the start of the log up to an offset; -1 is the high watermark.
  func deleteRecords(before offset: Int64) throws(KafkaError) {
    let start = offset == -1 ? nextOffset : offset
    guard start >= 0, start <= nextOffset else { throw .offsetOutOfRange }
    advanceStart(to: start)
  }

  /// Moves the start of the log, and its end if a lost tail lies before it.
  func advanceStart(to offset: Int64) {
    guard offset > logStartOffset else { return }
    logStartOffset = offset
    nextOffset = max(nextOffset, offset)
    let keep = index(of: offset)
    memoryBytes -= batches[..<keep].reduce(0) { $0 + $1.cost }
    batches.removeFirst(keep)
    aborted.removeAll { $0.lastOffset < offset }
  }

  /// Whether a producer has a transaction open here.
  func hasOpenTransaction(producerId: Int64) -> Bool { openTransactions[producerId] != nil }

  /// The producers with a transaction open here, with their epochs.
  var openProducers: [(id: Int64, epoch: Int16)] {
    openTransactions.keys.sorted().map { ($0, producers[$0]?.epoch ?? 0) }
  }

  private func insert(_ bytes: [UInt8], _ header: BatchHeader, now: Int64) {
    let base = nextOffset
    nextOffset = base + Int64(header.lastOffsetDelta) + 1
    let stored = StoredBatch(bytes, header, at: base)
    batches.append(stored)
    memoryBytes += stored.cost
    guard header.hasProducer else { return }
    var state = producers.removeValue(forKey: header.producerId) ?? ProducerState()
    state.lastUsed = now
    if header.isControl {
      endTransaction(header, bytes, at: base, &state)
    } else {
      state.append(header, at: base, timestamp: now)
      openTransactions[header.producerId] = state.transactionStart
    }
    producers[header.producerId] = state
    if producers.count > Self.producersMax { forgetProducers() }
  }

  private func endTransaction(
    _ header: BatchHeader, _ bytes: [UInt8], at offset: Int64, _ state: inout ProducerState
  ) {
    state.begin(epoch: header.producerEpoch)
    openTransactions[header.producerId] = nil
    guard let first = state.transactionStart else { return }
    state.transactionStart = nil
    if RecordBatch.markerCommits(bytes) == false {
      aborted.append(
        AbortedTransaction(producerId: header.producerId, firstOffset: first, lastOffset: offset))
    }
  }

  private func forgetProducers() {
    let idle = producers.filter { $0.value.transactionStart == nil }
    let oldest = idle.sorted { ($0.value.lastUsed, $0.key) < ($1.value.lastUsed, $1.key) }
    for entry in oldest.prefix(Self.producersMax / 2) { producers[entry.key] = nil }
  }

  /// The index of the first batch that ends at or after an offset.
  private func index(of offset: Int64) -> Int { Self.firstIndex(in: batches) { $0.lastOffset >= offset } }

  /// Where the elements begin for which something holds that holds for all after the first such.
  private static func firstIndex<T>(in elements: [T], where holds: (T) -> Bool) -> Int {
    var low = 0
    var high = elements.count
    while low < high {
      let middle = (low + high) / 2
      if holds(elements[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private static func checkRecords(
    _ raw: UnsafeRawBufferPointer, _ header: BatchHeader, keysRequired: Bool
  ) throws(KafkaError) {
    // Markers are the coordinator's to write.
    guard !header.isControl else { throw .invalidRecord }
    guard !header.hasProducer || (header.producerEpoch >= 0 && header.baseSequence >= 0) else {
      throw .invalidRecord
    }
    guard header.codec == 0 else { return }
    var cursor = RecordCursor(raw, header)
    while try cursor.next() {
      if keysRequired && !cursor.hasKey { throw .invalidRecord }
    }
  }

  private static func firstRecord(
    in batch: StoredBatch, atOrAfter time: Int64, from start: Int64
  ) -> (timestamp: Int64, offset: Int64)? {
    let found = try? batch.bytes.withBytes { (raw) throws(KafkaError) -> (Int64, Int64)? in
      let header = try BatchHeader(checking: raw)
      guard header.codec == 0 else {
        let timestamp = header.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp
        return (timestamp, max(header.baseOffset, start))
      }
      var cursor = RecordCursor(raw, header)
      while try cursor.next() {
        if cursor.timestamp >= time && cursor.offset >= start { return (cursor.timestamp, cursor.offset) }
      }
      return nil
    }
    return found ?? nil
  }
}
