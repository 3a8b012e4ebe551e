import FeatureCore
import Processor

/// A log and its group in memory: what the loop relies on of Kafka, and faults on demand.
final class MemoryCluster {
  struct Record {
    var offset: Int64
    var timestamp: Int64
    var key: [UInt8]?
    var value: [UInt8]?
  }

  var topics: [String: [[Record]]] = [:]
  /// The group's offsets.
  var committed: [TopicPartition: Int64] = [:]
  /// The member that owns each partition.
  var owners: [TopicPartition: Int] = [:]
  var members: [Int: MemoryLog] = [:]
  private var memberCount = 0
  /// Draws a fault: how likely each is, in thousandths.
  var random: SplitMix64
  var faultShare = 0

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  func createTopic(_ name: String, partitions: Int) {
    topics[name] = Array(repeating: [], count: partitions)
  }

  func append(_ topic: String, _ partition: Int, key: [UInt8]?, value: [UInt8]?, timestamp: Int64) {
    // Offsets have gaps, as control records leave them.
    let last = topics[topic]![partition].last?.offset ?? -1
    let gap = Int64(random.next() % 8 == 0 ? 1 : 0)
    topics[topic]![partition].append(
      Record(offset: last + 1 + gap, timestamp: timestamp, key: key, value: value))
  }

  func isFault() -> Bool { faultShare > 0 && Int(random.next() % 1000) < faultShare }

  func join(_ topics: [String]) -> MemoryLog {
    memberCount += 1
    let log = MemoryLog(self, member: memberCount, topics: topics)
    members[memberCount] = log
    rebalance()
    return log
  }

  /// The member is gone: its session has timed out.
  func expel(_ member: Int) {
    members[member] = nil
    rebalance()
  }

  /// Spreads the partitions over the members; who loses one is told to give it up first.
  func rebalance() {
    let ids = members.keys.sorted()
    guard !ids.isEmpty else { return }
    let read = members[ids[0]]!.topics
    let partitions = read.flatMap { topic in
      topics[topic]!.indices.map { TopicPartition(topic, Int32($0)) }
    }
    for (index, partition) in partitions.enumerated() {
      members[ids[index % ids.count]]!.target.insert(partition)
      for id in ids where id != ids[index % ids.count] { members[id]!.target.remove(partition) }
    }
    for (partition, owner) in owners where members[owner] == nil { owners[partition] = nil }
  }

  func end(_ partition: TopicPartition) -> Int64 {
    (topics[partition.topic]![Int(partition.partition)].last?.offset ?? -1) + 1
  }
}

/// One member.
final class MemoryLog: EventLogPort {
  let topics: [String]
  let member: Int
  /// What the group wants the member to own.
  var target: Set<TopicPartition> = []
  private let cluster: MemoryCluster
  private var owned: Set<TopicPartition> = []
  private var announced: Set<TopicPartition> = []
  private var positions: [TopicPartition: Int64] = [:]
  private var paused: Set<TopicPartition> = []
  private var open: [(topic: String, key: [UInt8]?, value: [UInt8]?)]?
  private var published: [TopicPartition: Int64]?
  private var keep: [UnsafeMutableRawBufferPointer] = []
  private var records: [LogRecord] = []

  init(_ cluster: MemoryCluster, member: Int, topics: [String]) {
    self.cluster = cluster
    self.member = member
    self.topics = topics
  }

  deinit { for bytes in keep { bytes.deallocate() } }

  private var isMember: Bool { cluster.members[member] === self }

  func poll(recordsMax: Int, timeoutMilliseconds: Int) throws(LogError) -> LogPoll {
    for bytes in keep { bytes.deallocate() }
    keep = []
    records = []
    if cluster.isFault() { throw LogError(.retry, "the broker is away") }
    if !isMember {
      let lost = sorted(owned)
      owned = []
      guard lost.isEmpty else { return poll([.lost(lost)], []) }
      throw LogError(.fenced, "no member any more")
    }
    let revoked = owned.subtracting(target)
    if !revoked.isEmpty { return poll([.revoked(sorted(revoked))], []) }
    let new = sorted(target.subtracting(announced)).filter { cluster.owners[$0] == nil }
    for partition in new { cluster.owners[partition] = member }
    announced.formUnion(new)
    let partitions = sorted(owned.subtracting(paused))
    for (index, partition) in partitions.enumerated() { fetch(partition, index, max: 1 + recordsMax / 2) }
    return poll(new.isEmpty ? [] : [.assigned(new)], partitions)
  }

  private func poll(_ assignments: [LogAssignment], _ partitions: [TopicPartition]) -> LogPoll {
    let buffer = UnsafeMutableBufferPointer<LogRecord>.allocate(capacity: records.count)
    _ = buffer.initialize(from: records)
    keep.append(UnsafeMutableRawBufferPointer(buffer))
    return LogPoll(assignments: assignments, partitions: partitions, records: UnsafeBufferPointer(buffer))
  }

  private func sorted(_ partitions: Set<TopicPartition>) -> [TopicPartition] {
    partitions.sorted { $0.description < $1.description }
  }

  private func fetch(_ partition: TopicPartition, _ index: Int, max: Int) {
    let log = cluster.topics[partition.topic]![Int(partition.partition)]
    let from = positions[partition]!
    let start = log.firstIndex { $0.offset >= from } ?? log.count
    for record in log[start..<min(log.count, start + 1 + Int(cluster.random.next() % UInt64(max)))] {
      records.append(
        LogRecord(
          partition: index, offset: record.offset, timestampMilliseconds: record.timestamp,
          key: record.key.map(copy), value: record.value.map(copy)))
      positions[partition] = record.offset + 1
    }
  }

