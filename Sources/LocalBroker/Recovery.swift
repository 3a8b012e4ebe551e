import BrokerCore
import Glibc
import NIOCore

/// Reads a data directory back.
///
/// What a killed process or a lost power supply leaves behind is a tail that was cut off; it is put aside. Anything
/// else that isn't as it was written is damage: it is named, and nothing is changed, since cutting there would lose
/// what follows it.
struct Recovery {
  let directory: String
  let broker: Broker
  let now: Int64
  let log: (String) -> Void
  /// The starts of logs count once the batches are there.
  private var starts: [TopicPartition: Int64] = [:]
  /// The topics that were deleted; a killed broker may have left their files.
  private var deleted: Set<Int64> = []
  private var logs: [PartitionKey: File] = [:]

  init(directory: String, broker: Broker, now: Int64, log: @escaping (String) -> Void) {
    self.directory = directory
    self.broker = broker
    self.now = now
    self.log = log
  }

  /// Restores the broker; gives the files of its partitions, open.
  mutating func run() throws -> [PartitionKey: File] {
    let present = try partitionFiles()
    try readMetadata(present)
    do {
      try readBatches()
    } catch {
      for file in logs.values { file.close() }
      throw error
    }
    for (place, start) in starts { broker.restore(.logStart(place, start), now: now) }
    settle(strays: present.filter { logs[$0] == nil })
    return logs
  }

  // MARK: Metadata

  private mutating func readMetadata(_ present: [PartitionKey]) throws {
    let path = directory + "/metadata.log"
    let file = access(path, F_OK) == 0 ? try File(path) : nil
    defer { file?.close() }
    let size = try file?.size ?? 0
    guard let file, size > 0 else {
      guard let first = present.first else { return }
      throw LocalBrokerError(
        "\(path) is missing or empty, but \(directory) holds records (\(first.fileName) and \(present.count - 1) "
          + "more files): put it back, or use another directory. Nothing was changed")
    }
    guard try file.read(at: 0, count: Storage.magic.utf8.count) == Array(Storage.magic.utf8) else {
      throw LocalBrokerError(
        "\(path) doesn't begin like a metadata log of this version: move the data directory away. "
          + "Nothing was changed")
    }
    var entries = MetadataEntries(file, size: size, from: Storage.magic.utf8.count)
    while let entry = try entries.next() {
      guard take(entry) else { throw damage(path, at: entries.entryOffset) }
    }
    guard entries.offset < size else { return }
    try cut(file, at: entries.offset, size, isWhole: entries.isWhole, JournalEntry.isIntact)
  }

  private mutating func take(_ entry: JournalEntry) -> Bool {
    switch entry {
    case .logStart(let place, let offset):
      guard offset >= 0, offset < Int64.max / 4 else { return false }
      starts[place] = offset
      return true
    case .topicDeleted(let name):
      starts = starts.filter { $0.key.topic != name }
      if let number = broker.topics[name]?.number { deleted.insert(number) }
    default: break
    }
    return broker.restore(entry, now: now)
  }

  // MARK: Batches

  private mutating func readBatches() throws {
    let most = broker.limits.memoryBytes
    for (name, topic) in broker.topics.sorted(by: { $0.key < $1.key }) {
      for partition in topic.partitions.indices {
        let key = PartitionKey(topic: topic.number, partition: Int32(partition))
        guard access(directory + "/" + key.fileName, F_OK) == 0 else { continue }
        let file = try File(directory + "/" + key.fileName)
        logs[key] = file
        try readBatches(of: TopicPartition(name, Int32(partition)), file)
        // Markers are appended beyond the limit.
        guard broker.memoryBytes <= most + most / 8 else {
          throw LocalBrokerError(
            "\(directory) holds more records than the memory limit of \(most >> 20) MiB for them: raise it")
        }
      }
    }
  }

  private func readBatches(of place: TopicPartition, _ file: File) throws {
    let size = try file.size
    let start = starts[place] ?? 0
    var offset = 0
    while offset < size {
      guard let length = try Self.length(file, offset), length <= size - offset else {
        return try cut(file, at: offset, size, isWhole: false, Self.isIntact)
      }
      let batch = try file.read(at: offset, count: length)
      guard broker.restore(batch, at: place, start: start, now: now) else {
        return try cut(file, at: offset, size, isWhole: true, Self.isIntact)
      }
      offset += length
    }
  }

  /// The length that a batch gives itself; nil where none can begin.
  private static func length(_ file: File, _ offset: Int) throws -> Int? {
    let head = try file.read(at: offset, count: BatchHeader.size)
    guard head.count == BatchHeader.size else { return nil }
    let length = head[8..<12].reduce(0) { $0 << 8 | Int($1) } + 12
    return length < BatchHeader.size ? nil : length
  }

