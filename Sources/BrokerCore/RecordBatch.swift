/// The header of a record batch in Kafka's format 2, read from its bytes.
public struct BatchHeader: Sendable, Equatable {
  /// The bytes before the first record.
  public static let size = 61
  /// Where the checksum stands, and where the bytes it covers begin.
  static let checksumOffset = 17
  static let checksummedFrom = 21

  /// The offset of the batch's first record.
  public let baseOffset: Int64
  /// Codec, timestamp type, transactional and control bits.
  public let attributes: Int16
  /// The last record's offset less the first's.
  public let lastOffsetDelta: Int32
  /// The time from which the records' timestamps count, in milliseconds.
  public let baseTimestamp: Int64
  /// The largest timestamp, or the append time of a topic with `LogAppendTime`.
  public let maxTimestamp: Int64
  /// The idempotent producer's id, or -1.
  public let producerId: Int64
  /// The producer's epoch, or -1.
  public let producerEpoch: Int16
  /// The sequence number of the first record, or -1.
  public let baseSequence: Int32
  /// How many records the batch has.
  public let recordCount: Int32

  /// The offset of the batch's last record.
  public var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }
  /// The compression codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
  public var codec: Int16 { attributes & 7 }
  /// Whether timestamps are the broker's append time.
  public var isLogAppendTime: Bool { attributes & 0x08 != 0 }
  /// Whether the batch belongs to a transaction.
  public var isTransactional: Bool { attributes & 0x10 != 0 }
  /// Whether the batch is a transaction marker.
  public var isControl: Bool { attributes & 0x20 != 0 }
  /// Whether the producer is idempotent.
  public var hasProducer: Bool { producerId >= 0 }
  /// The sequence number of the last record; sequences wrap past the largest Int32 to 0.
  public var lastSequence: Int32 {
    Int32(truncatingIfNeeded: (Int64(baseSequence) + Int64(lastOffsetDelta)) & 0x7FFF_FFFF)
  }

  /// Reads the header of the one batch that `bytes` hold, checking length, format and checksum.
  public init(checking bytes: UnsafeRawBufferPointer) throws(KafkaError) {
    guard bytes.count >= Self.size else { throw .corruptMessage }
    guard bytes[16] == 2 else { throw .unsupportedForMessageFormat }
    // One batch, whole: Kafka refuses a produce request with several batches for a partition too.
    guard Int(bytes.bigEndian(at: 8, as: Int32.self)) + 12 == bytes.count else { throw .invalidRecord }
    let covered = UnsafeRawBufferPointer(rebasing: bytes[Self.checksummedFrom...])
    guard CRC32C.checksum(covered) == bytes.bigEndian(at: Self.checksumOffset, as: UInt32.self) else {
      throw .corruptMessage
    }
    baseOffset = bytes.bigEndian(at: 0, as: Int64.self)
    attributes = bytes.bigEndian(at: 21, as: Int16.self)
    lastOffsetDelta = bytes.bigEndian(at: 23, as: Int32.self)
    baseTimestamp = bytes.bigEndian(at: 27, as: Int64.self)
    maxTimestamp = bytes.bigEndian(at: 35, as: Int64.self)
    producerId = bytes.bigEndian(at: 43, as: Int64.self)
    producerEpoch = bytes.bigEndian(at: 51, as: Int16.self)
    baseSequence = bytes.bigEndian(at: 53, as: Int32.self)
    recordCount = bytes.bigEndian(at: 57, as: Int32.self)
    guard recordCount > 0, lastOffsetDelta == recordCount - 1 else { throw .invalidRecord }
    guard codec <= 4 else { throw .unsupportedCompressionType }
  }
}

/// A record as a program sees it.
public struct Record: Sendable, Equatable {
  /// A named value beside the record's own.
  public struct Header: Sendable, Equatable {
    /// The header's name.
    public var name: String
    /// The header's value, or null.
    public var value: [UInt8]?

    /// A header.
    public init(_ name: String, _ value: [UInt8]?) {
      self.name = name
      self.value = value
    }
  }

  /// The key, or null.
  public var key: [UInt8]?
  /// The value; null is a tombstone.
  public var value: [UInt8]?
  /// Milliseconds since the epoch.
  public var timestamp: Int64
  /// Named values beside the record's own.
  public var headers: [Header]

