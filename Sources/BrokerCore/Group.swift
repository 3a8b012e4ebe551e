/// A member's way of dividing partitions: the protocol's name and what the member says for it.
public struct GroupProtocol: Sendable, Equatable {
  /// The assignor's name.
  public var name: String
  /// Subscription and user data, opaque to the broker.
  public var metadata: [UInt8]

  /// A protocol a member supports.
  public init(name: String, metadata: [UInt8]) {
    self.name = name
    self.metadata = metadata
  }
}

/// A consumer group of the classic protocol: members, generations and committed offsets.
final class Group {
  enum State: String {
    case empty = "Empty"
    case preparingRebalance = "PreparingRebalance"
    case completingRebalance = "CompletingRebalance"
    case stable = "Stable"
  }

  struct Member {
    var id: String
    var instanceId: String?
    var clientId: String
    var clientHost: String
    var sessionTimeout: Int32
    var rebalanceTimeout: Int32
    var protocols: [GroupProtocol]
    var assignment: [UInt8] = []
    var joinToken: UInt64?
    var syncToken: UInt64?
    var hasSynced = false
    var sessionDeadline: Int64

    /// A member that waits for the broker's reply can't send heartbeats.
    var deadline: Int64? { joinToken == nil && syncToken == nil ? sessionDeadline : nil }
  }

  struct Offset {
    var value: CommittedOffset
    /// Counts commits, so that a transaction's offset doesn't replace a later plain one.
    var order: UInt64
  }

  private(set) var state = State.empty
  private(set) var members: [Member] = []
  private(set) var protocolType: String?
  private(set) var protocolName: String?
  private(set) var generation: Int32 = 0
  private(set) var leader: String?
  private(set) var offsets: [TopicPartition: Offset] = [:]
  /// Member ids that were given out and not used yet, with the time until which they may be.
  private var pendingMembers: [String: Int64] = [:]
  private var pendingOffsets: [Int64: [TopicPartition: Offset]] = [:]
  private var commitCount: UInt64 = 0
  /// When a rebalance goes on without those who haven't joined, or without those who haven't synced.
  private var rebalanceDeadline: Int64?

  // MARK: Questions

  /// What its members cost in memory, about.
  var memberBytes: Int {
    members.reduce(0) { sum, member in
      sum + 512 + member.assignment.count
        + member.protocols.reduce(0) { $0 + $1.name.utf8.count + $1.metadata.count }
    }
  }

  /// Its members and those that may become some.
  var memberCount: Int { members.count + pendingMembers.count }

  /// How many offsets it holds, those of open transactions too.
  var offsetCount: Int { pendingOffsets.values.reduce(offsets.count) { $0 + $1.count } }

  func index(of id: String) -> Int? { members.firstIndex { $0.id == id } }

  func supports(_ type: String, _ protocols: [GroupProtocol]) -> Bool {
    guard !members.isEmpty else { return !type.isEmpty && !protocols.isEmpty }
    return type == protocolType
      && protocols.contains { wanted in
        members.allSatisfy { $0.protocols.contains { $0.name == wanted.name } }
      }
  }

  /// The member that a request speaks for.
  func member(_ id: String, instanceId: String?) throws(KafkaError) -> Int {
    if let instanceId {
      guard let index = members.firstIndex(where: { $0.instanceId == instanceId }) else {
        throw .unknownMemberId
      }
      guard members[index].id == id else { throw .fencedInstanceId }
      return index
    }
    guard let index = index(of: id) else { throw .unknownMemberId }
    return index
  }

  /// Someone asked to join and never came.
  var wasNeverUsed: Bool {
    generation == 0 && members.isEmpty && pendingMembers.isEmpty && offsets.isEmpty && pendingOffsets.isEmpty
  }

  func isPending(_ id: String) -> Bool { pendingMembers[id] != nil }

  var nextDeadline: Int64? {
    (members.compactMap(\.deadline) + pendingMembers.values + [rebalanceDeadline].compactMap { $0 }).min()
  }

  // MARK: Joining

  func addPending(_ id: String, deadline: Int64) { pendingMembers[id] = deadline }

  /// Adds a member and rebalances.
  func add(_ member: Member, type: String, now: Int64, _ replies: inout [GroupReply]) {
    pendingMembers[member.id] = nil
    if members.isEmpty { protocolType = type }
    if leader == nil { leader = member.id }
    members.append(member)
    rebalance(now: now, &replies)
  }

  /// A known member joins again.
  func rejoin(
    _ index: Int, protocols: [GroupProtocol], timeouts: (session: Int32, rebalance: Int32), token: UInt64,
    now: Int64, _ replies: inout [GroupReply]
  ) {
    let unchanged = members[index].protocols == protocols
    switch state {
    case .completingRebalance where unchanged:
      // The reply to its join was lost.
      replies.append(.join(token, joinReply(for: index)))
    case .stable where unchanged && members[index].id != leader:
      replies.append(.join(token, joinReply(for: index)))
    default:
      // It asked again over another connection; the reply to the first is of no use any more.
      dropWaiting(index, with: .rebalanceInProgress, &replies)
      members[index].protocols = protocols
      members[index].sessionTimeout = timeouts.session
      members[index].rebalanceTimeout = timeouts.rebalance
      members[index].joinToken = token
      rebalance(now: now, &replies)
    }
  }