  /// Whether a batch begins here and is whole; nil if none of its length fits.
  static func isIntact(_ bytes: UnsafeRawBufferPointer) -> (length: Int, isIntact: () -> Bool)? {
    guard bytes.count >= BatchHeader.size, bytes[16] == 2 else { return nil }
    let length = bytes[8..<12].reduce(0) { $0 << 8 | Int($1) } + 12
    guard length >= BatchHeader.size, length <= bytes.count else { return nil }
    return (
      length, { (try? BatchHeader(checking: UnsafeRawBufferPointer(rebasing: bytes[..<length]))) != nil }
    )
  }

  // MARK: Damage

  /// Puts a tail aside that was cut off while it was written; anything else is damage.
  ///
  /// `isWhole`: what stands there is as long as it says, so it was not cut off.
  private func cut(
    _ file: File, at offset: Int, _ size: Int, isWhole: Bool,
    _ part: (UnsafeRawBufferPointer) -> (length: Int, isIntact: () -> Bool)?
  ) throws {
    // No write is as long.
    guard size - offset <= 2 * Connection.frameBytesMax else { throw damage(file.path, at: offset) }
    let tail = try file.read(at: offset, count: size - offset)
    // A file system that lost power may have made room for what never came.
    let isBlank = tail.allSatisfy { $0 == 0 }
    guard isBlank || (!isWhole && !Self.holds(part, tail)) else { throw damage(file.path, at: offset) }
    let aside = "\(file.path).torn-\(offset)"
    let copy = try File(aside)
    defer { copy.close() }
    try tail.withUnsafeBytes { try copy.append($0) }
    try copy.sync()
    try file.truncate(to: offset)
    log(
      "\(file.path): the last \(size - offset) bytes were cut off while they were written; they are in \(aside) now"
    )
  }

  /// Whether something whole follows within some bytes. What would take too long to find counts as found.
  private static func holds(
    _ part: (UnsafeRawBufferPointer) -> (length: Int, isIntact: () -> Bool)?, _ bytes: [UInt8]
  ) -> Bool {
    var checked = 0
    return bytes.withUnsafeBytes { all in
      for start in all.indices.dropFirst() {
        guard let found = part(UnsafeRawBufferPointer(rebasing: all[start...])) else { continue }
        checked += found.length
        if checked > 1 << 30 || found.isIntact() { return true }
      }
      return false
    }
  }

  private func damage(_ path: String, at offset: Int) -> LocalBrokerError {
    LocalBrokerError(
      "\(path) is damaged at byte \(offset): restore the file from a copy, or lose what follows with "
        + "`truncate -s \(offset) \(path)`. The file was left as it is")
  }

  // MARK: Other files

  private func partitionFiles() throws -> [PartitionKey] {
    guard let listing = opendir(directory) else {
      throw LocalBrokerError("Cannot list \(directory): \(File.lastError)")
    }
    defer { closedir(listing) }
    var found: [PartitionKey] = []
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let key = PartitionKey(fileName: name) { found.append(key) }
    }
    return found.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
  }

  /// Finishes deletions. Other files of topics that nobody knows are left alone, and no new topic gets their number.
  private func settle(strays: [PartitionKey]) {
    for stray in strays {
      let path = directory + "/" + stray.fileName
      if deleted.contains(stray.topic) {
        unlink(path)
      } else {
        log("\(path) belongs to no topic in metadata.log: it is left alone")
        broker.restore(
          .counters(producerIds: 0, topics: stray.topic + 1, incarnation: 0), now: now)
      }
    }
  }
}

/// The entries of a metadata log, of which a part at a time is in memory.
struct MetadataEntries {
  private static let windowBytes = 1 << 20

  private let file: File
  private let size: Int
  private var window = ByteBuffer()
  /// Where the next entry begins.
  private(set) var offset: Int
  /// Where the last one began.
  private(set) var entryOffset: Int
  /// Whether what stands at the offset is as long as it says.
  private(set) var isWhole = false

  init(_ file: File, size: Int, from offset: Int) {
    self.file = file
    self.size = size
    self.offset = offset
    entryOffset = offset
  }

  /// The next entry; nil at the end or where it is not to be read.
  mutating func next() throws -> JournalEntry? {
    let length = 8 + Int(window.getInteger(at: window.readerIndex, as: UInt32.self) ?? 0)
    if window.readableBytes < max(9, length) {
      window = ByteBuffer(bytes: try file.read(at: offset, count: min(Self.windowBytes, size - offset)))
      let whole = 8 + Int(window.getInteger(at: window.readerIndex, as: UInt32.self) ?? 0)
      isWhole = whole <= size - offset && size - offset >= 8
      if isWhole, whole > window.readableBytes {
        window = ByteBuffer(bytes: try file.read(at: offset, count: whole))
      }
    } else {
      isWhole = true
    }
    let before = window.readableBytes
    guard let entry = JournalEntry.next(&window) else { return nil }
    entryOffset = offset
    offset += before - window.readableBytes
    return entry
  }
}