  /// A record.
  public init(key: [UInt8]? = nil, value: [UInt8]?, timestamp: Int64, headers: [Header] = []) {
    self.key = key
    self.value = value
    self.timestamp = timestamp
    self.headers = headers
  }
}

/// Who wrote a batch: an idempotent or transactional producer.
public struct BatchProducer: Sendable, Equatable {
  /// The producer's id.
  public var id: Int64
  /// The producer's epoch.
  public var epoch: Int16
  /// The sequence number of the batch's first record.
  public var baseSequence: Int32

  /// A producer at a sequence number.
  public init(id: Int64, epoch: Int16, baseSequence: Int32) {
    self.id = id
    self.epoch = epoch
    self.baseSequence = baseSequence
  }
}

/// Making batches and reading records out of uncompressed ones.
public enum RecordBatch {
  /// The batch of some records (at least one), uncompressed, at offset 0.
  public static func encode(
    _ records: [Record], producer: BatchProducer? = nil, transactional: Bool = false
  ) -> [UInt8] {
    precondition(!records.isEmpty, "Cannot encode a batch without records")
    let base = records[0].timestamp
    var body: [UInt8] = []
    for (index, record) in records.enumerated() {
      var bytes: [UInt8] = [0]
      bytes.appendVarint(record.timestamp - base)
      bytes.appendVarint(Int64(index))
      bytes.appendVarintBytes(record.key)
      bytes.appendVarintBytes(record.value)
      bytes.appendVarint(Int64(record.headers.count))
      for header in record.headers {
        bytes.appendVarintBytes(Array(header.name.utf8))
        bytes.appendVarintBytes(header.value)
      }
      body.appendVarint(Int64(bytes.count))
      body += bytes
    }
    let largest = records.reduce(base) { max($0, $1.timestamp) }
    return encode(
      body: body, count: Int32(records.count), attributes: transactional ? 0x10 : 0,
      timestamps: (base, largest),
      producer: producer ?? BatchProducer(id: -1, epoch: -1, baseSequence: -1))
  }

  /// The control batch that ends a transaction in a partition.
  static func marker(producerId: Int64, epoch: Int16, commit: Bool, now: Int64) -> [UInt8] {
    // Key: version, type. Value: version, the coordinator's epoch, which is always 0 here.
    let key: [UInt8] = [0, 0, 0, commit ? 1 : 0]
    let record = [0, 0, 0, 8] + key + [12, 0, 0, 0, 0, 0, 0, 0] as [UInt8]
    return encode(
      body: [UInt8(record.count * 2)] + record, count: 1, attributes: 0x30, timestamps: (now, now),
      producer: BatchProducer(id: producerId, epoch: epoch, baseSequence: -1))
  }

  /// Whether a checked control batch commits its transaction; nil if it is of a kind not known here.
  static func markerCommits(_ bytes: [UInt8]) -> Bool? {
    guard let record = try? records(in: bytes).first, let key = record.record.key, key.count >= 4 else {
      return nil
    }
    let type = Int(key[2]) << 8 | Int(key[3])
    return type > 1 ? nil : type == 1
  }

  /// The records of an uncompressed batch with their offsets.
  public static func records(in batch: [UInt8]) throws(KafkaError) -> [(offset: Int64, record: Record)] {
    let header = try batch.withBytes { (bytes) throws(KafkaError) in try BatchHeader(checking: bytes) }
    guard header.codec == 0 else { throw .unsupportedCompressionType }
    return try batch.withBytes { (bytes) throws(KafkaError) in
      var cursor = RecordCursor(bytes, header)
      var found: [(offset: Int64, record: Record)] = []
      while try cursor.next() { found.append((cursor.offset, try cursor.record())) }
      return found
    }
  }

  private static func encode(
    body: [UInt8], count: Int32, attributes: Int16, timestamps: (base: Int64, largest: Int64),
    producer: BatchProducer
  ) -> [UInt8] {
    var batch = [UInt8](repeating: 0, count: BatchHeader.size)
    batch += body
    batch.store(Int32(batch.count - 12), at: 8)
    batch[16] = 2
    batch.store(attributes, at: 21)
    batch.store(count - 1, at: 23)
    batch.store(timestamps.base, at: 27)
    batch.store(timestamps.largest, at: 35)
    batch.store(producer.id, at: 43)
    batch.store(producer.epoch, at: 51)
    batch.store(producer.baseSequence, at: 53)
    batch.store(count, at: 57)
    batch.storeChecksum()
    return batch
  }
}

