/// A reply that may come later than its request.
public enum GroupReply: Sendable, Equatable {
  case join(UInt64, JoinReply)
  case sync(UInt64, SyncReply)
}

/// What joining a group came to.
public struct JoinReply: Sendable, Equatable {
  /// A member as its group's leader is told of it.
  public struct Member: Sendable, Equatable {
    /// The member's id.
    public var id: String
    /// The id of a static member.
    public var instanceId: String?
    /// What it says for the protocol chosen.
    public var metadata: [UInt8]
  }

  /// `none`, or why not; `memberIdRequired` comes with the id to join with.
  public var error: KafkaError
  /// The group's generation.
  public var generation: Int32 = -1
  /// `consumer` for consumers.
  public var protocolType: String?
  /// The protocol chosen.
  public var protocolName: String?
  /// The leader's member id.
  public var leader = ""
  /// The member's own id.
  public var memberId: String
  /// All members, for the leader.
  public var members: [Member] = []
}

/// What a member got of the leader's assignment.
public struct SyncReply: Sendable, Equatable {
  /// `none`, or why not.
  public var error: KafkaError
  /// `consumer` for consumers.
  public var protocolType: String?
  /// The protocol chosen.
  public var protocolName: String?
  /// The member's share.
  public var assignment: [UInt8] = []
}

/// A request to join a group.
public struct JoinRequest: Sendable {
  /// The group.
  public var group: String
  /// The member's id; empty for a new one.
  public var memberId: String
  /// The id of a static member.
  public var instanceId: String?
  /// Whether a new member must join again with the id it is given (from version 4 of the request on).
  public var requiresKnownMember: Bool
  /// The client's name for itself.
  public var clientId: String
  /// Where it connects from.
  public var clientHost: String
  /// After so many milliseconds without a heartbeat the member is out.
  public var sessionTimeout: Int32
  /// How long the others wait for it in a rebalance.
  public var rebalanceTimeout: Int32
  /// `consumer` for consumers.
  public var protocolType: String
  /// The protocols it supports, its favourite first.
  public var protocols: [GroupProtocol]

  /// A request of a dynamic member.
  public init(
    group: String, memberId: String, instanceId: String? = nil, requiresKnownMember: Bool = true,
    clientId: String, clientHost: String = "", sessionTimeout: Int32, rebalanceTimeout: Int32,
    protocolType: String = "consumer", protocols: [GroupProtocol]
  ) {
    self.group = group
    self.memberId = memberId
    self.instanceId = instanceId
    self.requiresKnownMember = requiresKnownMember
    self.clientId = clientId
    self.clientHost = clientHost
    self.sessionTimeout = sessionTimeout
    self.rebalanceTimeout = rebalanceTimeout
    self.protocolType = protocolType
    self.protocols = protocols
  }
}

extension JoinRequest {
  /// What a member costs in memory while it is one, about.
  var cost: Int { 512 + protocols.reduce(0) { $0 + $1.name.utf8.count + $1.metadata.count } }
}

/// Whom a group request speaks for.
public struct GroupMember: Sendable, Equatable {
  /// The member's id; empty for none.
  public var id: String
  /// The id of a static member.
  public var instanceId: String?
  /// The generation the member knows; -1 for none.
  public var generation: Int32

  /// A member in a generation.
  public init(id: String = "", instanceId: String? = nil, generation: Int32 = -1) {
    self.id = id
    self.instanceId = instanceId
    self.generation = generation
  }
}

/// A group as it is described.
public struct GroupDescription: Sendable, Equatable {
  /// A member as it is described.
  public struct Member: Sendable, Equatable {
    /// The member's id.
    public var id: String
    /// The id of a static member.
    public var instanceId: String?
    /// The client's name for itself.
    public var clientId: String
    /// Where it connects from.
    public var clientHost: String
    /// What it says for the protocol chosen.
    public var metadata: [UInt8]
    /// Its share of the leader's assignment.
    public var assignment: [UInt8]
  }

  /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
  public var state: String
  /// `consumer` for consumers.
  public var protocolType: String
  /// The protocol chosen, in a stable group.
  public var protocolName: String
  /// The members.
  public var members: [Member]
}

extension Broker {
  /// Joins a group. The reply comes through ``takeReplies()`` when the rebalance is through.
  public func joinGroup(_ request: JoinRequest, token: UInt64, now: Int64) {
    do throws(KafkaError) {
      try join(request, token: token, now: now)
    } catch {
      replies.append(.join(token, JoinReply(error: error, memberId: request.memberId)))
    }
  }

