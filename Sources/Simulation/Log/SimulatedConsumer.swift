import BrokerCore
import Processor

/// A member of a consumer group, with what its client library does in the background: heartbeats, joining, sharing out.
final class SimulatedConsumer {
  private enum State { case out, joining, syncing, member }

  let life: Life
  // It knows its consumers: together they would outlive the run.
  private unowned let broker: SimulatedBroker
  private let group: String
  private let topics: [String]
  private var world: World { broker.world }

  private var state = State.out
  private var memberId = ""
  private var generation: Int32 = -1
  private var mustJoin = true
  private var inbox: [GroupReply] = []
  private var lastHeartbeat = Int64.min / 2
  /// Changes that the worker has not been told yet.
  private var changes: [LogAssignment] = []
  /// The change that it was told and has not answered.
  private var unanswered: LogAssignment?
  /// Whether the group has gone on without this member.
  private(set) var isLost = false
  /// Where each partition is read on.
  private var positions: [Place: Int64] = [:]
  private var paused: Set<Place> = []
  /// The end that was told last of each partition since it was assigned or moved.
  private var told: [Place: Int64] = [:]
  /// Asked back by the group: not read any more.
  private var leaving: Set<Place> = []
  /// Partitions that there were when it last joined.
  private var joinedPartitions: Int32 = 0

  init(_ life: Life, _ broker: SimulatedBroker, group: String, topics: [String]) {
    self.life = life
    self.broker = broker
    self.group = group
    self.topics = topics
    broker.add(self)
  }

  /// Whom the offsets of a commit speak for.
  var member: GroupMember { GroupMember(id: memberId, generation: generation) }
  private var owned: [Place] { positions.keys.sorted() }

  // MARK: The background thread

  func receive(_ reply: GroupReply) { inbox.append(reply) }

  func tick() {
    while !inbox.isEmpty { handle(inbox.removeFirst()) }
    if world.now < max(life.logCutUntil, world.coordinatorAwayUntil) { return }
    if state == .member || state == .out, generation >= 0, world.now - lastHeartbeat >= 100 { heartbeat() }
    if state == .member, joinedPartitions != partitionCount { mustJoin = true }
    if mustJoin, unanswered == nil, changes.isEmpty, !isLost, state == .out || state == .member { join() }
  }

  private var partitionCount: Int32 { topics.reduce(0) { $0 + broker.partitionCount($1) } }

  /// The group is made to rebalance.
  func rejoin() { if state == .member { mustJoin = true } }

  private func heartbeat() {
    lastHeartbeat = world.now
    do throws(KafkaError) {
      try broker.core.heartbeat(group, member: member, now: world.wallClock)
    } catch {
      if error == .rebalanceInProgress { mustJoin = true } else { lose(error) }
    }
  }

  private func join() {
    mustJoin = false
    state = .joining
    joinedPartitions = partitionCount
    let metadata = Assignor.metadata(owned: owned, generation: generation)
    broker.core.joinGroup(
      JoinRequest(
        group: group, memberId: memberId, clientId: life.name,
        sessionTimeout: SimulatedBroker.sessionMilliseconds,
        rebalanceTimeout: SimulatedBroker.rebalanceMilliseconds,
        protocols: [GroupProtocol(name: Assignor.protocolName, metadata: metadata)]),
      token: broker.token(for: self), now: world.wallClock)
  }

  private func handle(_ reply: GroupReply) {
    switch reply {
    case .join(_, let reply):
      guard state == .joining else { return }
      switch reply.error {
      case .none:
        generation = reply.generation
        memberId = reply.memberId
        lastHeartbeat = world.now
        sync(reply)
      case .memberIdRequired:
        memberId = reply.memberId
        join()
      case .rebalanceInProgress: again()
      default: lose(reply.error)
      }
    case .sync(_, let reply):
      guard state == .syncing else { return }
      switch reply.error {
      case .none: take(Assignor.decode(reply.assignment))
      case .rebalanceInProgress: again()
      default: lose(reply.error)
      }
    }
  }

  private func again() {
    state = .out
    mustJoin = true
  }

  private func sync(_ reply: JoinReply) {
    state = .syncing
    var assignments: [String: [UInt8]] = [:]
    if reply.leader == memberId {
      let partitions = topics.sorted().flatMap(broker.places)
      assignments = Assignor.share(partitions, reply.members).mapValues(Assignor.encode)
    }
    broker.core.syncGroup(
      group, member: member, assignments: assignments, token: broker.token(for: self), now: world.wallClock)
  }

  private func take(_ share: [Place]) {
    state = .member
    lastHeartbeat = world.now
    let gone = owned.filter { !share.contains($0) }
    let new = share.filter { positions[$0] == nil }.sorted()
    if !gone.isEmpty {
      changes.append(.revoked(gone.map(\.logged)))
      // What was given up can only be assigned in another rebalance.
      mustJoin = true
    }
    if !new.isEmpty { changes.append(.assigned(new.map(\.logged))) }
  }

