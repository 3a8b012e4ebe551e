import Testing
import TestSupport

@testable import BrokerCore

/// A member as a client drives it: joins, syncs, sends heartbeats, starts again when told to.
private struct Client {
  enum State { case out, joining, joined, syncing, stable }
  var name: String
  var state = State.out
  var memberId = ""
  var generation: Int32 = -1
  var assignment: [UInt8] = []
  var token: UInt64 = 0
  var isAlive = true
  var strategies = ["range"]
}

private struct Crowd {
  var broker: Broker
  var clients: [Client]
  var now: Int64 = 0
  var token: UInt64 = 0
  /// Who led a generation, and whom the leader gave what.
  var leaders: [Int32: String] = [:]
  var assigned: [Int32: [String: [UInt8]]] = [:]
  var joined: [Int32: Set<String>] = [:]

  init(_ count: Int) {
    broker = Broker()
    clients = (0..<count).map { Client(name: "c\($0)") }
  }

  mutating func act(_ index: Int) {
    let client = clients[index]
    let member = GroupMember(id: client.memberId, generation: client.generation)
    switch client.state {
    case .out:
      token += 1
      clients[index].token = token
      clients[index].state = .joining
      broker.joinGroup(
        JoinRequest(
          group: "g", memberId: client.memberId, clientId: client.name, sessionTimeout: 6_000,
          rebalanceTimeout: 8_000,
          protocols: client.strategies.map { GroupProtocol(name: $0, metadata: Array(client.name.utf8)) }),
        token: token, now: now)
    case .joined:
      token += 1
      clients[index].token = token
      clients[index].state = .syncing
      broker.syncGroup(
        "g", member: member, assignments: assigned[client.generation] ?? [:], token: token, now: now)
    case .stable:
      let error = failure { () throws(KafkaError) in try broker.heartbeat("g", member: member, now: now) }
      if error != .none { restart(index, error) }
    case .joining, .syncing: break
    }
    deliver()
  }

  mutating func restart(_ index: Int, _ error: KafkaError) {
    clients[index].state = .out
    if error == .unknownMemberId {
      clients[index].memberId = ""
      clients[index].generation = -1
    }
  }

  mutating func deliver() {
    for reply in broker.takeReplies() {
      switch reply {
      case .join(let token, let reply):
        guard let index = clients.firstIndex(where: { $0.token == token && $0.state == .joining }) else {
          continue
        }
        clients[index].memberId = reply.memberId
        guard reply.error == .none else {
          restart(index, reply.error)
          continue
        }
        clients[index].generation = reply.generation
        clients[index].state = .joined
        joined[reply.generation, default: []].insert(reply.memberId)
        if reply.leader == reply.memberId {
          #expect(leaders.updateValue(reply.memberId, forKey: reply.generation) == nil)
          var shares: [String: [UInt8]] = [:]
          for (share, member) in reply.members.enumerated() { shares[member.id] = [UInt8(share)] }
          assigned[reply.generation] = shares
        }
      case .sync(let token, let reply):
        guard let index = clients.firstIndex(where: { $0.token == token && $0.state == .syncing }) else {
          continue
        }
        guard reply.error == .none else {
          restart(index, reply.error)
          continue
        }
        clients[index].state = .stable
        clients[index].assignment = reply.assignment
        #expect(reply.assignment == assigned[clients[index].generation]?[clients[index].memberId])
      }
    }
  }
}

@Suite struct GroupTests {
  /// Members come, go, and die at random: every generation has one leader, every member gets what that leader gave it,
  /// and when peace comes all who live share the group.
  @Test(arguments: SplitMix64.seeds(100))
  func randomGroupsSettle(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var crowd = Crowd(5)
    for _ in 0..<400 {
      let index = random.below(5)
      if crowd.clients[index].isAlive, !random.chance(5) {
        crowd.act(index)
      } else if random.chance(50) {
        // Dies, or comes back as someone new.
        let isAlive = crowd.clients[index].isAlive
        crowd.clients[index] = Client(name: "c\(index)")
        crowd.clients[index].isAlive = !isAlive
      } else if crowd.clients[index].isAlive, !crowd.clients[index].memberId.isEmpty {
        let member = GroupMember(id: crowd.clients[index].memberId)
        _ = failure { () throws(KafkaError) in
          try crowd.broker.leaveGroup("g", member: member, now: crowd.now)
        }
        crowd.clients[index] = Client(name: "c\(index)")
      }
      crowd.now += Int64(random.below(300))
      crowd.broker.advance(now: crowd.now)
      crowd.deliver()
    }
    for _ in 0..<400 {
      for index in 0..<5 where crowd.clients[index].isAlive { crowd.act(index) }
      crowd.now += 100
      crowd.broker.advance(now: crowd.now)
      crowd.deliver()
    }
    let alive = crowd.clients.filter(\.isAlive)
    #expect(alive.allSatisfy { $0.state == .stable }, "seed \(seed): \(alive)")
    #expect(Set(alive.map(\.generation)).count <= 1, "seed \(seed)")
    #expect(Set(alive.map(\.assignment)).count == alive.count, "seed \(seed)")
    let members = crowd.broker.describeGroup("g").members.map(\.id)
    #expect(Set(members) == Set(alive.map(\.memberId)), "seed \(seed)")
  }

