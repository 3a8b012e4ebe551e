import BrokerCore
import NIOCore

// The metadata log: entries of [length: 4][crc32c of the rest: 4][kind: 1][fields]. Batches have files of their own.
extension JournalEntry {
  /// The entry as it stands in the metadata log; nil for a batch.
  func encoded() -> ByteBuffer? {
    var body = ByteBuffer()
    switch self {
    case .batch: return nil
    case .topicCreated(let name, let number, let partitions, let configs):
      body.put(1, name)
      body.writeInteger(number)
      body.writeInteger(partitions)
      body.put(configs.sorted { $0.key < $1.key }) {
        $0.put($1.key); $0.put($1.value)
      }
    case .topicDeleted(let name): body.put(2, name)
    case .partitionsAdded(let name, let partitions):
      body.put(9, name)
      body.writeInteger(partitions)
    case .logStart(let place, let offset):
      body.put(3, place.topic)
      body.writeInteger(place.partition)
      body.writeInteger(offset)
    case .counters(let producerIds, let topics, let incarnation):
      body.writeInteger(UInt8(4))
      body.writeInteger(producerIds)
      body.writeInteger(topics)
      body.writeInteger(incarnation)
    case .transaction(let id, let transaction):
      body.put(5, id)
      body.put(transaction)
    case .offsets(let group, let offsets):
      body.put(6, group)
      body.put(offsets)
    case .pendingOffsets(let group, let producerId, let offsets):
      body.put(7, group)
      body.writeInteger(producerId)
      body.put(offsets)
    case .offsetsDecided(let group, let producerId, let commit):
      body.put(8, group)
      body.writeInteger(producerId)
      body.writeInteger(UInt8(commit ? 1 : 0))
    case .groupDeleted(let name): body.put(10, name)
    }
    var frame = ByteBuffer()
    frame.writeInteger(UInt32(body.readableBytes))
    frame.writeInteger(body.withUnsafeReadableBytes { CRC32C.checksum($0) })
    frame.writeBuffer(&body)
    return frame
  }

  /// Reads the next entry; nil at the end or where a write was cut off.
  static func next(_ log: inout ByteBuffer) -> JournalEntry? {
    guard let length = log.getInteger(at: log.readerIndex, as: UInt32.self),
      let crc = log.getInteger(at: log.readerIndex + 4, as: UInt32.self),
      var body = log.getSlice(at: log.readerIndex + 8, length: Int(length)),
      body.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == crc, let entry = try? decode(&body)
    else { return nil }
    log.moveReaderIndex(forwardBy: 8 + Int(length))
    return entry
  }

  /// Whether an entry begins here and is whole; nil if none of its length fits.
  static func isIntact(_ bytes: UnsafeRawBufferPointer) -> (length: Int, isIntact: () -> Bool)? {
    guard bytes.count > 8, (1...10).contains(bytes[8]) else { return nil }
    let length = 8 + Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
    guard length > 8, length <= bytes.count else { return nil }
    return (
      length,
      {
        let body = UnsafeRawBufferPointer(rebasing: bytes[8..<length])
        return CRC32C.checksum(body)
          == UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
      }
    )
  }

  private static func decode(_ buffer: inout ByteBuffer) throws -> JournalEntry? {
    var reader = WireReader(buffer)
    switch try reader.integer(UInt8.self) {
    case 1:
      let (name, number, partitions) = try (reader.string(), reader.int64(), reader.int32())
      let configs = try reader.array { try ($0.string(), $0.string()) }
      return .topicCreated(
        name: name, number: number, partitions: partitions, configs: Dictionary(configs) { $1 })
    case 2: return .topicDeleted(name: try reader.string())
    case 3: return try .logStart(TopicPartition(reader.string(), reader.int32()), reader.int64())
    case 4:
      return try .counters(producerIds: reader.int64(), topics: reader.int64(), incarnation: reader.int64())
    case 5: return try .transaction(id: reader.string(), reader.transaction())
    case 6: return try .offsets(group: reader.string(), reader.offsets())
    case 7: return try .pendingOffsets(group: reader.string(), producerId: reader.int64(), reader.offsets())
    case 8:
      return try .offsetsDecided(group: reader.string(), producerId: reader.int64(), commit: reader.bool())
    case 9: return try .partitionsAdded(name: reader.string(), partitions: reader.int32())
    case 10: return .groupDeleted(name: try reader.string())
    default: return nil
    }
  }
}

extension ByteBuffer {
  fileprivate mutating func put(_ string: String) {
    // As long as it was on the wire: see ``WireReader/nullableString()``.
    writeInteger(Int16(string.utf8.count))
    writeString(string)
  }

  fileprivate mutating func put(_ kind: UInt8, _ name: String) {
    writeInteger(kind)
    put(name)
  }

  fileprivate mutating func put<T>(_ elements: [T], _ write: (inout ByteBuffer, T) -> Void) {
    writeInteger(Int32(elements.count))
    for element in elements { write(&self, element) }
  }

  fileprivate mutating func put(_ place: TopicPartition) {
    put(place.topic)
    writeInteger(place.partition)
  }

  fileprivate mutating func put(_ offsets: [TopicPartition: CommittedOffset]) {
    put(offsets.sorted { $0.key < $1.key }) {
      $0.put($1.key)
      $0.writeInteger($1.value.offset)
      $0.writeInteger($1.value.leaderEpoch)
      $0.put($1.value.metadata)
    }
  }

  fileprivate mutating func put(_ transaction: Transaction) {
    writeInteger(transaction.producerId)
    writeInteger(transaction.epoch)
    writeInteger(transaction.lastEpoch)
    writeInteger(transaction.timeout)
    writeInteger(transaction.state.rawValue)
    writeInteger(transaction.started)
    put(transaction.partitions.sorted()) { $0.put($1) }
    put(transaction.groups.sorted()) { $0.put($1) }
  }
}

extension WireReader {
  fileprivate mutating func place() throws -> TopicPartition { try TopicPartition(string(), int32()) }

  fileprivate mutating func offsets() throws -> [TopicPartition: CommittedOffset] {
    let entries = try array { reader in
      try (
        reader.place(),
        CommittedOffset(offset: reader.int64(), leaderEpoch: reader.int32(), metadata: reader.string())
      )
    }
    return Dictionary(entries) { $1 }
  }

  fileprivate mutating func transaction() throws -> Transaction {
    let (producerId, epoch, lastEpoch, timeout) = try (int64(), int16(), int16(), int32())
    guard let state = Transaction.State(rawValue: try integer()) else {
      throw Malformed(reason: "unknown state")
    }
    return try Transaction(
      producerId: producerId, epoch: epoch, lastEpoch: lastEpoch, timeout: timeout, state: state,
      started: int64(), partitions: Set(array { try $0.place() }), groups: Set(array { try $0.string() }))
  }
}