  /// Brings a leader's assignment, or asks for a share. The reply comes through ``takeReplies()``.
  public func syncGroup(
    _ name: String, member: GroupMember, protocolType: String? = nil, protocolName: String? = nil,
    assignments: [String: [UInt8]], token: UInt64, now: Int64
  ) {
    do throws(KafkaError) {
      guard !name.isEmpty else { throw .invalidGroupId }
      guard let group = groups[name] else { throw .unknownMemberId }
      let index = try group.member(member.id, instanceId: member.instanceId)
      guard member.generation == group.generation else { throw .illegalGeneration }
      guard protocolType == nil || protocolType == group.protocolType,
        protocolName == nil || protocolName == group.protocolName
      else { throw .inconsistentGroupProtocol }
      group.sync(index, assignments: assignments, token: token, now: now, &replies)
    } catch {
      replies.append(.sync(token, SyncReply(error: error)))
    }
  }

  /// The replies that have become ready, in order.
  public func takeReplies() -> [GroupReply] {
    defer { replies = [] }
    return replies
  }

  /// Keeps a member's session alive; throws when it has to rejoin.
  public func heartbeat(_ name: String, member: GroupMember, now: Int64) throws(KafkaError) {
    guard !name.isEmpty else { throw .invalidGroupId }
    guard let group = groups[name] else { throw .unknownMemberId }
    let index = try group.member(member.id, instanceId: member.instanceId)
    guard member.generation == group.generation else { throw .illegalGeneration }
    try group.heartbeat(index, now: now)
  }

  /// Takes a member out of its group.
  public func leaveGroup(_ name: String, member: GroupMember, now: Int64) throws(KafkaError) {
    guard !name.isEmpty else { throw .invalidGroupId }
    guard let group = groups[name] else { throw .unknownMemberId }
    try group.leave(member.id, instanceId: member.instanceId, now: now, &replies)
  }

  /// The names of all groups.
  public var groupNames: [String] { groups.keys.sorted() }

  /// Deletes a group that has no members, with its offsets.
  public func deleteGroup(_ name: String) throws(KafkaError) {
    guard let group = groups[name] else { throw .groupIdNotFound }
    guard group.state == .empty, group.memberCount == 0 else { throw .nonEmptyGroup }
    groups[name] = nil
    journal?(.groupDeleted(name: name))
  }

  /// A group; `Dead` if there is none of that name.
  public func describeGroup(_ name: String) -> GroupDescription {
    guard let group = groups[name] else {
      return GroupDescription(state: "Dead", protocolType: "", protocolName: "", members: [])
    }
    let isStable = group.state == .stable
    return GroupDescription(
      state: group.state.rawValue, protocolType: group.protocolType ?? "",
      protocolName: isStable ? group.protocolName ?? "" : "",
      members: group.members.map {
        GroupDescription.Member(
          id: $0.id, instanceId: $0.instanceId, clientId: $0.clientId, clientHost: $0.clientHost,
          metadata: isStable ? group.metadata(of: $0) : [], assignment: isStable ? $0.assignment : [])
      })
  }

  // MARK: Offsets

  /// Commits offsets, as a member or, while a group has none, as anyone.
  public func commitOffsets(
    _ name: String, member: GroupMember, _ offsets: [TopicPartition: CommittedOffset], now: Int64
  ) throws(KafkaError) {
    guard !name.isEmpty else { throw .invalidGroupId }
    if groups[name] == nil, member.generation >= 0 { throw .illegalGeneration }
    let group = try roomyGroup(name, offsets: offsets.count)
    if let index = try check(member, in: group, transactional: false) {
      // The assignment is being made: a commit now would speak for the generation before.
      if group.state == .completingRebalance { throw .rebalanceInProgress }
      try? group.heartbeat(index, now: now)
    }
    group.commit(offsets)
    journal?(.offsets(group: name, offsets))
  }

  /// Commits offsets with a transaction: they count once it is committed.
  public func commitOffsets(
    _ name: String, member: GroupMember, producer: ProducerIdentity,
    _ offsets: [TopicPartition: CommittedOffset], now: Int64
  ) throws(KafkaError) {
    guard !name.isEmpty else { throw .invalidGroupId }
    try checkOpen(producer) { $0.groups.contains(name) }
    let group = try roomyGroup(name, offsets: offsets.count)
    _ = try check(member, in: group, transactional: true)
    group.addPending(offsets, producerId: producer.id)
    journal?(.pendingOffsets(group: name, producerId: producer.id, offsets))
  }