  private func settled(_ count: Int) -> Crowd {
    var crowd = Crowd(count)
    while !crowd.clients.allSatisfy({ $0.state == .stable }) {
      for index in 0..<count { crowd.act(index) }
    }
    return crowd
  }

  @Test func newMembersJoinTwice() {
    let broker = Broker()
    let request = JoinRequest(
      group: "g", memberId: "", clientId: "c", sessionTimeout: 6_000, rebalanceTimeout: 6_000,
      protocols: [GroupProtocol(name: "range", metadata: [])])
    broker.joinGroup(request, token: 1, now: 0)
    guard case .join(1, let first) = broker.takeReplies().first else { return #expect(Bool(false)) }
    #expect(first.error == .memberIdRequired && first.memberId.hasPrefix("c-"))
    var second = request
    second.memberId = first.memberId
    broker.joinGroup(second, token: 2, now: 0)
    guard case .join(2, let reply) = broker.takeReplies().first else { return #expect(Bool(false)) }
    #expect(reply.error == .none && reply.generation == 1 && reply.leader == first.memberId)
    second.memberId = "nobody"
    broker.joinGroup(second, token: 3, now: 0)
    #expect(broker.takeReplies() == [.join(3, JoinReply(error: .unknownMemberId, memberId: "nobody"))])
    second.sessionTimeout = 5_999
    broker.joinGroup(second, token: 4, now: 0)
    #expect(broker.takeReplies() == [.join(4, JoinReply(error: .invalidSessionTimeout, memberId: "nobody"))])
    second.sessionTimeout = 6_000
    second.memberId = ""
    second.protocols = [GroupProtocol(name: "other", metadata: [])]
    broker.joinGroup(second, token: 5, now: 0)
    #expect(broker.takeReplies() == [.join(5, JoinReply(error: .inconsistentGroupProtocol, memberId: ""))])
  }

  @Test func staleMembersCannotCommit() throws {
    var crowd = settled(2)
    let broker = crowd.broker
    try broker.createTopic("t", partitions: 1)
    let offsets = [TopicPartition("t", 0): CommittedOffset(offset: 5)]
    let one = crowd.clients[0]
    func commit(_ member: GroupMember) -> KafkaError {
      failure { () throws(KafkaError) in try broker.commitOffsets("g", member: member, offsets, now: 0) }
    }
    #expect(commit(GroupMember(id: one.memberId, generation: one.generation)) == .none)
    #expect(commit(GroupMember(id: one.memberId, generation: one.generation - 1)) == .illegalGeneration)
    #expect(commit(GroupMember(id: "nobody", generation: one.generation)) == .unknownMemberId)
    #expect(commit(GroupMember()) == .unknownMemberId)
    let producer = try broker.initProducer(transactionalId: "x", timeout: 1_000, expected: nil, now: 0)
    try broker.addOffsets(group: "g", transactionalId: "x", producer: producer, now: 0)
    func send(_ member: GroupMember, _ producer: ProducerIdentity) -> KafkaError {
      failure { () throws(KafkaError) in
        try broker.commitOffsets("g", member: member, producer: producer, offsets, now: 0)
      }
    }
    #expect(send(GroupMember(id: one.memberId, generation: one.generation), producer) == .none)
    #expect(
      send(GroupMember(id: one.memberId, generation: one.generation - 1), producer) == .illegalGeneration)
    #expect(send(GroupMember(id: "nobody", generation: one.generation), producer) == .unknownMemberId)
    // Producers from before the group's metadata came along can't be checked.
    #expect(send(GroupMember(), producer) == .none)
    let zombie = ProducerIdentity(id: producer.id, epoch: producer.epoch - 1)
    #expect(send(GroupMember(), zombie) == .invalidProducerEpoch)
    // While the new generation's assignment is awaited, a plain commit must wait.
    let leaving = GroupMember(id: crowd.clients[1].memberId)
    try broker.leaveGroup("g", member: leaving, now: 0)
    crowd.clients[1] = Client(name: "gone")
    crowd.clients[0].state = .out
    crowd.act(0)
    let rejoined = GroupMember(id: crowd.clients[0].memberId, generation: crowd.clients[0].generation)
    #expect(commit(rejoined) == .rebalanceInProgress)
    #expect(send(rejoined, producer) == .none)
  }

  @Test func sessionsAndRebalancesEnd() {
    var crowd = settled(3)
    crowd.now = 5_000
    for index in 0..<2 { crowd.act(index) }
    crowd.now = 6_000
    crowd.broker.advance(now: crowd.now)
    #expect(crowd.broker.describeGroup("g").state == "PreparingRebalance")
    // One learns of it and joins; the other stays silent until the rebalance goes on without it.
    crowd.act(0)
    crowd.act(0)
    #expect(crowd.clients[0].state == .joining)
    crowd.now = 13_999
    crowd.broker.advance(now: crowd.now)
    crowd.deliver()
    crowd.now = 14_000
    crowd.broker.advance(now: crowd.now)
    crowd.deliver()
    #expect(crowd.clients[0].state == .joined)
    #expect(crowd.broker.describeGroup("g").members.count == 1)
  }

  @Test func staticMembersAreReplacedWithoutARebalance() throws {
    let broker = Broker()
    func join(_ instance: String, _ id: String = "", token: UInt64) -> JoinReply? {
      broker.joinGroup(
        JoinRequest(
          group: "g", memberId: id, instanceId: instance, clientId: "c", sessionTimeout: 6_000,
          rebalanceTimeout: 6_000, protocols: [GroupProtocol(name: "range", metadata: [])]), token: token,
        now: 0)
      for case .join(token, let reply) in broker.takeReplies() { return reply }
      return nil
    }
    let first = try #require(join("i", token: 1))
    #expect(first.error == .none && first.leader == first.memberId)
    let old = GroupMember(id: first.memberId, instanceId: "i", generation: 1)
    broker.syncGroup("g", member: old, assignments: [first.memberId: [7]], token: 2, now: 0)
    #expect(
      broker.takeReplies() == [
        .sync(2, SyncReply(error: .none, protocolType: "consumer", protocolName: "range", assignment: [7]))
      ])
    let second = try #require(join("i", token: 3))
    #expect(second.error == .none && second.generation == 1 && second.memberId != first.memberId)
    #expect(second.leader == first.memberId && second.members.isEmpty)
    let new = GroupMember(id: second.memberId, instanceId: "i", generation: 1)
    broker.syncGroup("g", member: new, assignments: [:], token: 4, now: 0)
    #expect(
      broker.takeReplies() == [
        .sync(4, SyncReply(error: .none, protocolType: "consumer", protocolName: "range", assignment: [7]))
      ])
    #expect(
      failure { () throws(KafkaError) in try broker.heartbeat("g", member: old, now: 0) } == .fencedInstanceId
    )
    #expect(failure { () throws(KafkaError) in try broker.heartbeat("g", member: new, now: 0) } == .none)
    #expect(join("i", first.memberId, token: 5)?.error == .fencedInstanceId)
  }

  /// A static member that is away keeps its place, but another one leads meanwhile.
  @Test func absentStaticLeadersAreReplaced() throws {
    let broker = Broker()
    func join(_ instance: String, _ id: String = "", token: UInt64, now: Int64) {
      broker.joinGroup(
        JoinRequest(
          group: "g", memberId: id, instanceId: instance, clientId: "c", sessionTimeout: 30_000,
          rebalanceTimeout: 6_000, protocols: [GroupProtocol(name: "range", metadata: [])]), token: token,
        now: now)
    }
    func joined(_ token: UInt64) throws -> JoinReply {
      for case .join(token, let reply) in broker.takeReplies() { return reply }
      throw KafkaError.unknownMemberId
    }
    join("a", token: 1, now: 0)
    let first = try joined(1)
    broker.syncGroup(
      "g", member: GroupMember(id: first.memberId, instanceId: "a", generation: 1), assignments: [:],
      token: 2, now: 0)
    #expect(first.leader == first.memberId)
    _ = broker.takeReplies()
    join("b", token: 3, now: 0)
    broker.advance(now: 5_999)
    #expect(broker.takeReplies() == [])
    broker.advance(now: 6_000)
    let second = try joined(3)
    #expect(second.leader == second.memberId && second.generation == 2)
    #expect(second.members.map(\.instanceId) == ["a", "b"])
  }

  @Test func rebalancesEndWaitingSyncs() throws {
    var crowd = settled(2)
    let generation = crowd.clients[0].generation
    // A third comes; the first two join again and the followers wait for the leader's assignment.
    crowd.clients.append(Client(name: "late"))
    crowd.act(2)
    crowd.act(2)
    for index in 0..<2 {
      crowd.act(index)
      crowd.act(index)
    }
    #expect(crowd.clients.allSatisfy { $0.state == .joined && $0.generation == generation + 1 })
    let leader = try #require(crowd.leaders[generation + 1])
    let follower = try #require(crowd.clients.firstIndex { $0.memberId != leader })
    crowd.act(follower)
    #expect(crowd.clients[follower].state == .syncing)
    // The leader leaves instead.
    try crowd.broker.leaveGroup("g", member: GroupMember(id: leader), now: 0)
    crowd.deliver()
    #expect(crowd.clients[follower].state == .out)
  }
}