  /// A static member comes back under a new member id: the old one is fenced. Without a rebalance if the group is
  /// stable and would choose the same protocol.
  func replaceStatic(_ index: Int, with member: Member, now: Int64, _ replies: inout [GroupReply]) {
    dropWaiting(index, with: .fencedInstanceId, &replies)
    let old = members[index]
    let oldLeader = leader
    members[index] = member
    members[index].assignment = old.assignment
    members[index].hasSynced = old.hasSynced
    if leader == old.id { leader = member.id }
    guard state == .stable, selectProtocol() == protocolName, let token = member.joinToken else {
      return rebalance(now: now, &replies)
    }
    members[index].joinToken = nil
    members[index].sessionDeadline = now + Int64(member.sessionTimeout)
    var reply = joinReply(for: index)
    // The old leader's id, so that nobody divides partitions in a stable group.
    reply.leader = oldLeader ?? ""
    reply.members = []
    replies.append(.join(token, reply))
  }

  // MARK: Syncing

  func sync(
    _ index: Int, assignments: [String: [UInt8]], token: UInt64, now: Int64, _ replies: inout [GroupReply]
  ) {
    members[index].sessionDeadline = now + Int64(members[index].sessionTimeout)
    switch state {
    case .empty: replies.append(.sync(token, SyncReply(error: .unknownMemberId)))
    case .preparingRebalance: replies.append(.sync(token, SyncReply(error: .rebalanceInProgress)))
    case .stable:
      members[index].hasSynced = true
      replies.append(.sync(token, syncReply(for: index)))
    case .completingRebalance:
      if let old = members[index].syncToken {
        replies.append(.sync(old, SyncReply(error: .rebalanceInProgress)))
      }
      members[index].hasSynced = true
      members[index].syncToken = token
      guard members[index].id == leader else { return }
      state = .stable
      for other in members.indices {
        members[other].assignment = assignments[members[other].id] ?? []
        guard let waiting = members[other].syncToken else { continue }
        members[other].syncToken = nil
        members[other].sessionDeadline = now + Int64(members[other].sessionTimeout)
        replies.append(.sync(waiting, syncReply(for: other)))
      }
    }
  }

  func heartbeat(_ index: Int, now: Int64) throws(KafkaError) {
    if state == .empty { throw .unknownMemberId }
    members[index].sessionDeadline = now + Int64(members[index].sessionTimeout)
    if state == .preparingRebalance { throw .rebalanceInProgress }
  }

  // MARK: Leaving

  func leave(_ id: String, instanceId: String?, now: Int64, _ replies: inout [GroupReply]) throws(KafkaError)
  {
    if instanceId == nil, pendingMembers.removeValue(forKey: id) != nil {
      return completeJoinIfAllThere(now: now, &replies)
    }
    // An administrator removes a static member by its instance alone.
    let index =
      id.isEmpty && instanceId != nil
      ? members.firstIndex { $0.instanceId == instanceId } : try member(id, instanceId: instanceId)
    guard let index else { throw .unknownMemberId }
    remove(index, now: now, &replies)
  }

  /// Lets timeouts up to `now` happen.
  func advance(now: Int64, _ replies: inout [GroupReply]) {
    let late = pendingMembers.filter { $0.value <= now }
    for id in late.keys { pendingMembers[id] = nil }
    while let index = members.firstIndex(where: { ($0.deadline ?? .max) <= now }) {
      remove(index, now: now, &replies)
    }
    if !late.isEmpty { completeJoinIfAllThere(now: now, &replies) }
    guard let deadline = rebalanceDeadline, deadline <= now else { return }
    switch state {
    case .preparingRebalance: completeJoin(now: now, &replies)
    case .completingRebalance, .stable:
      rebalanceDeadline = nil
      while let index = members.firstIndex(where: { !$0.hasSynced }) {
        remove(index, now: now, &replies)
        if state == .preparingRebalance { break }
      }
    case .empty: rebalanceDeadline = nil
    }
  }

  // MARK: Offsets

  func commit(_ new: [TopicPartition: CommittedOffset]) {
    commitCount += 1
    for (place, value) in new { offsets[place] = Offset(value: value, order: commitCount) }
  }

  func addPending(_ new: [TopicPartition: CommittedOffset], producerId: Int64) {
    commitCount += 1
    for (place, value) in new {
      pendingOffsets[producerId, default: [:]][place] = Offset(value: value, order: commitCount)
    }
  }

  func decideOffsets(producerId: Int64, commit: Bool) {
    guard let decided = pendingOffsets.removeValue(forKey: producerId), commit else { return }
    for (place, offset) in decided where (offsets[place]?.order ?? 0) < offset.order {
      offsets[place] = offset
    }
  }

  func hasPendingOffset(_ place: TopicPartition) -> Bool {
    pendingOffsets.values.contains { $0[place] != nil }
  }

