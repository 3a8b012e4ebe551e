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
  static let magic = "PLBROK01"
  /// The metadata log is written anew when it has grown by so much, and to twice its size.
  private static let metadataGrowthMax = 64 << 20

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
  private unowned let broker: Broker
  private var metadataBytes = 0
  private var metadataBytesAtStart = 0
  private let loop: any EventLoop
  private let syncThread = NIOThreadPool(numberOfThreads: 1)

  /// Recovers the broker from a directory and writes down from then on what it does.
  init(
    directory: String, broker: Broker, loop: any EventLoop, now: Int64, log: @escaping (String) -> Void
  ) throws {
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
    var recovery = Recovery(directory: directory, broker: broker, now: now, log: log)
    logs = try recovery.run()
    metadata = try File(directory + "/metadata.log")
    numbers = broker.topics.mapValues(\.number)
    self.broker = broker
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
    if failure == nil, metadataBytes > max(2 * metadataBytesAtStart, Self.metadataGrowthMax) {
      do { try rewriteMetadata(broker.snapshot) } catch { fail(error) }
    }
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
        metadataBytes += frame.readableBytes
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

  /// Starts the metadata log anew with the present state, so that it doesn't grow without end.
  private func rewriteMetadata(_ entries: [JournalEntry]) throws {
    let path = directory + "/metadata.log"
    unlink(path + ".new")
    let file = try File(path + ".new")
    var bytes = ByteBuffer(string: Self.magic)
    metadataBytes = 0
    for entry in entries {
      if var frame = entry.encoded() { bytes.writeBuffer(&frame) }
      guard bytes.readableBytes >= 1 << 20 else { continue }
      metadataBytes += bytes.readableBytes
      try bytes.withUnsafeReadableBytes { try file.append($0) }
      bytes.clear()
    }
    metadataBytes += bytes.readableBytes
    metadataBytesAtStart = metadataBytes
    try bytes.withUnsafeReadableBytes { try file.append($0) }
    try file.sync()
    guard rename(path + ".new", path) == 0 else {
      throw LocalBrokerError("Cannot replace \(path): \(File.lastError)")
    }
    dirty.remove(metadata.descriptor)
    metadata.close()
    metadata = File(path: path, descriptor: file.descriptor)
    try syncDirectory()
  }
}

/// A partition's file.
struct PartitionKey: Hashable {
  var topic: Int64
  var partition: Int32
  var fileName: String { "t\(topic)-p\(partition).log" }

  init(topic: Int64, partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// From the name of a file; nil if it is another kind of file's.
  init?(fileName: String) {
    guard fileName.hasPrefix("t"), fileName.hasSuffix(".log") else { return nil }
    let numbers = fileName.dropFirst().dropLast(4).split(separator: "-", omittingEmptySubsequences: false)
    guard numbers.count == 2, numbers[1].hasPrefix("p"), let topic = Int64(numbers[0]),
      let partition = Int32(numbers[1].dropFirst())
    else { return nil }
    self.init(topic: topic, partition: partition)
    guard self.fileName == fileName else { return nil }
  }
}

extension File {
  fileprivate init(path: String, descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }
}
