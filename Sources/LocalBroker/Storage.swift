import BrokerCore
import Glibc
import NIOCore
import NIOPosix

/// The files of a broker: one append-only log of batches per partition, and a metadata log of everything else.
///
/// Every change is handed to the operating system before it is acknowledged, so a killed process loses nothing.
/// `fdatasync` runs once a second and at the end: a machine that loses power loses what came after the last one.
final class Storage {
  static let syncIntervalMilliseconds: Int64 = 1_000
  /// Names the format of the directory.
  private static let magic = "PLBROK01"

  /// The first write that failed. Nothing is written or acknowledged after it.
  private(set) var failure: LocalBrokerError?
  private let directory: String
  private let directoryFile: File
  private var metadata: File
  private var logs: [PartitionKey: File] = [:]
  private var numbers: [String: Int64] = [:]
  private var dirty: Set<Int32> = []
  private var isSyncing = false
  private var lastSync: Int64 = 0
  private let loop: any EventLoop
  private let syncThread = NIOThreadPool(numberOfThreads: 1)

  private struct PartitionKey: Hashable {
    var topic: Int64
    var partition: Int32
    var fileName: String { "t\(topic)-p\(partition).log" }
  }

  /// Recovers the broker from a directory and writes down from then on what it does.
  init(directory: String, broker: Broker, loop: any EventLoop, now: Int64, log: (String) -> Void) throws {
    self.directory = directory
    self.loop = loop
    guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
      throw LocalBrokerError("Cannot create the data directory \(directory): \(File.lastError)")
    }
    // Files are opened for writing, which a directory can't be: the lock stands for it.
    directoryFile = try File(directory + "/lock")
    guard flock(directoryFile.descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw LocalBrokerError("The data directory \(directory) is used by another broker: stop that one first")
    }
    metadata = try File(directory + "/metadata.log")
    let starts = try recoverMetadata(into: broker, now: now, log: log)
    try recoverBatches(into: broker, now: now, log: log)
    for (place, start) in starts { broker.restore(.logStart(place, start), now: now) }
    numbers = broker.topics.mapValues(\.number)
    try removeStrayLogs()
    try rewriteMetadata(broker.snapshot)
    syncThread.start()
    broker.journal = { [unowned self] entry in write(entry) }
  }

  /// Milliseconds since the epoch.
  static func wallClockMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Syncs the files written to since the last time, once a second, on another thread.
  func syncIfDue(now: Int64) {
    guard failure == nil, !isSyncing, !dirty.isEmpty, now - lastSync >= Self.syncIntervalMilliseconds else {
      return
    }
    lastSync = now
    isSyncing = true
    // Copies: a topic may be deleted, and its files closed, meanwhile.
    let copies = dirty.map { dup($0) }
    dirty = []
    let done = syncThread.runIfActive(eventLoop: loop) {
      let failed = copies.filter { fdatasync($0) != 0 }
      for copy in copies { _ = Glibc.close(copy) }
      guard failed.isEmpty else { throw LocalBrokerError("Cannot sync \(failed.count) files") }
    }
    done.assumeIsolated().whenComplete { [weak self] result in
      self?.isSyncing = false
      if case .failure(let error) = result { self?.fail(error) }
    }
  }

  /// Syncs and closes everything.
  func close() {
    for descriptor in dirty { _ = fdatasync(descriptor) }
    for file in logs.values { file.close() }
    metadata.close()
    // A child that is just being started holds a copy of the descriptor: closing ours wouldn't unlock.
    flock(directoryFile.descriptor, LOCK_UN)
    directoryFile.close()
    syncThread.shutdownGracefully { _ in }
  }

  // MARK: Writing

  private func write(_ entry: JournalEntry) {
    guard failure == nil else { return }
    do {
      if case .batch(let place, let number, let bytes) = entry {
        let file = try log(PartitionKey(topic: number, partition: place.partition))
        try bytes.withUnsafeBytes { try file.append($0) }
        dirty.insert(file.descriptor)
      } else if let frame = entry.encoded() {
        try frame.withUnsafeReadableBytes { try metadata.append($0) }
        dirty.insert(metadata.descriptor)
      }
      if case .topicCreated(let name, let number, _, _) = entry { numbers[name] = number }
      // After it was written down: the files of a topic that isn't there any more are stray.
      if case .topicDeleted(let name) = entry, let number = numbers.removeValue(forKey: name) {
        delete(number)
      }
    } catch {
      fail(error)
    }
  }

  private func fail(_ error: any Error) {
    failure = failure ?? error as? LocalBrokerError ?? LocalBrokerError("\(error)")
  }

  private func log(_ key: PartitionKey) throws -> File {
    if let file = logs[key] { return file }
    let file = try File(directory + "/" + key.fileName)
    logs[key] = file
    try syncDirectory()
    return file
  }

  private func delete(_ topic: Int64) {
    for (key, file) in logs where key.topic == topic {
      dirty.remove(file.descriptor)
      file.close()
      unlink(file.path)
      logs[key] = nil
    }
  }

  private func syncDirectory() throws {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { _ = Glibc.close(descriptor) }
    guard descriptor >= 0, fsync(descriptor) == 0 else {
      throw LocalBrokerError("Cannot sync \(directory): \(File.lastError)")
    }
  }

  // MARK: Recovery

  /// Restores all but batches; gives the starts of logs, which count once the batches are there.
  private func recoverMetadata(
    into broker: Broker, now: Int64, log: (String) -> Void
  ) throws -> [TopicPartition: Int64] {
    var bytes = ByteBuffer(bytes: try metadata.read(at: 0, count: metadata.size))
    guard bytes.readableBytes > 0 else { return [:] }
    guard bytes.readString(length: Self.magic.utf8.count) == Self.magic else {
      throw LocalBrokerError("\(metadata.path) is not of this version: move the data directory away")
    }
    var starts: [TopicPartition: Int64] = [:]
    while let entry = JournalEntry.next(&bytes) {
      switch entry {
      case .logStart(let place, let offset): starts[place] = offset
      case .topicDeleted(let name):
        starts = starts.filter { $0.key.topic != name }
        broker.restore(entry, now: now)
      default: broker.restore(entry, now: now)
      }
    }
    if bytes.readableBytes > 0 {
      log("\(metadata.path): dropping a torn tail of \(bytes.readableBytes) bytes")
    }
    return starts
  }

  private func recoverBatches(into broker: Broker, now: Int64, log: (String) -> Void) throws {
    for (name, topic) in broker.topics.sorted(by: { $0.key < $1.key }) {
      for partition in topic.partitions.indices {
        let key = PartitionKey(topic: topic.number, partition: Int32(partition))
        guard access(directory + "/" + key.fileName, F_OK) == 0 else { continue }
        let file = try File(directory + "/" + key.fileName)
        logs[key] = file
        let place = TopicPartition(name, Int32(partition))
        let size = try file.size
        var offset = 0
        while let batch = try nextBatch(file, offset, size),
          broker.restore(batch, at: place, now: now)
        {
          offset += batch.count
        }
        guard offset < size else { continue }
        log("\(file.path): dropping a torn tail of \(size - offset) bytes")
        try file.truncate(to: offset)
      }
    }
  }

  private func nextBatch(_ file: File, _ offset: Int, _ size: Int) throws -> [UInt8]? {
    guard offset + BatchHeader.size <= size else { return nil }
    let head = try file.read(at: offset + 8, count: 4)
    let length = head.reduce(0) { $0 << 8 | Int($1) } + 12
    guard length <= size - offset else { return nil }
    return try file.read(at: offset, count: length)
  }

  /// A topic's files outlive it if the broker is killed amid deleting it.
  private func removeStrayLogs() throws {
    guard let listing = opendir(directory) else {
      throw LocalBrokerError("Cannot list \(directory): \(File.lastError)")
    }
    defer { closedir(listing) }
    let known = Set(logs.keys.map(\.fileName))
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix("t"), name.hasSuffix(".log"), !known.contains(name) { unlink(directory + "/" + name) }
    }
  }

  /// Starts the metadata log anew with the present state, so that it doesn't grow from run to run.
  private func rewriteMetadata(_ entries: [JournalEntry]) throws {
    let path = directory + "/metadata.log"
    unlink(path + ".new")
    let file = try File(path + ".new")
    var bytes = ByteBuffer(string: Self.magic)
    for entry in entries {
      if var frame = entry.encoded() { bytes.writeBuffer(&frame) }
    }
    try bytes.withUnsafeReadableBytes { try file.append($0) }
    try file.sync()
    guard rename(path + ".new", path) == 0 else {
      throw LocalBrokerError("Cannot replace \(path): \(File.lastError)")
    }
    metadata.close()
    metadata = File(path: path, descriptor: file.descriptor)
    try syncDirectory()
  }
}

extension File {
  fileprivate init(path: String, descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }
}