  func forget(topic: String) {
    offsets = offsets.filter { $0.key.topic != topic }
    for producer in pendingOffsets.keys {
      pendingOffsets[producer] = pendingOffsets[producer]?.filter { $0.key.topic != topic }
    }
  }

  func snapshot(_ name: String) -> [JournalEntry] {
    // In the order of the commits, which decides between plain and transactional offsets of a partition.
    var ordered: [(UInt64, JournalEntry)] = []
    for (order, entries) in Dictionary(grouping: offsets, by: \.value.order) {
      let values = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value.value) })
      ordered.append((order, .offsets(group: name, values)))
    }
    for (producerId, pending) in pendingOffsets {
      for (order, entries) in Dictionary(grouping: pending, by: \.value.order) {
        let values = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value.value) })
        ordered.append((order, .pendingOffsets(group: name, producerId: producerId, values)))
      }
    }
    return ordered.sorted { $0.0 < $1.0 }.map(\.1)
  }

  // MARK: Rebalancing

  private func rebalance(now: Int64, _ replies: inout [GroupReply]) {
    if state != .preparingRebalance {
      for index in members.indices {
        guard let token = members[index].syncToken else { continue }
        members[index].syncToken = nil
        members[index].sessionDeadline = now + Int64(members[index].sessionTimeout)
        replies.append(.sync(token, SyncReply(error: .rebalanceInProgress)))
      }
      state = .preparingRebalance
      rebalanceDeadline = now + Int64(members.map(\.rebalanceTimeout).max() ?? 0)
    }
    completeJoinIfAllThere(now: now, &replies)
  }

  private func completeJoinIfAllThere(now: Int64, _ replies: inout [GroupReply]) {
    guard state == .preparingRebalance, pendingMembers.isEmpty,
      members.allSatisfy({ $0.joinToken != nil })
    else { return }
    completeJoin(now: now, &replies)
  }

  private func completeJoin(now: Int64, _ replies: inout [GroupReply]) {
    // Static members stay until their session ends.
    members.removeAll { $0.joinToken == nil && $0.instanceId == nil }
    let timeout = Int64(members.map(\.rebalanceTimeout).max() ?? 0)
    if !members.isEmpty, !members.contains(where: { $0.joinToken != nil }) {
      rebalanceDeadline = now + max(timeout, 1)
      return
    }
    generation += 1
    guard !members.isEmpty else {
      (state, protocolName, protocolType, leader, rebalanceDeadline) = (.empty, nil, nil, nil, nil)
      return
    }
    if !members.contains(where: { $0.id == leader && $0.joinToken != nil }) {
      leader = members.first { $0.joinToken != nil }?.id
    }
    protocolName = selectProtocol()
    state = .completingRebalance
    rebalanceDeadline = now + timeout
    for index in members.indices {
      members[index].hasSynced = false
      guard let token = members[index].joinToken else { continue }
      members[index].joinToken = nil
      members[index].sessionDeadline = now + Int64(members[index].sessionTimeout)
      replies.append(.join(token, joinReply(for: index)))
    }
  }

  private func remove(_ index: Int, now: Int64, _ replies: inout [GroupReply]) {
    dropWaiting(index, with: .unknownMemberId, &replies)
    let member = members.remove(at: index)
    if leader == member.id { leader = members.first?.id }
    switch state {
    case .stable, .completingRebalance: rebalance(now: now, &replies)
    case .preparingRebalance: completeJoinIfAllThere(now: now, &replies)
    case .empty: break
    }
  }

  private func dropWaiting(_ index: Int, with error: KafkaError, _ replies: inout [GroupReply]) {
    if let token = members[index].joinToken {
      replies.append(.join(token, JoinReply(error: error, memberId: members[index].id)))
    }
    if let token = members[index].syncToken { replies.append(.sync(token, SyncReply(error: error))) }
    members[index].joinToken = nil
    members[index].syncToken = nil
  }

  /// The protocol that all support and most prefer; of equals the first member's favourite.
  private func selectProtocol() -> String? {
    let common = (members.first?.protocols ?? []).map(\.name).filter { name in
      members.allSatisfy { $0.protocols.contains { $0.name == name } }
    }
    var votes: [String: Int] = [:]
    for member in members {
      if let vote = member.protocols.first(where: { common.contains($0.name) }) {
        votes[vote.name, default: 0] += 1
      }
    }
    let most = votes.values.max()
    return common.first { votes[$0] == most }
  }

  private func joinReply(for index: Int) -> JoinReply {
    var reply = JoinReply(error: .none, memberId: members[index].id)
    reply.generation = generation
    reply.protocolType = protocolType
    reply.protocolName = protocolName
    reply.leader = leader ?? ""
    if members[index].id == leader {
      reply.members = members.map {
        JoinReply.Member(id: $0.id, instanceId: $0.instanceId, metadata: metadata(of: $0))
      }
    }
    return reply
  }

  private func syncReply(for index: Int) -> SyncReply {
    SyncReply(
      error: .none, protocolType: protocolType, protocolName: protocolName,
      assignment: members[index].assignment)
  }

  func metadata(of member: Member) -> [UInt8] {
    member.protocols.first { $0.name == protocolName }?.metadata ?? []
  }
}