  private func lose(_ error: KafkaError) {
    world.trace("\(life.name)  is no member any more: \(error)")
    if error != .illegalGeneration { memberId = "" }
    generation = -1
    state = .out
    mustJoin = true
    changes = []
    isLost = true
    settleLoss()
  }

  /// Once the worker has answered everything before, it is told that what it owns is lost.
  private func settleLoss() {
    guard isLost, unanswered == nil, changes.isEmpty else { return }
    if positions.isEmpty {
      isLost = false
    } else {
      changes = [.lost(owned.map(\.logged))]
    }
  }

  func leave() {
    broker.remove(self)
    guard !memberId.isEmpty, world.now >= life.logCutUntil else { return }
    try? broker.core.leaveGroup(group, member: member, now: world.wallClock)
  }

  // MARK: The worker's thread

  func takeChange() -> LogAssignment? {
    guard unanswered == nil, !changes.isEmpty else { return nil }
    let change = changes.removeFirst()
    unanswered = change
    switch change {
    case .assigned: world.coverage.hit(.assigned)
    case .revoked(let partitions):
      world.coverage.hit(.revoked)
      leaving.formUnion(partitions.map(\.place))
    case .lost(let partitions):
      world.coverage.hit(.lost)
      leaving.formUnion(partitions.map(\.place))
    }
    world.trace("\(life.name)  told \(change)")
    return change
  }

  func assign(_ partitions: [(partition: Processor.TopicPartition, offset: Int64)]) {
    for (partition, offset) in partitions {
      if positions[partition.place] != nil { world.violate("\(life.name) took on \(partition) twice") }
      positions[partition.place] = offset
      told[partition.place] = nil
      leaving.remove(partition.place)
      paused.remove(partition.place)
    }
    unanswered = nil
    settleLoss()
  }

  func unassign(_ partitions: [Processor.TopicPartition]) {
    for partition in partitions {
      positions[partition.place] = nil
      paused.remove(partition.place)
      leaving.remove(partition.place)
    }
    unanswered = nil
    settleLoss()
  }

  func pause(_ partitions: [Processor.TopicPartition]) -> Bool {
    guard partitions.allSatisfy({ positions[$0.place] != nil }) else { return false }
    paused.formUnion(partitions.map(\.place))
    return true
  }

  func resume(_ partitions: [Processor.TopicPartition]) -> Bool {
    guard partitions.allSatisfy({ positions[$0.place] != nil }) else { return false }
    paused.subtract(partitions.map(\.place))
    return true
  }

  func seek(_ partition: Processor.TopicPartition, to offset: Int64) {
    guard positions[partition.place] != nil, !leaving.contains(partition.place) else {
      return world.violate("\(life.name) went to an offset of \(partition), which it does not read")
    }
    positions[partition.place] = offset
    told[partition.place] = nil
  }

  /// What a fetch brings.
  struct Fetch {
    var runs: [(place: Place, records: ArraySlice<VisibleRecord>)] = []
    /// Where nothing is left to read.
    var ends: [(partition: Processor.TopicPartition, offset: Int64)] = []
  }

  /// Some records of what is read.
  func fetch(recordsMax: Int) -> Result<Fetch, OutOfRange> {
    var room = recordsMax
    var fetch = Fetch()
    var places = owned.filter { !paused.contains($0) && !leaving.contains($0) }
    if !places.isEmpty {
      let first = world.draws.below(places.count)
      places = Array(places[first...] + places[..<first])
    }
    for place in places where room > 0 {
      let log = broker.log(place)
      log.sync()
      guard let position = positions[place] else { continue }
      guard position >= log.logStart, position <= log.next else {
        return .failure(OutOfRange(place: place, offset: position))
      }
      var index = log.index(from: position)
      if index > 0, world.strikes(.redelivery) {
        let back = log.index(from: log.logStart)
        index = max(back, index - 1 - world.draws.below(3))
      }
      let end = min(log.records.count, index + 1 + world.draws.below(room))
      if index < end {
        fetch.runs.append((place, log.records[index..<end]))
        positions[place] = max(position, log.records[end - 1].offset + 1)
        room -= end - index
      }
      if end == log.records.count { reachEnd(place, log.end, &fetch) }
    }
    return .success(fetch)
  }

  /// Tells an end once, as the client library does.
  private func reachEnd(_ place: Place, _ end: Int64, _ fetch: inout Fetch) {
    guard let position = positions[place], position < end || told[place] != position else { return }
    positions[place] = max(position, end)
    told[place] = positions[place]
    fetch.ends.append((place.logged, end))
  }

  struct OutOfRange: Error {
    var place: Place
    var offset: Int64
  }
}

extension BrokerCore.TopicPartition {
  var logged: Processor.TopicPartition { Processor.TopicPartition(topic, partition) }
}

extension Processor.TopicPartition {
  var place: Place { Place(topic, partition) }
}