  /// A group's committed offset; throws `unstableOffsetCommit` if `requireStable` and a transaction may change it.
  public func committedOffset(
    _ name: String, _ place: TopicPartition, requireStable: Bool
  ) throws(KafkaError) -> CommittedOffset? {
    guard let group = groups[name] else { return nil }
    if requireStable && group.hasPendingOffset(place) { throw .unstableOffsetCommit }
    return group.offsets[place]?.value
  }

  /// The partitions for which a group has committed offsets.
  public func committedPartitions(_ name: String) -> [TopicPartition] {
    groups[name]?.offsets.keys.sorted() ?? []
  }

  /// Whether a member may commit; its index, or nil for one that speaks for no member.
  private func check(
    _ member: GroupMember, in group: Group, transactional: Bool
  ) throws(KafkaError) -> Int? {
    if member.generation < 0 && group.state == .empty { return nil }
    guard member.generation >= 0 || !member.id.isEmpty || member.instanceId != nil else {
      // A transactional producer of the old kind says nothing of its member: it can't be checked.
      if !transactional { throw .unknownMemberId }
      return nil
    }
    let index = try group.member(member.id, instanceId: member.instanceId)
    guard member.generation == group.generation else { throw .illegalGeneration }
    return index
  }

  /// A group, new or not, if the limits allow it, and some offsets more.
  private func roomyGroup(_ name: String, offsets: Int = 0) throws(KafkaError) -> Group {
    guard name.utf8.count <= limits.nameBytesMax else { throw .invalidGroupId }
    if groups[name] == nil, groups.count >= limits.groupsMax { throw .policyViolation }
    let present = groups.values.reduce(0) { $0 + $1.offsetCount }
    guard present + offsets <= limits.offsetsMax else { throw .policyViolation }
    return group(name)
  }

  private func join(_ request: JoinRequest, token: UInt64, now: Int64) throws(KafkaError) {
    guard !request.group.isEmpty else { throw .invalidGroupId }
    guard request.sessionTimeout >= limits.sessionTimeoutMin,
      request.sessionTimeout <= limits.sessionTimeoutMax
    else { throw .invalidSessionTimeout }
    if groups[request.group] == nil, !request.memberId.isEmpty { throw .unknownMemberId }
    guard !request.protocolType.isEmpty, !request.protocols.isEmpty else { throw .inconsistentGroupProtocol }
    let present = groups.values.reduce((members: 1, bytes: request.cost)) {
      ($0.members + $1.memberCount, $0.bytes + $1.memberBytes)
    }
    guard present.members <= limits.membersMax, present.bytes <= limits.groupBytesMax else {
      throw .groupMaxSizeReached
    }
    let group = try roomyGroup(request.group)
    guard request.memberId.isEmpty || group.isPending(request.memberId) else {
      return try rejoin(request, group, token: token, now: now)
    }
    guard group.supports(request.protocolType, request.protocols) else { throw .inconsistentGroupProtocol }
    var member = member(request, token: token, now: now)
    if request.memberId.isEmpty {
      member.id = makeMemberId(request.instanceId ?? request.clientId)
      if let instanceId = request.instanceId {
        if let index = group.members.firstIndex(where: { $0.instanceId == instanceId }) {
          return group.replaceStatic(index, with: member, now: now, &replies)
        }
      } else if request.requiresKnownMember {
        group.addPending(member.id, deadline: now + Int64(request.sessionTimeout))
        return replies.append(.join(token, JoinReply(error: .memberIdRequired, memberId: member.id)))
      }
    }
    group.add(member, type: request.protocolType, now: now, &replies)
  }

  private func rejoin(
    _ request: JoinRequest, _ group: Group, token: UInt64, now: Int64
  ) throws(KafkaError) {
    let index = try group.member(request.memberId, instanceId: request.instanceId)
    guard group.state != .empty else { throw .unknownMemberId }
    guard group.supports(request.protocolType, request.protocols) else { throw .inconsistentGroupProtocol }
    group.rejoin(
      index, protocols: request.protocols, timeouts: (request.sessionTimeout, request.rebalanceTimeout),
      token: token, now: now, &replies)
  }

  private func member(_ request: JoinRequest, token: UInt64, now: Int64) -> Group.Member {
    Group.Member(
      id: request.memberId, instanceId: request.instanceId, clientId: request.clientId,
      clientHost: request.clientHost, sessionTimeout: request.sessionTimeout,
      rebalanceTimeout: request.rebalanceTimeout, protocols: request.protocols, joinToken: token,
      sessionDeadline: now + Int64(request.sessionTimeout))
  }
}