  private func copy(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    room.copyBytes(from: bytes)
    keep.append(room)
    return UnsafeRawBufferPointer(rebasing: room[0..<bytes.count])
  }

  func assign(_ partitions: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    for (partition, offset) in partitions {
      precondition(!owned.contains(partition), "assigned twice")
      owned.insert(partition)
      positions[partition] = offset
    }
  }

  func unassign(_ partitions: [TopicPartition]) throws(LogError) {
    for partition in partitions {
      owned.remove(partition)
      announced.remove(partition)
      paused.remove(partition)
      if isMember, cluster.owners[partition] == member { cluster.owners[partition] = nil }
    }
  }

  func pause(_ partitions: [TopicPartition]) throws(LogError) { paused.formUnion(partitions) }
  func resume(_ partitions: [TopicPartition]) throws(LogError) { paused.subtract(partitions) }
  func seek(_ partition: TopicPartition, to offset: Int64) throws(LogError) {
    if owned.contains(partition) { positions[partition] = offset }
  }
  func committed(_ partitions: [TopicPartition]) throws(LogError) -> [Int64?] {
    if cluster.isFault() { throw LogError(.retry, "the coordinator is moving") }
    return partitions.map { cluster.committed[$0] }
  }
  func watermarks(_ partition: TopicPartition) throws(LogError) -> (low: Int64, high: Int64) {
    (0, cluster.end(partition))
  }

  func begin() throws(LogError) {
    precondition(open == nil, "a transaction is open")
    open = []
    published = nil
  }

  func send(
    topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(LogError) {
    precondition(open != nil, "no transaction is open")
    if cluster.isFault() { throw LogError(cluster.random.next() % 2 == 0 ? .abort : .retry, "queue full") }
    open!.append((topic, key.map(Array.init), value.map(Array.init)))
  }

  func commit(_ offsets: [(partition: TopicPartition, offset: Int64)]) throws(LogError) {
    precondition(open != nil, "no transaction is open")
    guard isMember else {
      open = nil
      throw LogError(.fenced, "a stale generation")
    }
    let isLost = cluster.isFault()
    if isLost, cluster.random.next() % 2 == 0 { throw LogError(.abort, "the transaction timed out") }
    // The reply may get lost after the effect; then the same call succeeds later without another effect.
    if published == nil {
      for (topic, key, value) in open! {
        let count = cluster.topics[topic]!.count
        let partition = key.map { key in key.withUnsafeBytes { Int(Hash64.hash($0) % UInt64(count)) } } ?? 0
        cluster.append(topic, partition, key: key, value: value, timestamp: 4_000_000_000_000)
      }
      for (partition, offset) in offsets { cluster.committed[partition] = offset }
      published = Dictionary(uniqueKeysWithValues: offsets.map { ($0.partition, $0.offset) })
    }
    if isLost { throw LogError(.retry, "no reply to the commit") }
    open = nil
  }

  func close(timeoutMilliseconds: Int) -> Bool {
    if isMember { cluster.expel(member) }
    return true
  }

  func abort() throws(LogError) {
    guard isMember else { throw LogError(.fenced, "a stale generation") }
    open = nil
  }
}

/// A store in memory: atomic, fenced, and able to lose its last writes.
final class MemoryStore: StateStorePort {
  struct Contents {
    var epochs: [String: Int64] = [:]
    var positions: [String: Int64] = [:]
    var states: [String: [[UInt8]: [UInt8]]] = [:]
  }

  final class Server {
    var contents = Contents()
    var history: [Contents] = []
    var isFenceOff = false

    /// Restarts without the last writes. Epochs are lost with them.
    func loseTail(_ writes: Int) {
      guard !history.isEmpty else { return }
      contents = history[max(0, history.count - 1 - writes)]
    }
  }

  let server: Server
  private let cluster: MemoryCluster

  init(_ server: Server, _ cluster: MemoryCluster) {
    self.server = server
    self.cluster = cluster
  }

  func claim(_ task: String) throws(StoreError) -> TaskClaim {
    if cluster.isFault() { throw StoreError(.retry, "away") }
    server.contents.epochs[task, default: 0] += 1
    return TaskClaim(epoch: server.contents.epochs[task]!, position: server.contents.positions[task])
  }

  func load(
    _ task: String, epoch: Int64, position: Int64?, _ keys: ByteStrings,
    _ body: (Int, UnsafeRawBufferPointer?) -> Void
  ) throws(StoreError) {
    if cluster.isFault() { throw StoreError(.retry, "away") }
    if !server.isFenceOff {
      guard server.contents.epochs[task] == epoch else { throw StoreError(.fenced, "epoch") }
      guard server.contents.positions[task] == position else { throw StoreError(.moved, "position") }
    }
    for index in 0..<keys.count {
      guard let state = keys.withBytes(index, { server.contents.states[task]?[Array($0)] }) else {
        body(index, nil)
        continue
      }
      state.withUnsafeBytes { body(index, $0) }
    }
  }

  func commit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates,
    timeToLiveMilliseconds: Int64?
  ) throws(StoreError) {
    let isFault = cluster.isFault()
    if isFault, cluster.random.next() % 2 == 0 { throw StoreError(.retry, "away") }
    if !server.isFenceOff {
      guard server.contents.epochs[task] == epoch else { throw StoreError(.fenced, "epoch") }
      if server.contents.positions[task] != position {
        guard server.contents.positions[task] == from else { throw StoreError(.moved, "position") }
      }
    }
    server.history.append(server.contents)
    if server.history.count > 50 { server.history.removeFirst() }
    for index in 0..<states.count {
      states.withBytes(index) { server.contents.states[task, default: [:]][Array($0)] = Array($1) }
    }
    server.contents.positions[task] = position
    if isFault { throw StoreError(.retry, "no reply") }
  }
}