/// Walks the records of an uncompressed batch, checking that they are what the header says.
struct RecordCursor {
  private let bytes: UnsafeRawBufferPointer
  private let header: BatchHeader
  private var position = BatchHeader.size
  private var count: Int32 = 0
  private var key: Range<Int>?
  private var value: Range<Int>?
  private var headers: Range<Int> = 0..<0
  private(set) var timestamp: Int64 = 0
  private(set) var offset: Int64 = 0
  var hasKey: Bool { key != nil }

  init(_ bytes: UnsafeRawBufferPointer, _ header: BatchHeader) {
    self.bytes = bytes
    self.header = header
  }

  /// Steps to the next record; false at the end.
  mutating func next() throws(KafkaError) -> Bool {
    guard count < header.recordCount else {
      guard position == bytes.count else { throw .invalidRecord }
      return false
    }
    let length = try varint(&position, bytes.count)
    guard length > 0, length <= Int64(bytes.count - position) else { throw .invalidRecord }
    let end = position + Int(length)
    position += 1
    let timestampDelta = try varint(&position, end)
    guard try varint(&position, end) == Int64(count) else { throw .invalidRecord }
    timestamp = header.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp &+ timestampDelta
    // A producer may write anything there: the log gives out offsets.
    offset = header.baseOffset &+ Int64(count)
    key = try field(&position, end)
    value = try field(&position, end)
    guard position < end else { throw .invalidRecord }
    headers = position..<end
    position = end
    count += 1
    return true
  }

  /// The record the cursor stands on.
  func record() throws(KafkaError) -> Record {
    var record = Record(key: copy(key), value: copy(value), timestamp: timestamp)
    var at = headers.lowerBound
    let headerCount = try varint(&at, headers.upperBound)
    guard headerCount >= 0, headerCount <= Int64(headers.count) else { throw .invalidRecord }
    for _ in 0..<headerCount {
      guard let name = try field(&at, headers.upperBound) else { throw .invalidRecord }
      let content = try field(&at, headers.upperBound)
      record.headers.append(Record.Header(String(decoding: bytes[name], as: UTF8.self), copy(content)))
    }
    return record
  }

  private func copy(_ range: Range<Int>?) -> [UInt8]? { range.map { Array(bytes[$0]) } }

  @inline(__always)
  private func field(_ at: inout Int, _ end: Int) throws(KafkaError) -> Range<Int>? {
    let length = try varint(&at, end)
    if length == -1 { return nil }
    guard length >= 0, length <= Int64(end - at) else { throw .invalidRecord }
    defer { at += Int(length) }
    return at..<(at + Int(length))
  }

  @inline(__always)
  private func varint(_ at: inout Int, _ end: Int) throws(KafkaError) -> Int64 {
    var raw: UInt64 = 0
    var shift: UInt64 = 0
    while at < end, shift < 64 {
      let byte = bytes[at]
      at &+= 1
      raw |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1) }
      shift &+= 7
    }
    throw .invalidRecord
  }
}

extension UnsafeRawBufferPointer {
  @inline(__always)
  func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T {
    T(bigEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }
}

extension [UInt8] {
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws(KafkaError) -> R) throws(KafkaError) -> R {
    let result = withUnsafeBytes { (bytes) -> Result<R, KafkaError> in
      do throws(KafkaError) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self) }
  }

  mutating func storeChecksum() {
    let crc = withUnsafeBytes {
      CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[BatchHeader.checksummedFrom...]))
    }
    store(crc, at: BatchHeader.checksumOffset)
  }

  mutating func appendVarint(_ value: Int64) {
    var rest = UInt64(bitPattern: (value << 1) ^ (value >> 63))
    while rest > 0x7F {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  mutating func appendVarintBytes(_ bytes: [UInt8]?) {
    guard let bytes else { return appendVarint(-1) }
    appendVarint(Int64(bytes.count))
    self += bytes
  }
}
